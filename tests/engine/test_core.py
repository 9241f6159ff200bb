"""The core as a whole, with the test as its venue: deadlines, cancels, closings, halts, the day roll."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pytest

from stall_then_strike.config.models import AppConfig
from stall_then_strike.types.dto import (
    BoardState,
    BookStatus,
    CancelAllStall,
    CloseMarket,
    Command,
    FundingEvent,
    Health,
    Notice,
    OrderEvent,
    OrderEventKind,
    OrderId,
    OrderLogRow,
    PlaceLimit,
    Reason,
    Step,
    TradeLogRow,
)
from stall_then_strike.types.instrument import Money
from tests.engine.core_rig import (
    BUY,
    MIN,
    MS,
    SELL,
    START_NS,
    Desk,
    at,
    config,
    core_of,
    fill,
    names,
    open_desk,
    struck_desk,
)

K, R = OrderEventKind, Reason
JPY = 10**8
ROOMY = {"daily_pnl_jpy": -1_000_000, "max_dd_jpy": -1_000_000}
PATIENT = {"max_reverse_ticks": 1_000_000}


def tight(jpy: str = "-1", **risk: Any) -> AppConfig:
    """Halts at a loss of so many yen, and at nothing else."""
    return config(strategy=PATIENT, risk={**ROOMY, "daily_pnl_jpy": Decimal(jpy), **risk})


def reversing_desk(cfg: AppConfig | None = None) -> tuple[Desk, CloseMarket]:
    """The bid is filled at 300 ms, the market falls at 400, the ask's cancel is confirmed at 410: the close is sent."""
    desk, bid, ask = struck_desk(cfg)
    desk.filled(300, bid)
    desk.board(400, bid=9_900, ask=10_000)
    desk.cancelled(410, ask.client_order_id)
    (close,) = desk.closes
    return desk, close


# --- Deadlines --------------------------------------------------------------------------------------------------------


def test_stall_matures_by_deadline_between_messages() -> None:
    desk = open_desk()
    desk.wait(249.999999)
    assert desk.actions == []
    desk.wait(250)
    assert desk.times(PlaceLimit) == [250, 250]
    assert [(quote.side, quote.price) for quote in desk.quotes] == [(BUY, 10_049), (SELL, 10_051)]


def test_ttl_ends_by_deadline_between_messages() -> None:
    desk, *_ = struck_desk(config(strategy={"stale_ms": 5_000}))
    desk.wait(5_000)
    assert desk.times(CancelAllStall) == [250 + 800]
    assert desk.cancels[0].reason is R.TTL


def test_ttl_ends_by_deadline_though_no_answer_has_come() -> None:
    """No acceptance, no message: the deadline after a strike is the TTL's, and the cancel follows the name."""
    desk = open_desk(config(strategy={"ttl_ms": 100}))
    desk.wait(250)
    assert desk.core.next_deadline_ns == at(350)
    desk.wait(350)
    assert desk.said("cancel") == [R.TTL]
    assert desk.cancels == [], "a cancel needs the venue's name"
    bid, ask = desk.quotes
    desk.tell(400, K.ACCEPTED, bid.client_order_id, "V1")
    desk.tell(420, K.ACCEPTED, ask.client_order_id, "V2")
    assert [(cancel.order_ids, cancel.reason) for cancel in desk.cancels] == [(("V1",), R.TTL), (("V2",), R.TTL)]
    assert desk.times(CancelAllStall) == [400, 420]


def test_frozen_feed_strikes_nothing_however_long_the_best_stands() -> None:
    desk = Desk(config(strategy={"stall_T_ms": 2_000}))
    desk.status(0)
    desk.board(0)
    desk.wait(600_000)
    assert desk.actions == []
    assert desk.core.hold_reason is R.BOOK_STALE
    assert desk.said("hold")[-1] is R.BOOK_STALE
    assert desk.ticks < 10, "nothing can change: no reason to wake up"
    desk.board(600_000)
    assert desk.times(PlaceLimit) == [600_000, 600_000], "proof of life: the best did stand all the while"


