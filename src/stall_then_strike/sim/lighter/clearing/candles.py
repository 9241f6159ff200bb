"""A market's trades by the period, for charts. Pure.

Periods without a trade have no candle; whether the venue fills them is not known. Weeks begin on Thursdays, as the
epoch did.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stall_then_strike.sim.lighter.clearing.records import LighterTrade
from stall_then_strike.types.dto import NS_PER_S

RESOLUTIONS_NS: Final = {
    name: seconds * NS_PER_S
    for name, seconds in {
        "1m": 60,
        "5m": 300,
        "15m": 900,
        "30m": 1_800,
        "1h": 3_600,
        "4h": 14_400,
        "12h": 43_200,
        "1d": 86_400,
        "1w": 604_800,
    }.items()
}
"""Lengths of the periods by their names."""
MOST_CANDLES: Final = 500
"""The newest ones are kept, as many as one call may ask for."""


@dataclass(slots=True)
class Candle:
    """The trades of one period. Prices and ``base`` are in the market's units, ``quote`` in micro-USDC."""

    start_ns: int
    open: int
    high: int
    low: int
    close: int = 0
    base: int = 0
    quote: int = 0
    last_trade_id: int = 0


class CandleChart:
    """The candles of one market."""

    def __init__(self) -> None:
        """Start without trades."""
        self._kept: dict[str, deque[Candle]] = {name: deque(maxlen=MOST_CANDLES) for name in RESOLUTIONS_NS}

    def candles(self, resolution: str) -> Sequence[Candle]:
        """The candles of a resolution, oldest first."""
        return self._kept[resolution]

    def newest(self, resolution: str) -> Candle | None:
        """The candle that is still growing; None before the first trade."""
        kept = self._kept[resolution]
        return kept[-1] if kept else None

    def add(self, trade: LighterTrade) -> None:
        """A trade happened, after all others."""
        price = trade.price
        for name, step_ns in RESOLUTIONS_NS.items():
            kept = self._kept[name]
            if not kept or trade.time_ns - kept[-1].start_ns >= step_ns:
                kept.append(Candle(trade.time_ns - trade.time_ns % step_ns, price, price, price))
            candle = kept[-1]
            candle.high, candle.low, candle.close = max(candle.high, price), min(candle.low, price), price
            candle.base += trade.size
            candle.quote += trade.quote
            candle.last_trade_id = trade.trade_id
