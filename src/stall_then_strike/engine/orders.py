"""All rules on the life cycle of an order. This module knows no venue, no clock and no I/O.

An order's state changes only through ``NEXT``. An input that the table does not list for a state changes nothing. If
``REPEATS`` lists it, it is a duplicate or too late to matter (a second ORDER event, a cancel confirmed twice) and is
ignored; otherwise it is an anomaly (a rejection of a filled order). Three rules of the venue are built in:

- A 200 only gives the order its id: an ACCEPTED order stays pending until it is on the book.
- Events can arrive before the acknowledgement with their order id (bitFlyer; seen by several clients): they are kept
  here until it arrives.
- A fill is a fact in every state. A fill of a cancelled order changes the position, not the state.

Fills are deduplicated by the venue's execution id.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final, NamedTuple

from stall_then_strike.types.dto import (
    ClientOrderId,
    ExecId,
    FillEvent,
    OrderEvent,
    OrderEventKind,
    OrderId,
    OrderMemo,
    OrderTerms,
    Reason,
    Side,
    TimeInForce,
)
from stall_then_strike.types.instrument import Lots, Ticks


@unique
class OrderState(StrEnum):
    """The state of an order."""

    PENDING_NEW = "pending_new"
    """Sent, perhaps acknowledged, not known to be on the book."""
    WORKING = "working"
    PARTIAL = "partial"
    PENDING_CANCEL = "pending_cancel"
    """A cancel was sent; the order is live until the venue confirms its end."""
    UNKNOWN = "unknown"
    """Sent, but the acknowledgement was lost: counts as live until there is evidence."""
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"


@unique
class Local(StrEnum):
    """Inputs of ``NEXT`` that are not events of the venue."""

    CANCEL_SENT = "cancel_sent"
    FILLED_PART = "filled_part"
    FILLED_ALL = "filled_all"


_S, _K = OrderState, OrderEventKind

TERMINAL: Final = frozenset({_S.FILLED, _S.CANCELLED, _S.EXPIRED, _S.REJECTED})

_ENDS: Final[Mapping[OrderEventKind | Local, OrderState]] = {
    Local.FILLED_ALL: _S.FILLED,
    _K.CANCELLED: _S.CANCELLED,
    _K.EXPIRED: _S.EXPIRED,
    _K.REJECTED: _S.REJECTED,
    _K.PROVEN_ABSENT: _S.REJECTED,
}
"""Inputs that end any live order."""

NEXT: Final[Mapping[OrderState, Mapping[OrderEventKind | Local, OrderState]]] = {
    _S.PENDING_NEW: {
        **_ENDS,
        _K.ACCEPTED: _S.PENDING_NEW,
        _K.REGISTERED: _S.WORKING,
        _K.SEND_UNKNOWN: _S.UNKNOWN,
        _K.NOT_SENT: _S.REJECTED,
        Local.FILLED_PART: _S.PARTIAL,
        Local.CANCEL_SENT: _S.PENDING_CANCEL,
    },
    _S.WORKING: {
        **_ENDS,
        _K.ACCEPTED: _S.WORKING,  # the acknowledgement can arrive after the ORDER event
        Local.FILLED_PART: _S.PARTIAL,
        Local.CANCEL_SENT: _S.PENDING_CANCEL,
    },
    _S.PARTIAL: {
        **_ENDS,
        _K.ACCEPTED: _S.PARTIAL,
        _K.REGISTERED: _S.PARTIAL,  # a fill can arrive before the ORDER event
        Local.FILLED_PART: _S.PARTIAL,
        Local.CANCEL_SENT: _S.PENDING_CANCEL,
    },
    _S.PENDING_CANCEL: {
        **_ENDS,
        _K.ACCEPTED: _S.PENDING_CANCEL,
        _K.REGISTERED: _S.PENDING_CANCEL,
        _K.SEND_UNKNOWN: _S.PENDING_CANCEL,  # where our own names do, an order can be cancelled before it is answered
        _K.NOT_SENT: _S.REJECTED,
        _K.CANCEL_FAILED: _S.WORKING,
        _K.CANCEL_UNSENT: _S.WORKING,
        Local.FILLED_PART: _S.PENDING_CANCEL,
        Local.CANCEL_SENT: _S.PENDING_CANCEL,
    },
    _S.UNKNOWN: {
        **_ENDS,
        _K.ACCEPTED: _S.PENDING_NEW,
        _K.REGISTERED: _S.WORKING,
        Local.FILLED_PART: _S.PARTIAL,
        Local.CANCEL_SENT: _S.PENDING_CANCEL,
    },
    _S.FILLED: {_K.ACCEPTED: _S.FILLED, _K.REGISTERED: _S.FILLED, _K.CANCEL_FAILED: _S.FILLED},
    _S.CANCELLED: {_K.ACCEPTED: _S.CANCELLED},
    _S.EXPIRED: {_K.ACCEPTED: _S.EXPIRED, _K.CANCEL_FAILED: _S.EXPIRED},
    _S.REJECTED: {_K.CANCEL_FAILED: _S.REJECTED},
}

_NO_NEWS: Final = (_K.CANCEL_UNSENT, _K.SEND_UNKNOWN)
"""Answers that say nothing. An event may overtake the one to an order that the venue knows by our name."""

REPEATS: Final[Mapping[OrderState, frozenset[OrderEventKind]]] = {
    _S.WORKING: frozenset({_K.REGISTERED, _K.SEND_UNKNOWN}),
    _S.PARTIAL: frozenset({_K.SEND_UNKNOWN}),
    _S.FILLED: frozenset(_NO_NEWS),
    # An order ends once. Whether it was cancelled or expired makes no difference afterwards, and its ORDER event may
    # arrive after its end.
    _S.CANCELLED: frozenset({_K.REGISTERED, _K.CANCELLED, _K.EXPIRED, _K.CANCEL_FAILED, *_NO_NEWS}),
    _S.EXPIRED: frozenset({_K.REGISTERED, _K.CANCELLED, _K.EXPIRED, *_NO_NEWS}),
    _S.REJECTED: frozenset({_K.REJECTED, *_NO_NEWS}),
}
"""Inputs that are redundant in a state, and not an anomaly."""

# Enum members resolved once: in Python 3.11, reading one off its class costs as much as a call.
_UNKNOWN: Final = OrderState.UNKNOWN
_ACCEPTED: Final = OrderEventKind.ACCEPTED
_REGISTERED: Final = OrderEventKind.REGISTERED
_SEND_UNKNOWN: Final = OrderEventKind.SEND_UNKNOWN
_CANCEL_FAILED: Final = OrderEventKind.CANCEL_FAILED
_GTC: Final = TimeInForce.GTC

_NONE: Final = Lots(0)
_CANCEL_OVER: Final = frozenset({_K.CANCEL_FAILED, _K.CANCEL_UNSENT})


@dataclass(slots=True, kw_only=True)
class Order:
    """One of our orders. Only :class:`Orders` changes it."""

    client_order_id: ClientOrderId
    side: Side
    price: Ticks | None
    """None for a market order."""
    size: Lots
    time_in_force: TimeInForce
    ttl_ms: int
    """Zero if the order has no time to live."""
    tag: str
    reason: Reason
    """Why it was sent."""
    sent_ns: int
    key: int = 0
    """The strategy's number of a quote of this run; zero for any other order."""
    state: OrderState = OrderState.PENDING_NEW
    order_id: OrderId | None = None
    executed: Lots = Lots(0)
    cancel_reason: Reason | None = None
    """Why a cancel is wanted; set before the cancel can be sent."""
    cancel_sent_ns: int | None = None
    """When the last cancel was sent."""
    first_cancel_ns: int | None = None
    """When the first cancel was sent."""
    accepted_ns: int | None = None
    """When its acknowledgement arrived."""
    registered_ns: int | None = None
    """When it was first known to be on the book."""
    lost_ns: int | None = None
    """When its acknowledgement counted as lost: until then its request may have been in flight."""
    ended_ns: int | None = None
    is_listed: bool = False
    """Whether a report has listed it."""
    absences: int = 0
    """Consecutive reports that should have listed it and did not."""
    absent_ns: int = 0
    """When the first of these was requested."""
    cancel_failed: bool = False
    """The venue refused a cancel: perhaps because the order has ended, known to us or not."""

    @property
    def terms(self) -> OrderTerms:
        """Side, price and size."""
        return OrderTerms(self.side, self.price, self.size)

    @property
    def is_quote(self) -> bool:
        """Whether it rests on the book. Orders that close a position do not."""
        return self.time_in_force is _GTC

    @property
    def remaining(self) -> Lots:
        """The size that can still be filled if the order is live."""
        left = self.size - self.executed
        return Lots(left) if left > 0 else _NONE

    @property
    def is_live(self) -> bool:
        """Whether it can still be filled."""
        return self.state not in TERMINAL

    @property
    def is_in_flight(self) -> bool:
        """Whether its acknowledgement is still to come: after a sleep of this machine even a long time later."""
        return self.state is OrderState.PENDING_NEW and self.accepted_ns is None and self.lost_ns is None

    def memo(self) -> OrderMemo:
        """The part that the journal keeps."""
        return OrderMemo(
            client_order_id=self.client_order_id,
            order_id=self.order_id,
            side=self.side,
            price=self.price,
            size=self.size,
            time_in_force=self.time_in_force,
            ttl_ms=self.ttl_ms,
            tag=self.tag,
            reason=self.reason,
            sent_ns=self.sent_ns,
            state=self.state.value,
            executed=self.executed,
            cancel_reason=self.cancel_reason,
            cancel_sent_ns=self.cancel_sent_ns,
            registered_ns=self.registered_ns,
            is_live=self.state not in TERMINAL,
        )


