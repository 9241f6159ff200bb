"""What a report of the account proves about our orders. Pure: a report and our orders in, events out.

Lists are weak evidence. An order that was accepted but is not registered yet is not listed, and few venues list every
order that has ended, so absence alone proves little. Executions are facts whenever they are seen. A list may be older
than events that we have received since. Hence:

- an execution with the id of one of our orders is a fill of it; `owner` decides about executions of other ids;
- a listed order is on the book, or has ended as the list says once we have all its executions;
- an order that was on the book and is missing from two lists, requested some seconds apart and after our last event of
  it, has ended if a list showed it before, if a cancel was sent, or if it has expired; otherwise the lists may simply
  be late;
- an order that was never seen on the book is dead after its expiry and a margin for the venue's queue, or earlier if
  the venue lists every ended order and two lists lack it, or if it was accepted, two lists lack it, and the venue
  refused to cancel it after its expiry (its events were lost, such as in a process that was stopped);
- an order that we recorded as ended but that is still listed as ACTIVE is an orphan and must be cancelled;
- stale lists (see `reconciler.py`) prove what they show; what they lack proves nothing. If the venue lists every ended
  order, a list is too old for an order that it lacks if it shows none of those that the channel told of since.

Times, and what is listed: `rules.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Final

from stall_then_strike.engine.orders import Order, Orders, OrderState
from stall_then_strike.engine.venue.rules import Ended, VenueRules
from stall_then_strike.types.dto import (
    AccountReport,
    FillEvent,
    OrderEvent,
    OrderEventKind,
    OrderId,
    OrderTerms,
    ReportedOrder,
    ReportedState,
    Side,
    TimeInForce,
)

_ENDINGS: Final = {
    ReportedState.CANCELED: OrderEventKind.CANCELLED,
    ReportedState.EXPIRED: OrderEventKind.EXPIRED,
    ReportedState.REJECTED: OrderEventKind.REJECTED,
    ReportedState.COMPLETED: OrderEventKind.CANCELLED,  # its executions do not add up: the rest is gone
}


@dataclass(slots=True)
class Evidence:
    """What is new in a report. To be applied in this order."""

    names: list[OrderEvent] = field(default_factory=list)
    """Order ids found for orders whose acknowledgement was lost."""
    orphans: list[OrderId] = field(default_factory=list)
    """ACTIVE orders of ours that we recorded as ended."""
    strangers: list[ReportedOrder] = field(default_factory=list)
    """ACTIVE orders that are not ours."""
    foreign_fills: list[FillEvent] = field(default_factory=list)
    """Executions of orders that are not ours."""


@unique
class Owner(Enum):
    """Who owns an execution whose order id is not of a known order of ours."""

    STRANGER = "stranger"
    """Not ours."""
    OPEN = "open"
    """Undecided: a later acknowledgement or list may show that its order is ours."""


def owner(
    fill: FillEvent,
    terms: OrderTerms | None,
    nameless: Sequence[Order],
    asked_ns: int,
    rules: VenueRules,
    *,
    total: int,
) -> Order | Owner:
    """Decide who owns an execution whose order id is not of a known order of ours. Only this function decides it.

    ``terms`` are those of its order, if a list or an ORDER event has them. ``nameless`` are our orders without an order
    id: no acknowledgement, list or event has given them one yet. ``asked_ns`` is when the report was requested.

    With terms: orders with a lost acknowledgement and the same terms have got their id already, so the execution is
    open only if an acknowledgement still in flight may be of its order; otherwise it is a stranger's. Without terms: it
    is a stranger's if no nameless order can have traded at that side, price, size and time; otherwise it belongs to the
    one whose acknowledgement was lost, as soon as a list should have shown that order.
    """
    if terms is not None:
        may_be_named = any(order.terms == terms for order in nameless if order.state is not OrderState.UNKNOWN)
        return Owner.OPEN if may_be_named else Owner.STRANGER
    fitting = [order for order in nameless if total <= order.remaining and _fills(fill, order, rules)]
    if not fitting:
        return Owner.STRANGER
    lost = next((order for order in fitting if order.state is OrderState.UNKNOWN), None)
    return Owner.OPEN if lost is None or asked_ns - fill.ts_ns < rules.lag_ns else lost


def names_and_strangers(
    report: AccountReport, orders: Orders, rules: VenueRules, *, is_behind: bool = False
) -> Evidence:
    """Match a report's orders and executions with ours. Changes nothing; apply fills and order states after this."""
    found = Evidence()
    unnamed = list(orders.unnamed())
    for listed in report.orders:
        known = orders.by_id(listed.order_id)
        if known is not None:
            if listed.state is ReportedState.ACTIVE and not is_behind and _ended_before(known, report, rules):
                found.orphans.append(listed.order_id)
        elif (match := next((order for order in unnamed if _is_of(listed, order, rules)), None)) is not None:
            unnamed.remove(match)
            found.names.append(_event(report, OrderEventKind.ACCEPTED, match, listed.order_id))
        elif listed.state is ReportedState.ACTIVE and not _may_be_answered(listed, orders, rules):
            found.strangers.append(listed)
    _own(report, orders, rules, found)
    return found


