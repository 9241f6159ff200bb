"""Hourly funding of one market: a premium each minute, their mean each hour. Pure.

Venue facts (published circuits, statistics of 2025): the premium compares the index price with the average prices at
which 500 USDC over the smallest initial margin fraction would trade; without that depth it is zero. With A, the sum of
the hour's premiums over 60, the rate of eight hours is A + clamp(interest - A, +-0.05 %), clamped to +-4 %; interest
is 0.01 %. An hour pays an eighth, rounded towards zero: 12 millionths in a quiet market. Positive: longs pay shorts.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from stall_then_strike.sim.exchange.source import Level
from stall_then_strike.sim.lighter.clearing.contracts import FRACTION_ONE, MICRO, LighterMarket

INTEREST: Final = 100
CLAMP_SMALL: Final = 500
CLAMP_BIG: Final = 40_000
_IMPACT_QUOTE: Final = 500 * MICRO
_MINUTES: Final = 60
_HOURS: Final = 8
_KEPT: Final = 24 * 100


class FundingRound(NamedTuple):
    """One hour's funding: rate in 1/1,000,000, ``price`` the index price that it was paid on."""

    time_ns: int
    rate: int
    price: int


class FundingRates:
    """The premiums of the current hour, and past rounds."""

    def __init__(self, market: LighterMarket) -> None:
        """Start an hour without premiums."""
        self._impact_quote = _IMPACT_QUOTE * FRACTION_ONE // market.min_fraction
        self._premiums: list[int] = []
        self.rounds: deque[FundingRound] = deque(maxlen=_KEPT)
        """Oldest first."""

    def sample(self, bids: list[Level], asks: list[Level], underlying: int) -> None:
        """Take the minute's premium: levels best first, the index price."""
        bought = _premium(asks, self._impact_quote, underlying)
        sold = _premium(bids, self._impact_quote, underlying)
        has_depth = bought is not None and sold is not None
        self._premiums.append(max(0, sold or 0) - max(0, -(bought or 0)) if has_depth else 0)

    def estimate(self) -> int:
        """The rate that the hour so far would pay."""
        count = len(self._premiums)
        return _hourly(_towards_zero(sum(self._premiums), count) if count else 0)

    def close(self, time_ns: int, underlying: int) -> FundingRound:
        """End the hour."""
        rate = _hourly(_towards_zero(sum(self._premiums), _MINUTES))
        self._premiums.clear()
        paid = FundingRound(time_ns, rate, underlying)
        self.rounds.append(paid)
        return paid


def _premium(levels: list[Level], quote: int, underlying: int) -> int | None:
    """How far the average price of trading ``quote`` is from the index price, in 1/1,000,000; None without depth."""
    left, size = quote, 0
    for price, lots in levels:
        taken = min(lots, -(-left // price))
        size += taken
        left -= taken * price
        if left <= 0:
            return (quote - left) * MICRO // (size * underlying) - MICRO
    return None


def _hourly(mean: int) -> int:
    """The hour's rate of a mean premium."""
    eight = mean + max(-CLAMP_SMALL, min(CLAMP_SMALL, INTEREST - mean))
    return _towards_zero(max(-CLAMP_BIG, min(CLAMP_BIG, eight)), _HOURS)


def _towards_zero(number: int, by: int) -> int:
    return number // by if number >= 0 else -(-number // by)
