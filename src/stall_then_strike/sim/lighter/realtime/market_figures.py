"""``market_stats`` of one market: the day's trades, and the funding that is building up. Pure.

Venue facts (captures, published circuits): prices and rates are texts, the day's figures floats; rates are percent an
hour with four decimals (a rate of 12 in 1/1,000,000 is ``"0.0012"``); ``current_funding_rate`` estimates the next
payment, ``funding_rate`` is the last one, made at ``funding_timestamp``. Each minute adds a premium
``(max(0, impact bid - index) - max(0, index - impact ask)) / index``, the impact prices being the averages over a depth
of 500 USDC divided by the smallest initial margin fraction; without such depth it is zero. The mean of an hour, moved
towards 0.01 % by at most 0.05 % and kept within 4 %, is the rate of eight hours; an eighth of it, rounded towards zero,
is paid.

The day is made of minutes here: its figures forget a trade within a minute after 24 hours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from stall_then_strike.sim.lighter.clearing.contracts import (
    FRACTION_ONE,
    MICRO,
    LighterMarket,
    decimal_text,
    usdc_text,
)
from stall_then_strike.types.dto import NS_PER_S

MINUTE_NS: Final = 60 * NS_PER_S
HOUR_NS: Final = 3_600 * NS_PER_S
RATE_ONE: Final = 1_000_000
"""A rate of 100 %."""
INTEREST: Final = 100
CLAMP_SMALL: Final = 500
CLAMP_BIG: Final = 40_000
_IMPACT_QUOTE: Final = 500 * MICRO
_MINUTES: Final = 24 * 60
_NO_LIMIT: Final = "72057594037927936.000000"
"""2^56: what the venue shows as limit of the open interest."""


def impact_price(levels: Sequence[tuple[int, int]], quote: int) -> int | None:
    """Average price of taking ``quote`` micro-USDC from levels, best first; None when they hold less."""
    left, base = quote, 0
    for price, size in levels:
        taken = min(size, -(-left // price))
        base += taken
        left -= taken * price
        if left <= 0:
            return (quote - left) // base
    return None


def hourly_rate(premiums: Sequence[int]) -> int:
    """The rate of an hour from the premiums of its minutes so far, all in 1/1,000,000."""
    mean = sum(premiums) // 60
    moved = mean + max(-CLAMP_SMALL, min(CLAMP_SMALL, INTEREST - mean))
    rate = max(-CLAMP_BIG, min(CLAMP_BIG, moved))
    return abs(rate) // 8 * (1 if rate >= 0 else -1)


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
        return 100 * (self.last / self._minutes[0].first - 1) if self._minutes else 0.0


class MarketFigures:
    """What ``market_stats`` shows of a market."""

    def __init__(self, market: LighterMarket, now_ns: int) -> None:
        """Start within an hour whose minutes so far had no premium."""
        self.market = market
        self.day = DayFigures()
        self.rate = hourly_rate([])
        """The last rate paid, in 1/1,000,000."""
        self.paid_ns = now_ns // HOUR_NS * HOUR_NS
        self.has_changed = True
        self._premiums: list[int] = []

    @property
    def estimate(self) -> int:
        """What the next payment would be if the rest of the hour were like the minutes so far."""
        seen = self._premiums
        return hourly_rate([round(sum(seen) / len(seen))] * 60 if seen else [])

    def sample(self, bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]], index: int) -> None:
        """A minute is over."""
        quote = _IMPACT_QUOTE * FRACTION_ONE // self.market.min_fraction
        bid, ask = impact_price(bids, quote), impact_price(asks, quote)
        above = 0 if bid is None else max(0, bid - index)
        below = 0 if ask is None else max(0, index - ask)
        self._premiums.append((above - below) * RATE_ONE // index)
        self.has_changed = True

    def close_hour(self, now_ns: int) -> int:
        """An hour is over: return its rate and begin the next."""
        self.rate, self._premiums = hourly_rate(self._premiums), []
        self.paid_ns = now_ns
        self.has_changed = True
        return self.rate

    def row(self, *, mark: int, index: int, mid: int | None, open_interest: int, now_ns: int) -> dict[str, Any]:
        """The market's object; ``open_interest`` in micro-USDC."""
        market, day = self.market, self.day
        day.forget(now_ns)
        return {
            "symbol": market.symbol,
            "market_id": market.market_id,
            "index_price": market.price_text(index),
            "mark_price": market.price_text(mark),
            "mid_price": market.price_text(mark if mid is None else mid),
            "open_interest": usdc_text(open_interest),
            "open_interest_limit": _NO_LIMIT,
            "funding_clamp_small": _percent(CLAMP_SMALL),
            "funding_clamp_big": _percent(CLAMP_BIG),
            "base_interest_rate": _percent(INTEREST),
            "last_trade_price": market.price_text(day.last or mark),
            "current_funding_rate": _percent(self.estimate),
            "funding_rate": _percent(self.rate),
            "funding_timestamp": self.paid_ns // 1_000_000,
            "daily_base_token_volume": day.base / 10**market.size_decimals,
            "daily_quote_token_volume": day.quote / MICRO,
            "daily_price_low": (day.low or mark) / 10**market.price_decimals,
            "daily_price_high": (day.high or mark) / 10**market.price_decimals,
            "daily_price_change": day.change,
        }


def _percent(rate: int) -> str:
    """A rate in 1/1,000,000 as percent."""
    return decimal_text(rate, 4)