def test_feed_that_freezes_takes_the_quotes_back() -> None:
    desk, *_ = struck_desk(config(strategy={"ttl_ms": 50_000}))
    desk.wait(10_000)
    assert desk.times(CancelAllStall) == [700], "700 ms after the last board message"
    assert desk.cancels[0].reason is R.BOOK_STALE


def test_best_that_moves_takes_the_quotes_back_at_once() -> None:
    desk, bid, ask = struck_desk()
    step = desk.board(300, bid=10_001)
    (cancel,) = step.actions
    assert isinstance(cancel, CancelAllStall)
    assert cancel.order_ids == tuple(f"V-{name}" for name in names([bid, ask]))
    desk.wait(1000, alive_ms=100)
    assert len(desk.cancels) == 1, "asked once, unless it fails"


def test_next_strike_waits_for_the_cancels_confirmation_and_a_new_stall() -> None:
    desk, bid, ask = struck_desk()
    desk.board(300, bid=10_001)
    desk.wait(2_000, alive_ms=100)
    assert len(desk.quotes) == 2
    assert desk.core.hold_reason is R.QUOTING
    desk.cancelled(2_050, bid.client_order_id)
    assert len(desk.quotes) == 2, "one is still live"
    desk.cancelled(2_060, ask.client_order_id)
    assert desk.times(PlaceLimit)[2:] == [2_060, 2_060]


def test_quiet_time_begins_and_ends_by_deadline() -> None:
    window = {"start": "09:00:01", "end": "09:00:02", "why": "test"}
    desk, bid, ask = struck_desk(config(session={"quiet": [window]}, strategy={"stale_ms": 60_000, "ttl_ms": 50_000}))
    desk.wait(1_500)
    assert (desk.times(CancelAllStall), desk.cancels[0].reason) == ([1_000], R.QUIET_TIME)
    desk.cancelled(1_500, *names([bid, ask]))
    assert desk.core.hold_reason is R.QUIET_TIME
    desk.wait(3_000)
    assert desk.times(PlaceLimit)[2:] == [2_000, 2_000]


def test_deadline_of_a_fresh_core_is_later_than_now() -> None:
    assert core_of(config()).next_deadline_ns > 0


def test_clock_that_steps_back_counts_as_standing_still() -> None:
    """E8: nothing early, nothing twice, deadlines never in the past."""
    desk = open_desk()
    desk.wait(250)
    desk.accept(260, *names(desk.quotes))
    desk.tick(-3_600_000)
    desk.board(-3_600_000)
    assert desk.core.next_deadline_ns > at(260)
    assert desk.said("cancel") == [R.BOOK_STALE], "a board of an hour ago proves nothing"
    desk.cancelled(300, *names(desk.quotes))
    assert len(desk.quotes) == 2
    desk.board(400)
    assert len(desk.quotes) == 4
    stamps = [row.ts_ns for row in desk.decisions]
    assert stamps == sorted(stamps)


# --- Gates of the core ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [state for state in BoardState if state is not BoardState.RUNNING])
def test_no_quotes_unless_the_board_runs(state: BoardState) -> None:
    desk, *_ = struck_desk()
    desk.status(300, state)
    assert desk.cancels[0].reason is R.VENUE_NOT_RUNNING


@pytest.mark.parametrize("health", list(Health))
def test_quotes_at_any_load_but_the_worst(health: Health) -> None:
    desk, *_ = struck_desk()
    desk.status(300, BoardState.RUNNING, health)
    unhealthy = health in (Health.SUPER_BUSY, Health.NO_ORDER, Health.STOP)
    assert [cancel.reason for cancel in desk.cancels] == ([R.VENUE_UNHEALTHY] if unhealthy else [])


