"""The core as a whole with an account: restarts, halts and refusals, closes without a book."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from stall_then_strike.engine.strategy import Holding
from stall_then_strike.engine.strategy_stall import StallThenStrikeStrategy
from stall_then_strike.types.dto import (
    BoardState,
    BookStatus,
    Command,
    CoreMemo,
    Notice,
    OrderEventKind,
    PlaceLimit,
    Reason,
    Reconcile,
    RefusalKind,
    VenueRefusal,
)
from tests.engine.core_rig import BUY, MIN, SELL, at, config, fill
from tests.engine.live_desk import LiveDesk, settle, settled_desk, struck
from tests.engine.venue.reports import listed

K, R = OrderEventKind, Reason
WAITING = config(risk={"after_halt": "wait"}, strategy={"max_reverse_ticks": 1_000})
PATIENT = config(strategy={"max_reverse_ticks": 1_000_000})


def refuse(desk: LiveDesk, kind: RefusalKind, ms: float, until_ms: float = 0) -> None:
    desk.feed(VenueRefusal(ts_ns=at(ms), kind=kind, until_ns=at(max(ms, until_ms)), detail="code -1"), ms)


def held(desk: LiveDesk) -> dict[str, Any]:
    """What an honest venue reports of the position and of the fills behind it."""
    position, basis = desk.core.inventory.position, desk.core.inventory.basis
    booked = [b for step in desk.steps if step.changes is not None for b in step.changes.fills]
    fills = [fill(b.row.side, b.row.price, b.row.size, exec_id=b.exec_id, name=b.client_order_id) for b in booked]
    return {"position": position, "basis": basis, "collateral": 10**14, "fills": fills}


def long_desk(cfg: Any = PATIENT) -> LiveDesk:
    """The bid is filled, the ask was cancelled, and the best has just moved: no strike for a while."""
    desk = settled_desk(cfg)
    bid, ask = struck(desk)
    desk.filled(desk.ms, bid)
    desk.board(desk.ms + 1, 10_001, 10_101)
    desk.cancelled(desk.ms, ask.client_order_id)
    return desk


def memos(desk: LiveDesk) -> list[CoreMemo]:
    return [s.changes.memo for s in desk.steps if s.changes is not None and s.changes.memo is not None]


# --- restarts


def test_an_order_without_answer_is_cancelled_once_the_venue_lists_it() -> None:
    """C2: kill -9 between send and answer."""
    desk = settled_desk()
    bid, _ = struck(desk, accept=False)
    again = settle(desk.killed(), desk.ms + 1)
    assert not again.cancels
    again.report(again.ms + 500, listed("V9", price=bid.price, placed_ms=desk.ms))
    assert [cancel.order_ids for cancel in again.cancels] == [("V9",)]
    again.wait(again.ms + 5_000, alive_ms=100)
    assert not again.quotes, "one of the two may still live"


def test_a_crash_between_a_fill_and_its_report_counts_it_once() -> None:
    """C3."""
    desk = settled_desk(PATIENT)
    bid, _ = struck(desk)
    done = fill(BUY, bid.price, MIN, exec_id=5, name=None, order_id=f"V-{bid.client_order_id}", ms=desk.ms)
    desk.feed(done, desk.ms)
    again = desk.killed()
    settle(again, again.ms, fills=[done], position=MIN, basis=bid.price * MIN)
    assert again.core.inventory.position == MIN
    assert again.core.inventory.memo() == desk.core.inventory.memo()


@pytest.mark.parametrize("reason", [R.KILL_PNL, R.OPERATOR, R.POSITION_MISMATCH])
def test_a_halt_survives_a_restart_and_another_configuration(reason: Reason) -> None:
    """C9."""
    desk = settled_desk()
    desk.control(desk.ms, Command.HALT, reason)
    again = desk.killed(config(risk={"daily_pnl_jpy": -90_000, "after_halt": "wait"}))
    settle(again, again.ms)
    again.wait(again.ms + 5_000, alive_ms=100)
    assert again.core.halted is reason
    assert not again.quotes


def test_a_restored_halt_goes_on_flattening_what_the_venue_confirms() -> None:
    """C9, C13: killed while a close was in flight."""
    desk = long_desk()
    desk.control(desk.ms, Command.HALT)
    assert len(desk.closes) == 1
    again = desk.killed()
    settle(again, again.ms, **held(desk))
    assert not again.closes, "the earlier close may still be filled"
    for ms in (3_500, 6_500, 10_000):
        again.report(desk.ms + ms, **held(desk))
    again.board(again.ms + 10)
    assert [(close.side, close.size) for close in again.closes] == [(SELL, MIN)]


@pytest.mark.parametrize("halted", [False, True])
def test_nothing_is_closed_after_a_restart_before_the_venue_was_asked(halted: bool) -> None:
    """It was closed by hand meanwhile: a close would open the other way."""
    desk = long_desk(WAITING)
    if halted:
        desk.core.kill_switch.trip(R.OPERATOR)
        desk.board(desk.ms + 10, status=BookStatus.UNKNOWN)
        desk.control(desk.ms, Command.RESUME)
        desk.control(desk.ms, Command.HALT)
    again = desk.killed()
    again.status(again.ms)
    again.board(again.ms, 5_000, 5_010)
    again.wait(again.ms + 1_000, alive_ms=100)
    assert not again.closes
    theirs = fill(SELL, 10_000, MIN, exec_id=99, name=None, order_id="F", ms=again.ms - 10_000)
    again.channel(again.ms, is_live=True)
    again.report(again.ms + 100, fills=[theirs], collateral=10**14)
    again.wait(again.ms + 2_000, alive_ms=100)
    assert again.core.inventory.position == 0
    assert not again.closes


@pytest.mark.parametrize(("reason", "stays"), [(R.KILL_PNL, False), (R.OPERATOR, True), (R.LIMIT_BREACH, True)])
def test_a_restart_over_midnight_lifts_the_days_halts_only(reason: Reason, stays: bool) -> None:
    """C10."""
    desk = settled_desk(WAITING)
    desk.control(desk.ms, Command.HALT, reason)
    again = desk.killed()
    settle(again, 16 * 3_600_000)
    assert (again.core.halted is reason) is stays
    assert (R.DAY_ROLL in again.said("resume")) is not stays


def test_what_the_day_has_won_survives_a_restart_but_not_midnight() -> None:
    desk = long_desk()
    sell = desk.quotes[1]
    desk.feed(fill(SELL, 10_090, MIN, exec_id=50, name=None, order_id=f"V-{sell.client_order_id}"), desk.ms)
    won = desk.core.inventory.pnl_today
    assert won > 0
    today, tomorrow = desk.killed(), desk.killed()
    settle(today, today.ms)
    settle(tomorrow, 16 * 3_600_000)
    assert (today.core.inventory.pnl_today, tomorrow.core.inventory.pnl_today) == (won, 0)


def test_an_open_positions_marks_are_remembered_every_five_seconds() -> None:
    desk = long_desk()
    start, count = desk.ms, len(memos(desk))
    for step in range(1, 301):
        desk.board(start + 100 * step, 10_000 + step % 2, 10_100 + step % 2)
        for order in list(desk.core.orders.live()):
            desk.tell(desk.ms, K.REJECTED, order.client_order_id)
    stamps = [memo.ts_ns for memo in memos(desk)[count:]]
    assert all(later - earlier <= 5_100 * 10**6 for earlier, later in itertools.pairwise(stamps))
    assert memos(desk)[-1].inventory.mid2 in (20_100, 20_102)


def test_a_quiet_board_leaves_nothing_to_remember() -> None:
    desk = long_desk()
    desk.board(desk.ms + 6_000, status=BookStatus.SUSPECT)
    steps = [desk.board(desk.ms + 100, status=BookStatus.SUSPECT) for _ in range(100)]
    assert all(step.changes is None for step in steps)


# --- refusals


def test_over_a_limit_it_pauses_and_trades_again() -> None:
    """D2: a limit that others have used up is a pause; the position is not touched, and nothing waits for a person."""
    desk = long_desk()
    refused_ms, count = desk.ms, len(desk.quotes)
    refuse(desk, RefusalKind.THROTTLED, desk.ms, desk.ms + 60_000)
    desk.wait(refused_ms + 59_000, alive_ms=100)
    assert len(desk.quotes) == count
    assert desk.core.hold_reason is R.BUDGET
    desk.wait(refused_ms + 62_000, alive_ms=100)
    assert len(desk.quotes) > count
    assert desk.core.halted is None
    assert not desk.closes


def test_breaches_in_a_row_pause_ever_longer() -> None:
    desk = settled_desk()
    pauses = []
    for _ in range(6):
        refuse(desk, RefusalKind.THROTTLED, desk.ms)
        refuse(desk, RefusalKind.THROTTLED, desk.ms)  # the other quote of the strike
        start, count = desk.ms, len(desk.quotes)
        while len(desk.quotes) == count:
            desk.board(desk.ms + 50)
            desk.wait(desk.ms + 400, alive_ms=100)
        for quote in desk.quotes[count:]:
            desk.tell(desk.ms, K.REJECTED, quote.client_order_id, is_margin=True)
        desk.core._margin.until_ns = 0
        pauses.append((desk.ms - start) / 1_000)
    assert pauses == sorted(pauses)
    assert 5 <= pauses[0] <= 7
    assert pauses[-1] >= 150
    assert desk.core.halted is None


def test_breaches_of_our_own_doing_halt() -> None:
    """With a window nearly used up by ourselves, the third refusal in a row means that our count is wrong."""
    desk = long_desk()
    limit = desk.cfg.exchange.limits.private_per_5min
    for number in range(3):
        assert desk.core.halted is None, number
        desk.core.budget.spend_questions(at(desk.ms), limit)
        refuse(desk, RefusalKind.THROTTLED, desk.ms)
        desk.wait(desk.ms + 60_000, alive_ms=1_000)
    assert desk.core.halted is R.LIMIT_BREACH


def test_a_restriction_of_our_orders_halts_and_flattens_after_a_pause() -> None:
    """D5, D9, F3: exits wait five seconds, not for ever."""
    desk = long_desk()
    refused_ms = desk.ms
    refuse(desk, RefusalKind.RESTRICTED, desk.ms, desk.ms + 60_000)
    assert desk.core.halted is R.LIMIT_BREACH
    assert not desk.closes
    desk.wait(refused_ms + 4_900, alive_ms=100)
    assert not desk.closes
    desk.wait(refused_ms + 6_200, alive_ms=100)
    assert [close.size for close in desk.closes] == [MIN]


# --- margin


@pytest.mark.parametrize("is_late", [False, True], ids=["answer", "ORDER_FAILED"])
def test_without_margin_it_cools_down_ever_longer_and_closes_only(is_late: bool) -> None:
    """D6: never halted, no second strike within the pause, and the sibling on the book is taken back."""
    desk = settled_desk()
    times = []
    for _ in range(4):
        count = len(desk.quotes)
        while len(desk.quotes) == count:
            desk.board(desk.ms + 50)
            desk.wait(desk.ms + 400, alive_ms=100)
            assert desk.ms < 300_000
        times.append(desk.ms)
        bid, ask = desk.quotes[-2:]
        if is_late:
            desk.tell(desk.ms, K.ACCEPTED, bid.client_order_id, order_id=f"V-{bid.client_order_id}")
        desk.tell(desk.ms, K.ACCEPTED, ask.client_order_id, order_id=f"V-{ask.client_order_id}")
        desk.tell(desk.ms, K.REJECTED, bid.client_order_id, is_margin=True)
        assert f"V-{ask.client_order_id}" in desk.cancels[-1].order_ids
        assert desk.cancels[-1].reason is R.MARGIN
        desk.cancelled(desk.ms, ask.client_order_id)
        desk.wait(desk.ms + 1_000, alive_ms=100)
        assert desk.core.hold_reason is R.MARGIN
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert [round(gap / 10_000) for gap in gaps] == [1, 2, 4]
    assert desk.core.halted is None


def test_quotes_on_the_book_end_the_growth_of_the_margins_pause() -> None:
    """Not the first one after a pause: the other one of its strike may be refused yet."""
    desk = settled_desk(config(strategy={"ttl_ms": 1_000}))
    for _ in range(3):
        _, ask = next_strike(desk)
        desk.accept(desk.ms, ask.client_order_id)
        desk.tell(desk.ms, K.REJECTED, desk.quotes[-2].client_order_id, is_margin=True)
        desk.cancelled(desk.ms, ask.client_order_id)
    assert desk.core._margin.until_ns - at(desk.ms) == 40 * 10**9
    start = desk.core._margin.until_ns
    while at(desk.ms) < start + 12 * 10**9:
        for quote in next_strike(desk):
            desk.accept(desk.ms, quote.client_order_id)
            desk.cancelled(desk.ms, quote.client_order_id)
    bid, _ = next_strike(desk)
    desk.tell(desk.ms, K.REJECTED, bid.client_order_id, is_margin=True)
    assert desk.core._margin.until_ns - at(desk.ms) == 10 * 10**9


def next_strike(desk: LiveDesk) -> tuple[PlaceLimit, PlaceLimit]:
    """Let time pass until the next strike is out; its quotes."""
    while len(desk.core.orders.live()) < 2:
        desk.board(desk.ms + 50)
        desk.wait(desk.ms + 400, alive_ms=100)
        assert desk.ms < 600_000
    bid, ask = desk.quotes[-2:]
    return bid, ask


# --- halts that leave the position to the operator

STOP_FLAT = {"stop_flat": True}


@pytest.mark.parametrize("after_halt", ["exit", "wait"])
@pytest.mark.parametrize("reason", [R.POSITION_MISMATCH, R.AUTH_REFUSED])
def test_a_halt_that_leaves_the_position_is_never_followed_by_a_close(reason: Reason, after_halt: str) -> None:
    """I8: whatever comes after it: the end of the process, another limit, a fill, a new day, a restart."""
    desk = long_desk(config(risk={**STOP_FLAT, "after_halt": after_halt}, strategy={"max_reverse_ticks": 20}))
    desk.control(desk.ms, Command.HALT, reason)
    desk.control(desk.ms, Command.HALT, R.KILL_PNL)
    desk.control(desk.ms, Command.HALT, R.LOG_FAILURE)
    assert desk.core.halted is reason
    desk.board(desk.ms + 100, 5_000, 5_010)  # far beyond the reverse move and the day's limits
    desk.feed(
        fill(BUY, 5_000, MIN // 2, exec_id=70, name=None, order_id=f"V-{desk.quotes[0].client_order_id}"), desk.ms
    )
    desk.wait(desk.ms + 2_000, alive_ms=100)
    desk.control(desk.ms, Command.STOP_FLAT, R.STOPPING)
    desk.wait(desk.ms + 40_000, alive_ms=100)
    desk.wait(desk.ms + 40_000)  # no book to be believed any more
    assert desk.core.is_done
    again = desk.killed()
    settle(again, 16 * 3_600_000, **held(desk))
    assert again.core.halted is reason
    again.control(again.ms, Command.STOP_FLAT, R.STOPPING)
    again.wait(again.ms + 40_000, alive_ms=100)
    assert again.core.is_done
    assert again.core.inventory.position
    assert not desk.closes
    assert not again.closes


def test_a_limit_that_is_reached_while_the_position_is_left_to_the_operator_is_told_once() -> None:
    desk = long_desk(config(risk={"daily_pnl_jpy": -1, "max_dd_jpy": -1, "after_halt": "wait"}))
    desk.control(desk.ms, Command.HALT, R.POSITION_MISMATCH)
    for step in range(5):
        desk.board(desk.ms + 100, 5_000 - step, 5_010)
    told = [row.text for row in desk.rows if isinstance(row, Notice) and "nothing is closed" in row.text]
    assert len(told) == 1
    assert not desk.closes


@pytest.mark.parametrize("first", [R.REVERSE, R.FLATTEN, R.KILL_PNL, R.OPERATOR])
def test_a_close_under_way_ends_where_the_position_is_found_to_be_another(first: Reason) -> None:
    """An order that is on its way cannot be taken back; none follows it."""
    desk = long_desk()
    if first is R.REVERSE:
        desk.core.exits.begin(first, flatten=False)
    elif first is R.FLATTEN:
        desk.control(desk.ms, Command.STOP_FLAT, R.STOPPING)
    else:
        desk.control(desk.ms, Command.HALT, first)
    desk.board(desk.ms + 10)
    assert len(desk.closes) == 1
    desk.control(desk.ms, Command.HALT, R.POSITION_MISMATCH)
    desk.tell(desk.ms, K.EXPIRED, desk.closes[0].client_order_id)
    desk.wait(desk.ms + 40_000, alive_ms=100)
    assert len(desk.closes) == 1
    assert desk.core.halted is R.POSITION_MISMATCH


@pytest.mark.parametrize("lasting", [R.OPERATOR, R.POSITION_MISMATCH, R.LOG_FAILURE])
def test_the_new_day_does_not_lift_what_waits_for_the_operator(lasting: Reason) -> None:
    """A halt that came on top of one of the day outlives it."""
    desk = settled_desk(WAITING)
    desk.control(desk.ms, Command.HALT, R.KILL_PNL)
    desk.control(desk.ms, Command.HALT, lasting)
    desk.wait(desk.ms + 16 * 3_600_000)
    assert desk.core.halted is lasting


# --- starts that fail


def unsettled_start(cfg: Any = PATIENT) -> tuple[LiveDesk, LiveDesk]:
    """A run that was killed with a position, and the next one before it has seen the account."""
    desk = long_desk(cfg)
    again = desk.killed()
    again.status(again.ms)
    again.board(again.ms)
    return desk, again


@pytest.mark.parametrize("reason", [R.CLOCK_SKEW, R.LOG_FAILURE, R.AUTH_REFUSED, R.INTERNAL_ERROR, R.LIMIT_BREACH])
def test_what_is_wrong_with_a_start_does_not_outlive_it_and_closes_nothing(reason: Reason) -> None:
    """I6: also where the account is settled while it ends."""
    desk, start = unsettled_start(config(risk=STOP_FLAT))
    start.control(start.ms, Command.HALT, reason)
    assert start.core.start_fault is reason
    assert start.core.halted is None
    settle(start, start.ms, **held(desk))
    start.control(start.ms, Command.STOP_FLAT, R.STOPPING)
    start.wait(start.ms + 5_000, alive_ms=100)
    assert start.core.is_done
    assert not start.closes
    assert not start.quotes
    assert [memo.halted for memo in memos(start)] == [None] * len(memos(start))
    after = settle(start.killed(), start.ms, **held(desk))
    after.wait(after.ms + 3_000, alive_ms=100)
    assert after.core.start_fault is None
    assert after.quotes


def test_a_stop_before_trading_began_leaves_the_position_as_it_was() -> None:
    desk, start = unsettled_start(config(risk=STOP_FLAT))
    start.control(start.ms, Command.STOP_FLAT, R.STOPPING)
    settle(start, start.ms, **held(desk))
    start.wait(start.ms + 5_000, alive_ms=100)
    assert start.core.is_done
    assert not start.closes


def test_the_days_limits_are_not_judged_by_a_position_that_is_hearsay() -> None:
    """What is remembered as held may have been closed by hand at a better price."""
    desk = long_desk(config(risk={"daily_pnl_jpy": -1, "max_dd_jpy": -1}))
    start = desk.killed()
    start.status(start.ms)
    start.board(start.ms, 5_000, 5_010)
    start.wait(start.ms + 1_000, alive_ms=100)
    assert start.core.halted is None


def test_a_position_that_nothing_explains_halts_a_start_for_good() -> None:
    """It is the account's fault, not the start's."""
    _, start = unsettled_start()
    start.channel(start.ms, is_live=True)
    for step in range(1, 6):
        start.board(start.ms + 1_000)
        start.report(start.ms + 15_000 * step, position=5 * MIN, basis=5 * MIN * 10_000, collateral=10**14)
    assert start.core.halted is R.POSITION_MISMATCH
    assert not start.closes


def test_a_refused_key_halts_and_keeps_the_position() -> None:
    desk = long_desk()
    refuse(desk, RefusalKind.UNAUTHORISED, desk.ms)
    desk.wait(desk.ms + 40_000, alive_ms=100)
    assert desk.core.halted is R.AUTH_REFUSED
    assert not desk.closes
    assert desk.core.inventory.position == MIN


def test_an_overload_pauses_strikes_and_halts_nothing() -> None:
    """D6."""
    desk = settled_desk()
    refuse(desk, RefusalKind.OVERLOADED, desk.ms)
    desk.wait(5_000, alive_ms=100)
    assert not desk.quotes
    assert desk.core.halted is None
    desk.wait(6_000, alive_ms=100)
    assert desk.quotes


def test_orders_that_do_not_leave_pause_strikes_ever_longer() -> None:
    desk = settled_desk()
    for _ in range(4):
        count = len(desk.quotes)
        while len(desk.quotes) == count:
            desk.wait(desk.ms + 100, alive_ms=100)
            assert desk.ms < 200_000
        for quote in desk.quotes[count:]:
            desk.tell(desk.ms, K.NOT_SENT, quote.client_order_id)
    times = sorted(set(desk.times(type(desk.quotes[0]))))
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps == sorted(gaps)
    assert gaps[0] >= 2_000
    assert gaps[-1] >= 16_000


# --- closes without a book


def test_a_halted_position_is_closed_blind_when_no_book_comes() -> None:
    """D9: flatten_blind_sec is 30."""
    desk = long_desk()
    desk.board(desk.ms + 100, status=BookStatus.UNKNOWN)
    start = desk.ms
    desk.control(start, Command.HALT)
    desk.wait(start + 29_900)
    assert not desk.closes
    desk.wait(start + 30_100)
    assert [(close.side, close.price, close.size) for close in desk.closes] == [(SELL, None, MIN)]


def test_a_reverse_close_is_never_blind() -> None:
    desk = long_desk(config(strategy={"max_reverse_ticks": 20}))
    desk.core.exits.begin(R.REVERSE, flatten=False)
    desk.board(desk.ms + 100, status=BookStatus.UNKNOWN)
    desk.wait(desk.ms + 60_000)
    assert not desk.closes


def test_the_wait_for_a_book_begins_when_the_venue_runs() -> None:
    """Or the close would go at market into the first second after the maintenance."""
    desk = long_desk()
    desk.board(desk.ms + 100, status=BookStatus.UNKNOWN)
    desk.status(desk.ms, BoardState.CLOSED)
    desk.control(desk.ms, Command.HALT)
    desk.wait(desk.ms + 600_000)
    desk.status(desk.ms, BoardState.RUNNING)
    opened = desk.ms
    desk.wait(opened + 29_000)
    assert not desk.closes
    desk.wait(opened + 31_000)
    assert len(desk.closes) == 1


def test_a_close_without_answer_holds_up_the_next_until_two_lists_lack_it() -> None:
    """A18, D7: a second close sent too early would open the other way."""
    desk = long_desk()
    desk.control(desk.ms, Command.HALT)
    start, (close,) = desk.ms, desk.closes
    desk.tell(start + 100, K.SEND_UNKNOWN, close.client_order_id)
    for ms in (3_000, 6_000):
        desk.report(start + ms, **held(desk))
    desk.wait(start + 8_900, alive_ms=100)
    assert len(desk.closes) == 1
    desk.wait(start + 9_500, alive_ms=100)
    assert len(desk.closes) == 2


# --- a strategy that fails


def fail(_self: object, _market: object, holding: Holding, _gate: object, _now_ns: int) -> None:
    raise ZeroDivisionError(f"no rule for {holding.position}")


def test_a_strategy_that_fails_loses_its_quotes_and_at_last_its_trade(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = settled_desk(WAITING)
    bid, ask = struck(desk)
    with monkeypatch.context() as broken:
        broken.setattr(StallThenStrikeStrategy, "on_event", fail)
        desk.core.quoting.ask_anew()
        desk.board(desk.ms + 10)
        assert desk.cancels[-1].order_ids == (f"V-{bid.client_order_id}", f"V-{ask.client_order_id}")
        assert desk.cancels[-1].reason is R.INTERNAL_ERROR
        assert desk.core.halted is None
        desk.cancelled(desk.ms + 10, bid.client_order_id, ask.client_order_id)
        assert desk.core.halted is R.INTERNAL_ERROR
        desk.wait(desk.ms + 1_000, alive_ms=100)
    errors = [row.text for row in desk.rows if isinstance(row, Notice) and row.level == "ERROR"]
    assert len(errors) == 3, "not one for every message"
    count = len(desk.quotes)
    desk.control(desk.ms, Command.RESUME)
    desk.wait(desk.ms + 2_000, alive_ms=100)
    assert len(desk.quotes) > count, "a resumed strategy trades again on the same day"


def test_a_lost_answer_ends_quoting_for_seconds_and_not_for_minutes() -> None:
    """A2: the order that most likely does not exist counts as exposure, and new strikes may go out beside it."""
    desk = settled_desk(config(strategy={"max_inventory_btc": 0.003}))
    bid, ask = struck(desk, accept=False)
    desk.accept(desk.ms, bid.client_order_id)
    desk.tell(desk.ms, K.SEND_UNKNOWN, ask.client_order_id)
    start = desk.ms
    desk.wait(start + 900, alive_ms=100)
    desk.cancelled(desk.ms, bid.client_order_id)
    for ms in (2_500, 5_000):
        desk.report(start + ms)
    desk.wait(start + 8_000, alive_ms=100)
    assert len(desk.quotes) == 2
    desk.wait(start + 10_000, alive_ms=100)
    again = desk.quotes[2:4]
    assert {quote.side for quote in again} == {BUY, SELL}
    assert [order.client_order_id for order in desk.core.orders.unnamed()] == [ask.client_order_id]
    desk.accept(desk.ms, *(quote.client_order_id for quote in again))
    desk.filled(desk.ms, again[1])
    desk.wait(desk.ms + 900, alive_ms=100)
    desk.cancelled(desk.ms, again[0].client_order_id)
    exposed = desk.core.inventory.position - sum(order.remaining for order in desk.core.orders.unnamed())
    assert exposed == -2 * MIN


def test_orders_that_were_never_seen_are_not_refused() -> None:
    """C2: killed with both quotes of a strike on their way; two minutes later they are dead, and it goes on."""
    cfg = config(risk={"max_rejects": 1})
    first = settled_desk(cfg)
    struck(first, accept=False)
    desk = settle(first.killed(), first.ms + 100)
    for ms in range(3_000, 125_000, 3_000):
        desk.report(first.ms + ms)
    assert (desk.core.orders.any_live, desk.core.halted) == (False, None)


@pytest.mark.parametrize("is_early", [False, True], ids=["of a known order", "before its answer"])
def test_execution_of_more_than_its_order_has_left_counts_once_it_is_listed(is_early: bool) -> None:
    """A14: a false size is not closed by an order of that size."""
    desk = settled_desk()
    bid, ask = struck(desk, accept=not is_early)
    false = fill(BUY, 10_049, 1_000 * MIN, exec_id=7, name=None, order_id=f"V-{bid.client_order_id}", ms=desk.ms + 10)
    desk.feed(false, desk.ms + 10)
    if is_early:
        desk.accept(desk.ms + 20, bid.client_order_id, ask.client_order_id)
    desk.board(desk.ms + 50, 9_000, 9_100)
    desk.cancelled(desk.ms + 10, bid.client_order_id, ask.client_order_id)
    desk.wait(desk.ms + 1_500, alive_ms=50)
    assert (desk.core.inventory.position, desk.closes) == (0, [])
    assert desk.times(Reconcile)[-1] == pytest.approx(desk.ms - 1_500, abs=1_000), "the account is asked at once"
    desk.report(desk.ms + 10, fills=(false,), position=false.size, basis=false.size * false.price)
    assert desk.core.inventory.position == false.size
