"""The sources of a fill, against lists that lack it, show it late, or show another position."""

from __future__ import annotations

from stall_then_strike.engine.venue.witnesses import Witness, Witnesses
from stall_then_strike.infra.bitflyer.bitflyer_rules import bitflyer_rules
from stall_then_strike.types.dto import (
    ExecId,
    FillEvent,
    Notice,
    OrderEvent,
    OrderEventKind,
    OrderId,
    OrderTerms,
    PlaceLimit,
    PrintedFill,
    Reason,
    Reconcile,
    RenewFeed,
    ReportFailed,
    TradeLogRow,
)
from stall_then_strike.types.instrument import Lots, Ticks
from tests.engine.core_rig import BUY, MIN, MS, SELL, at, config, fill
from tests.engine.live_desk import LiveDesk, settle, settled_desk, struck
from tests.engine.venue.reports import UNIT

GRACE_NS = bitflyer_rules(config()).print_grace_ns
GRACE_MS = GRACE_NS / MS
PATIENT = config(strategy={"max_reverse_ticks": 10**6})


def told(desk: LiveDesk, quote: PlaceLimit, *, exec_id: int, size: int = MIN) -> FillEvent:
    """A fill of a quote, as the channels and the lists report it."""
    name = f"V-{quote.client_order_id}"
    return fill(quote.side, quote.price, size, exec_id=exec_id, name=None, order_id=name, ms=desk.ms)


def printed(desk: LiveDesk, of: FillEvent) -> None:
    desk.feed(PrintedFill(ts_ns=at(desk.ms), fill=of), desk.ms)


def rows(desk: LiveDesk) -> list[tuple[str, int]]:
    return [(row.tag, row.side.sign * row.size) for row in desk.rows if isinstance(row, TradeLogRow)]


def booked_ids(desk: LiveDesk) -> list[int]:
    return [booked.exec_id for step in desk.steps if step.changes is not None for booked in step.changes.fills]


def texts(desk: LiveDesk, word: str) -> list[str]:
    return [row.text for row in desk.rows if isinstance(row, Notice) and word in row.text]


def agreed_desk() -> tuple[LiveDesk, PlaceLimit, PlaceLimit]:
    """A desk with two quotes on the book; both channels have reported one execution under the same id."""
    desk = settled_desk(PATIENT)
    bid, ask = struck(desk)
    first = told(desk, bid, exec_id=1, size=1)
    desk.feed(first, desk.ms)
    printed(desk, first)
    return desk, bid, ask


# --- the keeper


def test_two_channels_or_one_list_prove_a_fill_and_one_channel_does_not() -> None:
    keeper = Witnesses(GRACE_NS)
    for number, by in enumerate((Witness.PRIVATE, Witness.PUBLIC, Witness.LISTED, Witness.REMEMBERED)):
        keeper.add(ExecId(number), by)
    assert [keeper.is_proven(ExecId(number)) for number in range(5)] == [False, False, True, True, False]
    assert not keeper.numbers_agree
    keeper.add(ExecId(0), Witness.PUBLIC)
    assert keeper.is_proven(ExecId(0))
    assert keeper.numbers_agree
    keeper.forget(ExecId(3))
    assert not keeper.is_proven(ExecId(3))


def test_what_only_the_public_channel_told_is_overdue_after_a_grace_and_given_once() -> None:
    keeper = Witnesses(GRACE_NS)
    early, late = fill(BUY, 100, MIN, exec_id=7), fill(BUY, 100, MIN, exec_id=8)
    for one in (early, late):
        keeper.add(one.exec_id, Witness.PUBLIC)
        keeper.expect(one, at(0))
    keeper.add(early.exec_id, Witness.PRIVATE)
    assert keeper.next_ns == at(0) + GRACE_NS
    assert keeper.overdue(at(0) + GRACE_NS - 1) == []
    assert keeper.overdue(at(0) + GRACE_NS) == [late]
    assert keeper.overdue(at(0) + GRACE_NS) == []
    assert keeper.next_ns is None


# --- a fill that the private channel lost