def test_status_that_says_nothing_changes_nothing() -> None:
    desk = open_desk()
    desk.status(10, None, None)
    assert desk.core.venue == (BoardState.RUNNING, Health.NORMAL)


def test_venue_that_was_never_heard_of_is_not_quoted_on() -> None:
    desk = Desk()
    desk.board(0)
    desk.wait(500, alive_ms=100)
    assert desk.actions == []
    assert desk.core.hold_reason is R.VENUE_NOT_RUNNING


@pytest.mark.parametrize("status", [BookStatus.SUSPECT, BookStatus.UNKNOWN])
def test_book_that_is_not_believed_takes_the_quotes_back(status: BookStatus) -> None:
    desk, *_ = struck_desk()
    desk.board(300, status=status)
    assert desk.cancels[0].reason is (R.BOOK_SUSPECT if status is BookStatus.SUSPECT else R.BOOK_UNKNOWN)
    assert desk.core.book_status(at(300)) is status


def test_book_grows_stale_with_time_alone() -> None:
    desk = open_desk()
    assert desk.core.book_status(at(699)) is BookStatus.OK
    assert desk.core.book_status(at(700)) is BookStatus.STALE


def test_suspect_book_does_not_mark_the_position() -> None:
    desk, bid, _ = struck_desk(tight())
    desk.filled(300, bid)
    desk.board(310, bid=1, ask=2, status=BookStatus.SUSPECT)
    assert desk.core.halted is None


# --- Cancels ----------------------------------------------------------------------------------------------------------


def test_cancel_wanted_before_the_acceptance_goes_out_when_it_comes() -> None:
    desk = open_desk()
    desk.wait(250)
    bid, ask = desk.quotes
    desk.board(260, bid=10_001)
    assert (desk.said("cancel"), desk.cancels) == ([R.BEST_MOVED], [])
    desk.accept(300, bid.client_order_id)
    assert [(cancel.order_ids, cancel.reason) for cancel in desk.cancels] == [
        ((f"V-{bid.client_order_id}",), R.BEST_MOVED)
    ]
    desk.accept(310, ask.client_order_id)
    assert len(desk.cancels) == 2


def test_failed_cancel_is_tried_again_after_a_second_and_not_before() -> None:
    desk, bid, ask = struck_desk(config(strategy={"stale_ms": 60_000, "ttl_ms": 50_000}))
    desk.cancelled(270, ask.client_order_id)
    desk.board(300, bid=10_001)
    for _ in range(3):
        desk.tell(desk.ms + 20, K.CANCEL_FAILED, bid.client_order_id)
        desk.ticks = 0
        desk.wait(desk.ms + 900, alive_ms=50)
        desk.wait(desk.ms + 80)
        assert desk.ticks < 5, "no busy loop"
    assert desk.times(CancelAllStall) == [300, 1_300, 2_300, 3_300]
    assert {cancel.order_ids for cancel in desk.cancels} == {(f"V-{bid.client_order_id}",)}


def test_retry_of_a_cancel_comes_by_deadline_on_a_dead_feed() -> None:
    desk, bid, _ = struck_desk()
    desk.board(300, bid=10_001)
    desk.tell(350, K.CANCEL_FAILED, bid.client_order_id)
    desk.wait(5_000)
    assert desk.times(CancelAllStall) == [300, 1_300]


def test_cancel_without_budget_goes_out_when_there_is_some_though_nothing_is_heard() -> None:
    """No message need ever come again: the deadline alone must bring the cancel."""
    desk, bid, ask = struck_desk()
    desk.core.budget.spend_cancel(at(200), 500 - 2)
    desk.board(300, bid=10_001)
    assert desk.cancels == []
    desk.ticks = 0
    desk.wait(310_000)
    assert desk.times(CancelAllStall) == [pytest.approx(301_200, abs=1_000)]
    assert len(desk.cancels[0].order_ids) == 2
    assert desk.ticks < 400
    desk.cancelled(310_000, *names([bid, ask]))
    assert not desk.core.orders.any_live


