"""The parameters of a call, read as the venue reads them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import orjson

from stall_then_strike.sim.lighter.transactions import Refusal
from stall_then_strike.types.dto import NS_PER_MS

INVALID_PARAM: Final = 20001
ALL: Final = 255
"""All markets, or all keys."""
MOST_ROWS: Final = 100
LATEST_MS: Final = 5_000_000_000_000
Row = TypeVar("Row")


def invalid_param() -> Refusal:
    """The refusal of a parameter; the venue says ``invalid param`` with a space at the end."""
    return Refusal(INVALID_PARAM, "invalid param ")


def list_in(text: object, kind: type[Any]) -> list[Any]:
    """A list of one kind that comes as a text of JSON. Raises Refusal (20001)."""
    try:
        values = orjson.loads(text) if isinstance(text, str) else None
    except orjson.JSONDecodeError:
        values = None
    if not isinstance(values, list) or not all(type(value) is kind for value in values):
        raise invalid_param()
    return values


class Query:
    """The parameters of one request, with the venue's complaints."""

    def __init__(self, given: Mapping[str, str]) -> None:
        """Take the query, or the form of a POST."""
        self._given = given

    def has(self, name: str) -> bool:
        """Whether a parameter is given."""
        return name in self._given

    def text(self, name: str, default: str | None = None) -> str:
        """A text. Raises Refusal (20001) when it is missing and has no default."""
        value = self._given.get(name, default)
        if value is None or (value == "" and default is None):
            raise invalid_param()
        return value

    def one_of(self, name: str, accepted: Sequence[str], default: str | None = None) -> str:
        """One of some words. Raises Refusal (20001)."""
        value = self.text(name, default)
        if value not in accepted:
            raise invalid_param()
        return value

    def numbers(self, name: str, most: int, separator: str = ",") -> list[int]:
        """Some integers in one text, none when it is missing. Raises Refusal (20001)."""
        text = self._given.get(name, "")
        parts = [part.strip() for part in text.split(separator)] if text else []
        if len(parts) > most or not all(part.isascii() and part.isdigit() for part in parts):
            raise invalid_param()
        return [int(part) for part in parts]

    def span_ns(self) -> tuple[int, int]:
        """The time between ``start_timestamp`` and ``end_timestamp``, milliseconds; all of it when they are missing."""
        return self.whole("start_timestamp", 0) * NS_PER_MS, self.whole("end_timestamp", LATEST_MS) * NS_PER_MS

    def page(self, rows: Sequence[Row]) -> tuple[list[Row], dict[str, Any]]:
        """The page of ``limit`` rows at ``cursor``, and the answer's ``next_cursor``, which is absent at the end."""
        start, limit = self.whole("cursor", 0), self.whole("limit", most=MOST_ROWS)
        more = {"next_cursor": str(start + limit)} if start + limit < len(rows) else {}
        return list(rows[start : start + limit]), more

    def whole(self, name: str, default: int | None = None, *, most: int | None = None) -> int:
        """An integer that is not negative. Raises Refusal (20001)."""
        text = self._given.get(name)
        if text is None and default is not None:
            return default
        if text is None or not text.isascii() or not text.isdigit():
            raise invalid_param()
        value = int(text)
        if most is not None and not 1 <= value <= most:
            raise invalid_param()
        return value
