"""Faults of frames, of orders and of the venue's condition, in virtual time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stall_then_strike.sim.bitflyer.desk import Delays
from stall_then_strike.sim.bitflyer.ledger import LedgerState
from stall_then_strike.sim.bitflyer.private_wire import LISTS
from stall_then_strike.sim.bitflyer.venue_account import ChildState
from stall_then_strike.sim.exchange.flow_model import FlowModel
from stall_then_strike.sim.exchange.source import (
    ABORT_SOCKETS,
    CLOSE_SOCKETS,
    CONTROL_PREFIX,
    END_SILENCE,
    SILENCE_SOCKETS,
    Frame,
    iter_frames,
)
from stall_then_strike.sim.faults.catalogue import RECIPES, single_plans
from stall_then_strike.sim.faults.faulty_feed import FaultyFeed
from stall_then_strike.sim.faults.injector import FaultInjector
from stall_then_strike.sim.faults.kinds import SPECS, Fault, FaultKind, Site
from stall_then_strike.sim.faults.lost_deletions import LostDeletions
from stall_then_strike.sim.faults.scene import FaultScene
from stall_then_strike.tapes.tape_reader import TapeSource
from stall_then_strike.types.dto import BoardState, Health, OrderId, Side
from tests.sim.exchange_rig import BOARD, EXECUTIONS, PRODUCT, SECOND, SNAPSHOT, START_NS, TICKER, PlainBook, message_of
from tests.sim.faults.fault_rig import FaultyRoom
from tests.sim.private_rig import ASK, BID, order

EVENTS = "child_order_events"


def lively(*faults: Fault, seed: int = 1) -> FaultyRoom:
    return FaultyRoom(*faults, seed=seed, model=FlowModel())


def heard(room: FaultyRoom, channel: str) -> list[Frame]:
    return [frame for frame in room.frames if frame.channel == channel]


def texts(room: FaultyRoom, channel: str) -> list[str]:
    return [frame.text for frame in heard(room, channel)]


def reference(channel: str, seconds: float = 10) -> list[Frame]:
    room = lively()
    room.advance(seconds)
    return heard(room, channel)


# --- frames of any channel -------------------------------------------------------------------------------------------


def test_without_faults_all_passes_as_it_was() -> None:
    plain = FaultyRoom(model=FlowModel())
    bare = plain.market.advance(plain.now_ns)
    room = lively()
    room.advance(10)
    assert [f.text for f in room.frames] == [f.text for f in iter_frames(plain.market, START_NS + 10 * SECOND)]
    assert bare == []


def test_lost_channel_is_silent_within_the_window_and_others_talk() -> None:
    room = lively(Fault(kind=FaultKind.LOSE_FRAME, channel=BOARD, from_s=2, to_s=6))
    room.advance(10)
    expected = [f for f in reference(BOARD) if not 2 <= (f.time_ns - START_NS) / SECOND < 6]
    assert heard(room, BOARD) == expected
    assert heard(room, TICKER) == reference(TICKER)
    assert room.faults.struck["lose_frame"] == len(reference(BOARD)) - len(expected) > 10
    assert room.faults.is_idle


def test_late_frames_come_later_and_are_overtaken() -> None:
    room = lively(Fault(kind=FaultKind.DELAY_FRAME, channel=EXECUTIONS, seconds=3, count=2))
    room.advance(20)
    usual = reference(EXECUTIONS, 20)
    assert sorted(texts(room, EXECUTIONS)) == sorted(f.text for f in usual)
    late = {f.text: f.time_ns for f in heard(room, EXECUTIONS)}
    assert [late[f.text] - f.time_ns for f in usual[:3]] == [3 * SECOND, 3 * SECOND, 0]
    stamps = [frame.time_ns for frame in room.frames]
    assert stamps == sorted(stamps)


def test_late_frame_leaves_on_time_when_the_feed_is_walked_step_by_step() -> None:
    room = lively(Fault(kind=FaultKind.DELAY_FRAME, channel=EXECUTIONS, seconds=0.7))
    whole = lively(Fault(kind=FaultKind.DELAY_FRAME, channel=EXECUTIONS, seconds=0.7))
    while (wake_ns := room.feed.next_wake_ns()) is not None and wake_ns <= START_NS + 10 * SECOND:
        room.frames += room.feed.advance(wake_ns)
    whole.advance(10)
    assert room.frames == whole.frames


def test_frames_come_twice_at_once_or_later() -> None:
    room = lively(
        Fault(kind=FaultKind.DUPLICATE_FRAME, channel=TICKER, count=1),
        Fault(kind=FaultKind.DUPLICATE_FRAME, channel=EXECUTIONS, seconds=2, count=1),
    )
    room.advance(10)
    assert texts(room, TICKER)[0] == texts(room, TICKER)[1] == reference(TICKER)[0].text
    first, again = (f for f in heard(room, EXECUTIONS) if f.text == reference(EXECUTIONS)[0].text)
    assert again.time_ns - first.time_ns == 2 * SECOND


def test_frames_change_places_with_their_next() -> None:
    room = lively(Fault(kind=FaultKind.REORDER_FRAME, channel=BOARD, count=1))
    room.advance(10)
    first, second, *rest = [f.text for f in reference(BOARD)]
    assert texts(room, BOARD) == [second, first, *rest]


def test_frame_without_a_next_comes_after_its_longest_wait() -> None:
    room = FaultyRoom()
    room.inject(FaultKind.REORDER_FRAME, channel=EVENTS, seconds=3)
    name = room.resting()
    assert room.story() == []
    room.advance(3)
    assert room.story(name) == ["ORDER"]


@pytest.mark.parametrize("backlog", [False, True])
def test_frozen_feed_is_lost_or_comes_in_one_burst(backlog: bool) -> None:
    room = lively(Fault(kind=FaultKind.FREEZE_FEED, backlog=backlog, from_s=2, to_s=5))
    room.advance(10)
    stamps = [(frame.time_ns - START_NS) / SECOND for frame in room.frames]
    assert not [stamp for stamp in stamps if 2 <= stamp < 5]
    assert (stamps.count(5.0) > 20) is backlog
    assert len(reference(BOARD)) == len(heard(room, BOARD)) or not backlog


def test_wrong_mid_disagrees_with_the_book_and_nothing_else_changes() -> None:
    room = lively(Fault(kind=FaultKind.WRONG_MID, ticks=-700))
    room.advance(10)
    for channel in (BOARD, SNAPSHOT):
        for frame, right in zip(heard(room, channel), reference(channel), strict=True):
            wrong, usual = message_of(frame), message_of(right)
            assert wrong.pop("mid_price") == usual.pop("mid_price") - 700
            assert wrong == usual


def test_lost_deletion_leaves_a_phantom_best_until_the_snapshot() -> None:
    room = lively(Fault(kind=FaultKind.LOSE_DELETION, count=2, from_s=8))
    room.advance(60)
    book, suspect, healed = PlainBook(), 0, 0
    for frame in room.frames:
        if frame.channel in {BOARD, SNAPSHOT}:
            message = message_of(frame)
            book.feed(frame.channel, message)
            if book.is_known:
                agrees = book.mid == message["mid_price"]
                suspect += not agrees
                healed += agrees and frame.channel == SNAPSHOT
    assert suspect
    assert healed
    assert room.faults.struck == Counter({"lose_deletion": 2})
    assert room.faults.is_idle


def test_lost_deletion_that_found_nothing_is_given_up_with_its_window() -> None:
    room = FaultyRoom(Fault(kind=FaultKind.LOSE_DELETION, to_s=2))
    room.advance(3)
    assert room.faults.is_idle
    assert not room.faults.struck


def test_same_seed_strikes_the_same_however_time_is_cut() -> None:
    faults = (
        Fault(kind=FaultKind.LOSE_FRAME, channel=BOARD, chance=0.3),
        Fault(kind=FaultKind.DELAY_FRAME, channel=EXECUTIONS, chance=0.5, seconds=1),
        Fault(kind=FaultKind.HALF_OPEN, from_s=2, to_s=5),
    )
    whole, pieces, other = lively(*faults), lively(*faults), lively(*faults, seed=2)
    whole.advance(12)
    other.advance(12)
    for _ in range(48):
        pieces.advance(0.25)
    assert whole.frames == pieces.frames != other.frames
    assert whole.faults.struck == pieces.faults.struck


# --- order events ----------------------------------------------------------------------------------------------------


def test_lost_event_is_one_of_its_message_and_the_truth_stays() -> None:
    room = FaultyRoom(Fault(kind=FaultKind.LOSE_FRAME, channel=EVENTS, event="ORDER"))
    room.other(Side.SELL, 1_000_000, BID + 500)
    name = room.send(order("BUY", BID + 500, 0.02))  # ORDER and EXECUTION come in one message
    room.advance()
    assert room.story(name) == ["EXECUTION 0.01"]
    assert room.venue.ledger().position == 1_000_000
    room.cancel(name)
    room.advance()
    assert room.story(name) == ["EXECUTION 0.01", "CANCEL"]


def test_lost_cancel_event_hides_a_cancel_that_happened() -> None:
    room = FaultyRoom(Fault(kind=FaultKind.LOSE_FRAME, channel=EVENTS, event="CANCEL"))
    name = room.resting()
    room.cancel(name)
    room.advance()
    assert room.story() == ["ORDER"]
    assert room.venue.desk.counters.cancelled == 1


def test_late_execution_comes_after_the_cancel() -> None:
    room = FaultyRoom(Fault(kind=FaultKind.DELAY_FRAME, channel=EVENTS, event="EXECUTION", seconds=4))
    name = room.resting()
    room.hit(400_000)
    room.cancel(name)
    room.advance(5)
    assert room.story(name) == ["ORDER", "CANCEL", "EXECUTION 0.006"]


def test_execution_comes_twice_with_one_id() -> None:
    room = FaultyRoom(Fault(kind=FaultKind.DUPLICATE_FRAME, channel=EVENTS, event="EXECUTION", seconds=0.5))
    name = room.resting()
    room.hit(400_000)
    room.advance()
    first, again = (event for event in room.events(name) if event["event_type"] == "EXECUTION")
    assert first == again
    assert len(room.venue.ledger().fills) == 1


def test_outstanding_size_is_wrong_by_so_many_lots() -> None:
    room = FaultyRoom(Fault(kind=FaultKind.WRONG_OUTSTANDING, lots=1))
    name = room.resting()
    room.hit(400_000)
    assert room.story(name) == ["ORDER", "EXECUTION 0.00600001"]
    assert '"outstanding_size":0.00600001' in heard(room, EVENTS)[-1].text


def test_fields_are_missing_in_executions_only() -> None:
    room = FaultyRoom(Fault(kind=FaultKind.LOSE_FIELDS, missing=("commission", "sfd", "outstanding_size", "side")))
    name = room.resting()
    room.hit(400_000)
    registered, executed = room.events(name)
    assert registered["side"] == "BUY"
    assert not {"commission", "sfd", "outstanding_size", "side"} & executed.keys()
    assert executed["size"] == 0.004


def test_phantom_execution_names_a_live_order_and_an_id_that_nothing_else_has() -> None:
    room = FaultyRoom(Fault(kind=FaultKind.PHANTOM_EXECUTION, count=1))
    room.other(Side.BUY, 1_000, None)
    name = room.resting()
    registered, phantom = room.events(name)
    assert (phantom["event_type"], phantom["size"], phantom["outstanding_size"]) == ("EXECUTION", 0.01, 0)
    assert (phantom["side"], phantom["price"]) == ("BUY", BID + 500)
    assert phantom["child_order_id"] == registered["child_order_id"]
    assert phantom["exec_id"] > max(execution.exec_id for execution in room.market.executions())
    assert room.venue.ledger().fills == ()
    assert room.get("getexecutions") == []
    (row,) = room.get("getchildorders")
    assert row["child_order_state"] == "ACTIVE"
    room.hit(1_000_000)
    assert room.story(name) == ["ORDER", "EXECUTION 0", "EXECUTION 0"]
    assert room.venue.ledger().position == 1_000_000
    room.resting(BID + 600)
    assert room.faults.struck == Counter({"phantom_execution": 1})


def test_phantom_spares_an_order_that_is_gone_by_then() -> None:
    room = FaultyRoom(Fault(kind=FaultKind.PHANTOM_EXECUTION, seconds=3))
    name = room.resting()
    room.cancel(name)
    room.advance(5)
    assert room.story(name) == ["ORDER", "CANCEL"]
    assert not room.faults.struck


# --- orders ----------------------------------------------------------------------------------------------------------


def test_vanished_order_was_accepted_and_is_nowhere() -> None:
    room = FaultyRoom(Fault(kind=FaultKind.VANISH_ORDER, count=1))
    name = room.resting()
    assert room.story() == []
    assert room.get("getchildorders") == []
    assert room.venue.live_orders == 0
    status, answer = room.post("cancelchildorder", {"product_code": PRODUCT, "child_order_acceptance_id": name})
    assert (status, answer["status"]) == (400, -111)
    assert room.story(room.resting()) == ["ORDER"]


@pytest.mark.parametrize("call", ["cancelchildorder", "cancelallchildorders"])
def test_ignored_cancel_is_answered_and_does_nothing(call: str) -> None:
    room = FaultyRoom(Fault(kind=FaultKind.IGNORE_CANCEL, count=1))
    name = room.resting()
    fields = {"product_code": PRODUCT}
    if call == "cancelchildorder":
        fields["child_order_acceptance_id"] = name
    assert room.post(call, fields) == (200, None)
    room.advance()
    assert room.story(name) == ["ORDER"]
    assert room.venue.live_orders == 1
    assert room.post(call, fields) == (200, None)
    room.advance()
    assert room.story(name) == ["ORDER", "CANCEL"]


# --- the venue's condition -------------------------------------------------------------------------------------------


def test_busy_venue_says_so_is_slow_and_recovers() -> None:
    room = FaultyRoom(Fault(kind=FaultKind.BUSY, seconds=4, from_s=1, to_s=3))
    usual = room.venue.desk.delays
    room.advance(1)
    assert room.market.condition.health is Health.SUPER_BUSY
    name = room.send(order("BUY", BID))
    room.advance(1.9)
    assert room.story(name) == []
    assert room.venue.accounts["main"].orders[OrderId(name)].state is ChildState.ACCEPTED
    room.advance(4.2)
    assert room.story(name) == ["ORDER"]
    assert room.market.condition.health is Health.NORMAL
    assert room.venue.desk.delays is usual


def test_busy_faults_that_overlap_end_with_what_was_before() -> None:
    room = FaultyRoom(
        Fault(kind=FaultKind.BUSY, seconds=1, health=Health.BUSY, from_s=1, to_s=4),
        Fault(kind=FaultKind.BUSY, seconds=9, health=Health.STOP, from_s=2, to_s=6),
    )
    room.market.set_condition(health=Health.VERY_BUSY)
    healths, slowest = [], []
    for _ in range(7):
        healths.append(room.market.condition.health)
        slowest.append(room.venue.desk.delays.registration[1] // SECOND)
        room.advance(1)
    assert healths == [Health.VERY_BUSY, Health.BUSY, *[Health.STOP] * 4, Health.VERY_BUSY]
    assert slowest == [0, 1, 9, 9, 9, 9, 0]
    assert room.venue.desk.delays == Delays()


def test_no_order_health_refuses() -> None:
    room = FaultyRoom(Fault(kind=FaultKind.BUSY, seconds=0, health=Health.NO_ORDER, to_s=2))
    room.advance(1)
    assert room.post("sendchildorder", order())[1]["status"] == -208
    room.advance(2)
    assert room.resting()


def states(room: FaultyRoom, seconds: int) -> list[BoardState]:
    """The board's state after each second from now."""
    seen = []
    for _ in range(seconds):
        room.advance(1)
        seen.append(room.market.condition.state)
    return seen


