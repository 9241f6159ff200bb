"""What came over the wire and was not understood, or lacked a field: counted by kind, and logged now and then.

A venue that goes mad can send thousands of such things a second, so one kind of refusal is logged at most once in ten
seconds, with how many there were since, and a field that is missing at its first, tenth, hundredth time and so on.
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
"""The same kind is logged at most this often."""

SHOWN_CHARS: Final = 200
"""How much of what was refused is logged."""

_LONGEST_BITS: Final = 128

_log = logger.bind(channel="ws")


class Refusals:
    """Counts by kind; ``what`` names the things that are counted, for the log."""

    def __init__(self, what: str, *, is_quiet: bool = False) -> None:
        """Nothing refused yet. ``is_quiet``: count only, for who reads again what another has read."""
        self._what = what
        self._is_quiet = is_quiet
        self._counts: Counter[StrEnum] = Counter()
        self._logged: dict[StrEnum, tuple[int, int]] = {}
        """For each kind: when it was last logged, and how many there had been."""

    def count(self, kind: StrEnum) -> int:
        """Count one without a word; return how many of its kind there are."""
        self._counts[kind] += 1
        return self._counts[kind]

    def add(self, kind: StrEnum, why: str, shown: str | bytes, recv_ns: int) -> None:
        """Count one, and log it unless one of its kind was logged just before."""
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
        """How many of each kind so far."""
        return MappingProxyType({kind.value: count for kind, count in sorted(self._counts.items())})


class Absences:
    """Counts fields that an answer or event should have, and that the truth can do without."""

    def __init__(self, *, is_quiet: bool = False) -> None:
        """Nothing missed yet. ``is_quiet``: count only."""
        self._is_quiet = is_quiet
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, where: str, field: str, instead: str) -> None:
        """Count a field that is missing, or cannot be read, in what ``where`` names; say what is taken instead."""
        self._counts[where, field] += 1
        count = self._counts[where, field]
        if not self._is_quiet and count == 10 ** (len(str(count)) - 1):
            _log.warning("{} has no readable {} ({} so far): {}", where, field, count, instead)

    def counts(self) -> Mapping[str, int]:
        """How often each was missing, by ``where.field``."""
        return MappingProxyType({f"{where}.{field}": count for (where, field), count in sorted(self._counts.items())})


def plain(value: object) -> str:
    """A word or number off the wire for a log line; nested values, which may be bottomless, by their type only."""
    if isinstance(value, int) and value.bit_length() > _LONGEST_BITS:  # Python refuses to write the longest
        return "(int)"
    return str(value)[:SHOWN_CHARS] if isinstance(value, str | int | float) else f"({type(value).__name__})"


def in_words(error: object) -> str:
    """A JSON-RPC error, or what stands in its place, for a log line: ``invalid channel (-32602)``."""
    if isinstance(error, dict):
        return f"{plain(error.get('message'))} ({plain(error.get('code'))})"
    return plain(error)
