"""The trades of a market's last 24 hours, by the minute. Pure.

The day is made of whole minutes: its figures forget a trade within a minute after 24 hours.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from stall_then_strike.types.dto import NS_PER_S

MINUTE_NS: Final = 60 * NS_PER_S
_MINUTES: Final = 24 * 60


@dataclass(slots=True)
class _Minute:
    number: int
    first: int
    low: int
    high: int
    base: int = 0
    quote: int = 0
    trades: int = 0


class DayFigures:
    """The trades of the last 24 hours, by the minute."""

    def __init__(self) -> None:
        """Start without trades."""
        self._minutes: deque[_Minute] = deque()
        self.base = 0
        self.quote = 0
        """In micro-USDC."""
        self.trades = 0
        self.last = 0

    def add(self, now_ns: int, price: int, size: int) -> None:
        """A trade happened."""
        self.forget(now_ns)
        number = now_ns // MINUTE_NS
        if not self._minutes or self._minutes[-1].number != number:
            self._minutes.append(_Minute(number, price, price, price))
        minute = self._minutes[-1]
        minute.low, minute.high = min(minute.low, price), max(minute.high, price)
        for figures in (minute, self):
            figures.base += size
            figures.quote += size * price
            figures.trades += 1
        self.last = price

    def forget(self, now_ns: int) -> None:
        """Drop the minutes that are more than a day old."""
        oldest = now_ns // MINUTE_NS - _MINUTES
        while self._minutes and self._minutes[0].number <= oldest:
            gone = self._minutes.popleft()
            self.base -= gone.base
            self.quote -= gone.quote
            self.trades -= gone.trades

    @property
    def low(self) -> int:
        """Lowest price of the day; the last one when nothing traded."""
        return min((minute.low for minute in self._minutes), default=self.last)

    @property
    def high(self) -> int:
        """Highest price of the day."""
        return max((minute.high for minute in self._minutes), default=self.last)

    @property
    def change(self) -> float:
        """Change of the price over the day, in percent."""
        first = self._minutes[0].first if self._minutes else 0
        return (self.last - first) * 100 / first if first else 0.0