@pytest.mark.parametrize("state", [BoardState.CIRCUIT_BREAK, BoardState.CLOSED])
def test_halted_board_opens_by_an_auction(state: BoardState) -> None:
    room = FaultyRoom(Fault(kind=FaultKind.HALT_BOARD, state=state, seconds=2, from_s=1, to_s=6))
    running = BoardState.RUNNING
    assert states(room, 7) == [state, state, state, BoardState.PREOPEN, BoardState.PREOPEN, running, running]


def test_halt_with_parts_of_seconds_ends_on_time() -> None:
    room = FaultyRoom(Fault(kind=FaultKind.HALT_BOARD, seconds=1, from_s=0.4, to_s=3.8))
    states(room, 3)
    room.advance(0.79)
    assert room.market.condition.state is not BoardState.RUNNING or room.now_ns >= START_NS + 3.4 * SECOND
    room.advance(0.01)
    assert room.market.condition.state is BoardState.RUNNING


def test_halt_that_another_one_superseded_does_not_open_the_board() -> None:
    room = FaultyRoom(
        Fault(kind=FaultKind.HALT_BOARD, from_s=1, to_s=5),
        Fault(kind=FaultKind.HALT_BOARD, state=BoardState.CLOSED, seconds=0, from_s=3, to_s=9),
    )
    assert states(room, 9)[2:] == [*[BoardState.CLOSED] * 6, BoardState.RUNNING]


