"""Our part of a level, with hindsight, to find the size that others displayed; exact to one message.

``OrderBookView`` must decide at once; here the whole history of a level is known. Our steps (arrival, fills, end) show
in the level some 0.1 s after the executions channel, together with what others did since the previous message. Each of
our steps is therefore assigned to the change of the level that fits best within :data:`LATE_NS`: a change of exactly
our size; else the first change of at least that size; else the change nearest to the usual lag. If the level did not
change, because another step hid ours, the step is put at the end of that time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, NamedTuple

from stall_then_strike.types.dto import NS_PER_MS

LATE_NS: Final = 300 * NS_PER_MS
"""A change is displayed within about 0.2 s (see ``sim.paper``)."""
_LAG_NS: Final = 100 * NS_PER_MS
"""The usual lag, if none could be measured."""


class Step(NamedTuple):
    """A change of a level by our order, in the time of the executions channel."""

    ts_ns: int
    amount: int
    """Lots: positive for an arrival, negative for a fill or an end."""
    slack_ns: int
    """How much earlier than the stamp it may have happened."""


class LevelLog:
    """A level's sizes over time, ours included."""

    def __init__(self, ts_ns: int, size: int) -> None:
        """Start with its size at a time."""
        self._stamps = [ts_ns]
        self._sizes = [size]

    def see(self, ts_ns: int, size: int) -> None:
        """Record its size after a message."""
        if size != self._sizes[-1]:
            self._stamps.append(ts_ns)
            self._sizes.append(size)

    def changes(self, from_ns: int, until_ns: int) -> list[tuple[int, int]]:
        """Stamps and amounts of the changes in ``[from_ns, until_ns]``."""
        found = []
        for at in range(max(1, bisect_right(self._stamps, from_ns - 1)), len(self._stamps)):
            if self._stamps[at] > until_ns:
                break
            found.append((self._stamps[at], self._sizes[at] - self._sizes[at - 1]))
        return found


@dataclass(frozen=True, slots=True)
class DisplayLag:
    """How long after the executions channel a level shows a change: at least, and usually."""

    least_ns: int = 0
    usual_ns: int = _LAG_NS


def display_lag(steps: Sequence[tuple[LevelLog, Step]]) -> DisplayLag:
    """Measure the lag on steps with a known time that show as a change of exactly their size."""
    lags = []
    for log, step in steps:
        exact = [ns for ns, amount in log.changes(step.ts_ns, step.ts_ns + LATE_NS) if amount == step.amount]
        if len(exact) == 1:
            lags.append(exact[0] - step.ts_ns)
    return DisplayLag(sorted(lags)[len(lags) // 20], int(median(lags))) if lags else DisplayLag()


class OwnPart:
    """One order's part of a level, over time."""

    def __init__(self, log: LevelLog, steps: Sequence[Step], lag: DisplayLag) -> None:
        """``steps`` are in order; the first is the arrival."""
        self._stamps: list[int] = []
        self._sizes: list[int] = []
        size, last_ns = 0, 0
        for step in steps:
            last_ns = max(last_ns, _shown_ns(log, step, lag))
            size += step.amount
            if self._stamps and self._stamps[-1] == last_ns:
                self._sizes[-1] = size
            else:
                self._stamps.append(last_ns)
                self._sizes.append(size)

    def at(self, ts_ns: int) -> int:
        """Our lots after all messages up to that time."""
        at = bisect_right(self._stamps, ts_ns) - 1
        return max(0, self._sizes[at]) if at >= 0 else 0


def _shown_ns(log: LevelLog, step: Step, lag: DisplayLag) -> int:
    changes = log.changes(step.ts_ns + lag.least_ns - step.slack_ns, step.ts_ns + LATE_NS)
    for ns, amount in changes:
        if amount == step.amount:
            return ns
    for ns, amount in changes:
        if amount * step.amount > 0 and abs(amount) >= abs(step.amount):
            return ns
    usual = step.ts_ns + lag.usual_ns
    return min((ns for ns, _ in changes), key=lambda ns: abs(ns - usual), default=step.ts_ns + LATE_NS)
