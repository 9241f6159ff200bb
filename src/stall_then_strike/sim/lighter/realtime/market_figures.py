"""``market_stats`` of one market: prices, the day's trades, the funding. Pure.

Venue facts (captures): prices and rates are texts, the day's figures floats; rates are percent an hour with four
decimals (12 in 1/1,000,000 is ``"0.0012"``); ``current_funding_rate`` estimates the next payment, ``funding_rate`` is
the last one, made at ``funding_timestamp``.

The day is made of minutes here: its figures forget a trade within a minute after 24 hours.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from stall_then_strike.sim.lighter.clearing.accounts import Prices
from stall_then_strike.sim.lighter.clearing.contracts import MICRO, LighterMarket, decimal_text, usdc_text
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S

Json = dict[str, Any]
MINUTE_NS: Final = 60 * NS_PER_S
INTEREST: Final = 100
CLAMP_SMALL: Final = 500
CLAMP_BIG: Final = 40_000
_MINUTES: Final = 24 * 60
_NO_LIMIT: Final = "72057594037927936.000000"
"""2^56: what the venue shows as limit of the open interest."""


class Funding(NamedTuple):
    """A market's funding: what the next hour would pay and the last one paid, in 1/1,000,000."""

    estimate: int
    rate: int
    paid_ns: int


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

    def __init__(self, market: LighterMarket) -> None:
        """Start without trades."""
        self.market = market
        self.day = DayFigures()
        self.has_changed = True

    def row(self, *, prices: Prices, mid: int | None, open_interest: int, funding: Funding, now_ns: int) -> Json:
        """The market's object; ``open_interest`` in micro-USDC."""
        market, day = self.market, self.day
        day.forget(now_ns)
        return {
            "symbol": market.symbol,
            "market_id": market.market_id,
            "index_price": market.price_text(prices.underlying),
            "mark_price": market.price_text(prices.mark),
            "mid_price": market.price_text(prices.mark if mid is None else mid),
            "open_interest": usdc_text(open_interest),
            "open_interest_limit": _NO_LIMIT,
            "funding_clamp_small": _percent(CLAMP_SMALL),
            "funding_clamp_big": _percent(CLAMP_BIG),
            "base_interest_rate": _percent(INTEREST),
            "last_trade_price": market.price_text(day.last or prices.mark),
            "current_funding_rate": _percent(funding.estimate),
            "funding_rate": _percent(funding.rate),
            "funding_timestamp": funding.paid_ns // NS_PER_MS,
            "daily_base_token_volume": day.base / 10**market.size_decimals,
            "daily_quote_token_volume": day.quote / MICRO,
            "daily_price_low": (day.low or prices.mark) / 10**market.price_decimals,
            "daily_price_high": (day.high or prices.mark) / 10**market.price_decimals,
            "daily_price_change": day.change,
        }


def _percent(rate: int) -> str:
    """A rate in 1/1,000,000 as percent."""
    return decimal_text(rate, 4)
