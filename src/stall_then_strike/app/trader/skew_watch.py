"""When a clock that differs from the venue's is too wrong to trade by. Pure."""

from __future__ import annotations

from typing import Final

from stall_then_strike.types.dto import NS_PER_S

ANSWERS: Final = 3
"""How many answers in a row must show it: one may have been on its way for long."""


class SkewWatch:
    """Counts answers whose date is too far from our clock."""

    def __init__(self, limit_ns: int) -> None:
        """``limit_ns`` is what is tolerated, either way."""
        self._limit_ns = limit_ns
        self._far = 0
        self.skew_ns = 0
        """By how much the venue's clock is at least ahead of ours, as of the last answer."""

    def add(self, skew_ns: int) -> str:
        """Take the skew of one answer; why to halt, or empty."""
        self.skew_ns = skew_ns
        self._far = 0 if self.is_fine(skew_ns) else self._far + 1
        if self._far < ANSWERS:
            return ""
        way = "behind" if skew_ns > 0 else "ahead of"
        return f"this machine's clock is {abs(skew_ns) / NS_PER_S:.1f} s {way} the venue's"

    def restart(self) -> None:
        """Our clock has jumped: begin to count anew."""
        self._far = self.skew_ns = 0

    def is_fine(self, skew_ns: int) -> bool:
        """Whether so much is tolerated."""
        return abs(skew_ns) <= self._limit_ns
