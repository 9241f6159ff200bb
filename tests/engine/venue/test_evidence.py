"""What the venue's lists prove about our orders, and what they do not."""

from __future__ import annotations

from typing import Any

import pytest

from stall_then_strike.engine.orders import Order, Orders, OrderState
from stall_then_strike.engine.venue.evidence import is_ghost, names_and_strangers, overdue_at_ns, states
from stall_then_strike.infra.bitflyer.bitflyer_rules import bitflyer_rules
from stall_then_strike.types.dto import (
    NS_PER_S,
    ClientOrderId,
    OrderEvent,
    OrderEventKind,
    OrderId,
    OrderTerms,
    ReportedState,
    TimeInForce,
)
from stall_then_strike.types.instrument import Lots, Ticks
from tests.engine.core_rig import BUY, MIN, MS, SELL, at, config, fill, own_order
from tests.engine.venue.reports import listed, report

K, S = OrderEventKind, OrderState
RULES = bitflyer_rules(config())
DOUBT_NS = 3 * NS_PER_S


def tell(orders: Orders, kind: OrderEventKind, name: str = "a", order_id: str | None = None, ms: float = 0) -> None:
    orders.apply(
        OrderEvent(
            ts_ns=at(ms),
            kind=kind,
            client_order_id=ClientOrderId(name),
            order_id=None if order_id is None else OrderId(order_id),
        )
    )


def sent(orders: Orders, name: str = "a", ms: float = 0, **others: Any) -> Order:
    order = own_order(name, **{"price": Ticks(10_049), "sent_ns": at(ms), **others})
    orders.add(order)
    return order


def working(orders: Orders, ms: float = 0) -> Order:
    order = sent(orders, ms=ms)
    tell(orders, K.ACCEPTED, "a", "V-a", ms)
    tell(orders, K.REGISTERED, "a", ms=ms)
    return order


def unanswered(orders: Orders, name: str = "a", **others: Any) -> Order:
    order = sent(orders, name, **others)
    tell(orders, K.SEND_UNKNOWN, name)
    return order


# --- whose order is it?


def test_a_listed_order_with_the_terms_of_one_without_answer_is_that_order() -> None:
    """A1: the acknowledgement was lost but the order is live."""
    orders = Orders()
    unanswered(orders)
    found = names_and_strangers(report(500, listed("V", placed_ms=50)), orders, RULES)
    assert [(event.client_order_id, event.order_id) for event in found.names] == [("a", "V")]
    assert not found.strangers


@pytest.mark.parametrize(
    "others",
    [{"side": SELL}, {"price": 10_050}, {"size": MIN + 1}, {"placed_ms": -31_000}, {"placed_ms": 91_000}],
)
def test_other_terms_or_another_time_are_a_strangers(others: dict[str, Any]) -> None:
    """C8: a manual order is never taken for ours."""
    orders = Orders()
    unanswered(orders)
    found = names_and_strangers(report(95_000, listed("F", **others)), orders, RULES)
    assert not found.names
    assert [order.order_id for order in found.strangers] == ["F"]


def test_two_listed_orders_of_the_same_terms_name_two_orders() -> None:
    orders = Orders()
    unanswered(orders, "a")
    unanswered(orders, "b")
    found = names_and_strangers(report(500, listed("V"), listed("W"), listed("X")), orders, RULES)
    assert [(event.client_order_id, event.order_id) for event in found.names] == [("a", "V"), ("b", "W")]
    assert [order.order_id for order in found.strangers] == ["X"]


def test_an_order_whose_answer_is_on_its_way_is_no_stranger_yet() -> None:
    orders = Orders()
    order = sent(orders)
    found = names_and_strangers(report(500, listed("V")), orders, RULES)
    assert not found.names
    assert not found.strangers
    assert order.order_id is None


