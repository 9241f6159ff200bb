"""The venue's daily events (maintenance, funding, roll-over) and its circuit breaker.

Pure: times and values in, times out. Seconds of the day are UTC; JST is nine hours ahead.

Venue facts: maintenance from 04:00 JST for ten minutes, sockets closed with 1012 at 04:02, about 04:11 an auction of a
minute with off-market quotes; funding at 05, 13 and 21 UTC, default rate 0.0001; roll-over at 18:00 JST (all likely or
seen). Circuit breaker: trading stops for about five minutes when an order would trade more than 15 % from the price ten
minutes before, and resumes with an auction (likely); here the trade beyond the band still happens, as the last one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from stall_then_strike.types.dto import NS_PER_S, BoardState
from stall_then_strike.types.instrument import Ticks

_DAY_NS: Final = 86_400 * NS_PER_S
_HOUR_S: Final = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A state of the board and how long it lasts."""

    state: BoardState
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """A daily closure. After its phases the board is RUNNING."""

    start_s: int = 19 * _HOUR_S
    """Second of the UTC day: 04:00 JST."""
    sockets_close_s: int | None = 120
    """Seconds after the start; None keeps them open."""
    phases: tuple[Phase, ...] = (
        Phase(state=BoardState.CLOSED, seconds=600),
        Phase(state=BoardState.STARTING, seconds=60),
        Phase(state=BoardState.PREOPEN, seconds=60),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRule:
    """When the circuit breaker trips, and the phases that follow. After them the board is RUNNING."""

    band: Fraction = Fraction(15, 100)
    lookback_s: int = 600
    phases: tuple[Phase, ...] = (
        Phase(state=BoardState.CIRCUIT_BREAK, seconds=300),
        Phase(state=BoardState.PREOPEN, seconds=60),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """The venue's daily events and its circuit breaker; None leaves one out."""

    maintenance: Maintenance | None = Maintenance()
    breaker: BreakerRule | None = BreakerRule()
    funding_at_s: tuple[int, ...] = (5 * _HOUR_S, 13 * _HOUR_S, 21 * _HOUR_S)
    funding_rate: int = 10_000
    """In 1e-8 of the position's worth; if positive, longs pay shorts."""
    rollover_at_s: int | None = 9 * _HOUR_S
    carry_rate: int = 0
    """In 1e-8 of the position's worth, paid by longs and shorts at the roll-over."""


def next_daily_ns(now_ns: int, seconds_of_day: Iterable[int]) -> int:
    """The first of these times of the UTC day after ``now_ns``."""
    midnight_ns = now_ns - now_ns % _DAY_NS
    return min(
        moment if (moment := midnight_ns + second * NS_PER_S) > now_ns else moment + _DAY_NS
        for second in seconds_of_day
    )


class Breaker:
    """Prices over the rule's lookback."""

    def __init__(self, rule: BreakerRule) -> None:
        """Start without prices."""
        self._rule = rule
        self._prices: deque[tuple[int, Ticks]] = deque()

    def trips(self, now_ns: int, price: Ticks) -> bool:
        """Record a trade's price; return whether it is out of the band around the price before the lookback.

        The reference is the last price at or before the lookback's begin, or else the first known.
        """
        prices = self._prices
        while len(prices) > 1 and prices[1][0] <= now_ns - self._rule.lookback_s * NS_PER_S:
            prices.popleft()
        prices.append((now_ns, price))
        reference = prices[0][1]
        return abs(price - reference) > self._rule.band * reference

    def reset(self) -> None:
        """Forget all prices: the market was halted."""
        self._prices.clear()