def test_a_fill_that_only_the_public_channel_tells_is_booked_after_the_grace() -> None:
    desk, bid, ask = agreed_desk()
    printed(desk, told(desk, ask, exec_id=2))
    began = desk.ms
    desk.wait(began + GRACE_MS - 1)
    assert desk.core.inventory.position == 1
    desk.wait(began + GRACE_MS + 1)
    assert desk.core.inventory.position == 1 - MIN
    assert rows(desk)[-1] == ("stall", -MIN)
    desk.feed(told(desk, ask, exec_id=2), desk.ms + 5_000)
    assert desk.core.inventory.position == 1 - MIN, "told late, it counts once"
    assert not bid.price > ask.price


def test_a_channel_that_lost_a_fill_is_renewed_at_the_next_report() -> None:
    desk, bid, ask = agreed_desk()
    lost = told(desk, ask, exec_id=2)
    printed(desk, lost)
    desk.wait(desk.ms + 1_500)
    assert desk.of(Reconcile)[-1].why == "an execution that the private channel did not tell"
    first = told(desk, bid, exec_id=1, size=1)
    desk.report(desk.ms + 100, fills=[first, lost], position=1 - MIN, basis=bid.price - ask.price * MIN)
    assert desk.of(RenewFeed)


def test_before_the_numbers_were_seen_to_agree_it_is_asked_for_and_not_booked() -> None:
    desk = settled_desk(PATIENT)
    bid, _ = struck(desk)
    printed(desk, told(desk, bid, exec_id=1))
    asked = len(desk.of(Reconcile))
    desk.wait(desk.ms + 1_500)
    assert desk.core.inventory.position == 0
    assert len(desk.of(Reconcile)) == asked + 1


# --- lists that lag


def test_a_fill_with_two_witnesses_is_not_taken_back_by_lists_that_lack_it() -> None:
    desk = settled_desk(PATIENT)
    bid, _ = struck(desk)
    whole = told(desk, bid, exec_id=1)
    desk.feed(whole, desk.ms)
    printed(desk, whole)
    start = desk.ms
    for seconds in (3, 6, 14, 29, 44):
        desk.board(start + 1_000 * seconds - 10)
        desk.report(start + 1_000 * seconds, position=0, basis=0)
        assert desk.core.inventory.position == MIN
        assert not desk.core.account.is_settled
    desk.report(start + 46_000, fills=[whole], position=MIN, basis=bid.price * MIN)
    assert desk.core.account.is_settled
    assert desk.core.halted is None
    assert rows(desk) == [("stall", MIN)]
    assert len(texts(desk, "the venue's lists are behind")) == 1


def test_lists_that_never_show_it_halt_in_the_end() -> None:
    desk = settled_desk(PATIENT)
    bid, _ = struck(desk)
    whole = told(desk, bid, exec_id=1)
    desk.feed(whole, desk.ms)
    printed(desk, whole)
    start = desk.ms
    for seconds in range(5, 200, 15):
        desk.report(start + 1_000 * seconds, position=0, basis=0)
    assert desk.core.halted is Reason.POSITION_MISMATCH
    assert sum(size for _, size in rows(desk)) == desk.core.inventory.position == 0


def test_a_position_that_is_behind_its_executions_is_waited_for() -> None:
    desk = settled_desk(PATIENT)
    bid, _ = struck(desk)
    whole = told(desk, bid, exec_id=1)
    start = desk.ms
    for seconds in (1, 4, 12, 27, 42):
        desk.report(start + 1_000 * seconds, fills=[whole], position=0, basis=0)
    assert desk.core.halted is None
    assert desk.core.inventory.position == MIN


