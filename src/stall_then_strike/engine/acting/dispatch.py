"""What a step sends: its actions, their orders, the calls that they cost, and their log rows.

Everything is sent through this module, so that each order is tracked, charged to the budget and logged first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stall_then_strike.engine.acting.closing import CloseOrder
from stall_then_strike.engine.orders import Order, Orders
from stall_then_strike.engine.recording import Recorder
from stall_then_strike.engine.strategy import Quote, Strategy
from stall_then_strike.engine.venue.budget import Budget
from stall_then_strike.types.dto import (
    NS_PER_MS,
    Action,
    BoardSnapshot,
    CancelAllStall,
    ClientOrderId,
    CloseMarket,
    DecisionMeta,
    OrderId,
    PlaceLimit,
    Reason,
    Side,
    TimeInForce,
)
from stall_then_strike.types.instrument import NO_PRICE, Instrument, Ticks

_BUY: Final = Side.BUY


class Dispatch:
    """Collector of one step's actions."""

    def __init__(
        self, instrument: Instrument, orders: Orders, budget: Budget, record: Recorder, *, own_names: bool = False
    ) -> None:
        """Start without actions. ``own_names``: the venue knows our orders by our names."""
        self.actions: list[Action] = []
        self._instrument, self._orders, self._budget, self._record = instrument, orders, budget, record
        self.now_ns = 0
        """The time of the step, set by the core."""
        self.board: BoardSnapshot | None = None
        """The board that decisions are made on."""
        self._own_names = own_names
        self._sent = 0
        self._run_ms = 0
        self.number, self.instruments = 0, 1
        """Which of the account's instruments this is, and how many there are: names are unique among all of them."""

    def begin_run(self, now_ns: int) -> None:
        """The first step: the run's orders are named after its time."""
        self._run_ms = self._run_ms or now_ns // NS_PER_MS

    def take(self) -> tuple[Action, ...]:
        """The actions of the step that ends."""
        actions = tuple(self.actions)
        self.actions = []
        return actions

    def name(self) -> ClientOrderId:
        """A client order id for a new order, unique across runs.

        For a venue that takes it, it is a number of 48 bits: milliseconds of the start, plus one for each order (a run
        sends less than one a millisecond).
        """
        self._sent += 1
        name = self._sent * self.instruments + self.number
        return ClientOrderId(f"{self._run_ms + name}" if self._own_names else f"{self._run_ms:x}-{name}")

    def quote(self, quotes: Sequence[Quote], strategy: Strategy, reason: Reason) -> None:
        """Send new quotes of a strategy; one of size zero only uses up an order number."""
        unit = self._instrument
        sent: list[PlaceLimit] = []
        sides: list[str] = []
        bid = ask = NO_PRICE
        for quote in quotes:
            name = self.name()
            if not quote.size:
                continue
            if quote.side is _BUY:
                bid = max(bid, quote.price)
            else:
                ask = min(ask or quote.price, quote.price)
            sent.append(self._place(name, quote, strategy.tag, reason))
            sides.append(f"{quote.side} {unit.price(quote.price)}")
        if sent:
            sizes = [quote.size for quote in sent]
            for size in dict.fromkeys(sizes):
                self._budget.spend_strike(self.now_ns, sizes.count(size), size)
            self._record.tally.strikes += 1
            self.actions.extend(sent)
            self.decision(strategy.word, reason, tuple(sent), bid, ask)
            self._record.note("INFO", f"{strategy.word} {unit.size(sizes[0])} {unit.base}: {' / '.join(sides)}")

    def _place(self, name: ClientOrderId, quote: Quote, tag: str, reason: Reason) -> PlaceLimit:
        """Track one new quote."""
        action = PlaceLimit(
            client_order_id=name,
            side=quote.side,
            price=quote.price,
            size=quote.size,
            ttl_ms=quote.ttl_ms,
            tag=tag,
            reason=reason,
        )
        self._track(action, quote.key)
        return action

    def cancel(self, due: Sequence[tuple[Order, OrderId]], reason: Reason) -> CancelAllStall:
        """Cancel these orders, by the venue's ids."""
        self._budget.spend_cancel(self.now_ns, len(due))
        for order, name in due:
            self._orders.cancel_sent(order, self.now_ns)
            why = order.cancel_reason or reason
            self._record.fact("cancel", client_order_id=order.client_order_id, order_id=name, detail=why.label)
        action = CancelAllStall(order_ids=tuple(name for _, name in due), reason=reason)
        self.actions.append(action)
        return action

    def cancel_strangers(self, names: Sequence[OrderId]) -> None:
        """Cancel orders on the book that are orphans or not ours."""
        self._budget.spend_cancel(self.now_ns, len(names))
        for name in names:
            self._record.fact("cancel", order_id=name, detail=Reason.ORPHAN.label)
        action = CancelAllStall(order_ids=tuple(names), reason=Reason.ORPHAN)
        self.actions.append(action)
        self.decision("cancel", Reason.ORPHAN, (action,))

    def close(self, order: CloseOrder, reason: Reason) -> None:
        """Send an order of the closing."""
        action = CloseMarket(
            client_order_id=self.name(),
            side=order.side,
            price=order.price,
            size=order.size,
            tag=order.tag,
            reason=reason,
        )
        self._track(action)
        self._budget.spend_order(self.now_ns, order.size)
        self._record.tally.closes += 1
        self.actions.append(action)
        self.decision("close", reason, (action,))
        unit = self._instrument
        at = "market" if order.price is None else f"{unit.price(order.price)} or better"
        self._record.note("INFO", f"{order.tag} {order.side} {unit.size(order.size)} {unit.base} at {at}")

    def decision(
        self,
        decision_type: str,
        reason: Reason,
        actions: tuple[Action, ...] = (),
        entry_bid: Ticks = NO_PRICE,
        entry_ask: Ticks = NO_PRICE,
    ) -> None:
        """Record a decision, with the board it was made on."""
        if self.board is None:
            raise AssertionError("a decision needs a board")
        meta = DecisionMeta(decision_type=decision_type, reason=reason, entry_bid=entry_bid, entry_ask=entry_ask)
        self._record.decision(meta, self.board, actions)

    def _track(self, action: PlaceLimit | CloseMarket, key: int = 0) -> None:
        """Track an order before it is sent. ``key`` is the strategy's number of a quote."""
        self._record.fact("send", client_order_id=action.client_order_id, detail=action.reason.label)
        self._orders.add(
            Order(
                client_order_id=action.client_order_id,
                order_id=OrderId(action.client_order_id) if self._own_names else None,
                side=action.side,
                price=action.price,
                size=action.size,
                time_in_force=TimeInForce.GTC if isinstance(action, PlaceLimit) else TimeInForce.IOC,
                ttl_ms=action.ttl_ms if isinstance(action, PlaceLimit) else 0,
                tag=action.tag,
                reason=action.reason,
                sent_ns=self.now_ns,
                key=key,
            )
        )