def test_maintenance_closes_board_and_sockets_and_opens_again() -> None:
    room = FaultyRoom(Fault(kind=FaultKind.MAINTENANCE, from_s=1, to_s=7))
    seen = states(room, 7)
    assert seen == [
        *[BoardState.CLOSED] * 2,
        *[BoardState.STARTING] * 2,
        *[BoardState.PREOPEN] * 2,
        BoardState.RUNNING,
    ]
    (closing,) = heard(room, CLOSE_SOCKETS)
    assert (closing.time_ns, closing.text) == (START_NS + SECOND, "scheduled maintenance")


def test_skewed_clock_refuses_signatures_within_its_window() -> None:
    room = FaultyRoom(Fault(kind=FaultKind.CLOCK_SKEW, seconds=90, from_s=1, to_s=3))
    room.venue.keyring.max_skew_ns = 60 * SECOND
    codes = []
    for _ in range(4):
        answer = room.answer("GET", f"/v1/me/getcollateral?product_code={PRODUCT}")
        codes.append(answer.status if answer.status == 200 else orjson.loads(answer.text)["status"])
        room.advance(1)
    assert codes == [200, -504, -504, 200]
    assert room.scene.skew_ns == 0


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(kind=FaultKind.CLOSE_SOCKETS, from_s=1), [(1, CLOSE_SOCKETS)]),
        (Fault(kind=FaultKind.ABORT_SOCKETS, from_s=1), [(1, ABORT_SOCKETS)]),
        (Fault(kind=FaultKind.ABORT_SOCKETS, from_s=1, to_s=3), [(1, ABORT_SOCKETS)]),
        (Fault(kind=FaultKind.HALF_OPEN, from_s=1, to_s=3), [(1, SILENCE_SOCKETS), (3, END_SILENCE)]),
        (Fault(kind=FaultKind.CUT_NETWORK, from_s=1, to_s=3), [(1, SILENCE_SOCKETS), (3, END_SILENCE)]),
        (Fault(kind=FaultKind.RESET_NETWORK, from_s=1, to_s=3), [(1, ABORT_SOCKETS)]),
    ],
)
def test_sockets_are_told_in_time_with_the_frames(fault: Fault, expected: list[tuple[int, str]]) -> None:
    room = lively(fault)
    room.advance(5)
    told = [f for f in room.frames if f.channel.startswith(CONTROL_PREFIX)]
    assert [((f.time_ns - START_NS) // SECOND, f.channel) for f in told] == expected
    stamps = [frame.time_ns for frame in room.frames]
    assert stamps == sorted(stamps)
    assert room.faults.is_idle
    assert sum(room.faults.struck.values()) == 1


def test_lifted_scene_ends_at_once() -> None:
    room = FaultyRoom(Fault(kind=FaultKind.HALT_BOARD, to_s=100), Fault(kind=FaultKind.BUSY, from_s=50))
    room.advance(2)
    assert room.market.condition.state is BoardState.CIRCUIT_BREAK
    room.faults.lift()
    room.advance(0.001)
    assert room.market.condition.state is BoardState.RUNNING
    room.advance(60)
    assert room.market.condition.health is Health.NORMAL
    assert room.faults.is_idle


def test_tape_can_be_troubled_too(tmp_path: Path) -> None:
    tape = tmp_path / "t.jsonl"
    message = {"jsonrpc": "2.0", "method": "channelMessage", "params": {"channel": BOARD, "message": {}}}
    lines = [orjson.dumps({"recv_ns": n * SECOND, "msg": message}) for n in range(1, 6)]
    tape.write_bytes(b"\n".join(lines) + b"\n")
    source = TapeSource(tape)
    faults = FaultInjector(start_ns=source.now_ns, now_ns=lambda: source.now_ns)
    scene = FaultScene(source, faults, private=None, deletions=LostDeletions(source))
    feed = FaultyFeed(source, faults, scene)
    faults.inject(
        Fault(kind=FaultKind.DELAY_FRAME, seconds=30, count=1),
        Fault(kind=FaultKind.HALT_BOARD, from_s=1, to_s=3),
        Fault(kind=FaultKind.BUSY, from_s=1, to_s=3),
        Fault(kind=FaultKind.CLOCK_SKEW, to_s=3),
        Fault(kind=FaultKind.PHANTOM_EXECUTION),
    )
    sent: list[Frame] = []
    seen = set()
    while (wake_ns := feed.next_wake_ns()) is not None:
        sent += feed.advance(wake_ns)
        seen.add(source.condition.state)
    assert [(f.time_ns - sent[0].time_ns) // SECOND for f in sent] == [0, 1, 2, 3, 29]
    assert BoardState.CIRCUIT_BREAK in seen
    assert source.condition.health is Health.NORMAL
    assert scene.skew_ns == 0


# --- stale lists -----------------------------------------------------------------------------------------------------

_OF_THE_MARK = ("pnl", "require_collateral", "open_position_pnl", "keep_rate")


def _lists(room: FaultyRoom) -> dict[str, Any]:
    """The account's lists, without the fields that depend on the price."""
    answers = {path: room.get(path.removeprefix("/v1/me/")) for path in LISTS}
    for row in (*answers["/v1/me/getpositions"], answers["/v1/me/getcollateral"]):
        for name in _OF_THE_MARK:
            row.pop(name, None)
    return answers


def test_list_that_lags_is_what_it_was_for_all_it_shows() -> None:
    """A list asked for half a minute later shows the fills, lots, cash and order states of then."""
    room = lively()
    shown: list[tuple[int, dict[str, Any]]] = []
    for turn in range(60):
        if turn % 4 == 0:
            quote = room.market.depth(1).bids[0][0] - 40 * turn
            room.post("sendchildorder", order("BUY", quote, minute_to_expire=1))
            room.post("sendchildorder", order("BUY" if turn % 8 else "SELL", None, 0.01))  # either may be refused
        shown.append((room.now_ns, _lists(room)))
        if turn >= 30:
            room.inject(FaultKind.STALE_LIST, seconds=30, count=len(LISTS))
            assert room.now_ns - shown[turn - 30][0] == 30 * SECOND
            assert _lists(room) == shown[turn - 30][1]
        room.advance(1)
    assert room.faults.struck["stale_list"] == 30 * len(LISTS)
    assert len({repr(lists) for _, lists in shown}) > 15
    assert {row["child_order_state"] for _, lists in shown for row in lists["/v1/me/getchildorders"]} >= {
        "ACTIVE",
        "COMPLETED",
    }


def test_fill_vanishes_from_a_list_for_one_answer_and_comes_back() -> None:
    room = FaultyRoom()
    room.resting()
    room.hit(300_000)
    room.inject(FaultKind.STALE_LIST, path="/v1/me/getexecutions", seconds=10, skip=1, count=1)
    assert [len(room.get("getexecutions")) for _ in range(3)] == [1, 0, 1]
    assert len(room.get("getpositions")) == 1


@pytest.mark.parametrize("path", LISTS)
def test_each_list_lags_by_itself(path: str) -> None:
    room = FaultyRoom()
    room.resting()
    before = _lists(room)
    room.hit(300_000)
    room.advance(20)
    now = _lists(room)
    room.inject(FaultKind.STALE_LIST, path=path, seconds=21.5)
    assert _lists(room) == {**now, path: before[path]}


def test_what_lags_is_valued_as_it_was() -> None:
    room = FaultyRoom()
    room.resting(size=0.05)
    room.hit(1_000_000)
    room.advance(5)
    was = room.get("getpositions"), room.get("getcollateral")
    room.other(Side.BUY, int(room.market.engine.total(Side.SELL)))
    room.other(Side.SELL, 1_000_000, ASK + 4_000)
    room.advance(5)
    assert (room.get("getpositions"), room.get("getcollateral")) != was
    room.inject(FaultKind.STALE_LIST, seconds=5)
    assert (room.get("getpositions"), room.get("getcollateral")) == was


# --- margin ----------------------------------------------------------------------------------------------------------


def test_margin_is_refused_to_what_would_open_and_never_to_what_closes() -> None:
    room = FaultyRoom()
    room.resting(size=0.05)
    room.hit(1_000_000)
    room.inject(FaultKind.NO_MARGIN, name="refused")
    status, answer = room.post("sendchildorder", order("BUY", BID - 500))
    assert (status, answer["status"]) == (400, -205)
    assert room.post("sendchildorder", order("SELL", BID + 1_000, 0.011))[1]["status"] == -205
    room.send(order("SELL", BID + 1_000, 0.01))
    assert room.faults.struck["refused"] == 2
    room.faults.lift()
    room.send(order("BUY", BID - 500))


def test_margin_is_missed_after_the_acceptance() -> None:
    room = FaultyRoom()
    room.resting(size=0.05)
    room.hit(1_000_000)
    room.inject(FaultKind.FAIL_MARGIN)
    opening, closing = room.send(order("BUY", BID - 500)), room.send(order("SELL", BID + 1_000, 0.01))
    room.advance()
    assert room.story(opening) == ["ORDER_FAILED"]
    assert "Margin" in room.events(opening)[0]["reason"]
    assert room.story(closing) == ["ORDER"]
    assert room.faults.struck["fail_margin"] == 1
    assert opening not in {row["child_order_acceptance_id"] for row in room.get("getchildorders")}


# --- events without fields -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blank", [False, True])
def test_named_fields_of_a_named_event_are_missing_or_null(blank: bool) -> None:
    room = FaultyRoom()
    room.inject(FaultKind.LOSE_FIELDS, event="ORDER", missing=("side", "price"), blank=blank)
    name = room.resting()
    room.hit(300_000)
    registered, executed = room.events(name)
    assert [registered.get(field) for field in ("side", "price")] == [None, None]
    assert ("side" in registered, "size" in registered) == (blank, True)
    assert executed["side"] == "BUY"


def test_faults_of_one_frame_take_from_each_other() -> None:
    """A fault skips a field that another fault has removed."""
    room = FaultyRoom(
        Fault(kind=FaultKind.LOSE_FIELDS, missing=("outstanding_size", "event_type")),
        Fault(kind=FaultKind.WRONG_OUTSTANDING),
        Fault(kind=FaultKind.LOSE_FIELDS, name="id", event="ORDER", missing=("child_order_acceptance_id",)),
        Fault(kind=FaultKind.PHANTOM_EXECUTION),
    )
    room.send(order("BUY", BID + 500))
    room.advance()
    room.hit(300_000)
    (executed,) = [event for message in room.messages() for event in message if "exec_id" in event]
    assert "outstanding_size" not in executed


# --- the exchange's own state ----------------------------------------------------------------------------------------


def _day(room: FaultyRoom) -> tuple[LedgerState, list[Any], list[str]]:
    """Trade a little; return the ledger afterwards and all frames sent."""
    for turn in range(6):
        name = room.send(order("BUY" if turn % 2 else "SELL", None, 0.01))
        quote = room.send(order("BUY", room.market.depth(1).bids[0][0] - 100 * turn))
        room.advance(2)
        room.cancel(quote if turn % 3 else name)
        room.advance(2)
    room.advance(20)
    return room.venue.ledger(), room.get("getchildorders"), [frame.text for frame in room.frames]


LIES = sorted(name for name, recipe in RECIPES.items() if SPECS[recipe["kind"]].site is Site.FRAME)


@settings(max_examples=10)  # each is three runs of a market
@given(names=st.lists(st.sampled_from(LIES), min_size=1, max_size=4), seed=st.integers(0, 1_000))
@pytest.mark.slow
def test_what_lies_about_the_exchange_does_not_change_its_truth(names: list[str], seed: int) -> None:
    plans = single_plans(30)
    faults = tuple(fault for name in names for fault in plans[name].faults)
    truth, rows, _ = _day(lively())
    assert truth.fills
    told = _day(lively(*faults, seed=seed))
    assert told[:2] == (truth, rows)
    assert told == _day(lively(*faults, seed=seed))  # the same faults strike again
