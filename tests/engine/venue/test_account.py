"""The core with an account: when it queries it, how it uses the reports, what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest

from stall_then_strike.infra.bitflyer.bitflyer_rules import LimitName
from stall_then_strike.types.dto import (
    BookStatus,
    CancelAllStall,
    Event,
    LimitReading,
    Notice,
    OrderEvent,
    OrderEventKind,
    OrderId,
    PrivateChannel,
    Reason,
    Reconcile,
    RenewFeed,
    ReportedState,
    ReportFailed,
    Step,
    TradeLogRow,
)
from tests.engine.core_rig import BUY, MIN, SELL, at, config, fill
from tests.engine.live_desk import LiveDesk, settled_desk, struck
from tests.engine.venue.reports import UNIT, listed, report

K = OrderEventKind


def facts(desk: LiveDesk, what: str) -> list[str]:
    found = [step.changes.facts for step in desk.steps if step.changes is not None]
    return [fact.detail for some in found for fact in some if fact.what == what]


def warnings(desk: LiveDesk) -> list[str]:
    return [row.text for row in desk.rows if isinstance(row, Notice) and row.level != "INFO"]


# --- questions


def test_it_asks_once_the_channel_is_up_and_quotes_once_the_books_agree() -> None:
    desk = LiveDesk()
    desk.status(0)
    desk.board(0)
    desk.wait(5_000, alive_ms=100)
    assert not desk.quotes
    assert desk.said("hold")[-1] is Reason.ACCOUNT_UNKNOWN
    desk.channel(5_000, is_live=True)
    assert [question.since for question in desk.of(Reconcile)] == [0]
    desk.wait(6_000, alive_ms=100)
    assert not desk.quotes
    desk.report(6_000)
    desk.wait(7_000, alive_ms=100)
    assert desk.quotes


def test_a_channel_that_goes_down_takes_the_quotes_back() -> None:
    desk = settled_desk()
    bid, ask = struck(desk)
    desk.channel(desk.ms, is_live=False)
    assert desk.cancels[-1].order_ids == (f"V-{bid.client_order_id}", f"V-{ask.client_order_id}")
    assert desk.cancels[-1].reason is Reason.ACCOUNT_UNKNOWN


def test_a_question_waits_for_the_budget_and_is_not_forgotten() -> None:
    desk = LiveDesk()
    desk.status(0)
    left = LimitReading(ts_ns=at(0), limit=LimitName.PRIVATE, remaining=1, reset_ns=at(10_000))
    desk.feed(left, 0)
    desk.channel(10, is_live=True)
    desk.wait(9_000)
    assert not desk.of(Reconcile)
    desk.wait(11_500)
    assert len(desk.of(Reconcile)) == 1


def test_a_failed_question_is_told_and_repeated() -> None:
    """B12: the venue query fails during the recovery."""
    desk = LiveDesk()
    desk.channel(0, is_live=True)
    desk.feed(ReportFailed(ts_ns=at(500), detail="timeout"), 500)
    desk.wait(30_000)
    assert len(desk.of(Reconcile)) == 2
    assert any("timeout" in text for text in warnings(desk))


# --- fills


def test_a_fill_missed_by_the_channel_is_found_by_the_report_and_counts_once() -> None:
    """A6, B8: filled in the gap; the event comes after all."""
    desk = settled_desk()
    bid, _ = struck(desk)
    missed = fill(BUY, bid.price, MIN, exec_id=5, name=None, order_id=f"V-{bid.client_order_id}", ms=desk.ms)
    desk.report(desk.ms + 100, fills=[missed], position=MIN, basis=bid.price * MIN)
    desk.feed(missed, desk.ms)
    assert desk.core.inventory.position == MIN
    assert len([row for row in desk.rows if isinstance(row, TradeLogRow)]) == 1


def test_a_report_that_is_older_than_a_fill_changes_no_position() -> None:
    """B11."""
    desk = settled_desk()
    bid, _ = struck(desk)
    asked = desk.ms
    desk.filled(asked + 50, bid)
    desk.report(asked + 100, listed(f"V-{bid.client_order_id}", price=bid.price), asked_ms=asked)
    assert desk.core.inventory.position == MIN
    assert desk.core.halted is None
    assert desk.of(Reconcile)


def test_fills_of_somebody_else_are_ours_to_hold() -> None:
    """A13, C8: an execution on the account with an unknown order id."""
    desk = settled_desk()
    theirs = fill(SELL, 10_000, MIN, exec_id=7, name=None, order_id="F", ms=desk.ms)
    then = desk.ms + 6_000
    desk.feed(theirs, desk.ms + 10)
    assert desk.core.inventory.position == 0
    desk.report(then, fills=[theirs], position=-MIN, basis=-10_000 * MIN)
    assert desk.core.inventory.position == -MIN
    rows = [row for row in desk.rows if isinstance(row, TradeLogRow)]
    assert [(row.tag, row.size) for row in rows] == [("foreign", MIN)]
    booked = [f.exec_id for s in desk.steps if s.changes is not None for f in s.changes.fills]
    assert booked == [7]


def test_an_event_that_the_venue_knows_nothing_of_is_forgotten() -> None:
    """Otherwise it costs four calls a second, for ever."""
    desk = settled_desk()
    desk.board(desk.ms, status=BookStatus.UNKNOWN)
    desk.feed(fill(SELL, 10_000, MIN, exec_id=7, name=None, order_id="F", ms=desk.ms), desk.ms)
    end = desk.ms + 120_000
    asked = len(desk.of(Reconcile))
    while desk.ms < end:
        desk.wait(min(end, desk.ms + 500))
        if len(desk.of(Reconcile)) > asked:
            asked = len(desk.of(Reconcile))
            desk.report(desk.ms + 100)
    assert asked <= 8
    assert not desk.core.orders.early


def test_a_phantom_is_taken_back_in_position_and_cash() -> None:
    desk = settled_desk()
    bid, _ = struck(desk)
    desk.filled(desk.ms, bid, MIN // 2)
    before = desk.core.inventory.cash
    for ms in (desk.ms + 11_000, desk.ms + 14_000):
        desk.report(ms, listed(f"V-{bid.client_order_id}", price=bid.price))
    assert desk.core.inventory.position == 0
    assert desk.core.inventory.cash == before + bid.price * MIN // 2 == 0
    assert desk.core.halted is None
    assert [row.tag for row in desk.rows if isinstance(row, TradeLogRow)] == ["stall", "correction"]


def test_phantoms_that_make_up_for_each_other_are_no_payment() -> None:
    """A14: their positions cancel out and their cash does not; it must not be booked as funding."""
    desk = settled_desk()
    bid, ask = struck(desk)
    desk.filled(desk.ms, bid)
    desk.filled(desk.ms, ask, price=ask.price + 300_000)
    assert desk.core.inventory.position == 0
    won = desk.core.inventory.cash
    assert won > UNIT
    assert desk.core.account is not None
    heard_ms = desk.ms
    shown = []
    for ms in (1_000, 3_000, 5_000, 11_000, 14_000, 17_000):
        desk.report(heard_ms + ms)
        shown.append(desk.core.account.is_shown_by(report(heard_ms + ms)))
    assert desk.core.inventory.cash == 0
    assert not facts(desk, "funding") + facts(desk, "collateral")
    assert [row.tag for row in desk.rows if isinstance(row, TradeLogRow)] == ["stall"] * 2 + ["correction"] * 2
    assert shown == [False] * 4 + [True] * 2, "nothing may end on books that the venue denies"


def test_a_payment_waits_for_the_fill_that_is_not_listed_yet() -> None:
    desk = settled_desk()
    bid, _ = struck(desk)
    ours = fill(BUY, bid.price, MIN, exec_id=7, name=bid.client_order_id, ms=desk.ms)
    desk.feed(ours, desk.ms)
    held: dict[str, Any] = {"position": MIN, "basis": bid.price * MIN, "collateral": (1_000_000 + 5_000) * UNIT}
    seen = []
    for ms, listed_fills in ((1_000, [ours]), (3_000, []), (7_000, [ours])):
        desk.report(desk.ms + ms, **held, fills=listed_fills)
        seen.append(len(facts(desk, "collateral")))
    assert seen == [0, 0, 1]


# --- orders


def test_a_strangers_order_is_reported_once_and_left_alone() -> None:
    """C8: never cancelled by us."""
    desk = settled_desk()
    for ms in (1_000, 2_000, 3_000):
        desk.report(desk.ms + ms, listed("F", price=9_000))
    assert not desk.cancels
    assert len(facts(desk, "stranger")) == 1


def test_a_strangers_order_is_cancelled_where_that_is_wanted() -> None:
    desk = settled_desk(config(account={"foreign_orders": "cancel"}))
    desk.report(desk.ms + 1_000, listed("F", price=9_000))
    assert [cancel.order_ids for cancel in desk.cancels] == [("F",)]


def test_an_order_of_ours_whose_answer_is_late_is_not_cancelled_as_a_strangers() -> None:
    desk = settled_desk(config(account={"foreign_orders": "cancel"}))
    bid, _ = struck(desk, accept=False)
    desk.report(desk.ms + 100, listed("V", price=bid.price, placed_ms=desk.ms))
    assert not facts(desk, "stranger")
    assert not desk.cancels


def test_an_orphan_is_cancelled() -> None:
    """A15: an old report must not revive it; it is cancelled instead."""
    desk = settled_desk()
    bid, _ = struck(desk)
    desk.cancelled(desk.ms, bid.client_order_id)
    name = f"V-{bid.client_order_id}"
    desk.report(desk.ms + 3_000, listed(name, price=bid.price))
    assert CancelAllStall(order_ids=(OrderId(name),), reason=Reason.ORPHAN) in desk.cancels
    assert bid.client_order_id not in [order.client_order_id for order in desk.core.orders.live()]


def test_all_that_was_missed_in_a_gap_is_found() -> None:
    """B8: a fill, a cancel and a registration, all in the gap."""
    desk = settled_desk()
    bid, ask = struck(desk)
    desk.channel(desk.ms, is_live=False)
    desk.channel(desk.ms + 1_000, is_live=True)
    name = f"V-{bid.client_order_id}"
    missed = fill(BUY, bid.price, 40_000, exec_id=5, name=None, order_id=name, ms=desk.ms - 500)
    half = listed(name, price=bid.price, executed=40_000, state=ReportedState.CANCELED)
    for ms in (desk.ms + 3_000, desk.ms + 6_000):
        desk.report(ms, half, fills=[missed], position=40_000, basis=bid.price * 40_000)
    assert not desk.core.orders.any_live
    assert desk.core.inventory.position == 40_000
    assert ask.client_order_id in desk.core.orders
    assert desk.core.account is not None
    assert desk.core.account.is_settled


# --- the channel that does not tell


def late_fill(desk: LiveDesk, age_ms: float) -> Step:
    bid, _ = struck(desk)
    name = f"V-{bid.client_order_id}"
    now = desk.ms
    missed = fill(BUY, bid.price, MIN, exec_id=5, name=None, order_id=name, ms=now)
    return desk.report(now + age_ms, fills=[missed], position=MIN, basis=bid.price * MIN, asked_ms=now + age_ms)


def test_a_channel_that_did_not_tell_is_renewed() -> None:
    desk = settled_desk()
    assert [type(action) for action in late_fill(desk, 3_500).actions].count(RenewFeed) == 1


def test_a_report_that_is_merely_ahead_of_the_events_renews_nothing() -> None:
    desk = settled_desk()
    assert not [action for action in late_fill(desk, 100).actions if isinstance(action, RenewFeed)]


def test_what_happened_before_the_channel_came_up_is_no_fault_of_it() -> None:
    """Its first report may be late or show a difference; events from the gap are then found by the second."""
    desk = settled_desk()
    bid, _ = struck(desk)
    desk.channel(desk.ms, is_live=False)
    missed = fill(BUY, bid.price, MIN, exec_id=5, name=None, order_id=f"V-{bid.client_order_id}", ms=desk.ms + 500)
    up_ms = desk.ms + 1_000
    desk.channel(up_ms, is_live=True)
    held: dict[str, Any] = {"position": MIN, "basis": bid.price * MIN}
    desk.report(up_ms + 1_000, **held)
    assert facts(desk, "difference")
    for ms in (5_000, 10_000):
        desk.report(up_ms + ms, **held, fills=[missed])
    assert not desk.core.orders.any_live, "the ask was cancelled in the gap"
    assert not desk.of(RenewFeed)


def test_a_channel_that_did_not_tell_is_renewed_though_the_books_had_differed() -> None:
    """The fill came between the queries of executions and of the position."""
    desk = settled_desk()
    bid, _ = struck(desk)
    missed = fill(BUY, bid.price, MIN, exec_id=5, name=None, order_id=f"V-{bid.client_order_id}", ms=desk.ms)
    held: dict[str, Any] = {"position": MIN, "basis": bid.price * MIN}
    desk.report(desk.ms + 200, **held)
    assert facts(desk, "difference")
    assert not desk.of(RenewFeed)
    desk.report(desk.ms + 4_000, **held, fills=[missed])
    assert len(desk.of(RenewFeed)) == 1


def test_a_channel_that_tells_nothing_of_orders_that_end_unfilled_is_renewed() -> None:
    """B10: all are cancelled before a list shows them, so only the missing events reveal that the channel is silent."""
    desk = settled_desk()
    quotes = struck(desk, accept=False)
    sent_ms = desk.ms
    for quote in quotes:
        desk.tell(sent_ms + 100, K.ACCEPTED, quote.client_order_id, f"V-{quote.client_order_id}")
    renewals = []
    for ms in (4_000, 12_000, 20_000, 80_000):
        desk.report(sent_ms + ms)
        renewals.append(len(desk.of(RenewFeed)))
        if renewals[-1] and desk.core.account is not None and ms == 12_000:
            desk.channel(sent_ms + ms + 500, is_live=False)
            desk.channel(sent_ms + ms + 1_500, is_live=True)
    assert renewals == [0, 1, 1, 1], "one connection is renewed for them, not the next one as well"


@pytest.mark.parametrize("named", [True, False])
def test_an_order_without_a_name_or_from_before_the_channel_says_nothing_of_it(named: bool) -> None:
    """Its request may never have arrived, or its events may have been lost in the gap."""
    desk = settled_desk()
    quotes = struck(desk, accept=False)
    sent_ms = desk.ms
    for quote in quotes:
        if named:
            desk.tell(sent_ms + 100, K.ACCEPTED, quote.client_order_id, f"V-{quote.client_order_id}")
        else:
            desk.tell(sent_ms + 100, K.SEND_UNKNOWN, quote.client_order_id)
    if named:
        desk.channel(sent_ms + 200, is_live=False)
        desk.channel(sent_ms + 1_000, is_live=True)
    for ms in (4_000, 12_000, 20_000):
        desk.report(sent_ms + ms)
    assert len(list(desk.core.orders.quotes())) >= 2
    assert not desk.of(RenewFeed)


def test_a_cancel_that_did_nothing_is_not_the_channels_fault() -> None:
    desk = settled_desk()
    bid, ask = struck(desk)
    desk.wait(desk.ms + 900, alive_ms=100)
    assert desk.cancels
    both = [listed(f"V-{q.client_order_id}", side=q.side, price=q.price) for q in (bid, ask)]
    desk.report(desk.ms + 3_000, *both)
    assert not desk.of(RenewFeed)
    assert len(desk.cancels) == 2


# --- books


def test_a_position_from_before_the_first_run_is_taken_over_at_its_cost() -> None:
    desk = LiveDesk()
    desk.channel(0, is_live=True)
    old = fill(BUY, 9_000, MIN, exec_id=3, name=None, order_id="F", ms=-60_000)
    desk.report(500, fills=[old], position=MIN, basis=9_000 * MIN)
    assert (desk.core.inventory.position, desk.core.inventory.basis) == (MIN, 9_000 * MIN)
    desk.status(600)
    desk.board(600, 8_000, 8_010)
    assert desk.core.inventory.pnl_today == 0, "what it had lost before is not this day's"
    desk.report(5_000, fills=[old], position=MIN, basis=9_000 * MIN)
    assert desk.core.inventory.position == MIN


def test_a_position_that_nothing_explains_is_taken_over_and_trading_halts() -> None:
    """It is not flattened, because the open position is not certain."""
    desk = settled_desk()
    for ms in (1_000, 4_000, 20_000):
        desk.report(desk.ms + ms, position=MIN, basis=10_050 * MIN)
    assert desk.core.halted is Reason.POSITION_MISMATCH
    assert desk.core.inventory.position == MIN
    desk.wait(desk.ms + 40_000, alive_ms=100)
    assert not desk.closes


@pytest.mark.parametrize(("yen", "counts"), [(-1, True), (5_000, False)])
def test_carry_counts_and_a_deposit_does_not(yen: int, counts: bool) -> None:
    desk = settled_desk()
    bid, _ = struck(desk)
    ours = fill(BUY, bid.price, MIN, exec_id=7, name=bid.client_order_id, ms=desk.ms)
    desk.feed(ours, desk.ms)
    # Two thousand yen are held, so that a yen is little.
    basis = bid.price * MIN
    theirs = fill(BUY, 10_000, 200 * MIN, exec_id=8, name=None, order_id="F", ms=desk.ms - 60_000)
    held: dict[str, Any] = {"position": MIN + 200 * MIN, "basis": basis + 200 * MIN * 10_000, "fills": [ours, theirs]}
    desk.report(desk.ms + 1_000, **held)
    before = desk.core.inventory.realised_today
    for ms in (1_000, 5_000):
        desk.report(desk.ms + ms, **held, collateral=(1_000_000 + yen) * UNIT)
    assert desk.core.inventory.realised_today - before == (yen * UNIT if counts else 0)
    assert len(facts(desk, "funding" if counts else "collateral")) == 1


def test_the_same_report_twice_changes_nothing() -> None:
    """H: reconciliation is idempotent."""
    desk = settled_desk()
    bid, ask = struck(desk)
    name = f"V-{bid.client_order_id}"
    missed = fill(BUY, bid.price, 40_000, exec_id=5, name=None, order_id=name, ms=desk.ms)
    same: Event = report(
        desk.ms + 200,
        listed(name, price=bid.price, executed=40_000),
        listed(f"V-{ask.client_order_id}", side=SELL, price=ask.price),
        fills=[missed],
        position=40_000,
        basis=bid.price * 40_000,
    )
    desk.feed(same, desk.ms + 200)
    again = desk.feed(same, desk.ms)
    assert again.changes is None
    assert not [row for row in again.rows if isinstance(row, TradeLogRow)]


def test_the_channel_says_down_twice_and_is_heard_once() -> None:
    desk = settled_desk()
    desk.feed(PrivateChannel(ts_ns=at(desk.ms), is_live=False), desk.ms)
    again = desk.feed(PrivateChannel(ts_ns=at(desk.ms), is_live=False), desk.ms)
    assert again.rows == ()


def test_an_order_event_of_a_stranger_is_no_anomaly() -> None:
    """A13."""
    desk = settled_desk()
    desk.feed(OrderEvent(ts_ns=at(desk.ms), kind=K.REGISTERED, order_id=OrderId("F")), desk.ms)
    assert desk.core.record.tally.anomalies == 0


def test_a_channel_that_comes_up_again_without_having_gone_is_another_one() -> None:
    """B1: the end of the old connection was not seen; events between the two are lost."""
    desk = settled_desk()
    bid, _ = struck(desk)
    asked = len(desk.of(Reconcile))
    desk.channel(desk.ms, is_live=True)
    desk.wait(desk.ms + 2_000)
    assert len(desk.of(Reconcile)) == asked + 1
    assert f"V-{bid.client_order_id}" in desk.cancels[0].order_ids
