"""Decides when our clock differs too much from the venue's to continue trading. Pure."""

from __future__ import annotations

from typing import Final

from stall_then_strike.types.dto import NS_PER_S

ANSWERS: Final = 3
"""How many answers in a row must show the skew. A single one may just have been slow."""


class SkewWatch:
    """Counts answers whose date is too far from our clock."""

    def __init__(self, limit_ns: int) -> None:
        """``limit_ns`` is the difference that is tolerated in either direction."""
        self._limit_ns = limit_ns
        self._far = 0
        self.skew_ns = 0
        """How far the venue's clock is ahead of ours, at least, by the last answer."""

    def add(self, skew_ns: int) -> str:
        """Take the skew of one answer. Returns why to halt, or an empty text."""
        self.skew_ns = skew_ns
        self._far = 0 if self.is_fine(skew_ns) else self._far + 1
        if self._far < ANSWERS:
            return ""
        way = "behind" if skew_ns > 0 else "ahead of"
        return f"this machine's clock is {abs(skew_ns) / NS_PER_S:.1f} s {way} the venue's"

    def restart(self) -> None:
        """Our clock has jumped: start counting again."""
        self._far = self.skew_ns = 0

    def is_fine(self, skew_ns: int) -> bool:
        """Whether this skew is tolerated."""
        return abs(skew_ns) <= self._limit_ns