def _own(report: AccountReport, orders: Orders, rules: VenueRules, found: Evidence) -> None:
    """Find the owners of the executions with unknown order ids."""
    named = {event.order_id: event.client_order_id for event in found.names}
    nameless = [o for o in orders.live() if o.order_id is None and o.client_order_id not in named.values()]
    terms = {order.order_id: OrderTerms(order.side, order.price, order.size) for order in report.orders}
    totals = Counter[OrderId | None]()
    for fill in report.fills:
        totals[fill.order_id] += fill.size
    for fill in report.fills:
        order_id = fill.order_id
        if order_id is None or order_id in named or orders.is_counted(fill.exec_id) or orders.by_id(order_id):
            continue
        if orders.is_stranger(order_id):
            found.foreign_fills.append(fill)
            continue
        asked_for = terms.get(order_id) or orders.early_terms(order_id)
        whose = owner(fill, asked_for, nameless, report.asked_ns, rules, total=totals[order_id])
        if isinstance(whose, Order):
            nameless.remove(whose)
            named[order_id] = whose.client_order_id
            found.names.append(_event(report, OrderEventKind.ACCEPTED, whose, order_id))
        elif whose is Owner.STRANGER:
            found.foreign_fills.append(fill)


def states(
    report: AccountReport, orders: Orders, rules: VenueRules, *, is_behind: bool = False
) -> Iterator[OrderEvent]:
    """The state changes of our live orders, once the report's fills are booked.

    Counts the orders' absences. Each event is yielded, and so applied, before the next order is examined.
    """
    if not report.is_complete or is_behind:
        return
    listed = {order.order_id: order for order in report.orders}
    for order in list(orders.live()):
        seen = None if order.order_id is None else listed.get(order.order_id)
        if seen is not None:
            order.absences, order.is_listed = 0, True
            event = _as_listed(report, order, seen, rules)
        else:
            event = None if _is_too_old(report, order, orders, listed, rules) else _as_absent(report, order, rules)
        if event is not None:
            yield event


def _as_listed(report: AccountReport, order: Order, seen: ReportedOrder, rules: VenueRules) -> OrderEvent | None:
    if seen.state is not ReportedState.ACTIVE:
        if seen.executed > order.executed and report.asked_ns - order.sent_ns < rules.expiry_ns + rules.vanish_ns:
            return None  # wait for its executions; after this time they are from before a take-over
        return _event(report, _ENDINGS[seen.state], order)
    if order.state in (OrderState.PENDING_NEW, OrderState.UNKNOWN):
        return _event(report, OrderEventKind.REGISTERED, order)
    sent_ns = order.cancel_sent_ns
    if order.state is OrderState.PENDING_CANCEL and sent_ns is not None and report.asked_ns - sent_ns >= rules.lag_ns:
        return _event(report, OrderEventKind.CANCEL_UNSENT, order)
    return None


def _is_too_old(
    report: AccountReport, order: Order, orders: Orders, listed: Mapping[OrderId, ReportedOrder], rules: VenueRules
) -> bool:
    """Whether a report is too old to have an order: it shows none of those that the channel told of since.

    This is not assumed for longer than lists can lag, because they have no room for what ended long ago.
    """
    if rules.ended is not Ended.ALL or report.asked_ns - order.sent_ns >= rules.history_lag_ns:
        return False
    told = [
        one.order_id
        for one in orders.sent_since(order.sent_ns)
        if one.registered_ns is not None and report.asked_ns - one.registered_ns >= rules.lag_ns
    ]
    return bool(told) and listed.keys().isdisjoint(told)


