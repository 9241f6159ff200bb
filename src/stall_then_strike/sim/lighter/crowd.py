"""The other participants of Lighter's markets: one seeded order flow for each market, and the prices that follow it.

The flow is the neutral one (`exchange/flow.py`), scaled to each market's price and to sizes of the same worth. Its
orders enter the venue at once, without a transaction, for two accounts of the venue's own kind: one makes, one takes,
because an account does not trade with itself. The index price is the flow's hidden fair price; the mark price is the
median of index, mid and last trade, so that no single trade moves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from heapq import heapreplace
from random import Random
from statistics import median
from typing import Final, NamedTuple

from stall_then_strike.sim.exchange.book_side import Owner
from stall_then_strike.sim.exchange.flow import OrderFlow
from stall_then_strike.sim.exchange.flow_model import FlowModel
from stall_then_strike.sim.exchange.matching import MatchingEngine
from stall_then_strike.sim.lighter.clearing.contracts import MICRO, LighterMarket
from stall_then_strike.sim.lighter.clearing.liquidation import POOL_INDEX
from stall_then_strike.sim.lighter.clearing.records import InForce, OrderTerms
from stall_then_strike.sim.lighter.lighter_venue import LighterVenue
from stall_then_strike.types.dto import OrderId, Side, TimeInForce
from stall_then_strike.types.instrument import Lots, Ticks

MAKER: Final = POOL_INDEX
"""The venue's liquidity pool, as in the captured fills."""
TAKER: Final = MAKER - 1
_COLLATERAL: Final = 10**12 * MICRO
_ONE_WORTH: Final = 90_000 * MICRO
"""What a size of one is worth: the flow's sizes are those of bitcoin."""
_BOUND: Final = 10
"""A market order's price is at most a tenth from the best price."""


class _Units(NamedTuple):
    lots_per_one: int
    min_size: Lots


def model_of(market: LighterMarket) -> FlowModel:
    """The flow's model with its distances scaled from its own fair price to the market's start price."""
    model = FlowModel()
    share = market.start_price / model.fair_ticks
    bands = tuple(
        replace(
            band,
            near_ticks=max(1, round(band.near_ticks * share)),
            far_ticks=max(2, round(band.far_ticks * share)),
        )
        for band in model.bands
    )
    return replace(
        model,
        fair_ticks=market.start_price,
        bands=bands,
        **{
            name: getattr(model, name) * share
            for name in ("volatility", "trend", "jump", "guard", "snipe_edge", "taker_patience", "widest_half_ticks")
        },
    )


class Entry:
    """One market of the venue as the flow sees it."""

    def __init__(self, venue: LighterVenue, market: int) -> None:
        """Orders enter ``market``."""
        self._venue = venue
        self._market = market

    @property
    def engine(self) -> MatchingEngine:
        """The book, read only."""
        return self._venue.pits[self._market].engine

    def submit(
        self,
        now_ns: int,
        *,
        owner: Owner,
        side: Side,
        size: Lots,
        price: Ticks | None = None,
        time_in_force: TimeInForce = TimeInForce.GTC,
    ) -> OrderId:
        """Send an order at once; one that may rest is the maker's, any other the taker's."""
        rests = price is not None and time_in_force is TimeInForce.GTC
        terms = OrderTerms(
            market=self._market,
            is_ask=side is Side.SELL,
            size=int(size),
            price=self._bound(side) if price is None else int(price),
            in_force=InForce.GOOD_TILL_TIME if rests else InForce.IMMEDIATE_OR_CANCEL,
        )
        account = int(owner) if rests else TAKER
        return OrderId(str(self._venue.place(account, terms, now_ns)))

    def cancel(self, now_ns: int, order_id: OrderId) -> bool:
        """Cancel an order; return whether it was resting."""
        return self._venue.cancel(int(order_id), now_ns)

    def _bound(self, side: Side) -> int:
        """The price of a market order."""
        best = self.engine.best_price(side.opposite)
        if best is None:
            return self._venue.accounts.prices[self._market].underlying
        return max(1, best + side.sign * (best // _BOUND))


class Crowd:
    """The flows of all markets. Call :meth:`step` at :meth:`next_ns`, in venue time."""

    def __init__(
        self, venue: LighterVenue, *, seed: int, start_ns: int, models: Mapping[int, FlowModel] | None = None
    ) -> None:
        """Fill the books. ``models`` are those of single markets; the others are scaled from the default."""
        self._venue = venue
        for index in (MAKER, TAKER):
            venue.add_account(_COLLATERAL, index=index)
        self._entries = {market: Entry(venue, market) for market in venue.pits}
        self._flows = {
            market: OrderFlow(
                Random(f"flow {seed} {market}"),
                start_ns=start_ns,
                instrument=_Units(_ONE_WORTH // terms.start_price, Lots(terms.min_base)),
                model=(models or {}).get(market) or model_of(terms),
                owner=Owner(str(MAKER)),
            )
            for market, terms in venue.accounts.markets.items()
        }
        for market, flow in self._flows.items():
            flow.populate(self._entries[market])
        self._due = sorted((flow.next_ns(), market) for market, flow in self._flows.items())

    def next_ns(self) -> int | None:
        """When the next participant acts; None without markets."""
        return self._due[0][0] if self._due else None

    def step(self) -> None:
        """Let the next participant of the market that is due first act."""
        market = self._due[0][1]
        flow = self._flows[market]
        flow.step(self._entries[market])
        heapreplace(self._due, (flow.next_ns(), market))

    def set_prices(self, now_ns: int) -> None:
        """Let index and mark prices follow the flow."""
        for market, flow in self._flows.items():
            pit, index = self._venue.pits[market], round(flow.fair)
            bid, ask = pit.engine.best_price(Side.BUY), pit.engine.best_price(Side.SELL)
            mid = index if bid is None or ask is None else (bid + ask) // 2
            mark = int(median((index, mid, pit.last_price or index)))
            self._venue.set_prices(market, index, now_ns, mark)