def test_an_execution_names_the_order_without_answer() -> None:
    """A1: it was live and filled at once."""
    orders = Orders()
    unanswered(orders)
    parts = [fill(BUY, 10_049, MIN // 2, exec_id=number, name=None, order_id="V") for number in (1, 2)]
    assert not names_and_strangers(report(500, fills=parts), orders, RULES).names, "its order may yet be listed"
    found = names_and_strangers(report(2_100, fills=parts), orders, RULES)
    assert [(event.client_order_id, event.order_id) for event in found.names] == [("a", "V")]
    assert not found.foreign_fills


def test_an_execution_of_a_listed_order_with_other_terms_names_nothing() -> None:
    """C8: a manual order that was filled at our price must not be cancelled instead of ours."""
    orders = Orders()
    unanswered(orders)
    done = listed("F", price=10_060, size=2 * MIN, executed=MIN)
    found = names_and_strangers(
        report(3_000, done, fills=[fill(BUY, 10_049, MIN, name=None, order_id="F")]), orders, RULES
    )
    assert not found.names


@pytest.mark.parametrize(
    "strange",
    [
        fill(SELL, 10_049, MIN, name=None, order_id="F"),
        fill(BUY, 10_050, MIN, name=None, order_id="F"),
        fill(BUY, 10_049, MIN + 1, name=None, order_id="F"),
    ],
)
def test_an_execution_that_cannot_be_of_the_order_does_not_name_it(strange: Any) -> None:
    orders = Orders()
    unanswered(orders)
    found = names_and_strangers(report(10_000, fills=[strange]), orders, RULES)
    assert not found.names
    assert found.foreign_fills == [strange]


def test_executions_that_together_exceed_the_order_do_not_name_it() -> None:
    orders = Orders()
    unanswered(orders)
    parts = [fill(BUY, 10_049, MIN * 3 // 4, exec_id=number, name=None, order_id="F") for number in (1, 2)]
    found = names_and_strangers(report(10_000, fills=parts), orders, RULES)
    assert not found.names
    assert found.foreign_fills == parts


def test_an_execution_that_an_answer_on_its_way_may_name_is_nobodys_yet() -> None:
    """A3: the acknowledgement arrives after the fill."""
    orders = Orders()
    strange = fill(BUY, 10_049, MIN, name=None, order_id="F", ms=1_000)
    assert names_and_strangers(report(1_100, fills=[strange]), orders, RULES).foreign_fills == [strange]
    sent(orders, "a", 500)
    found = names_and_strangers(report(9_000, fills=[strange]), orders, RULES)
    assert not found.foreign_fills
    assert not found.names


def test_an_execution_of_an_order_with_other_terms_is_a_strangers_at_once() -> None:
    """C8: the list or the ORDER event has its order's terms, so it cannot be an unacknowledged order of ours."""
    orders = Orders()
    unanswered(orders)
    by_list = fill(BUY, 10_049, MIN, exec_id=1, name=None, order_id="F", ms=100)
    by_event = fill(BUY, 10_049, MIN, exec_id=2, name=None, order_id="G", ms=100)
    terms = OrderTerms(BUY, Ticks(10_060), Lots(MIN))
    orders.apply(OrderEvent(ts_ns=at(90), kind=K.REGISTERED, order_id=OrderId("G"), terms=terms))
    done = listed("F", price=None, size=MIN, executed=MIN, state=ReportedState.COMPLETED)
    found = names_and_strangers(report(200, done, fills=[by_list, by_event]), orders, RULES)
    assert found.foreign_fills == [by_list, by_event]


def test_a_counted_execution_is_nobodys_again() -> None:
    """A6: the same execution by the channel and over REST."""
    orders = Orders()
    strange = fill(BUY, 10_049, MIN, name=None, order_id="F")
    orders.count_stranger(strange)
    assert not names_and_strangers(report(60_000, fills=[strange]), orders, RULES).foreign_fills


def test_an_order_believed_ended_that_is_still_listed_is_an_orphan() -> None:
    orders = Orders()
    working(orders)
    tell(orders, K.CANCELLED, ms=1_000)
    assert not names_and_strangers(report(2_000, listed("V-a")), orders, RULES).orphans, (
        "the list may be older than the end"
    )
    assert names_and_strangers(report(4_000, listed("V-a")), orders, RULES).orphans == ["V-a"]
    gone = listed("V-a", state=ReportedState.CANCELED, executed=1)
    assert not names_and_strangers(report(4_000, gone), orders, RULES).orphans


def test_an_ended_order_whose_cancel_the_venue_refuses_is_no_orphan() -> None:
    """The list that shows it is stale."""
    orders = Orders()
    working(orders)
    tell(orders, K.CANCELLED, ms=1_000)
    assert names_and_strangers(report(5_000, listed("V-a")), orders, RULES).orphans == ["V-a"]
    tell(orders, K.CANCEL_FAILED, ms=5_200)
    assert not names_and_strangers(report(7_000, listed("V-a")), orders, RULES).orphans


def test_an_orphan_of_an_earlier_run_is_found_too() -> None:
    """C1."""
    before = Orders()
    order = working(before)
    tell(before, K.CANCELLED, ms=1_000)
    orders = Orders()
    orders.restore([order.memo()], [])
    assert names_and_strangers(report(4_000, listed("V-a")), orders, RULES).orphans == ["V-a"]


# --- what became of it?


def look(orders: Orders, at_ms: float, *lists: Any, is_complete: bool = True) -> list[OrderEventKind]:
    made = report(at_ms + 100, *lists, asked_ms=at_ms, is_complete=is_complete)
    kinds = []
    for event in states(made, orders, RULES):
        kinds.append(event.kind)
        orders.apply(event)
    return kinds


def test_a_listed_order_is_on_the_book() -> None:
    orders = Orders()
    order = sent(orders)
    tell(orders, K.ACCEPTED, order_id="V")
    assert look(orders, 200, listed("V")) == [K.REGISTERED]
    assert order.state is S.WORKING
    assert look(orders, 400, listed("V")) == []


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (ReportedState.CANCELED, K.CANCELLED),
        (ReportedState.EXPIRED, K.EXPIRED),
        (ReportedState.REJECTED, K.REJECTED),
        (ReportedState.COMPLETED, K.CANCELLED),
    ],
)
def test_a_listed_end_counts_once_its_executions_are_here(state: ReportedState, kind: OrderEventKind) -> None:
    """A16: what was executed before a cancel is kept."""
    orders = Orders()
    order = working(orders)
    seen = listed("V-a", state=state, executed=40)
    assert look(orders, 200, seen) == []
    orders.apply(fill(BUY, 10_049, 40))
    assert look(orders, 400, seen) == [kind]
    assert order.executed == 40


def test_a_listed_end_whose_executions_never_come_counts_in_the_end() -> None:
    """They are from before a take-over: without a limit the order would stay live for ever."""
    orders = Orders()
    working(orders)
    seen = listed("V-a", state=ReportedState.COMPLETED, executed=MIN)
    assert look(orders, 119_000, seen) == []
    assert look(orders, 120_000, seen) == [K.CANCELLED]


@pytest.mark.parametrize("cancelled", [False, True])
def test_an_order_missing_from_two_lists_has_ended(cancelled: bool) -> None:
    """A10: the cancel's event was lost, or what was listed has vanished."""
    orders = Orders()
    order = working(orders)
    if cancelled:
        orders.cancel_sent(order, at(500))
    else:
        look(orders, 900, listed("V-a"))
    assert look(orders, 3_000) == []
    assert look(orders, 4_900) == [], "too close to the first to count twice"
    assert look(orders, 5_000) == [K.CANCELLED]


def test_an_order_that_no_list_has_shown_yet_and_that_nobody_cancelled_may_be_news_to_the_lists() -> None:
    orders = Orders()
    working(orders)
    assert [look(orders, ms) for ms in (3_000, 5_000, 20_000, 50_000)] == [[]] * 4
    assert look(orders, 60_200) == [K.EXPIRED]


def test_an_order_missing_after_its_time_has_expired() -> None:
    """A11: minute_to_expire ended it, and the event was lost."""
    orders = Orders()
    working(orders)
    assert look(orders, 61_000) + look(orders, 63_000) == [K.EXPIRED]


def test_a_list_asked_for_before_the_order_was_on_the_book_proves_nothing() -> None:
    """B11: a snapshot that is older than our events."""
    orders = Orders()
    order = working(orders, ms=10_000)
    assert [kind for ms in (1_000, 4_000, 9_000, 11_900) for kind in look(orders, ms)] == []
    assert order.absences == 0


def test_a_list_that_is_not_whole_proves_nothing() -> None:
    orders = Orders()
    working(orders)
    assert [kind for ms in (3_000, 6_000, 200_000) for kind in look(orders, ms, is_complete=False)] == []


def test_seen_again_it_is_not_missing() -> None:
    orders = Orders()
    working(orders)
    assert look(orders, 3_000) + look(orders, 5_000, listed("V-a")) + look(orders, 7_000) == []


@pytest.mark.parametrize("has_name", [False, True])
def test_an_order_never_seen_is_dead_only_after_its_expiry_and_a_margin(has_name: bool) -> None:
    """A2: the submit timed out and the order does not exist; or it was accepted and never appeared."""
    orders = Orders()
    order = sent(orders)
    tell(orders, K.ACCEPTED if has_name else K.SEND_UNKNOWN, order_id="V" if has_name else None)
    assert [kind for ms in (3_000, 6_000, 60_000, 119_000) for kind in look(orders, ms)] == []
    assert look(orders, 120_000) == [K.PROVEN_ABSENT]
    assert order.state is S.REJECTED


@pytest.mark.parametrize(("cancelled_ms", "refused"), [(60_300, True), (60_300, False), (59_000, True)])
def test_an_accepted_order_whose_cancel_is_refused_after_its_expiry_has_ended(cancelled_ms: int, refused: bool) -> None:
    """Its events were lost, such as in a process that stood still: A10, A11."""
    orders = Orders()
    order = sent(orders)
    tell(orders, K.ACCEPTED, order_id="V-a", ms=200)
    look(orders, 30_000)
    orders.cancel_sent(order, at(cancelled_ms))
    if refused:
        tell(orders, K.CANCEL_FAILED, ms=cancelled_ms + 100)
    is_over = refused and cancelled_ms > 60_200
    assert look(orders, 63_000) == ([K.EXPIRED] if is_over else [])


def test_a_cancel_that_did_nothing_is_found_and_free_to_be_repeated() -> None:
    orders = Orders()
    order = working(orders)
    orders.cancel_sent(order, at(1_000))
    assert look(orders, 2_900, listed("V-a")) == []
    assert look(orders, 3_000, listed("V-a")) == [K.CANCEL_UNSENT]
    assert order.state is S.WORKING


def test_an_order_restored_while_its_cancel_was_under_way_is_looked_at_like_any_other() -> None:
    """C1."""
    before = Orders()
    order = working(before)
    before.cancel_sent(order, at(500))
    orders = Orders()
    orders.restore([order.memo()], [])
    assert look(orders, 3_000) + look(orders, 5_000) == [K.CANCELLED]


# --- doubt


def test_a_ghost_was_missed_twice_and_sent_long_ago() -> None:
    orders = Orders()
    order = unanswered(orders)
    look(orders, 3_000)
    assert not is_ghost(order, at(20_000), RULES)
    look(orders, 5_000)
    assert not is_ghost(order, at(8_999), RULES)
    assert is_ghost(order, at(9_000), RULES)
    assert order.is_live, "it still counts as exposure"


def test_a_ghost_that_speaks_is_none() -> None:
    orders = Orders()
    order = unanswered(orders)
    assert look(orders, 3_000) + look(orders, 5_000) == []
    tell(orders, K.REGISTERED, order_id="V", ms=10_000)
    assert not is_ghost(order, at(20_000), RULES)
    assert look(orders, 12_500) == [], "one list after it came up is not two"


@pytest.mark.parametrize(
    ("kinds", "others", "overdue_ms"),
    [
        ([], {}, None),
        ([K.ACCEPTED], {}, 3_100),
        ([K.SEND_UNKNOWN], {}, 0),
        ([K.ACCEPTED, K.REGISTERED], {}, 63_000),
        ([K.ACCEPTED, K.REGISTERED], {"time_in_force": TimeInForce.IOC}, 3_000),
    ],
)
def test_when_news_are_overdue(kinds: list[OrderEventKind], others: dict[str, Any], overdue_ms: float | None) -> None:
    orders = Orders()
    order = sent(orders, **others)
    for kind in kinds:
        tell(orders, kind, order_id=None if kind is K.SEND_UNKNOWN else "V", ms=100)
    expected = None if overdue_ms is None else at(overdue_ms)
    assert overdue_at_ns(order, DOUBT_NS, RULES) == expected


def test_a_cancel_without_outcome_and_a_refused_one_are_overdue() -> None:
    """A7: the venue refuses a cancel of what it has filled: ask at once."""
    orders = Orders()
    order = working(orders)
    orders.cancel_sent(order, at(1_000))
    assert overdue_at_ns(order, DOUBT_NS, RULES) == at(4_000)
    tell(orders, K.CANCEL_FAILED, ms=1_100)
    assert overdue_at_ns(order, DOUBT_NS, RULES) == order.sent_ns
    assert order.sent_ns + MS < at(1_100)


def test_request_that_was_on_its_way_while_the_machine_slept_may_have_been_taken_after_it() -> None:
    orders, hour_ms = Orders(), 3_600_000.0
    order = sent(orders)
    for at_ms in (hour_ms, hour_ms + 3_000):
        assert list(states(report(at_ms), orders, RULES)) == [], "its answer is still to come"
    tell(orders, K.SEND_UNKNOWN, ms=hour_ms + 5_000)
    late = listed("V-late", placed_ms=hour_ms + 4_000)
    assert [event.order_id for event in names_and_strangers(report(hour_ms + 8_000, late), orders, RULES).names] == [
        "V-late"
    ]
    dead_ms = hour_ms + 5_000 + 120_000 + 100  # when it was asked for
    assert list(states(report(dead_ms - 1), orders, RULES)) == []
    assert [event.kind for event in states(report(dead_ms), orders, RULES)] == [K.PROVEN_ABSENT]
    assert order.lost_ns == at(hour_ms + 5_000)
