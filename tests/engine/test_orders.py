"""The life cycle of an order: every (state, input) pair, events early, late, twice, and any interleaving of them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stall_then_strike.engine.orders import NEXT, REPEATS, TERMINAL, Applied, Local, Order, Orders, OrderState
from stall_then_strike.types.dto import (
    ClientOrderId,
    ExecId,
    FillEvent,
    OrderEvent,
    OrderEventKind,
    OrderId,
    OrderTerms,
)
from stall_then_strike.types.instrument import Lots, Ticks
from tests.engine.core_rig import BUY, SELL, fill, own_order, properties

S, K = OrderState, OrderEventKind
SIZE = 100
new_order = partial(own_order, size=SIZE, sent_ns=0)
VENUE = "V"


def told(kind: OrderEventKind, name: str | None = "a", order_id: str | None = None) -> OrderEvent:
    return OrderEvent(
        ts_ns=0,
        kind=kind,
        client_order_id=None if name is None else ClientOrderId(name),
        order_id=None if order_id is None else OrderId(order_id),
    )


def with_one(**keep: int) -> tuple[Orders, Order]:
    orders, order = Orders(**keep), new_order()
    orders.add(order)
    return orders, order


def bring_to(orders: Orders, order: Order, state: OrderState) -> None:
    """Bring an order into a state, by real inputs only."""
    paths: Mapping[OrderState, list[OrderEvent | FillEvent | Local]] = {
        S.PENDING_NEW: [],
        S.WORKING: [told(K.ACCEPTED, order_id=VENUE), told(K.REGISTERED)],
        S.PARTIAL: [told(K.ACCEPTED, order_id=VENUE), fill(BUY, 100, 40, exec_id=901)],
        S.PENDING_CANCEL: [told(K.ACCEPTED, order_id=VENUE), told(K.REGISTERED), Local.CANCEL_SENT],
        S.UNKNOWN: [told(K.SEND_UNKNOWN)],
        S.FILLED: [told(K.ACCEPTED, order_id=VENUE), fill(BUY, 100, SIZE, exec_id=901)],
        S.CANCELLED: [told(K.ACCEPTED, order_id=VENUE), told(K.CANCELLED)],
        S.EXPIRED: [told(K.ACCEPTED, order_id=VENUE), told(K.EXPIRED)],
        S.REJECTED: [told(K.REJECTED)],
    }
    for step in paths[state]:
        if isinstance(step, Local):
            orders.cancel_sent(order, 0)
        else:
            orders.apply(step)
    assert order.state is state


# --- The table --------------------------------------------------------------------------------------------------------

EXPECTED: Mapping[OrderState, Mapping[OrderEventKind | Local, OrderState]] = {
    S.PENDING_NEW: {
        K.ACCEPTED: S.PENDING_NEW,
        K.REGISTERED: S.WORKING,
        K.REJECTED: S.REJECTED,
        K.SEND_UNKNOWN: S.UNKNOWN,
        K.NOT_SENT: S.REJECTED,
        K.PROVEN_ABSENT: S.REJECTED,
        K.CANCELLED: S.CANCELLED,
        K.EXPIRED: S.EXPIRED,
        Local.CANCEL_SENT: S.PENDING_CANCEL,
        Local.FILLED_PART: S.PARTIAL,
        Local.FILLED_ALL: S.FILLED,
    },
    S.WORKING: {
        K.ACCEPTED: S.WORKING,
        K.REJECTED: S.REJECTED,
        K.PROVEN_ABSENT: S.REJECTED,
        K.CANCELLED: S.CANCELLED,
        K.EXPIRED: S.EXPIRED,
        Local.CANCEL_SENT: S.PENDING_CANCEL,
        Local.FILLED_PART: S.PARTIAL,
        Local.FILLED_ALL: S.FILLED,
    },
    S.PARTIAL: {
        K.ACCEPTED: S.PARTIAL,
        K.REGISTERED: S.PARTIAL,
        K.REJECTED: S.REJECTED,
        K.PROVEN_ABSENT: S.REJECTED,
        K.CANCELLED: S.CANCELLED,
        K.EXPIRED: S.EXPIRED,
        Local.CANCEL_SENT: S.PENDING_CANCEL,
        Local.FILLED_PART: S.PARTIAL,
        Local.FILLED_ALL: S.FILLED,
    },
    S.PENDING_CANCEL: {
        K.ACCEPTED: S.PENDING_CANCEL,
        K.REGISTERED: S.PENDING_CANCEL,
        K.REJECTED: S.REJECTED,
        K.PROVEN_ABSENT: S.REJECTED,
        K.CANCELLED: S.CANCELLED,
        K.EXPIRED: S.EXPIRED,
        K.SEND_UNKNOWN: S.PENDING_CANCEL,
        K.NOT_SENT: S.REJECTED,
        K.CANCEL_FAILED: S.WORKING,
        K.CANCEL_UNSENT: S.WORKING,
        Local.CANCEL_SENT: S.PENDING_CANCEL,
        Local.FILLED_PART: S.PENDING_CANCEL,
        Local.FILLED_ALL: S.FILLED,
    },
    S.UNKNOWN: {
        K.ACCEPTED: S.PENDING_NEW,
        K.REGISTERED: S.WORKING,
        K.REJECTED: S.REJECTED,
        K.PROVEN_ABSENT: S.REJECTED,
        K.CANCELLED: S.CANCELLED,
        K.EXPIRED: S.EXPIRED,
        Local.CANCEL_SENT: S.PENDING_CANCEL,
        Local.FILLED_PART: S.PARTIAL,
        Local.FILLED_ALL: S.FILLED,
    },
    S.FILLED: {K.ACCEPTED: S.FILLED, K.REGISTERED: S.FILLED, K.CANCEL_FAILED: S.FILLED},
    S.CANCELLED: {K.ACCEPTED: S.CANCELLED},
    S.EXPIRED: {K.ACCEPTED: S.EXPIRED, K.CANCEL_FAILED: S.EXPIRED},
    S.REJECTED: {K.CANCEL_FAILED: S.REJECTED},
}
"""Written down a second time on purpose: a change of the table is to be a change of this list too."""


@pytest.mark.parametrize(("state", "given"), list(itertools.product(S, [*K, *Local])), ids=str)
def test_every_pair_of_state_and_input(state: OrderState, given: OrderEventKind | Local) -> None:
    """Listed: the state changes, without an anomaly. Not listed: it does not, and the anomaly names order and state."""
    orders, order = with_one()
    bring_to(orders, order, state)
    expected = EXPECTED[state].get(given)
    assert NEXT[state].get(given) is expected
    if given is Local.CANCEL_SENT:
        orders.cancel_sent(order, 7)
        assert order.cancel_sent_ns == 7
        anomaly = ""
    elif isinstance(given, Local):
        part = 10 if given is Local.FILLED_PART else max(1, order.size - order.executed)
        anomaly = orders.apply(fill(BUY, 100, part, exec_id=902))[0].anomaly
        assert bool(anomaly) is (state in TERMINAL), "a fill of an order that has ended is booked and reported"
    else:
        result = orders.apply(told(given))[0]
        assert result.is_repeat is (expected is None and given in REPEATS.get(state, ()))
        assert bool(result.anomaly) is (expected is None and not result.is_repeat)
        assert not result.anomaly or ("order a is" in result.anomaly and state.value in result.anomaly)
    assert order.state is (expected or state)
    assert order.is_live is (order.state not in TERMINAL) is (order in list(orders.live()))


def test_terminal_states_have_no_exit_and_every_live_state_has_every_end() -> None:
    assert set(NEXT) == set(S)
    for state, arms in NEXT.items():
        if state in TERMINAL:
            assert set(arms.values()) <= {state}
        else:
            assert set(arms.values()) >= TERMINAL


# --- Names ------------------------------------------------------------------------------------------------------------


def test_acceptance_names_the_order_and_is_no_order_on_the_book() -> None:
    orders, order = with_one()
    (applied,) = orders.apply(told(K.ACCEPTED, order_id=VENUE))
    assert (applied.changed, order.order_id, order.state) == (True, VENUE, S.PENDING_NEW)
    orders.apply(told(K.REGISTERED, None, VENUE))
    assert order.state is S.WORKING


def test_events_that_overtake_the_answer_wait_for_it() -> None:
    """A3, A4: ORDER and a fill arrive before the acknowledgement with their order id."""
    orders, order = with_one()
    early: list[OrderEvent | FillEvent] = [
        told(K.REGISTERED, None, VENUE),
        fill(BUY, 100, 30, name=None, order_id=VENUE),
    ]
    for event in early:
        assert orders.apply(event) == [Applied(order=None, event=event)]
    results = orders.apply(told(K.ACCEPTED, order_id=VENUE))
    assert [applied.event for applied in results[1:]] == early, "each with its own event, in the order of coming"
    assert (order.state, order.executed) == (S.PARTIAL, 30)
    assert orders.apply(told(K.ACCEPTED, order_id=VENUE))[1:] == [], "and once"


@pytest.mark.parametrize("first", [told(K.REGISTERED, "a", VENUE), fill(BUY, 100, 30, order_id=VENUE, exec_id=2)])
def test_whatever_event_names_the_order_first_releases_those_that_wait(first: OrderEvent | FillEvent) -> None:
    """The acknowledgement was lost: any event with both ids is as good."""
    orders, order = with_one()
    orders.apply(told(K.SEND_UNKNOWN))
    orders.apply(fill(BUY, 100, 40, name=None, order_id=VENUE, exec_id=1))
    assert len(orders.apply(first)) == 2
    assert (order.order_id, order.executed >= 40) == (VENUE, True)


def test_early_end_of_an_order_is_booked_when_its_name_is_known() -> None:
    orders, order = with_one()
    orders.apply(told(K.CANCELLED, None, VENUE))
    assert order.state is S.PENDING_NEW
    orders.apply(told(K.ACCEPTED, order_id=VENUE))
    assert order.state is S.CANCELLED


def test_event_of_a_client_name_that_is_not_ours_is_an_anomaly() -> None:
    (applied,) = Orders().apply(told(K.REGISTERED, "stranger"))
    assert applied.order is None
    assert "not ours" in applied.anomaly


def test_name_cannot_be_used_twice_even_after_the_end() -> None:
    orders, order = with_one()
    with pytest.raises(ValueError, match="exists already"):
        orders.add(new_order())
    orders.apply(told(K.REJECTED))
    assert not orders.any_live
    with pytest.raises(ValueError, match="exists already"):
        orders.add(new_order())
    assert order.client_order_id in orders


def test_event_on_nothing_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="order id"):
        told(K.CANCELLED, None, None)


# --- Fills ------------------------------------------------------------------------------------------------------------


def test_same_execution_twice_counts_once() -> None:
    """A6: from the stream and again from a query, by either id."""
    orders, order = with_one()
    bring_to(orders, order, S.WORKING)
    assert orders.apply(fill(BUY, 100, 30))[0].new_fill is not None
    again = orders.apply(fill(BUY, 100, 30, name=None, order_id=VENUE))[0]
    assert (again.new_fill, again.changed, again.anomaly) == (None, False, "")
    assert order.executed == 30


def test_parts_in_any_order_fill_the_whole() -> None:
    """A5: the last part first."""
    orders, order = with_one()
    bring_to(orders, order, S.WORKING)
    states = [orders.apply(fill(BUY, 100, size, exec_id=n))[0].order for n, size in ((3, 50), (1, 20), (2, 30))]
    assert states == [order] * 3
    assert (order.state, order.remaining) == (S.FILLED, 0)


def test_partial_fill_then_cancel_keeps_the_fill() -> None:
    """A16."""
    orders, order = with_one()
    bring_to(orders, order, S.PARTIAL)
    orders.cancel_sent(order, 0)
    orders.apply(told(K.CANCELLED))
    assert (order.state, order.executed, order.is_live) == (S.CANCELLED, 40, False)


def test_fill_after_the_cancel_is_booked_and_resurrects_nothing() -> None:
    """A8, A15: the fill was in flight; it is booked, but the order stays ended."""
    orders, order = with_one()
    bring_to(orders, order, S.CANCELLED)
    (applied,) = orders.apply(fill(BUY, 100, 30))
    assert applied.new_fill is not None
    assert "filled while cancelled" in applied.anomaly
    assert (order.state, order.executed, orders.any_live) == (S.CANCELLED, 30, False)


def test_overfill_is_booked_and_reported() -> None:
    """A14."""
    orders, order = with_one()
    bring_to(orders, order, S.PARTIAL)
    (applied,) = orders.apply(fill(BUY, 100, 61))
    assert applied.new_fill is not None
    assert "overfilled: 101 of 100" in applied.anomaly
    assert (order.state, order.remaining) == (S.FILLED, 0)


def test_fill_on_the_other_side_is_reported() -> None:
    orders, order = with_one()
    bring_to(orders, order, S.WORKING)
    assert "other side" in orders.apply(fill(SELL, 100, 10))[0].anomaly


@pytest.mark.parametrize(("executed", "state"), [(0, S.WORKING), (40, S.PARTIAL)])
def test_refused_cancel_leaves_the_order_as_it_was_filled(executed: int, state: OrderState) -> None:
    """A7."""
    orders, order = with_one()
    bring_to(orders, order, S.PARTIAL if executed else S.WORKING)
    orders.cancel_sent(order, 0)
    assert orders.apply(told(K.CANCEL_FAILED))[0].changed
    assert (order.state, order.executed) == (state, executed)


def test_whole_fill_beats_the_cancel() -> None:
    orders, order = with_one()
    bring_to(orders, order, S.PENDING_CANCEL)
    orders.apply(fill(BUY, 100, SIZE))
    assert orders.apply(told(K.CANCEL_FAILED))[0].anomaly == "", "the usual answer to a cancel that came too late"
    assert order.state is S.FILLED


# --- Memory -----------------------------------------------------------------------------------------------------------


def test_ended_orders_are_forgotten_oldest_first_with_their_names() -> None:
    orders = Orders(keep_ended=3)
    for number in range(10):
        orders.add(new_order(f"n{number}"))
        orders.apply(told(K.ACCEPTED, f"n{number}", f"V{number}"))
        orders.apply(told(K.CANCELLED, f"n{number}"))
    kept = [number for number in range(10) if ClientOrderId(f"n{number}") in orders]
    assert kept == [7, 8, 9]
    assert set(orders._by_id) == {"V7", "V8", "V9"}


def test_strangers_events_are_held_within_bounds() -> None:
    orders = Orders(keep_early=5)
    for number in range(100):
        for _ in range(20):
            orders.apply(told(K.REGISTERED, None, f"X{number}"))
    assert len(orders._early) == 5
    assert all(len(waiting) == 5 for waiting in orders._early.values())


class AnyInterleaving(RuleBasedStateMachine):
    """Orders under events in any order, with repeats, with or without order ids."""

    def __init__(self) -> None:
        super().__init__()
        self.orders = Orders(keep_ended=4, keep_early=6)
        self.known: dict[str, Order] = {}
        self.booked: dict[str, dict[int, int]] = {}
        self.ended: dict[str, OrderState] = {}
        self.history: list[OrderEvent | FillEvent] = []
        self.fills = 0

    @initialize()
    def first(self) -> None:
        self.send()

    @precondition(lambda self: len(self.known) < 8)
    @rule()
    def send(self) -> None:
        name = f"n{len(self.known)}"
        self.known[name] = order = new_order(name)
        self.booked[name] = {}
        self.orders.add(order)

    def feed(self, event: OrderEvent | FillEvent) -> None:
        self.history.append(event)
        for applied in self.orders.apply(event):
            if applied.new_fill is not None:
                assert applied.order is not None
                book = self.booked[applied.order.client_order_id]
                assert applied.new_fill.exec_id not in book, "counted twice"
                book[applied.new_fill.exec_id] = applied.new_fill.size
            if applied.order is not None and applied.order.state in TERMINAL:
                self.ended.setdefault(applied.order.client_order_id, applied.order.state)

    @rule(number=st.integers(0, 7), kind=st.sampled_from(K), by=st.sampled_from(["ours", "venue", "both"]))
    def event(self, number: int, kind: OrderEventKind, by: str) -> None:
        name = f"n{number % len(self.known)}"
        venue = f"V{name}" if by != "ours" or kind is K.ACCEPTED else None
        self.feed(told(kind, name if by != "venue" else None, venue))

    @rule(number=st.integers(0, 7), size=st.integers(1, 120), by=st.sampled_from(["ours", "venue", "both"]))
    def fill(self, number: int, size: int, by: str) -> None:
        name = f"n{number % len(self.known)}"
        self.fills += 1
        venue = f"V{name}" if by != "ours" else None
        self.feed(fill(BUY, 100, size, exec_id=self.fills, name=name if by != "venue" else None, order_id=venue))

    @precondition(lambda self: self.history)
    @rule(data=st.data())
    def again(self, data: st.DataObject) -> None:
        self.feed(data.draw(st.sampled_from(self.history)))

    @rule(number=st.integers(0, 7))
    def cancel(self, number: int) -> None:
        live = list(self.orders.live())
        if live:
            self.orders.cancel_sent(live[number % len(live)], 0)

    @invariant()
    def executed_is_the_sum_of_distinct_fills(self) -> None:
        for name, order in self.known.items():
            assert order.executed == sum(self.booked[name].values())
            assert order.remaining == max(0, order.size - order.executed)

    @invariant()
    def the_end_is_the_end(self) -> None:
        for name, state in self.ended.items():
            assert self.known[name].state is state
        live = {order.client_order_id for order in self.orders.live()}
        assert live == set(self.known) - set(self.ended)
        assert self.orders.any_live is bool(live)

    @invariant()
    def a_live_order_is_not_filled_whole(self) -> None:
        assert all(order.executed < order.size for order in self.orders.live())

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.orders._ended) <= 4
        assert len(self.orders._early) <= 6
        assert len(self.orders._by_id) <= len(list(self.orders.live())) + 4


TestAnyInterleaving = AnyInterleaving.TestCase
TestAnyInterleaving.settings = properties(150, steps=60)


def test_execution_ids_are_remembered_within_bounds() -> None:
    orders = Orders(keep_fills=10)
    orders.add(new_order(size=10_000))
    for number in range(1, 101):
        orders.apply(fill(BUY, 100, 1, exec_id=number))
    assert list(orders._fills) == [ExecId(n) for n in range(91, 101)]


# --- cancels of orders that are not on the book yet, and orders of an earlier run


def test_refused_cancel_of_an_order_not_yet_registered_goes_on_waiting_for_the_book() -> None:
    """A9: the venue knows an order only from its registration on; the ORDER event that follows is no anomaly."""
    orders, order = with_one()
    orders.apply(told(K.ACCEPTED, order_id=VENUE))
    orders.cancel_sent(order, 0)
    orders.apply(told(K.CANCEL_FAILED))
    assert order.state is S.PENDING_NEW
    assert order.cancel_failed
    assert orders.apply(told(K.REGISTERED))[0].anomaly == ""
    assert order.state is S.WORKING
    assert order.registered_ns is not None


def test_what_changes_nothing_need_not_be_written_down_again() -> None:
    orders, order = with_one()
    orders.apply(told(K.ACCEPTED, order_id=VENUE))
    orders.apply(fill(BUY, 100, 40))
    orders.touched.clear()
    for event in (fill(BUY, 100, 40), told(K.ACCEPTED, order_id=VENUE), told(K.REGISTERED)):
        orders.apply(event)
    assert not orders.touched
    orders.apply(fill(BUY, 100, 60, exec_id=2))
    assert list(orders.touched.values()) == [order]


def test_news_of_an_order_end_its_absence() -> None:
    orders, order = with_one()
    orders.apply(told(K.ACCEPTED, order_id=VENUE))
    for news in (told(K.REGISTERED), fill(BUY, 100, 40)):
        order.absences = 2
        orders.apply(news)
        assert order.absences == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (S.WORKING, S.WORKING),
        (S.PARTIAL, S.PARTIAL),
        (S.PENDING_CANCEL, S.WORKING),
        (S.UNKNOWN, S.UNKNOWN),
        (S.FILLED, S.FILLED),
        (S.CANCELLED, S.CANCELLED),
    ],
)
def test_an_order_of_an_earlier_run_goes_on_where_it_was(before: OrderState, after: OrderState) -> None:
    """C1: a cancel requested during the shutdown is requested again."""
    orders, order = with_one()
    bring_to(orders, order, before)
    again = Orders()
    again.restore([order.memo()], [ExecId(901)])
    found = next(iter(again.live()), None) or again.by_id(OrderId(VENUE))
    assert found is not None
    assert (found.state, found.executed, found.terms) == (after, order.executed, order.terms)
    assert again.apply(fill(BUY, 100, 40, exec_id=901))[0].new_fill is None


def test_an_order_without_answer_at_the_end_of_a_run_is_in_doubt_in_the_next() -> None:
    """C2: killed between send and acknowledgement."""
    _, order = with_one()
    again = Orders()
    again.restore([order.memo()], [])
    assert [o.state for o in again.unnamed()] == [S.UNKNOWN]


def test_a_cancel_under_way_of_an_unregistered_order_is_forgotten_with_the_run() -> None:
    orders, order = with_one()
    orders.apply(told(K.ACCEPTED, order_id=VENUE))
    orders.cancel_sent(order, 0)
    again = Orders()
    again.restore([order.memo()], [])
    assert [o.state for o in again.live()] == [S.PENDING_NEW]


def test_an_order_that_had_ended_in_an_earlier_run_is_known_to_have_ended() -> None:
    """Otherwise it could rest for ever, because an orphan is recognised by how long ago it ended."""
    orders, order = with_one()
    bring_to(orders, order, S.CANCELLED)
    again = Orders()
    again.restore([order.memo()], [])
    found = again.by_id(OrderId(VENUE))
    assert found is not None
    assert found.ended_ns is not None


# --- lost answers


def registered(order_id: str, *, price: int = 100) -> OrderEvent:
    terms = OrderTerms(BUY, Ticks(price), Lots(SIZE))
    return OrderEvent(ts_ns=0, kind=K.REGISTERED, order_id=OrderId(order_id), terms=terms)


def test_an_order_event_names_the_order_whose_answer_was_lost() -> None:
    """A1: no acknowledgement, but the order is live."""
    orders, order = with_one()
    orders.apply(told(K.SEND_UNKNOWN))
    assert orders.apply(registered("W", price=101))[0].order is None, "asks for something else"
    assert orders.apply(registered(VENUE))[0].order is order
    assert (order.order_id, order.state) == (VENUE, S.WORKING)


def test_an_order_event_that_came_before_the_answer_was_given_up_names_the_order() -> None:
    """A1: a request times out seconds after its order was registered and filled."""
    orders, order = with_one()
    orders.apply(registered("W", price=101))
    orders.apply(registered(VENUE))
    orders.apply(fill(BUY, 100, 40, name=None, order_id=VENUE))
    assert order.order_id is None
    results = orders.apply(told(K.SEND_UNKNOWN))
    assert (order.order_id, order.state, order.executed) == (VENUE, S.PARTIAL, 40)
    assert [r.new_fill is not None for r in results] == [False, False, True]
    assert list(orders.early) == ["W"]


def test_an_order_event_from_before_the_order_was_sent_does_not_name_it() -> None:
    """Somebody sent the same order by hand, a moment earlier."""
    orders, order = with_one()
    order.sent_ns = 10
    orders.apply(registered("HAND"))
    orders.apply(told(K.SEND_UNKNOWN))
    assert order.order_id is None
    assert orders.early_terms(OrderId("HAND")) == order.terms


@pytest.mark.parametrize(
    "kinds", [[K.REGISTERED, K.REGISTERED], [K.CANCELLED, K.CANCELLED], [K.CANCELLED, K.REGISTERED]]
)
def test_what_is_told_twice_or_too_late_is_a_repeat(kinds: list[OrderEventKind]) -> None:
    orders, order = with_one()
    orders.apply(told(K.ACCEPTED))
    orders.apply(told(kinds[0]))
    before = order.memo()
    assert orders.apply(told(kinds[1]))[0].is_repeat
    assert order.memo() == before


def test_an_execution_that_was_counted_as_a_strangers_does_not_wait_again() -> None:
    """A6: seen over REST first, reported by the channel later."""
    orders = Orders()
    late = fill(BUY, 100, 40, name=None, order_id="F")
    orders.apply(late)
    orders.count_stranger(late)
    assert orders.apply(late)[0].anomaly == ""
    assert not orders.early
