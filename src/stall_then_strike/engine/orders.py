"""Every rule on an order's life. This file knows no venue, no clock and no I/O.

An order's state changes only through ``NEXT``. An input that the table does not list for a state changes nothing.
Where ``REPEATS`` lists it, it was told before or comes too late to matter (a second ORDER event, a cancel confirmed
twice) and nobody need hear of it; all else is an anomaly (a late rejection of a filled order). Three rules from the
venue are built in:

- An answer of 200 names an order and no more: ACCEPTED leaves it pending until it is on the book.
- Events can come before the answer that names them (bitFlyer; seen by several clients): they wait for it here.
- A fill is a fact whatever the state says. A fill of a cancelled order changes the position, not the state.

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
    """Where an order is in its life."""

    PENDING_NEW = "pending_new"
    """Sent, perhaps accepted, not known to be on the book."""
    WORKING = "working"
    PARTIAL = "partial"
    PENDING_CANCEL = "pending_cancel"
    """A cancel was sent; still live until the venue says otherwise."""
    UNKNOWN = "unknown"
    """Sent, no answer: counted as live until evidence ends the doubt."""
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"


@unique
class Local(StrEnum):
    """Inputs of the table that are not venue events."""

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
"""How any live order can end."""

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
        _K.ACCEPTED: _S.WORKING,  # the answer can come after the ORDER event
        Local.FILLED_PART: _S.PARTIAL,
        Local.CANCEL_SENT: _S.PENDING_CANCEL,
    },
    _S.PARTIAL: {
        **_ENDS,
        _K.ACCEPTED: _S.PARTIAL,
        _K.REGISTERED: _S.PARTIAL,  # a fill can come before the ORDER event
        Local.FILLED_PART: _S.PARTIAL,
        Local.CANCEL_SENT: _S.PENDING_CANCEL,
    },
    _S.PENDING_CANCEL: {
        **_ENDS,
        _K.ACCEPTED: _S.PENDING_CANCEL,
        _K.REGISTERED: _S.PENDING_CANCEL,
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

REPEATS: Final[Mapping[OrderState, frozenset[OrderEventKind]]] = {
    _S.WORKING: frozenset({_K.REGISTERED}),
    _S.FILLED: frozenset({_K.CANCEL_UNSENT}),
    # An order ends once. Whether it was cancelled or ran out of time changes nothing any more, and its ORDER event may
    # come after its end.
    _S.CANCELLED: frozenset({_K.REGISTERED, _K.CANCELLED, _K.EXPIRED, _K.CANCEL_FAILED, _K.CANCEL_UNSENT}),
    _S.EXPIRED: frozenset({_K.REGISTERED, _K.CANCELLED, _K.EXPIRED, _K.CANCEL_UNSENT}),
    _S.REJECTED: frozenset({_K.REJECTED, _K.CANCEL_UNSENT}),
}
"""Inputs that say nothing new of an order in this state."""

# Enum members resolved once: in Python 3.11, reading one off its class costs as much as a call.
_UNKNOWN: Final = OrderState.UNKNOWN
_ACCEPTED: Final = OrderEventKind.ACCEPTED
_REGISTERED: Final = OrderEventKind.REGISTERED
_SEND_UNKNOWN: Final = OrderEventKind.SEND_UNKNOWN
_CANCEL_FAILED: Final = OrderEventKind.CANCEL_FAILED

_CANCEL_OVER: Final = frozenset({_K.CANCEL_FAILED, _K.CANCEL_UNSENT})


@dataclass(slots=True, kw_only=True)
class Order:
    """One order of ours. Changed only by :class:`Orders`."""

    client_order_id: ClientOrderId
    side: Side
    price: Ticks | None
    """None for a market order."""
    size: Lots
    time_in_force: TimeInForce
    ttl_ms: int
    """Zero where none applies."""
    tag: str
    reason: Reason
    """Why it was sent."""
    sent_ns: int
    state: OrderState = OrderState.PENDING_NEW
    order_id: OrderId | None = None
    executed: Lots = Lots(0)
    cancel_reason: Reason | None = None
    """Why it is to be cancelled; set before the cancel can be sent."""
    cancel_sent_ns: int | None = None
    first_cancel_ns: int | None = None
    """When the first cancel was sent; the other is that of the last."""
    accepted_ns: int | None = None
    """When its acceptance became known."""
    registered_ns: int | None = None
    """When it was first known to be on the book."""
    lost_ns: int | None = None
    """When its answer was given up: until then its request may have been on its way."""
    ended_ns: int | None = None
    is_listed: bool = False
    """Whether a report has shown it."""
    absences: int = 0
    """Reports in a row that should have listed it and did not."""
    absent_ns: int = 0
    """When the first of these was asked for."""
    cancel_failed: bool = False
    """The venue refused a cancel: it may know of an end that we do not, or confirms one that we know."""

    @property
    def terms(self) -> OrderTerms:
        """What it asks for."""
        return OrderTerms(self.side, self.price, self.size)

    @property
    def remaining(self) -> Lots:
        """What can still be filled, if it is live."""
        return Lots(max(0, self.size - self.executed))

    @property
    def is_live(self) -> bool:
        """Whether it may still be filled."""
        return self.state not in TERMINAL

    def memo(self) -> OrderMemo:
        """What is to be remembered of it."""
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
            is_live=self.is_live,
        )


def remembered(memo: OrderMemo) -> Order:
    """An order of an earlier run. What was on its way when that run ended is in doubt now."""
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
        ended_ns=None if memo.is_live else memo.sent_ns,  # when is not remembered; long ago, in any case
    )


def _before_cancel(executed: Lots, registered_ns: int | None) -> OrderState:
    """Where an order is whose cancel came to nothing. Not yet on the book it goes on waiting to be."""
    if executed:
        return OrderState.PARTIAL
    return OrderState.PENDING_NEW if registered_ns is None else OrderState.WORKING


class Applied(NamedTuple):
    """What one input did. ``anomaly`` says in words what did not fit, and is empty if all did."""

    order: Order | None
    event: OrderEvent | FillEvent
    """The input: not always the one that was fed, which may have released others that were waiting."""
    changed: bool = False
    """The order's state or name changed."""
    new_fill: FillEvent | None = None
    """A fill not counted before."""
    anomaly: str = ""
    is_repeat: bool = False
    """It says nothing new of its order."""


