"""What was heard of one channel: its messages' gaps and delays, and whether they are as expected."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from stall_then_strike.app.contact.assumed.deviations import Deviations
from stall_then_strike.types.dto import NS_PER_S

FEW: Final = 3
"""Least number of gaps or delays that say something."""
_KEPT: Final = 20_000
"""Gaps and delays kept of a channel: half an hour of deltas."""
_LATE_S: Final = 2.0
_EARLY_S: Final = -1.0
"""Median delay of stamps that is still as expected; recorded: 0.1 to 0.3 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFigures:
    """What a channel did, in seconds; None where too little came."""

    name: str
    messages: int
    gap_s: float | None
    """Median."""
    longest_s: float | None
    delay_s: float | None
    """Receipt minus the venue's stamp, median, of channels with stamps. It includes the difference of the clocks."""


@dataclass(slots=True)
class Heard:
    """One channel."""

    messages: int = 0
    last_ns: int | None = None
    gaps_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_KEPT))
    delays_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def take(self, recv_ns: int) -> None:
        """A message came."""
        self.messages += 1
        if self.last_ns is not None:
            self.gaps_ns.append(recv_ns - self.last_ns)
        self.last_ns = recv_ns

    def judge_silence(self, name: str, limit_s: float, found: Deviations, now_ns: int, *, is_connected: bool) -> None:
        """Note the longest gap if it is longer than ``limit_s``; until now, while the connection is there."""
        gaps = list(self.gaps_ns)
        if is_connected and self.last_ns is not None:
            gaps.append(now_ns - self.last_ns)
        longest_s = max(gaps, default=0) / NS_PER_S
        if longest_s > limit_s:
            found.add(f"{name} is silent", f"a message every {limit_s:g} s", f"none for {longest_s:.1f} s")

    def judge_delay(self, name: str, skew_ns: int, found: Deviations) -> None:
        """Note stamps that are early or late. ``skew_ns`` is by how much the venue's clock is ahead of ours."""
        if len(self.delays_ns) >= FEW:
            delay_s = (median(self.delays_ns) + skew_ns) / NS_PER_S
            if not _EARLY_S <= delay_s <= _LATE_S:
                expected = f"{_EARLY_S:g} to {_LATE_S:g} s after their stamps, by the venue's clock"
                found.add(f"{name} is late", expected, f"{delay_s:.2f} s (median)")

    def figures(self, name: str) -> ChannelFigures:
        """In seconds."""
        return ChannelFigures(
            name=name,
            messages=self.messages,
            gap_s=_median_s(self.gaps_ns),
            longest_s=max(self.gaps_ns) / NS_PER_S if self.gaps_ns else None,
            delay_s=_median_s(self.delays_ns),
        )


def _median_s(values_ns: Iterable[int]) -> float | None:
    values = list(values_ns)
    return median(values) / NS_PER_S if values else None