def _as_absent(report: AccountReport, order: Order, rules: VenueRules) -> OrderEvent | None:
    heard_ns = max(order.sent_ns, order.accepted_ns or 0, order.registered_ns or 0)
    if report.asked_ns - heard_ns < rules.lag_ns:
        return None
    if not order.absences or report.asked_ns - order.absent_ns >= rules.lag_ns:
        if not order.absences:
            order.absent_ns = report.asked_ns
        order.absences += 1
    expired = report.asked_ns - order.sent_ns >= rules.expiry_ns
    is_cancelled = order.first_cancel_ns is not None and report.asked_ns - order.first_cancel_ns >= rules.lag_ns
    may_have_ended = order.is_listed or is_cancelled or expired
    was_there = order.registered_ns is not None or _is_refused_when_expired(order, rules)
    if was_there and order.absences > 1 and may_have_ended:
        return _event(report, OrderEventKind.EXPIRED if expired else OrderEventKind.CANCELLED, order)
    if order.is_in_flight:
        return None
    is_shown = rules.ended is Ended.ALL and order.absences > 1
    if is_shown or report.asked_ns - _under_way_until_ns(order) >= rules.expiry_ns + rules.vanish_ns:
        absent = not order.executed
        return _event(report, OrderEventKind.PROVEN_ABSENT if absent else OrderEventKind.EXPIRED, order)
    return None


def _is_refused_when_expired(order: Order, rules: VenueRules) -> bool:
    """Whether the venue, which accepted it, refused to cancel it when it must have expired."""
    if not order.cancel_failed or order.cancel_sent_ns is None or order.accepted_ns is None:
        return False
    return order.cancel_sent_ns - max(order.sent_ns, order.accepted_ns) >= rules.expiry_ns


def _under_way_until_ns(order: Order) -> int:
    """Until when its request may have been in flight: after a sleep TCP sends it again, and the venue takes it then."""
    return order.sent_ns if order.lost_ns is None else order.lost_ns


def _is_in_time(at_ns: int, order: Order, rules: VenueRules) -> bool:
    """Whether the venue's stamp ``at_ns`` can be of an order whose acknowledgement was lost."""
    return order.sent_ns - rules.stamp_early_ns <= at_ns <= _under_way_until_ns(order) + rules.stamp_late_ns


def _is_of(listed: ReportedOrder, order: Order, rules: VenueRules) -> bool:
    """Whether a listed order can be this order, whose acknowledgement was lost."""
    return (listed.side, listed.price, listed.size) == order.terms and _is_in_time(listed.placed_ns, order, rules)


def _may_be_answered(listed: ReportedOrder, orders: Orders, rules: VenueRules) -> bool:
    """Whether an acknowledgement still in flight may be of this listed order."""
    waiting = (order for order in orders.live() if order.order_id is None and order.state is not OrderState.UNKNOWN)
    return any(_is_of(listed, order, rules) for order in waiting)


def _fills(fill: FillEvent, order: Order, rules: VenueRules) -> bool:
    """Whether an execution can be of this order, whose acknowledgement was lost."""
    better = order.price is None or (fill.price <= order.price if order.side is Side.BUY else fill.price >= order.price)
    return fill.side is order.side and better and _is_in_time(fill.ts_ns, order, rules)


def _ended_before(order: Order, report: AccountReport, rules: VenueRules) -> bool:
    """Whether it ended so long ago that lists must show it. If a cancel was refused since, it is not on the book."""
    if order.is_live or order.cancel_failed or order.ended_ns is None:
        return False
    return report.asked_ns - order.ended_ns >= rules.lag_ns


def is_ghost(order: Order, now_ns: int, rules: VenueRules) -> bool:
    """Whether a live order has so probably ended that a close need not wait for it. It still counts as exposure.

    It is missing from two lists and was sent longer ago than a normal queue takes. An IOC order would have executions
    by then.
    """
    return order.absences > 1 and now_ns - _under_way_until_ns(order) >= rules.ghost_ns


def overdue_at_ns(order: Order, doubt_ns: int, rules: VenueRules) -> int | None:
    """When the account must be queried because news of a live order are overdue; None while none are expected."""
    if order.state is OrderState.UNKNOWN or order.cancel_failed:
        return order.sent_ns
    if order.state is OrderState.PENDING_NEW:
        # An acknowledgement in flight has its own time limit.
        return None if order.is_in_flight else (order.accepted_ns or order.sent_ns) + doubt_ns
    if order.state is OrderState.PENDING_CANCEL and order.cancel_sent_ns is not None:
        return order.cancel_sent_ns + doubt_ns
    if order.time_in_force is not TimeInForce.GTC:
        return order.sent_ns + doubt_ns
    return order.sent_ns + rules.expiry_ns + doubt_ns


def _event(report: AccountReport, kind: OrderEventKind, order: Order, order_id: OrderId | None = None) -> OrderEvent:
    return OrderEvent(
        ts_ns=report.ts_ns,
        kind=kind,
        client_order_id=order.client_order_id,
        order_id=order.order_id if order_id is None else order_id,
        detail="found by reconciliation",
    )
