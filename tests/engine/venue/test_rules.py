"""A venue with other rules: the same core, told apart by data only. Whole runs there: `live_fuzz.py`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stall_then_strike.engine.orders import Order, Orders, OrderState
from stall_then_strike.engine.venue.budget import ON_THE_WAY_NS, Budget
from stall_then_strike.engine.venue.evidence import states
from stall_then_strike.engine.venue.reconciler import Reconciler
from stall_then_strike.engine.venue.rules import Ended, Limit, VenueRules
from stall_then_strike.infra.bitflyer.bitflyer_rules import bitflyer_rules
from stall_then_strike.types.dto import (
    NS_PER_S,
    AccountReport,
    ClientOrderId,
    Command,
    OrderEvent,
    OrderEventKind,
    OrderId,
    ReportedState,
)
from stall_then_strike.types.instrument import Lots, Ticks, fx_btc_jpy
from tests.engine.core_rig import BUY, MIN, at, config, fill, own_order
from tests.engine.live_desk import LiveDesk, settle, struck
from tests.engine.venue.other_rules import OTHER_RULES
from tests.engine.venue.reports import UNIT, listed, report

K, S = OrderEventKind, OrderState
PATIENT = config(strategy={"max_reverse_ticks": 1_000_000, "ttl_ms": 50_000})
BITFLYER = bitflyer_rules(PATIENT)


def desk_at(rules: VenueRules) -> LiveDesk:
    return settle(LiveDesk(PATIENT, rules))


def in_flight() -> tuple[LiveDesk, Order]:
    """A strike that nobody has answered yet, and its bid."""
    desk = desk_at(OTHER_RULES)
    struck(desk, accept=False)
    return desk, desk.core.orders.live()[0]


def under_cancel() -> tuple[LiveDesk, Order]:
    """The same, taken back."""
    desk, bid = in_flight()
    desk.control(desk.ms, Command.STOP)
    desk.board(desk.ms + 1)
    return desk, bid


# --- our own names


def test_our_names_are_numbers_of_48_bits_that_rise() -> None:
    desk, _ = in_flight()
    bid, ask = (int(quote.client_order_id) for quote in desk.quotes)
    assert bid < ask < 1 << 48


def test_an_order_can_be_cancelled_before_it_is_answered() -> None:
    desk, bid = under_cancel()
    assert [bid.client_order_id in cancel.order_ids for cancel in desk.cancels] == [True]
    assert bid.state is S.PENDING_CANCEL


@pytest.mark.parametrize("kind", [K.SEND_UNKNOWN, K.NOT_SENT, K.REJECTED, K.ACCEPTED])
def test_whatever_answers_an_order_under_cancel_contradicts_nothing(kind: OrderEventKind) -> None:
    desk, bid = under_cancel()
    desk.tell(desk.ms + 2, kind, bid.client_order_id)
    assert bid.state is (S.REJECTED if kind in {K.NOT_SENT, K.REJECTED} else S.PENDING_CANCEL)
    assert not desk.core.record.tally.anomalies


@pytest.mark.parametrize("kind", [K.REGISTERED, K.CANCELLED, K.EXPIRED])
def test_an_event_may_overtake_an_answer_that_is_then_lost(kind: OrderEventKind) -> None:
    desk, bid = in_flight()
    desk.tell(desk.ms + 1, kind, bid.client_order_id)
    state = bid.state
    desk.tell(desk.ms + 2, K.SEND_UNKNOWN, bid.client_order_id)
    assert bid.state is state
    assert not desk.core.record.tally.anomalies


@pytest.mark.parametrize(("rules", "booked"), [(BITFLYER, 0), (OTHER_RULES, 1)], ids=["theirs", "ours"])
def test_where_our_names_count_an_execution_of_another_name_is_a_strangers_at_once(
    rules: VenueRules, booked: int
) -> None:
    """Where they do not, it may be of an order whose answer was lost, until a list should have shown that order."""
    desk = desk_at(rules)
    bid, _ = struck(desk, accept=False)
    desk.tell(desk.ms, K.SEND_UNKNOWN, bid.client_order_id)
    strange = fill(BUY, bid.price, MIN, exec_id=9, name=None, order_id="X", ms=desk.ms)
    desk.report(desk.ms + 200, fills=[strange], position=MIN, basis=bid.price * MIN)
    assert sum(getattr(row, "tag", "") == "foreign" for row in desk.rows) == booked


def test_an_earlier_runs_order_is_taken_back_by_our_name_although_nothing_answered_it() -> None:
    desk, bid = in_flight()
    again = desk.killed()
    again.status(again.ms)
    assert bid.client_order_id in again.cancels[0].order_ids


# --- what lists show


@pytest.mark.parametrize(("ended", "kinds"), [(Ended.ALL, [K.PROVEN_ABSENT]), (Ended.EXECUTED, []), (Ended.NONE, [])])
def test_an_order_missing_twice_is_dead_where_every_dead_order_is_listed(
    ended: Ended, kinds: list[OrderEventKind]
) -> None:
    orders, name = Orders(), ClientOrderId("a")
    orders.add(own_order(price=Ticks(10_000)))
    orders.apply(OrderEvent(ts_ns=at(50), kind=K.SEND_UNKNOWN, client_order_id=name))
    rules = replace(OTHER_RULES, ended=ended)
    assert list(states(report(3_000), orders, rules)) == []
    assert [event.kind for event in states(report(6_000), orders, rules)] == kinds


def lost_and_told(told: OrderEventKind) -> Orders:
    """Order ``a``, whose answer was lost, and ``b``, which was sent after it and of which the channel told."""
    orders = Orders()
    for ms, name, kind in ((0, "a", K.SEND_UNKNOWN), (10, "b", K.REGISTERED), (10, "b", told)):
        if name not in orders:
            orders.add(own_order(name, price=Ticks(10_000), sent_ns=at(ms)))
        order_id = OrderId(name) if name == "b" else None
        orders.apply(OrderEvent(ts_ns=at(ms + 50), kind=kind, client_order_id=ClientOrderId(name), order_id=order_id))
    return orders


def looks(orders: Orders, *reports: AccountReport) -> list[list[tuple[str, OrderEventKind]]]:
    rules = replace(OTHER_RULES, ended=Ended.ALL)
    return [[(event.client_order_id, event.kind) for event in states(one, orders, rules)] for one in reports]


def test_lists_that_lack_all_that_the_channel_told_of_since_are_too_old_to_prove_an_order_dead() -> None:
    orders, ended = lost_and_told(K.CANCELLED), listed("b", state=ReportedState.CANCELED)
    assert looks(orders, *(report(ms) for ms in (3_000, 6_000, 20_000, 74_000))) == [[]] * 4
    assert looks(orders, report(74_200, ended), report(76_000, ended)) == [[], [("a", K.PROVEN_ABSENT)]]


def test_an_order_that_the_channel_told_of_is_not_dead_because_lists_lack_it() -> None:
    assert looks(lost_and_told(K.REGISTERED), *(report(ms) for ms in (3_000, 6_000, 20_000))) == [[]] * 3


def test_no_list_is_too_old_for_longer_than_lists_can_lag() -> None:
    found = looks(lost_and_told(K.CANCELLED), *(report(ms) for ms in (3_000, 75_200, 77_000)))
    assert found == [[], [], [("a", K.PROVEN_ABSENT)]]


# --- closes


@pytest.mark.parametrize(("rules", "waits"), [(BITFLYER, True), (OTHER_RULES, False)], ids=["refused", "allowed"])
def test_a_close_waits_for_quotes_only_where_it_would_be_refused(rules: VenueRules, waits: bool) -> None:
    desk = desk_at(rules)
    bid, _ = struck(desk)
    desk.filled(desk.ms, bid)
    desk.control(desk.ms, Command.HALT)
    assert bool(desk.closes) is not waits


@pytest.mark.parametrize(("rules", "size"), [(BITFLYER, MIN), (OTHER_RULES, MIN // 2)], ids=["enlarged", "as it is"])
def test_dust_is_closed_as_it_is_where_the_venue_takes_it(rules: VenueRules, size: int) -> None:
    desk = desk_at(rules)
    bid, ask = struck(desk)
    desk.filled(desk.ms, bid, MIN // 2)
    desk.control(desk.ms, Command.HALT)
    desk.cancelled(desk.ms, bid.client_order_id, ask.client_order_id)
    assert [close.size for close in desk.closes] == [size]


# --- cash


@pytest.mark.parametrize(("share", "is_carry"), [(200, True), (None, False)], ids=["inferred", "told"])
def test_carry_is_inferred_only_where_the_venue_does_not_tell_it(share: int | None, is_carry: bool) -> None:
    found = Reconciler(PATIENT.account, fx_btc_jpy(), replace(BITFLYER, carry_share=share))
    basis = 10_000_000 * MIN
    found.take_over(report(0, collateral=1_000_000 * UNIT + basis, basis=basis, position=MIN), -basis)
    found.note_held(basis)
    richer = 1_000_040 * UNIT
    moved = [report(ms, collateral=richer, basis=basis, position=MIN, asked_ms=ms) for ms in (0, 60_000)]
    found.cash_base = 1_000_000 * UNIT
    assert found.payment(moved[0], -basis) is None
    payment = found.payment(moved[1], -basis)
    assert payment is not None
    assert payment.is_carry is is_carry


# --- limits


def test_calls_count_what_the_limit_says_and_a_batch_is_one() -> None:
    limits = (
        Limit(name="weight", most=100, window_ns=60 * NS_PER_S, send=6, cancel=2, query=30),
        Limit(name="sends", most=100, window_ns=NS_PER_S, send=1),
    )
    budget = Budget(limits, batch=10)
    budget.spend_strike(0, 12, Lots(MIN))
    budget.spend_cancel(0, 10)
    budget.spend_questions(0, 2)
    assert [(use.name, use.used) for use in budget.use(1)] == [("weight", 2 * 6 + 2 + 60), ("sends", 2)]


def test_a_strike_needs_room_for_cancels_that_may_go_one_by_one() -> None:
    budget = Budget([Limit(name="calls", most=20, window_ns=NS_PER_S, send=1, cancel=1)], batch=50)
    budget.spend_cancel(0, 50 * 16)
    assert budget.strike_at_ns(0, 3, Lots(MIN)) <= 0, "one send, three cancels"
    assert budget.strike_at_ns(0, 4, Lots(MIN)) == NS_PER_S + ON_THE_WAY_NS


@pytest.mark.parametrize(("used", "may_go"), [(10, 40), (13, 30), (14, 15), (15, 0)])
def test_many_cancels_in_batches_leave_calls_for_the_close(used: int, may_go: int) -> None:
    """D8: of forty orders, fifteen to a call."""
    budget = Budget([Limit(name="calls", most=20, window_ns=NS_PER_S, send=1, cancel=1)], batch=15)
    budget.spend_cancel(0, 15 * used)
    assert budget.cancellable(0, 40) == may_go


def test_exits_and_queries_leave_room_for_calls_made_elsewhere() -> None:
    budget = Budget([Limit(name="calls", most=20, window_ns=NS_PER_S, reserve=4, elsewhere=5, send=1, query=1)])
    assert budget.may_ask(0, 11, urgent=False)
    assert not budget.may_ask(0, 12, urgent=False)
    assert budget.may_ask(0, 13, urgent=True)
    for _ in range(15):
        assert budget.may_send(0, Lots(MIN))
        budget.spend_order(0, Lots(MIN))
    assert not budget.may_send(0, Lots(MIN))