def test_what_was_taken_back_is_reinstated_when_a_list_shows_it() -> None:
    """One source only, and lists that lag: the rows record all of it, and always sum to the position."""
    desk = settled_desk(PATIENT)
    bid, _ = struck(desk)
    whole = told(desk, bid, exec_id=9)
    desk.feed(whole, desk.ms)
    start = desk.ms
    for seconds in (3, 12, 16):
        desk.report(start + 1_000 * seconds, position=0, basis=0)
    assert desk.core.inventory.position == 0
    desk.report(start + 40_000, fills=[whole], position=MIN, basis=bid.price * MIN)
    desk.report(start + 41_000, fills=[whole], position=MIN, basis=bid.price * MIN)
    assert rows(desk) == [("stall", MIN), ("correction", -MIN), ("correction", MIN)]
    assert desk.core.inventory.position == MIN
    assert desk.core.inventory.basis == bid.price * MIN
    assert desk.core.halted is None
    assert len(set(booked_ids(desk))) == 3, "each row has a number of its own"
    again = settle(desk.killed(), desk.ms + 2, fills=[whole], position=MIN, basis=bid.price * MIN)
    assert again.core.inventory.position == MIN
    assert not rows(again)


def test_after_a_restart_lists_that_lag_take_nothing_back() -> None:
    desk = settled_desk(PATIENT)
    bid, _ = struck(desk)
    whole = told(desk, bid, exec_id=9)
    desk.feed(whole, desk.ms)
    again = desk.killed()
    start = again.ms
    settle(again, start)
    for seconds in (5, 12, 25, 40):
        again.report(start + 1_000 * seconds, position=0, basis=0)
    assert again.core.inventory.position == MIN
    again.report(start + 45_000, fills=[whole], position=MIN, basis=bid.price * MIN)
    assert again.core.halted is None
    assert not rows(again)


def test_while_lists_lag_an_order_that_they_lack_has_not_ended() -> None:
    desk, bid, ask = agreed_desk()
    for seconds in (4, 8, 16):
        desk.report(desk.ms + 1_000 * seconds, position=0, basis=0)
    assert {order.client_order_id for order in desk.core.orders.live()} >= {bid.client_order_id, ask.client_order_id}


# --- closes


def reversed_desk(*, is_printed: bool) -> LiveDesk:
    """The bid was filled, the last report still shows nothing, and the price runs away."""
    desk = settled_desk(config(strategy={"max_reverse_ticks": 5}))
    bid, ask = struck(desk)
    whole = told(desk, bid, exec_id=1)
    desk.feed(whole, desk.ms)
    if is_printed:
        printed(desk, whole)
    desk.board(desk.ms + 1, 10_001, 10_101)
    desk.cancelled(desk.ms, ask.client_order_id)
    desk.report(desk.ms + 50, position=0, basis=0)
    desk.board(desk.ms + 70, 9_980, 10_080)
    return desk


def test_a_reverse_close_waits_while_the_last_report_contradicts_our_book() -> None:
    desk = reversed_desk(is_printed=False)
    assert not desk.closes
    desk.report(desk.ms + 1_000, fills=[fill(BUY, 10_049, MIN, exec_id=1)], position=MIN, basis=10_049 * MIN)
    desk.board(desk.ms + 10)
    assert [(close.side, close.size) for close in desk.closes] == [(SELL, MIN)]


def test_it_does_not_wait_where_two_witnesses_say_that_the_report_is_old() -> None:
    assert [(close.side, close.size) for close in reversed_desk(is_printed=True).closes] == [(SELL, MIN)]


# --- strangers


