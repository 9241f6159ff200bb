"""The course of a figure over time, in few points, and its drawing in one line of text."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from stall_then_strike.types.dto import NS_PER_S

MOST: Final = 120
"""Points that are kept. When they are reached, every second one goes and the step doubles."""
_BARS: Final = "▁▂▃▄▅▆▇█"


class Course:
    """A figure at even steps of time: seconds at first, hours after weeks. Bounded, and cheap to add to."""

    def __init__(self) -> None:
        """No points yet."""
        self._points: list[Decimal] = []
        self._step_ns = NS_PER_S
        self._next_ns = 0
        self._of = ""

    def add(self, value: Decimal, now_ns: int, of: str) -> tuple[Decimal, ...]:
        """Take the figure at this moment and return all points with it.

        Another ``of`` (the trading day) than the last begins anew.
        """
        if of != self._of:
            self._points, self._step_ns, self._next_ns, self._of = [], NS_PER_S, now_ns, of
        if now_ns >= self._next_ns:
            self._points.append(value)
            self._next_ns = now_ns + self._step_ns
            if len(self._points) >= MOST:
                del self._points[1::2]
                self._step_ns *= 2
        return (*self._points, value)


def sparkline(points: Sequence[Decimal], width: int) -> str:
    """Bars between the lowest and the highest point, at most ``width`` of them, of equal spans of time."""
    count = min(width, len(points))
    shown = [points[(number + 1) * len(points) // count - 1] for number in range(count)]
    low, high = min(shown, default=Decimal(0)), max(shown, default=Decimal(0))
    if low == high:
        return _BARS[0] * count
    return "".join(_BARS[int((point - low) / (high - low) * (len(_BARS) - 1))] for point in shown)