def test_fill_that_beats_the_cancel_is_kept() -> None:
    desk, bid, ask = struck_desk(config(strategy=PATIENT))
    desk.board(300, bid=10_001)
    desk.filled(310, bid)
    desk.tell(320, K.CANCEL_FAILED, bid.client_order_id, f"V-{bid.client_order_id}")
    desk.cancelled(330, ask.client_order_id)
    desk.wait(540, alive_ms=100)
    assert desk.core.inventory.position == MIN
    assert len(desk.cancels) == 1, "a filled order is not cancelled again"
    assert desk.core.record.tally.anomalies == 0


def test_unanswered_send_counts_as_live_until_evidence_ends_the_doubt() -> None:
    desk = open_desk(config(strategy={"max_inventory_btc": 0.001}))
    desk.wait(250)
    bid, ask = desk.quotes
    desk.tell(260, K.SEND_UNKNOWN, bid.client_order_id)
    desk.tell(260, K.REJECTED, ask.client_order_id)
    desk.wait(60_000, alive_ms=200)
    assert len(desk.quotes) == 2, "never sent again"
    desk.tell(60_000, K.PROVEN_ABSENT, bid.client_order_id)
    assert len(desk.quotes) == 4


# --- Rows -------------------------------------------------------------------------------------------------------------


def test_hold_rows_only_when_the_reason_changes() -> None:
    desk = open_desk()
    desk.wait(240, alive_ms=10)
    assert desk.said("hold") == [R.VENUE_NOT_RUNNING, R.BOOK_UNKNOWN, R.STALL_IMMATURE][-len(desk.said("hold")) :]
    desk.wait(5_000, alive_ms=10)
    for earlier, later in itertools.pairwise(desk.decisions):
        assert (earlier.decision_type, earlier.reason) != (later.decision_type, later.reason)


def test_every_action_is_in_a_decision_row() -> None:
    desk, bid, ask = struck_desk()
    desk.filled(300, bid)
    desk.board(400, bid=9_900, ask=10_000)
    desk.cancelled(420, ask.client_order_id)
    logged = [action for row in desk.decisions for action in row.actions]
    assert logged == [action for _, action in desk.actions]
    assert [type(action) for action in logged] == [PlaceLimit, PlaceLimit, CancelAllStall, CloseMarket]


def test_strike_row_says_what_was_seen_and_where_the_quotes_went() -> None:
    desk = open_desk()
    desk.wait(250)
    row = next(row for row in desk.decisions if row.decision_type == "strike")
    assert (row.ts_ns, row.best_age_ms, row.spread_ticks, row.entry_bid_px, row.entry_ask_px) == (
        at(250),
        250,
        100,
        10_049,
        10_051,
    )


def test_events_that_overtake_the_answer_get_their_own_rows() -> None:
    """Held until the order has its name, then logged as what they are: not as a second acceptance."""
    desk = open_desk()
    desk.wait(250)
    bid, _ = desk.quotes
    early = fill(BUY, 10_049, 40_000, exec_id=7, name=None, order_id="V1", ms=255)
    desk.feed(early, 255)
    desk.feed(early, 256)
    event = desk.tell(257, K.ACCEPTED, bid.client_order_id, "V1")
    tally = desk.core.record.tally
    assert (tally.placed, tally.fills, tally.volume) == (1, 1, 40_000)
    rows = [row for row in event.rows if isinstance(row, OrderLogRow | TradeLogRow)]
    assert [type(row) for row in rows] == [OrderLogRow, TradeLogRow]


def test_early_end_of_an_order_is_logged_as_its_end() -> None:
    desk = open_desk()
    desk.wait(250)
    bid, _ = desk.quotes
    held = desk.feed(OrderEvent(ts_ns=at(255), kind=K.EXPIRED, order_id=OrderId("V1")), 255)
    assert not any(isinstance(row, OrderLogRow) for row in held.rows)
    event = desk.tell(257, K.ACCEPTED, bid.client_order_id, "V1")
    assert [row.action for row in event.rows if isinstance(row, OrderLogRow)] == ["place", "expire"]
    assert (desk.core.record.tally.placed, desk.core.record.tally.expired) == (1, 1)