class Orders:
    """All orders of ours: the live ones, and the last few that ended, for events that come late."""

    def __init__(self, *, keep_ended: int = 1_000, keep_fills: int = 20_000, keep_early: int = 200) -> None:
        """Bound what is remembered: ended orders, execution ids, and events that wait for their order's name."""
        self._keep_ended, self._keep_fills, self._keep_early = keep_ended, keep_fills, keep_early
        self._live: dict[ClientOrderId, Order] = {}
        self._ended: OrderedDict[ClientOrderId, Order] = OrderedDict()
        self._by_id: dict[OrderId, ClientOrderId] = {}
        self._fills: OrderedDict[ExecId, None] = OrderedDict()
        self._early: OrderedDict[OrderId, list[OrderEvent | FillEvent]] = OrderedDict()
        self._strangers: OrderedDict[OrderId, None] = OrderedDict()
        self.any_live = False
        """Whether any order may still be filled. Asked at every step, changed only here."""
        self.touched: dict[ClientOrderId, Order] = {}
        """Orders changed since the owner last emptied this: those to be written down."""

    def restore(self, memos: Iterable[OrderMemo], exec_ids: Iterable[ExecId]) -> None:
        """Take over what an earlier run left: its orders, and the fills that it counted, oldest first."""
        for memo in memos:
            order = remembered(memo)
            (self._live if order.is_live else self._ended)[order.client_order_id] = order
            if order.order_id is not None:
                self._by_id[order.order_id] = order.client_order_id
        self._fills.update(dict.fromkeys(exec_ids))
        self.any_live = bool(self._live)

    def __contains__(self, name: ClientOrderId) -> bool:
        """Whether an order of this name is remembered."""
        return name in self._live or name in self._ended

    def live(self, tag: str | None = None) -> Sequence[Order]:
        """Live orders in the order of sending, of one tag or all."""
        if tag is None:
            return list(self._live.values())
        return [order for order in self._live.values() if order.tag == tag]

    @property
    def early(self) -> Mapping[OrderId, Sequence[OrderEvent | FillEvent]]:
        """Events that wait for the order of their name."""
        return self._early

    def is_counted(self, exec_id: ExecId) -> bool:
        """Whether this fill was counted."""
        return exec_id in self._fills

    def count_stranger(self, fill: FillEvent) -> None:
        """Remember a fill that is of no order of ours, and drop what waits under its name."""
        self._remember_fill(fill.exec_id)
        if fill.order_id is not None:
            self.add_stranger(fill.order_id)
            self._early.pop(fill.order_id, None)

    def add_stranger(self, order_id: OrderId) -> None:
        """Remember that an order is somebody else's. An answer that names it as ours has the last word."""
        self._strangers[order_id] = None
        if len(self._strangers) > self._keep_ended:
            self._strangers.popitem(last=False)

    def is_stranger(self, order_id: OrderId) -> bool:
        """Whether this order was found to be somebody else's."""
        return order_id in self._strangers

    def forget_early(self, before_ns: int) -> None:
        """Drop what has waited for the order of its name since then, unless an answer is still in doubt."""
        if any(order.order_id is None for order in self._live.values()):
            return
        for order_id in [name for name, events in self._early.items() if events[-1].ts_ns < before_ns]:
            del self._early[order_id]

    def early_terms(self, order_id: OrderId) -> OrderTerms | None:
        """What the waiting ORDER event of this name says that the order asks for."""
        events = self._early.get(order_id, ())
        return next((e.terms for e in events if isinstance(e, OrderEvent) and e.terms is not None), None)

    def by_id(self, order_id: OrderId) -> Order | None:
        """The order that the venue calls so, live or ended."""
        name = self._by_id.get(order_id)
        return None if name is None else self._live.get(name) or self._ended.get(name)

    def unnamed(self) -> Iterator[Order]:
        """Live orders whose answer was lost, oldest first."""
        return (o for o in self._live.values() if o.order_id is None and o.state is _UNKNOWN)

    def add(self, order: Order) -> None:
        """Take a new order, before it is sent."""
        if order.client_order_id in self:
            raise ValueError(f"order {order.client_order_id} exists already")
        self._live[order.client_order_id] = self.touched[order.client_order_id] = order
        self.any_live = True

    def cancel_sent(self, order: Order, now_ns: int) -> None:
        """Note that a cancel is on its way."""
        order.cancel_sent_ns = now_ns
        order.first_cancel_ns = order.first_cancel_ns or now_ns
        order.cancel_failed = False
        self._move(order, Local.CANCEL_SENT)

    def apply(self, event: OrderEvent | FillEvent) -> list[Applied]:
        """Apply one event; more than one result where it names an order for which others were waiting."""
        order = self._find(event)
        if order is None:
            return [self._hold(event)]
        registered_ns = order.registered_ns
        named = self._take_name(order, event)
        results = [self._fill(order, event) if isinstance(event, FillEvent) else self._event(order, event, named)]
        if results[0].changed or order.registered_ns != registered_ns:
            self.touched[order.client_order_id] = order
        if order.state is _UNKNOWN and (early := self._early_of_terms(order)) is not None:
            named = self._take_name(order, early)
        if named and order.order_id is not None:
            for waiting in self._early.pop(order.order_id, ()):
                results.extend(self.apply(waiting))
        return results

    def _find(self, event: OrderEvent | FillEvent) -> Order | None:
        name = event.client_order_id
        if name is None and event.order_id is not None:
            name = self._by_id.get(event.order_id)
        if name is None:
            return self._of_terms(event)
        return self._live.get(name) or self._ended.get(name)

    def _of_terms(self, event: OrderEvent | FillEvent) -> Order | None:
        """The order whose answer was lost and which asked for exactly this, if an event says what it is about."""
        if isinstance(event, FillEvent) or event.terms is None:
            return None
        return next((o for o in self.unnamed() if o.terms == event.terms and o.sent_ns <= event.ts_ns), None)

    def _early_of_terms(self, order: Order) -> OrderEvent | None:
        """The waiting event that asks for exactly this: it came after the order was sent and before it was given up."""
        waiting = (event for events in self._early.values() for event in events if event.ts_ns >= order.sent_ns)
        return next((e for e in waiting if isinstance(e, OrderEvent) and e.terms == order.terms), None)

    def _hold(self, event: OrderEvent | FillEvent) -> Applied:
        """Keep an event of an unknown name: the answer that names it may be on its way."""
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
        """Learn the venue's name of an order from whichever event has it first."""
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
        """Move by the table; False if it has no such arm."""
        after = NEXT[order.state].get(by)
        if after is None:
            return False
        order.state = after
        if after in TERMINAL and self._live.pop(order.client_order_id, None) is not None:
            self.any_live = bool(self._live)
            self._ended[order.client_order_id] = order
            if len(self._ended) > self._keep_ended:
                _, oldest = self._ended.popitem(last=False)
                if oldest.order_id is not None:
                    self._by_id.pop(oldest.order_id, None)
        return True
