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
    demand = _from_above(candidates, bids, market_buys)
    supply = _from_below(candidates, asks, market_sells)
    best: tuple[int, int, int, int] | None = None
    for price, wanted, offered in zip(candidates, demand, supply, strict=True):
        traded = min(wanted, offered)
        rank = (-traded, abs(wanted - offered), abs(price - reference), price)
        if traded and (best is None or rank < best):
            best = rank
    return None if best is None else Ticks(best[3])


def _from_above(candidates: Sequence[int], bids: Sequence[Level], at_any: int) -> list[int]:
    """Size that would be bought at each price."""
    wanted: list[int] = []
    total, level = at_any, 0
    for price in reversed(candidates):
        while level < len(bids) and bids[level][0] >= price:
            total += bids[level][1]
            level += 1
        wanted.append(total)
    return wanted[::-1]


def _from_below(candidates: Sequence[int], asks: Sequence[Level], at_any: int) -> list[int]:
    """Size that would be sold at each price."""
    offered: list[int] = []
    total, level = at_any, 0
    for price in candidates:
        while level < len(asks) and asks[level][0] <= price:
            total += asks[level][1]
            level += 1
        offered.append(total)
    return offered