def test_unanswered_step_is_empty() -> None:
    desk = open_desk()
    assert desk.board(10) == desk.tick(20)
    assert desk.board(10) == Step()


def test_same_events_give_the_same_steps() -> None:
    desk, bid, ask = struck_desk()
    desk.filled(300, bid, 40_000)
    desk.wait(1_500, alive_ms=90)
    desk.cancelled(1_600, *names([bid, ask]))
    desk.board(1_700, bid=9_000, ask=9_100)
    desk.wait(20_000, alive_ms=90)
    again = core_of(config())
    assert [again.on_event(event, now) for event, now in desk.fed] == desk.steps
    assert sum(bool(step.actions) for step in desk.steps) == 3
    assert sum(bool(step.rows) for step in desk.steps) > 10


# --- The reverse move -------------------------------------------------------------------------------------------------


def test_reverse_move_cancels_waits_closes_waits_and_closes_the_rest() -> None:
    desk, bid, ask = struck_desk()
    desk.filled(300, bid)
    desk.board(400, bid=9_900, ask=10_000)
    assert desk.said("close") == [R.REVERSE]
    assert desk.cancels[0].order_ids == (f"V-{ask.client_order_id}",)
    desk.wait(600, alive_ms=100)
    assert desk.closes == [], "our own ask is in the way: -159"
    desk.cancelled(610, ask.client_order_id)
    (close,) = desk.closes
    assert (desk.times(CloseMarket), close.side, close.size, close.price) == ([610], SELL, MIN, None)
    desk.accept(700, close.client_order_id)
    desk.filled(710, close, 30_000)
    desk.wait(900, alive_ms=100)
    assert len(desk.closes) == 1, "it may still be filled"
    desk.tell(910, K.EXPIRED, close.client_order_id)
    desk.wait(1_409, alive_ms=100)
    assert len(desk.closes) == 1, "a pause of half a second"
    desk.wait(1_500, alive_ms=100)
    assert [(c.side, c.size, c.tag) for c in desk.closes[1:]] == []
    assert desk.core.inventory.position == 70_000
    assert desk.said("hold").count(R.DUST) == 1, "70,000 lots are dust, and nothing demands to be flat"


def test_rest_that_is_no_dust_is_closed_after_the_pause() -> None:
    desk = open_desk(config(strategy={"size_min": 0.003}))
    desk.wait(250)
    bid, ask = desk.quotes
    desk.accept(260, *names([bid, ask]))
    desk.filled(300, bid)
    desk.board(400, bid=9_900, ask=10_000)
    desk.cancelled(410, ask.client_order_id)
    (close,) = desk.closes
    desk.filled(450, close, MIN, price=9_900)
    desk.tell(460, K.EXPIRED, close.client_order_id)
    desk.wait(3_000, alive_ms=100)
    assert [(c.size, c.side) for c in desk.closes] == [(3 * MIN, SELL), (2 * MIN, SELL)]
    assert desk.times(CloseMarket) == [410, 960]


def test_close_is_by_deadline_when_the_pause_ends_between_messages() -> None:
    desk, close = reversing_desk(config(strategy={"stale_ms": 5_000}))
    desk.tell(430, K.REJECTED, close.client_order_id)
    desk.wait(4_000)
    assert desk.times(CloseMarket) == [410, 930]


