"""What settings are made of: exact decimals, times of day, zones, and sections that refuse unknown keys.

A validator over several keys gives one line for each problem, ``key: value and why; accepted: what``, with the key
relative to the validator's own section. The loader adds the layer that gave the key.
"""

from __future__ import annotations

import re
from datetime import time
from decimal import Decimal
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict


def _number(value: Any) -> Any:
    """Accept integers for decimals, and leave the rest to the strict check."""
    return Decimal(value) if type(value) is int else value


def _bounded(value: Decimal) -> Decimal:
    """Keep sums and remainders of settings within the 28 digits in which decimal arithmetic is exact."""
    if abs(value) >= 10**10 or value % Decimal("1e-9"):
        raise ValueError("too large or too fine")
    return value


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: the name of a folder, such as "Asia"
        raise ValueError("no such time zone") from error
    return name


def raise_all(problems: list[str]) -> None:
    """Raise one ValueError that lists them all."""
    if problems:
        raise ValueError("\n".join(problems))


def _clock_time(value: Any) -> Any:
    """Accept only ``HH:MM`` and ``HH:MM:SS``. A bare number would be read as seconds."""
    if isinstance(value, str) and re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?", value):
        return time.fromisoformat(value)
    raise ValueError("not a time of day")


def _no_secret(given: dict[str, Any]) -> dict[str, Any]:
    for name in given:
        if is_secret(name):
            raise ValueError(f"{name}: credentials belong in .env or accounts.toml")
    return given


_SECRET: Final = re.compile(r"secret|token|passw|api_?key|credential", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether a key's name says that its value is a secret. Secrets belong in ``.env``, but people make mistakes."""
    return _SECRET.search(name) is not None


Parameters = Annotated[dict[str, Any], AfterValidator(_no_secret)]
"""Settings of a strategy: its class says which there are."""
Number = Annotated[Decimal, BeforeValidator(_number), AfterValidator(_bounded)]
TimeOfDay = Annotated[time, BeforeValidator(_clock_time)]
ZoneName = Annotated[str, AfterValidator(_zone)]


class Section(BaseModel):
    """Base of all sections: frozen, strict, closed."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)