def remembered(memo: OrderMemo) -> Order:
    """An order of an earlier run. A request that was in flight when that run ended is unacknowledged now."""
    state = OrderState(memo.state)
    if state is OrderState.PENDING_NEW and memo.order_id is None:
        state = _UNKNOWN
    elif state is OrderState.PENDING_CANCEL:
        state = _before_cancel(memo.executed, memo.registered_ns)
    return Order(
        client_order_id=memo.client_order_id,
        order_id=memo.order_id,
        side=memo.side,
        price=memo.price,
        size=memo.size,
        time_in_force=memo.time_in_force,
        ttl_ms=memo.ttl_ms,
        tag=memo.tag,
        reason=memo.reason,
        sent_ns=memo.sent_ns,
        state=state,
        executed=memo.executed,
        cancel_reason=memo.cancel_reason,
        cancel_sent_ns=memo.cancel_sent_ns,
        first_cancel_ns=memo.cancel_sent_ns,
        accepted_ns=memo.sent_ns if memo.order_id is not None else None,
        registered_ns=memo.registered_ns,
        ended_ns=None if memo.is_live else memo.sent_ns,  # the journal does not keep the time; it is long ago
    )


def _before_cancel(executed: Lots, registered_ns: int | None) -> OrderState:
    """The state to return to after a cancel without effect; an order not yet on the book stays pending."""
    if executed:
        return OrderState.PARTIAL
    return OrderState.PENDING_NEW if registered_ns is None else OrderState.WORKING