def test_close_without_budget_goes_out_when_there_is_some_though_nothing_is_heard() -> None:
    desk, bid, ask = struck_desk(config(strategy={"stale_ms": 10**9}))
    desk.filled(300, bid)
    desk.core.budget.spend_cancel(at(310), 500 - 3)
    desk.board(400, bid=9_900, ask=10_000)
    desk.cancelled(410, ask.client_order_id)
    assert desk.closes == []
    desk.ticks = 0
    desk.wait(400_000)
    assert desk.times(CloseMarket) == [pytest.approx(301_250, abs=1_000)]
    assert desk.ticks < 400


@pytest.mark.parametrize("what", ["stale", "suspect", "closed"])
def test_close_waits_for_a_market(what: str) -> None:
    desk, bid, ask = struck_desk()
    desk.filled(300, bid)
    desk.board(400, bid=9_900, ask=10_000)
    if what == "closed":
        desk.status(405, BoardState.CLOSED)
    elif what == "suspect":
        desk.board(405, status=BookStatus.SUSPECT)
    desk.cancelled(1_200 if what == "stale" else 410, ask.client_order_id)
    assert desk.closes == []
    if what == "closed":
        desk.status(1_300)
        desk.board(1_300)
    else:
        desk.board(1_300)
    assert desk.times(CloseMarket) == [1_300]


def test_nothing_is_struck_while_closing() -> None:
    desk, close = reversing_desk()
    desk.wait(5_000, alive_ms=100)
    assert len(desk.quotes) == 2
    assert desk.core.hold_reason is R.CLOSING
    desk.filled(5_010, close, price=9_900)
    assert desk.core.inventory.position == 0
    desk.wait(6_000, alive_ms=100)
    assert len(desk.quotes) == 4


# --- Halts ------------------------------------------------------------------------------------------------------------


def test_kill_cancels_waits_flattens_and_is_done() -> None:
    desk, bid, ask = struck_desk(tight())
    desk.filled(300, bid)
    desk.board(400, bid=8_000, ask=8_100)
    assert desk.core.halted is R.KILL_PNL
    assert (desk.said("halt"), desk.cancels[0].reason) == ([R.KILL_PNL], R.HALTED)
    assert desk.closes == []
    assert not desk.core.is_done
    desk.cancelled(410, ask.client_order_id)
    (close,) = desk.closes
    assert (close.side, close.size, close.reason) == (SELL, MIN, R.KILL_PNL)
    desk.filled(420, close, price=8_000)
    assert desk.core.is_done
    assert (desk.core.inventory.position, desk.core.orders.any_live) == (0, False)
    desk.wait(60_000, alive_ms=100)
    assert len(desk.actions) == 4, "and nothing ever after"


@pytest.mark.parametrize("by", ["fill", "mark", "fees", "funding", "drawdown", "rejects", "operator"])
def test_whatever_trips_the_switch_leads_to_flat(by: str) -> None:
    """F1 and the rest: the way out is the same."""
    cfg = tight(max_rejects=2)
    if by == "drawdown":
        cfg = config(strategy=PATIENT, risk={**ROOMY, "max_dd_jpy": -1})
    desk, bid, ask = struck_desk(cfg)
    desk.filled(300, bid, MIN)
    if by in ("mark", "drawdown"):
        desk.board(400, bid=8_000, ask=8_100)
    elif by == "fill":
        desk.feed(fill(SELL, 8_000, 60_000, exec_id=99, name=ask.client_order_id, ms=400), 400)
    elif by == "fees":
        desk.feed(fill(SELL, 10_051, 50_000, fee=2 * JPY, exec_id=99, name=ask.client_order_id, ms=400), 400)
    elif by == "funding":
        desk.feed(FundingEvent(ts_ns=at(400), amount=Money(-2 * JPY), what="funding"), 400)
    elif by == "rejects":
        desk.tell(390, K.REJECTED, ask.client_order_id)
        desk.wait(1_500, alive_ms=100)
        desk.tell(1_500, K.REJECTED, desk.quotes[-1].client_order_id)
        desk.cancelled(1_510, desk.quotes[-2].client_order_id)
    else:
        desk.control(400, Command.HALT)
    reasons = {"fill": R.KILL_PNL, "mark": R.KILL_PNL, "fees": R.KILL_PNL, "funding": R.KILL_PNL}
    reasons |= {"drawdown": R.KILL_DRAWDOWN, "rejects": R.REJECTS, "operator": R.OPERATOR}
    assert desk.core.halted is reasons[by]
    desk.cancelled(desk.ms + 10, ask.client_order_id)
    desk.board(desk.ms + 10)
    for _ in range(3):
        if desk.core.inventory.position:
            desk.filled(desk.ms + 10, desk.closes[-1])
            desk.wait(desk.ms + 600, alive_ms=100)
    assert desk.core.inventory.position == 0
    assert desk.core.is_done