def test_a_strangers_fill_is_booked_at_once_where_its_order_event_told_its_terms() -> None:
    desk = settled_desk(PATIENT)
    terms = OrderTerms(SELL, None, Lots(MIN))
    hand = OrderId("HAND")
    desk.feed(OrderEvent(ts_ns=at(3_000), kind=OrderEventKind.REGISTERED, order_id=hand, terms=terms), 3_000)
    for number in (1, 2):
        desk.feed(fill(SELL, 10_000, MIN // 2, exec_id=number, name=None, order_id="HAND", ms=3_010), 3_010)
    assert rows(desk) == [("foreign", -MIN // 2)] * 2


def test_a_fill_between_executions_and_position_of_the_first_report_counts_once() -> None:
    desk = LiveDesk(config(strategy={"min_spread_tick": 10**6}))
    desk.status(0)
    desk.board(0)
    desk.channel(0, is_live=True)
    late = fill(BUY, 10_000, MIN, exec_id=77, name=None, order_id="F1", ms=30)
    desk.report(60, asked_ms=10, position=MIN, basis=10_000 * MIN)
    for ms in (5_000, 20_000, 60_000):
        desk.report(ms, fills=[late], position=MIN, basis=10_000 * MIN)
    assert desk.core.inventory.position == MIN
    assert desk.core.halted is None
    assert rows(desk) == [("taken_over", MIN)], "and the rows sum to the position"
    newer = fill(BUY, 10_000, MIN, exec_id=78, name=None, order_id="F2", ms=61_000)
    desk.report(65_000, fills=[late, newer], position=2 * MIN, basis=20_000 * MIN)
    assert rows(desk)[-1] == ("foreign", MIN)


# --- an account that cannot be asked


def test_quoting_ends_and_an_alert_begins_when_the_account_cannot_be_asked_for_long() -> None:
    desk = settled_desk(config(account={"failing_sec": 30}))
    struck(desk)
    desk.feed(ReportFailed(ts_ns=at(desk.ms), detail="no answer"), desk.ms)
    began = desk.ms
    desk.wait(began + 29_000, alive_ms=100)
    assert desk.said("hold")[-1] is not Reason.ACCOUNT_UNKNOWN
    assert not texts(desk, "not reconciled")
    desk.wait(began + 40_000, alive_ms=100)
    assert desk.said("hold")[-1] is Reason.ACCOUNT_UNKNOWN
    assert len(texts(desk, "the account is not reconciled for 30 s")) == 1
    desk.report(desk.ms + 10)
    desk.wait(desk.ms + 2_000, alive_ms=100)
    assert desk.said("hold")[-1] is not Reason.ACCOUNT_UNKNOWN


def test_a_doubled_event_costs_no_question() -> None:
    desk = settled_desk(PATIENT)
    bid, ask = struck(desk)
    asked = len(desk.of(Reconcile))
    for quote in (bid, ask):
        name = OrderId(f"V-{quote.client_order_id}")
        desk.feed(OrderEvent(ts_ns=at(desk.ms), kind=OrderEventKind.REGISTERED, order_id=name), desk.ms)
    desk.wait(desk.ms + 700, alive_ms=100)
    assert len(desk.of(Reconcile)) == asked
    assert not texts(desk, "order ")


def test_an_order_event_ends_the_doubt_after_a_lost_answer() -> None:
    """The answer was an error page; the ORDER event arrives 0.2 s later and the cancel can be sent."""
    desk = settled_desk(PATIENT)
    bid, _ = struck(desk, accept=False)
    desk.tell(desk.ms + 20, OrderEventKind.SEND_UNKNOWN, bid.client_order_id)
    terms = OrderTerms(bid.side, Ticks(bid.price), Lots(bid.size))
    event = OrderEvent(ts_ns=at(desk.ms), kind=OrderEventKind.REGISTERED, order_id=OrderId("V9"), terms=terms)
    desk.feed(event, desk.ms + 200)
    order = desk.core.orders.by_id(OrderId("V9"))
    assert order is not None
    assert order.client_order_id == bid.client_order_id


# --- settlement


def test_settlement_in_whole_yen_leaves_no_doubt_and_its_drift_is_booked() -> None:
    """Each fill's result is settled in whole yen: the account drifts from exact sums by less than a yen a fill."""
    desk = settled_desk(config(strategy={"min_spread_tick": 10**6}))
    asked, drift = len(desk.of(Reconcile)), 0
    for minute in range(1, 11):
        drift += 6 * UNIT // 10
        desk.wait(60_000 * minute)
        desk.report(60_000 * minute + 100, collateral=1_000_000 * UNIT - drift // UNIT * UNIT)
    assert desk.core.account is not None
    assert desk.core.account.is_settled
    assert len(desk.of(Reconcile)) - asked <= 11, "the period's questions and no more"
    result = desk.core.inventory.pnl_today
    assert abs(result + drift) <= 2 * UNIT, "what two reports have confirmed"
