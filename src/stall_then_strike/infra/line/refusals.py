"""Messages that cannot be read or lack a field: counted by kind, and logged now and then.

A faulty venue can send thousands of them a second. So a kind of refusal is logged at most once in ten seconds, with the
number since the last line, and a missing field at its first, tenth, hundredth occurrence and so on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from loguru import logger

from stall_then_strike.types.dto import NS_PER_S

LOG_PAUSE_NS: Final = 10 * NS_PER_S
"""Least time between two log lines of the same kind."""

SHOWN_CHARS: Final = 200
"""Most characters of a refused value that are logged."""

_LONGEST_BITS: Final = 128

_log = logger.bind(channel="ws")


class Refusals:
    """Counts refusals by kind; ``what`` names the refused things in the log."""

    def __init__(self, what: str, *, is_quiet: bool = False) -> None:
        """Start at zero. ``is_quiet``: count but do not log, for messages that another reader logs."""
        self._what = what
        self._is_quiet = is_quiet
        self._counts: Counter[StrEnum] = Counter()
        self._logged: dict[StrEnum, tuple[int, int]] = {}
        """For each kind: when it was last logged, and its count then."""

    def count(self, kind: StrEnum) -> int:
        """Count one without logging; return the count of its kind."""
        self._counts[kind] += 1
        return self._counts[kind]

    def add(self, kind: StrEnum, why: str, shown: str | bytes, recv_ns: int) -> None:
        """Count one, and log it unless its kind was logged within :data:`LOG_PAUSE_NS`."""
        count = self.count(kind)
        if self._is_quiet:
            return
        logged_ns, logged_count = self._logged.get(kind, (None, 0))
        if logged_ns is not None and 0 <= recv_ns - logged_ns < LOG_PAUSE_NS:
            return
        self._logged[kind] = (recv_ns, count)
        _log.warning(
            "refused {} {}, {}{}; the last: {!r}",
            count - logged_count,
            self._what,
            kind.value,
            f" ({why[:SHOWN_CHARS]})" if why else "",
            shown,
        )

    def counts(self) -> Mapping[str, int]:
        """The count of each kind so far."""
        return MappingProxyType({kind.value: count for kind, count in sorted(self._counts.items())})


class Absences:
    """Counts missing fields that an answer or event should have but that are not essential."""

    def __init__(self, *, is_quiet: bool = False) -> None:
        """Start at zero. ``is_quiet``: count but do not log."""
        self._is_quiet = is_quiet
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, where: str, field: str, instead: str) -> None:
        """Count a missing or unreadable field of ``where``; ``instead`` tells the log what is used in its place."""
        self._counts[where, field] += 1
        count = self._counts[where, field]
        if not self._is_quiet and count == 10 ** (len(str(count)) - 1):
            _log.warning("{} has no readable {} ({} so far): {}", where, field, count, instead)

    def counts(self) -> Mapping[str, int]:
        """How often each field was missing, by ``where.field``."""
        return MappingProxyType({f"{where}.{field}": count for (where, field), count in sorted(self._counts.items())})


def plain(value: object) -> str:
    """A received text or number for a log line; of a nested value, which may be deep, only the type."""
    if isinstance(value, int) and value.bit_length() > _LONGEST_BITS:  # Python refuses to write the longest
        return "(int)"
    return str(value)[:SHOWN_CHARS] if isinstance(value, str | int | float) else f"({type(value).__name__})"


def in_words(error: object) -> str:
    """A JSON-RPC error, or whatever was sent instead, for a log line: ``invalid channel (-32602)``."""
    if isinstance(error, dict):
        return f"{plain(error.get('message'))} ({plain(error.get('code'))})"
    return plain(error)