def test_fill_that_comes_after_all_was_closed_is_closed_too() -> None:
    """A8 under a halt: the venue confirmed the cancel, and then tells of a fill that was before it."""
    desk, bid, ask = struck_desk(tight(after_halt="wait"))
    desk.control(300, Command.HALT)
    desk.cancelled(310, *names([bid, ask]))
    desk.board(320)
    assert desk.core.inventory.position == 0
    desk.filled(400, ask)
    desk.board(410)
    (close,) = desk.closes
    assert (close.side, close.size, close.reason) == (BUY, MIN, R.OPERATOR)
    desk.filled(420, close)
    assert desk.core.inventory.position == 0
    assert desk.core.halted is R.OPERATOR


def test_halt_while_a_reverse_close_is_under_way_waits_for_it() -> None:
    desk, close = reversing_desk()
    desk.control(410, Command.HALT)
    desk.wait(2_000, alive_ms=100)
    assert desk.closes == [close], "two closes at once would turn the position round"
    desk.filled(2_000, close, price=9_900)
    assert desk.core.is_done


def test_halt_by_the_operator_does_not_end_with_the_day() -> None:
    desk = open_desk(config(session={"day_start": "09:01"}, risk={"after_halt": "wait"}))
    desk.control(100, Command.HALT)
    desk.wait(120_000, alive_ms=500)
    assert desk.core.halted is R.OPERATOR
    assert desk.quotes == []
    desk.control(120_000, Command.RESUME)
    assert desk.said("resume") == [R.RESUMED]
    desk.wait(121_000, alive_ms=100)
    assert len(desk.quotes) == 2


