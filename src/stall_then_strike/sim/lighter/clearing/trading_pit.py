"""One market: orders come in, are changed, and end. Pure.

Venue facts (published circuits; documentation of 2026):

- an order index is (market + 1) x 2^48 + n; n counts up from 1 for asks and down from 2^48 - 1 for bids;
- an order that may only reduce is cut to the position; when a position closes or changes its side, the market's orders
  of that kind are cancelled;
- post-only that would cross is cancelled;
- a modify keeps index, side, type and expiry; its size is the new total. The order is matched again and goes to the
  end of its level's queue.

The status of what an IOC order leaves is not known for sure: here too-much-slippage, or not-enough-liquidity when the
other side is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice

from stall_then_strike.sim.exchange.book_side import Owner
from stall_then_strike.sim.exchange.matching import Fate, MatchingEngine
from stall_then_strike.sim.lighter.clearing.accounts import Account, Accounts
from stall_then_strike.sim.lighter.clearing.contracts import LighterMarket
from stall_then_strike.sim.lighter.clearing.match_rules import LIQUIDATED, Judge, TradeNumbers
from stall_then_strike.sim.lighter.clearing.order_table import OrderTable, Outcome
from stall_then_strike.sim.lighter.clearing.records import MARKET_STRIDE, InForce, LighterOrder, Status
from stall_then_strike.sim.lighter.venue_events import BookChanged, VenueEvent
from stall_then_strike.types.dto import NS_PER_MS, OrderId, Side, TimeInForce
from stall_then_strike.types.instrument import Lots, Ticks


class TradingPit:
    """The live orders of one market."""

    def __init__(
        self, market: LighterMarket, accounts: Accounts, *, trade_ids: Iterator[int], block_of: Callable[[int], int]
    ) -> None:
        """Start with an empty book. ``trade_ids`` numbers the trades of all markets."""
        self.market = market
        self.engine = MatchingEngine()
        self._accounts = accounts
        self._table = OrderTable(market.market_id, accounts)
        self._numbers = TradeNumbers(market.market_id, trade_ids, block_of)
        self._asks_made = 0
        self._bids_made = 0

    @property
    def live(self) -> Mapping[int, LighterOrder]:
        """Open and pending orders by order index."""
        return self._table.live

    @property
    def pending(self) -> Mapping[int, LighterOrder]:
        """Orders that wait for a trigger price."""
        return self._table.pending

    @property
    def last_price(self) -> int:
        """The price of the last trade on the book; zero before the first."""
        return self._numbers.last_price

    # --- orders ---------------------------------------------------------------------------------------------------

    def new_number(self, *, is_ask: bool) -> int:
        """The next book number of a side."""
        if is_ask:
            self._asks_made += 1
            return self._asks_made
        self._bids_made += 1
        return MARKET_STRIDE - self._bids_made

    def index_of(self, number: int) -> int:
        """The order index with that number."""
        return (self.market.market_id + 1) * MARKET_STRIDE + number

    def book(self, side: Side, limit: int) -> list[LighterOrder]:
        """The orders of a side, best first, oldest first within a price."""
        return [self.live[int(order.order_id)] for order in islice(self.engine.resting(side), limit)]

    def enter(self, order: LighterOrder, now_ns: int, tx_hash: str) -> list[VenueEvent]:
        """Take in a new order, whose number and index are made: match it, rest it or end it."""
        outcome = self._begin(now_ns, tx_hash)
        self._enter(order, outcome)
        return self._finish(outcome)

    def modify(
        self, order: LighterOrder, size: int, price: int, trigger_price: int, now_ns: int, tx_hash: str
    ) -> list[VenueEvent]:
        """Change a live order and match it again. ``size`` is the new total, what is filled included."""
        outcome = self._begin(now_ns, tx_hash)
        self._take_out(order)
        changed = replace(
            order,
            size=max(size, order.filled),
            remaining=max(size - order.filled, 0),
            price=price,
            trigger_price=trigger_price,
            number=self.new_number(is_ask=order.is_ask),
            updated_ns=now_ns,
        )
        if changed.filled and not changed.remaining:
            self._table.end(changed, Status.FILLED, outcome)
        else:
            self._enter(changed, outcome)
        return self._finish(outcome)

    def cancel(self, order: LighterOrder, now_ns: int, status: Status = Status.CANCELED) -> list[VenueEvent]:
        """End a live order."""
        outcome = self._begin(now_ns)
        self._take_out(order)
        self._table.end(order, status, outcome)
        return self._finish(outcome)

    def expire(self, now_ns: int) -> list[VenueEvent]:
        """End the orders in the book that have expired."""
        outcome = self._begin(now_ns)
        for gone in self.engine.expire(now_ns):
            self._table.end(self._table.live[int(gone.order_id)], Status.CANCELED_EXPIRED, outcome)
        return self._finish(outcome)

    def trigger(self, order: LighterOrder, now_ns: int, tx_hash: str) -> list[VenueEvent]:
        """Send a pending order into the book: its trigger price was reached."""
        outcome = self._begin(now_ns, tx_hash)
        self._table.suspend(order)
        outcome.loose.append(order)
        self._match(replace(order, trigger_ns=now_ns, updated_ns=now_ns), outcome)
        return self._finish(outcome)

    def hand_over(self, loser: Account, pool: Account, price: int, now_ns: int, tx_hash: str) -> list[VenueEvent]:
        """Give an account's position to the liquidity pool at a price, beside the book."""
        outcome, market = self._begin(now_ns, tx_hash), self.market.market_id
        size = loser.size_in(market)
        sold, bought = (self.index_of(self.new_number(is_ask=is_ask)) for is_ask in (size > 0, size < 0))
        lost = self._accounts.trade(loser, market, -size, price, 0, order_index=sold)
        gained = self._accounts.trade(pool, market, size, price, 0, order_index=bought)
        trade = self._numbers.print(
            outcome,
            price,
            abs(size),
            maker=gained,
            taker=lost,
            is_maker_ask=size < 0,
            kind=LIQUIDATED,
        )
        outcome.traded(trade, loser, pool)
        return self._finish(outcome)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _begin(self, now_ns: int, tx_hash: str = "") -> Outcome:
        return Outcome(self.market.market_id, now_ns, tx_hash)

    def _enter(self, order: LighterOrder, outcome: Outcome) -> None:
        if order.type.has_trigger and not order.trigger_ns:
            self._table.keep(replace(order, status=Status.PENDING), outcome)
        else:
            self._match(order, outcome)

    def _match(self, order: LighterOrder, outcome: Outcome) -> None:
        if order.is_reduce_only:
            room = self._table.reducible(order)
            if not room:
                self._table.end(order, Status.CANCELED_REDUCE_ONLY, outcome)
                return
            cut = min(order.remaining, room) if order.remaining else room
            order = replace(order, size=order.filled + cut, remaining=cut)
        if order.in_force is InForce.POST_ONLY and self._crosses(order):
            self._table.end(order, Status.CANCELED_POST_ONLY, outcome)
            return
        judge = Judge(order, self._table, self._accounts, self._numbers, outcome)
        is_market = order.type.is_market
        rests = not is_market and order.in_force is not InForce.IMMEDIATE_OR_CANCEL
        submitted = self.engine.submit(
            order_id=_id_of(order),
            owner=Owner(str(order.account)),
            side=Side.SELL if order.is_ask else Side.BUY,
            size=Lots(order.remaining),
            price=None if is_market else Ticks(order.price),
            time_in_force=TimeInForce.GTC if rests else TimeInForce.IOC,
            expires_ns=order.expiry_ms * NS_PER_MS if rests else None,
            referee=judge,
        )
        self._place(judge, submitted.fate, outcome)

    def _place(self, judge: Judge, fate: Fate, outcome: Outcome) -> None:
        """Give an order that has been matched its state."""
        order = judge.order
        if judge.verdict is not None and order.remaining:
            self.engine.cancel(_id_of(order))
            self._table.end(order, judge.verdict, outcome)
        elif not order.remaining:
            is_full = order.filled == order.size
            self._table.end(order, Status.FILLED if is_full else Status.CANCELED_SELF_TRADE, outcome)
        elif fate is Fate.RESTING:
            self._table.keep(replace(order, status=Status.OPEN), outcome)
        else:
            has_depth = self.engine.best_price(Side.BUY if order.is_ask else Side.SELL) is not None
            status = Status.CANCELED_TOO_MUCH_SLIPPAGE if has_depth else Status.CANCELED_NOT_ENOUGH_LIQUIDITY
            self._table.end(order, status, outcome)

    def _crosses(self, order: LighterOrder) -> bool:
        best = self.engine.best_price(Side.BUY if order.is_ask else Side.SELL)
        return best is not None and (best >= order.price if order.is_ask else best <= order.price)

    def _take_out(self, order: LighterOrder) -> None:
        """Take a live order out of the book and the table."""
        self.engine.cancel(_id_of(order))
        self._table.suspend(order)

    def _finish(self, outcome: Outcome) -> list[VenueEvent]:
        """Do what follows for other orders of the accounts: of groups, and of changed positions; return all events."""
        self._release(outcome)
        for index in outcome.flipped:
            for order in list(self._accounts.by_index[index].orders.values()):
                if order.is_reduce_only and order.market == self.market.market_id:
                    self._take_out(order)
                    self._table.end(order, Status.CANCELED_REDUCE_ONLY, outcome)
        self._release(outcome)
        bids, asks = self.engine.drain_changes()
        events: list[VenueEvent] = [
            BookChanged(self.market.market_id, side, price, size)
            for side, levels in ((Side.BUY, bids), (Side.SELL, asks))
            for price, size in levels
        ]
        events.extend(outcome.events())
        return events

    def _release(self, outcome: Outcome) -> None:
        """Set the rest of a group going, or end it."""
        for sibling in self._table.follow(outcome):
            self._take_out(sibling)
            self._table.end(sibling, Status.CANCELED_OCO, outcome)


def _id_of(order: LighterOrder) -> OrderId:
    """The order's name in the engine."""
    return OrderId(str(order.order_index))
