"""What differs between two configurations, and a configuration with some settings changed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from stall_then_strike.config.fields import Section
from stall_then_strike.config.models import AppConfig
from stall_then_strike.types.dto import SettingChange
from stall_then_strike.types.text import plain

STRATEGY_KEYS: Final = frozenset(
    {
        "strategy.stall_T_ms",
        "strategy.min_spread_tick",
        "strategy.ttl_ms",
        "strategy.max_reverse_ticks",
        "strategy.size_min",
        "strategy.max_inventory_btc",
        "strategy.quote_mode",
        "strategy.quote_offset_ticks",
        "strategy.close_type",
        "strategy.close_band_ticks",
        "strategy.close_retry_ms",
    }
)
"""Settings of the strategy that may change between two decisions. ``stale_ms`` is also the connection's."""
RISK_KEYS: Final = frozenset({"risk.daily_pnl_jpy", "risk.max_dd_jpy", "risk.max_rejects", "risk.flatten_blind_sec"})
"""Limits that may change between two decisions."""
_OF_ONE: Final = re.compile(r"instruments\.(\d+)\.")
_MIRRORED: Final = re.compile(r"strategy\.|exchange\.(?:product_code|tick_size|size_step|size_min)$")
"""With several instruments these are only the first one's again."""


class Difference(NamedTuple):
    """One setting that differs."""

    key: str
    old: str
    new: str

    def __str__(self) -> str:
        """For the operator."""
        return f"{self.key}: {self.old} -> {self.new}"

    @property
    def bare_key(self) -> str:
        """The key without its instrument."""
        return _OF_ONE.sub("", self.key)


def differences(old: AppConfig, new: AppConfig) -> list[Difference]:
    """The settings that differ, in the order of the configuration."""
    found = _between(old, new, "")
    return [one for one in found if not (new.instruments and _MIRRORED.match(one.key))]


def with_changes(cfg: AppConfig, changes: Sequence[SettingChange], *, is_whole: bool = True) -> AppConfig:
    """The configuration with these settings. Raises ValueError if it does not accept them.

    With ``is_whole`` all sections must fit together; that of one of several instruments need not.
    """
    changed = _with(cfg, [(change.key.split("."), change.value) for change in changes])
    return AppConfig.model_validate(changed) if is_whole else cfg.model_copy(update=changed)


def of_instrument(changes: Sequence[SettingChange], number: int) -> tuple[SettingChange, ...]:
    """The changes that concern the configuration of one of several instruments, with the keys that it has there."""
    own = []
    for change in changes:
        found = _OF_ONE.match(change.key)
        if found is None or int(found[1]) == number:
            own.append(SettingChange(key=_OF_ONE.sub("", change.key), value=change.value))
    return tuple(own)


def _between(old: object, new: object, key: str) -> Iterator[Difference]:
    if isinstance(old, BaseModel) and isinstance(new, BaseModel):
        for name in type(old).model_fields:
            yield from _between(getattr(old, name), getattr(new, name), f"{key}.{name}" if key else name)
    elif isinstance(old, tuple) and isinstance(new, tuple) and len(old) == len(new):
        for number, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _between(before, after, f"{key}.{number}")
    elif old != new:
        yield Difference(key, _shown(old), _shown(new))


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, Section):
        return f"{{{', '.join(f'{name}: {_shown(getattr(value, name))}' for name in type(value).model_fields)}}}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return str(value.value)
    return plain(value) if isinstance(value, Decimal) else str(value)


def _with(model: BaseModel, changes: Sequence[tuple[list[str], str]]) -> dict[str, Any]:
    """The fields of the model with these values; sections below it are checked."""
    fields: dict[str, Any] = {name: getattr(model, name) for name in type(model).model_fields}
    for name in dict.fromkeys(path[0] for path, _ in changes):
        if name not in fields:
            raise ValueError(f"{name} is no setting")
        fields[name] = _inside(fields[name], [(path[1:], text) for path, text in changes if path[0] == name])
    return fields


def _inside(value: Any, changes: Sequence[tuple[list[str], str]]) -> Any:
    if isinstance(value, BaseModel):
        return type(value).model_validate(_with(value, changes))
    if isinstance(value, tuple):
        own = [[(path[1:], text) for path, text in changes if path[0] == str(at)] for at in range(len(value))]
        return tuple(_inside(one, some) if some else one for one, some in zip(value, own, strict=True))
    return _read(value, changes[-1][1])


def _read(old: object, text: str) -> Any:
    """A value of the same type from its text. Raises ValueError."""
    if isinstance(old, bool):
        return text == "true"
    if isinstance(old, Decimal):
        if not re.fullmatch(r"-?\d+(\.\d+)?", text):
            raise ValueError(f"{text!r} is no number")
        return Decimal(text)
    return type(old)(text) if isinstance(old, int | Enum) else text
