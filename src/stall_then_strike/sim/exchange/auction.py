"""The price of an auction (itayose): the one price at which the most size trades. Pure: levels in, price out.

Ties are broken by the smallest imbalance, then by the distance to a reference price, then by the lower price. Market
orders trade at any price. The venue says that an auction follows a halt and that market orders count as simultaneous in
it (circuit-breaker documentation); the other rules are the textbook's.
"""

from __future__ import annotations

from collections.abc import Sequence

from stall_then_strike.sim.exchange.source import Level
from stall_then_strike.types.instrument import Lots, Ticks


def clearing_price(
    bids: Sequence[Level], asks: Sequence[Level], market_buys: Lots, market_sells: Lots, reference: Ticks
) -> Ticks | None:
    """The auction's price; None when nothing can trade. Levels are best first, prices positive."""
    candidates = sorted({price for price, _ in bids} | {price for price, _ in asks} | {reference} - {0})
    supply = _reached(candidates, asks, market_sells)
    demand = _reached([-price for price in reversed(candidates)], [(-price, size) for price, size in bids], market_buys)
    best: tuple[int, int, int, int] | None = None
    for price, wanted, offered in zip(candidates, reversed(demand), supply, strict=True):
        traded = min(wanted, offered)
        rank = (-traded, abs(wanted - offered), abs(price - reference), price)
        if traded and (best is None or rank < best):
            best = rank
    return None if best is None else Ticks(best[3])


def _reached(prices: Sequence[int], levels: Sequence[tuple[int, int]], at_any: int) -> list[int]:
    """Size of the levels up to each price, both rising, and of the orders at any price."""
    sizes: list[int] = []
    total, level = at_any, 0
    for price in prices:
        while level < len(levels) and levels[level][0] <= price:
            total += levels[level][1]
            level += 1
        sizes.append(total)
    return sizes