def test_resume_rebases_the_limits_of_the_day() -> None:
    desk, bid, ask = struck_desk(tight(after_halt="wait"))
    desk.filled(300, bid)
    desk.board(400, bid=8_000, ask=8_100)
    desk.cancelled(410, ask.client_order_id)
    desk.filled(420, desk.closes[0], price=8_000)
    desk.control(500, Command.RESUME)
    desk.board(600)
    assert desk.core.halted is None
    desk.feed(FundingEvent(ts_ns=at(700), amount=Money(-JPY // 2), what="funding"), 700)
    assert desk.core.halted is None
    desk.feed(FundingEvent(ts_ns=at(800), amount=Money(-JPY // 2), what="funding"), 800)
    assert desk.core.halted is R.KILL_PNL


def test_resume_of_a_trading_core_says_nothing() -> None:
    desk = open_desk()
    assert desk.control(100, Command.RESUME).rows == ()


def test_second_halt_changes_nothing() -> None:
    desk = open_desk(config(risk={"after_halt": "wait"}))
    desk.control(100, Command.HALT)
    assert [row for row in desk.control(200, Command.HALT, R.LOG_FAILURE).rows if not isinstance(row, Notice)] == []
    assert desk.core.halted is R.OPERATOR


# --- Stops ------------------------------------------------------------------------------------------------------------


def test_stop_cancels_keeps_the_position_and_is_done() -> None:
    desk, bid, ask = struck_desk(config(strategy=PATIENT))
    desk.filled(300, bid)
    desk.control(400, Command.STOP, R.STOPPING)
    assert desk.cancels[0].reason is R.STOPPING
    assert not desk.core.is_done
    desk.cancelled(410, ask.client_order_id)
    assert desk.core.is_done
    assert (desk.core.inventory.position, desk.closes) == (MIN, [])


def test_stop_flat_closes_the_position_too_and_what_is_filled_late() -> None:
    desk, bid, ask = struck_desk(config(strategy=PATIENT))
    desk.filled(300, bid)
    desk.board(310)
    desk.control(400, Command.STOP_FLAT)
    desk.cancelled(410, ask.client_order_id)
    desk.filled(420, desk.closes[0])
    assert desk.core.is_done
    desk.filled(430, ask)
    assert not desk.core.is_done
    assert [(close.side, close.size, close.reason) for close in desk.closes[1:]] == [(BUY, MIN, R.FLATTEN)]


def test_stop_while_closing_ends_when_the_closing_does() -> None:
    desk, close = reversing_desk()
    desk.control(410, Command.STOP)
    assert not desk.core.is_done
    desk.filled(420, close, price=9_900)
    assert desk.core.is_done


# --- The day roll -----------------------------------------------------------------------------------------------------


def test_fill_of_the_new_day_counts_in_the_new_day() -> None:
    """The first event after the roll is a ruinous fill: it must not vanish into the day that has ended."""
    cfg = config(strategy={**PATIENT, "ttl_ms": 50_000}, risk={**ROOMY, "daily_pnl_jpy": -1})
    desk, bid, ask = struck_desk(cfg.model_copy(update={"session": config(session={"day_start": "09:01"}).session}))
    desk.filled(300, bid)
    desk.wait(59_900, alive_ms=100)
    assert desk.core.halted is None
    step = desk.feed(fill(SELL, 8_000, MIN, exec_id=99, name=ask.client_order_id, ms=60_001), 60_001)
    trade = next(row for row in step.rows if isinstance(row, TradeLogRow))
    assert trade.pnl_cum_jpy == trade.pnl_jpy == (8_000 - 10_049) * MIN
    assert desk.core.halted is R.KILL_PNL


def test_day_rolls_by_deadline() -> None:
    desk = open_desk(config(session={"day_start": "09:01"}))
    desk.feed(FundingEvent(ts_ns=at(10), amount=Money(JPY), what="funding"), 10)
    desk.wait(59_999)
    assert desk.core.inventory.pnl_today == JPY
    desk.wait(60_000)
    assert desk.core.inventory.pnl_today == 0
    assert any(isinstance(row, Notice) and "ended with +1 JPY" in row.text for row in desk.rows)


# --- Exposure ---------------------------------------------------------------------------------------------------------


def test_at_the_limit_one_side_is_quoted() -> None:
    desk, bid, ask = struck_desk(config(strategy={**PATIENT, "max_inventory_btc": 0.001}))
    desk.filled(300, bid)
    desk.cancelled(310, ask.client_order_id)
    desk.wait(1_000, alive_ms=100)
    assert [quote.side for quote in desk.quotes[2:]] == [SELL]


def test_own_orders_are_those_that_rest() -> None:
    desk, bid, ask = struck_desk()
    assert [order.client_order_id for order in desk.core.orders.quotes()] == list(names([bid, ask]))
    desk, close = reversing_desk()
    assert close.client_order_id in desk.core.orders
    assert list(desk.core.orders.quotes()) == [], "a close never stands in the book"


def test_names_are_never_used_twice() -> None:
    desk = open_desk()
    desk.wait(250)
    for _ in range(50):
        desk.accept(desk.ms + 1, *names(desk.quotes[-2:]))
        desk.wait(desk.ms + 900, alive_ms=100)
        desk.cancelled(desk.ms + 1, *names(desk.quotes[-2:]))
        desk.wait(desk.ms + 300, alive_ms=100)
    used = names(desk.quotes)
    assert len(set(used)) == len(used) > 50
    assert START_NS // MS > 0