class Applied(NamedTuple):
    """The effect of one input. ``anomaly`` describes a contradiction and is empty if there was none."""

    order: Order | None
    event: OrderEvent | FillEvent
    """The input: either the event given to ``apply`` or an early one that it released."""
    changed: bool = False
    """The order's state or id changed."""
    new_fill: FillEvent | None = None
    """A fill not counted before."""
    anomaly: str = ""
    is_repeat: bool = False
    """The input is redundant."""


class Orders:
    """All our orders: the live ones, and the most recent ended ones, for late events."""

    def __init__(self, *, keep_ended: int = 1_000, keep_fills: int = 20_000, keep_early: int = 200) -> None:
        """Set how many are kept of ended orders, execution ids, and early events (whose order id is not known yet)."""
        self._keep_ended, self._keep_fills, self._keep_early = keep_ended, keep_fills, keep_early
        self._live: dict[ClientOrderId, Order] = {}
        self._ended: OrderedDict[ClientOrderId, Order] = OrderedDict()
        self._by_id: dict[OrderId, ClientOrderId] = {}
        self._fills: OrderedDict[ExecId, None] = OrderedDict()
        self._early: OrderedDict[OrderId, list[OrderEvent | FillEvent]] = OrderedDict()
        self._strangers: OrderedDict[OrderId, None] = OrderedDict()
        self.any_live = False
        """Whether any order may still be filled. Asked at every step, changed only here."""
        self.any_ending = False
        """Whether a cancel of a live order is wanted or in flight."""
        self.changes = 0
        """Counts what may have changed of the live orders, so that they are looked at only then."""
        self.touched: dict[ClientOrderId, Order] = {}
        """Orders that changed since the owner last cleared this; the journal must store them."""

    def restore(self, memos: Iterable[OrderMemo], exec_ids: Iterable[ExecId]) -> None:
        """Restore an earlier run's orders, and the execution ids that it counted, oldest first."""
        for memo in memos:
            order = remembered(memo)
            (self._live if order.is_live else self._ended)[order.client_order_id] = order
            if order.order_id is not None:
                self._by_id[order.order_id] = order.client_order_id
        self._fills.update(dict.fromkeys(exec_ids))
        self.any_live = bool(self._live)
        self.changes += 1

    def __contains__(self, name: ClientOrderId) -> bool:
        """Whether there is an order with this client order id."""
        return name in self._live or name in self._ended

    def live(self) -> Sequence[Order]:
        """Live orders, in the order they were sent."""
        return list(self._live.values())

    def sent_since(self, since_ns: int) -> Iterator[Order]:
        """The orders that were sent then or later, ended ones included."""
        return (order for order in (*self._live.values(), *self._ended.values()) if order.sent_ns >= since_ns)

    def quotes(self) -> Sequence[Order]:
        """Live orders that rest on the venue's book, or will, in the order they were sent."""
        return [order for order in self._live.values() if order.time_in_force is _GTC]

    @property
    def early(self) -> Mapping[OrderId, Sequence[OrderEvent | FillEvent]]:
        """Early events, by order id: no order of ours has that id yet."""
        return self._early

    def is_counted(self, exec_id: ExecId) -> bool:
        """Whether this fill has been counted."""
        return exec_id in self._fills

    def count_stranger(self, fill: FillEvent) -> None:
        """Count a fill that is not of our orders, and drop the early events of its order."""
        self._remember_fill(fill.exec_id)
        if fill.order_id is not None:
            self.add_stranger(fill.order_id)
            self._early.pop(fill.order_id, None)

    def add_stranger(self, order_id: OrderId) -> None:
        """Remember that an order is not ours. An acknowledgement with its id still overrides this."""
        self._strangers[order_id] = None
        if len(self._strangers) > self._keep_ended:
            self._strangers.popitem(last=False)

    def is_stranger(self, order_id: OrderId) -> bool:
        """Whether this order was found not to be ours."""
        return order_id in self._strangers

    def forget_early(self, before_ns: int) -> None:
        """Drop early events of orders with none since ``before_ns``, unless a live order has no id yet."""
        if any(order.order_id is None for order in self._live.values()):
            return
        for order_id in [name for name, events in self._early.items() if events[-1].ts_ns < before_ns]:
            del self._early[order_id]

    def early_terms(self, order_id: OrderId) -> OrderTerms | None:
        """The terms in the early ORDER event of this order id; None without one."""
        events = self._early.get(order_id, ())
        return next((e.terms for e in events if isinstance(e, OrderEvent) and e.terms is not None), None)

    def by_id(self, order_id: OrderId) -> Order | None:
        """The order with the venue's id, live or ended."""
        name = self._by_id.get(order_id)
        return None if name is None else self._live.get(name) or self._ended.get(name)

    def unnamed(self) -> Iterator[Order]:
        """Live orders whose acknowledgement was lost, oldest first."""
        return (o for o in self._live.values() if o.order_id is None and o.state is _UNKNOWN)

    def add(self, order: Order) -> None:
        """Add a new order, before it is sent. Raises ValueError if its client order id exists."""
        name = order.client_order_id
        if name in self._live or name in self._ended:
            raise ValueError(f"order {name} exists already")
        self._live[name] = self.touched[name] = order
        if order.order_id is not None:
            self._by_id[order.order_id] = name
        self.any_live = True
        self.changes += 1

    def want_cancel(self, order: Order, reason: Reason) -> None:
        """Mark a live order for cancellation."""
        order.cancel_reason = reason
        self.any_ending = True
        self.changes += 1

    def cancel_sent(self, order: Order, now_ns: int) -> None:
        """Record that a cancel is in flight."""
        order.cancel_sent_ns = now_ns
        order.first_cancel_ns = order.first_cancel_ns or now_ns
        order.cancel_failed = False
        self._move(order, Local.CANCEL_SENT)

    def apply(self, event: OrderEvent | FillEvent) -> list[Applied]:
        """Apply one event. If it gives an order its id, that order's early events are applied and returned as well."""
        order = self._find(event)
        if order is None:
            return [self._hold(event)]
        self.changes += 1
        registered_ns = order.registered_ns
        named = self._take_name(order, event)
        results = [self._fill(order, event) if isinstance(event, FillEvent) else self._event(order, event, named)]
        if results[0].changed or order.registered_ns != registered_ns:
            self.touched[order.client_order_id] = order
        if order.state is _UNKNOWN and (early := self._early_of_terms(order)) is not None:
            named = self._take_name(order, early)
        if named and order.order_id is not None:
            for waiting in self._early.pop(order.order_id, ()):
                if isinstance(waiting, FillEvent) and (doubt := self.doubt(waiting)):
                    results.append(Applied(order=None, event=waiting, anomaly=doubt))
                else:
                    results.extend(self.apply(waiting))
        return results

    def doubt(self, fill: FillEvent) -> str:
        """Why a fill that a channel tells of must not count before a list shows it; empty if it may.

        It is of more than its order has left: a false size would be closed by an order of that size.
        """
        order = None if fill.order_id is None else self.by_id(fill.order_id)
        if order is None or fill.size <= order.remaining or self.is_counted(fill.exec_id):
            return ""
        name = order.client_order_id
        return f"execution {fill.exec_id} is of more than order {name} has left: it counts once it is listed"

    def _find(self, event: OrderEvent | FillEvent) -> Order | None:
        name = event.client_order_id
        if name is None and event.order_id is not None:
            name = self._by_id.get(event.order_id)
        if name is None:
            return self._of_terms(event)
        return self._live.get(name) or self._ended.get(name)

    def _of_terms(self, event: OrderEvent | FillEvent) -> Order | None:
        """The unacknowledged order with exactly the terms of an ORDER event; None for other events."""
        if isinstance(event, FillEvent) or event.terms is None:
            return None
        return next((o for o in self.unnamed() if o.terms == event.terms and o.sent_ns <= event.ts_ns), None)

    def _early_of_terms(self, order: Order) -> OrderEvent | None:
        """The early ORDER event with exactly this order's terms that arrived after the order was sent."""
        waiting = (event for events in self._early.values() for event in events if event.ts_ns >= order.sent_ns)
        return next((e for e in waiting if isinstance(e, OrderEvent) and e.terms == order.terms), None)

    def _hold(self, event: OrderEvent | FillEvent) -> Applied:
        """Keep an event of an unknown order id: the acknowledgement with that id may be in flight."""
        if event.order_id is None:
            text = f"event of an order that is not ours: {event.client_order_id}"
            return Applied(order=None, event=event, anomaly=text)
        if isinstance(event, FillEvent) and event.exec_id in self._fills:
            return Applied(order=None, event=event)
        waiting = self._early.setdefault(event.order_id, [])
        if len(waiting) < self._keep_early:
            waiting.append(event)
        if len(self._early) > self._keep_early:
            self._early.popitem(last=False)
        return Applied(order=None, event=event)

    def _take_name(self, order: Order, event: OrderEvent | FillEvent) -> bool:
        """Set an order's id from the first event that has it; return whether it did."""
        if event.order_id is None or order.order_id is not None:
            return False
        order.order_id = event.order_id
        self._by_id[event.order_id] = order.client_order_id
        return True

    def _event(self, order: Order, event: OrderEvent, named: bool) -> Applied:
        before = order.state
        if not self._move(order, event.kind):
            again = before is OrderState.WORKING and order.cancel_failed and event.kind is _CANCEL_FAILED
            if again or event.kind in REPEATS.get(before, ()):
                order.cancel_failed = order.cancel_failed or event.kind is _CANCEL_FAILED
                return Applied(order=order, event=event, changed=named, is_repeat=True)
            text = f"order {order.client_order_id} is {before.value}, but the venue tells {event.kind.value}"
            return Applied(order=order, event=event, changed=named, anomaly=text)
        if event.kind is _ACCEPTED:
            order.accepted_ns = event.ts_ns
        elif event.kind is _SEND_UNKNOWN:
            order.lost_ns = event.ts_ns
        elif event.kind is _REGISTERED and order.registered_ns is None:
            order.registered_ns = event.ts_ns
            order.absences = 0
        elif event.kind in _CANCEL_OVER and order.is_live:
            order.cancel_failed = event.kind is _CANCEL_FAILED
            order.state = _before_cancel(order.executed, order.registered_ns)
        if not order.is_live and order.ended_ns is None:
            order.ended_ns = event.ts_ns
        return Applied(order=order, event=event, changed=named or order.state is not before)

    def _fill(self, order: Order, fill: FillEvent) -> Applied:
        if fill.exec_id in self._fills:
            return Applied(order=order, event=fill)
        self._remember_fill(fill.exec_id)
        anomaly = ""
        if fill.side is not order.side:
            anomaly = f"fill {fill.exec_id} of {order.client_order_id} is on the other side"
        order.executed = Lots(order.executed + fill.size)
        if order.executed > order.size:
            anomaly = f"order {order.client_order_id} is overfilled: {order.executed} of {order.size} lots"
        elif not order.is_live:
            anomaly = f"order {order.client_order_id} was filled while {order.state.value}"
        self._move(order, Local.FILLED_ALL if order.executed >= order.size else Local.FILLED_PART)
        if order.registered_ns is None:
            order.registered_ns = fill.ts_ns
        order.absences = 0
        if not order.is_live and order.ended_ns is None:
            order.ended_ns = fill.ts_ns
        return Applied(order=order, event=fill, changed=True, new_fill=fill, anomaly=anomaly)

    def _remember_fill(self, exec_id: ExecId) -> None:
        self._fills[exec_id] = None
        if len(self._fills) > self._keep_fills:
            self._fills.popitem(last=False)

    def _move(self, order: Order, by: OrderEventKind | Local) -> bool:
        """Change the state by ``NEXT``; return False if the table does not list the input."""
        after = NEXT[order.state].get(by)
        if after is None:
            return False
        order.state = after
        if after in TERMINAL and self._live.pop(order.client_order_id, None) is not None:
            self.any_live = bool(self._live)
            self.any_ending = any(live.cancel_reason is not None for live in self._live.values())
            self._ended[order.client_order_id] = order
            if len(self._ended) > self._keep_ended:
                _, oldest = self._ended.popitem(last=False)
                if oldest.order_id is not None:
                    self._by_id.pop(oldest.order_id, None)
        return True
