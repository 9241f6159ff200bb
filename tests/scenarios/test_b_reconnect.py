"""Group B: the line to the venue is lost in every way it can be, while orders work.

In each, what happened in the gap is found out from the account before new quotes, and `stop_and_check` holds the books
to the ledger.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from stall_then_strike.sim.bitflyer.desk import Delays
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.types.dto import NS_PER_S, BookStatus
from tests.live.rig import OPEN_ALL_DAY
from tests.scenarios.at_work import PLACE, QUICK, STILL, AtWork, at_work
from tests.signing import SIGNED

pytestmark = SIGNED
K = FaultKind
EVENTS = "child_order_events"
LISTS = "/v1/me/get*"


async def lose_the_line(work: AtWork, *faults: Fault) -> None:
    """Let faults strike that end the connection; return when the daemon has noticed."""
    drops = work.run.connection.session.statistics().drops
    work.room.exchange.faults.inject(*faults)
    await work.until("drop", lambda: work.run.connection.session.statistics().drops > drops)


async def back_at_work(work: AtWork) -> None:
    """The line is there again, the account was asked, and quotes are sent."""
    await work.until("line", lambda: work.run.connection.session.statistics().is_private_live)
    await work.new_strikes()


def assert_no_quote_without_a_line(work: AtWork) -> None:
    """Between the loss of the private channel and the account's word, nothing was sent that opens a position."""
    is_known = False
    for fact in work.facts():
        if fact.what in {"channel", "report"}:
            is_known = fact.what == "report"
        elif fact.what == "send" and fact.detail == "strike":
            assert is_known, fact


async def test_b1_clean_close(tmp_path: Path) -> None:
    """B1: the venue closes the socket in good order."""
    async with at_work(tmp_path) as work:
        await work.until("quote", lambda: work.resting)
        await lose_the_line(work, Fault(kind=K.CLOSE_SOCKETS))
        await back_at_work(work)
        await work.stop_and_check()
        assert_no_quote_without_a_line(work)


@pytest.mark.slow
async def test_b2_half_open_socket(tmp_path: Path) -> None:
    """B2: the socket says nothing more and is never closed; it is given up and made anew."""
    async with at_work(tmp_path) as work:
        await work.until("quote", lambda: work.resting)
        await lose_the_line(work, Fault(kind=K.HALF_OPEN))
        await back_at_work(work)
        await work.stop_and_check()
        assert_no_quote_without_a_line(work)


async def test_b3_partition_during_the_back_off(tmp_path: Path) -> None:
    """B3: while it waits to connect again, the whole network is cut."""
    async with at_work(tmp_path) as work:
        await work.until("quote", lambda: work.resting)
        await lose_the_line(work, Fault(kind=K.ABORT_SOCKETS), Fault(kind=K.RESET_NETWORK, from_s=0.1, to_s=12))
        await work.until("vain attempt", lambda: work.run.connection.session.statistics().failed_attempts)
        await back_at_work(work)
        await work.stop_and_check()
        assert_no_quote_without_a_line(work)


async def test_b4_drop_while_logging_in(tmp_path: Path) -> None:
    """B4: the line is cut in answer to `auth`."""
    async with at_work(tmp_path) as work:
        await lose_the_line(work, Fault(kind=K.ABORT_SOCKETS), Fault(kind=K.CUT_REPLY, method="auth", count=2))
        await work.until("two cut logins", lambda: work.room.exchange.faults.struck["cut_reply"] == 2)
        await back_at_work(work)
        await work.stop_and_check()


async def test_b5_drop_after_subscribing_before_the_acknowledgement(tmp_path: Path) -> None:
    """B5: the line is cut in answer to `subscribe`."""
    async with at_work(tmp_path) as work:
        await lose_the_line(work, Fault(kind=K.ABORT_SOCKETS), Fault(kind=K.CUT_REPLY, method="subscribe", count=2))
        await work.until("two cuts", lambda: work.room.exchange.faults.struck["cut_reply"] == 2)
        await back_at_work(work)
        await work.stop_and_check()


async def test_b6_pings_of_the_venue_are_answered(tmp_path: Path) -> None:
    """B6: the venue cuts clients that leave its pings unanswered; ours is not one of them."""
    async with at_work(tmp_path, ping_s=0.2) as work:
        await work.seconds(30)
        assert work.room.exchange.hub.counters.silent_clients == 0
        assert work.run.connection.session.statistics().drops == 0
        await work.stop_and_check()


async def test_b7_repeated_drops_keep_the_order_of_what_is_told(tmp_path: Path) -> None:
    """B7: five drops in a row: fills are booked in the order of the venue's ledger, none twice, none left out."""
    async with at_work(tmp_path) as work:
        for _ in range(5):
            await lose_the_line(work, Fault(kind=K.ABORT_SOCKETS))
            await work.until("line", lambda: work.run.connection.session.statistics().is_private_live)
        await back_at_work(work)
        await work.stop_and_check()
        stamps = [row["ts"] for row in work.room.rows("decisions")]
        assert all(a <= b for a, b in pairwise(stamps))


async def test_b8_fill_and_cancel_missed_in_the_gap(tmp_path: Path) -> None:
    """B8: one quote is filled and the other cancelled while nobody listens: each counts once."""
    slow = Delays(cancel=(5 * NS_PER_S, 5 * NS_PER_S))  # or the fill would not win against the cancel
    settings = PrivateSettings(seed=7, calendar=OPEN_ALL_DAY, delays=slow)
    async with at_work(tmp_path, speed=30, settings=settings, **STILL, **QUICK) as work:
        await work.until("both quotes", lambda: len(work.resting) == 2)
        one, other = work.resting
        await lose_the_line(work, Fault(kind=K.ABORT_SOCKETS), Fault(kind=K.REFUSE_SOCKETS, to_s=20))
        work.others(one.side.opposite, one.remaining, one.price)
        await work.until(
            "end of both",
            lambda: not {one.acceptance_id, other.acceptance_id} & {order.acceptance_id for order in work.live},
        )
        await back_at_work(work)
        assert len(work.fills_of(one)) == 1
        assert not work.fills_of(other)
        await work.stop_and_check()


async def test_b8_part_filled_twice_around_a_drop(tmp_path: Path) -> None:
    """B8: one part is heard on the channel, the next in the gap; the list shows both, and both count once."""
    async with at_work(tmp_path, **STILL) as work:
        await work.until("both quotes", lambda: len(work.resting) == 2)
        one = work.hit_quote(30_000)
        await work.until("first part", lambda: len(work.fills_of(one)) == 1)
        await lose_the_line(work, Fault(kind=K.ABORT_SOCKETS), Fault(kind=K.REFUSE_SOCKETS, to_s=10))
        work.others(one.side.opposite, 20_000, one.price)
        await work.until("line", lambda: work.run.connection.session.statistics().is_private_live)
        await work.until("second part", lambda: len(work.fills_of(one)) >= 2)
        await work.stop_and_check()
        assert len(work.fills_of(one)) == len(
            [f for f in work.room.venue.ledger().fills if f.order_id == one.acceptance_id]
        )


async def test_b9_deltas_before_the_snapshot(tmp_path: Path) -> None:
    """B9: after a reconnect deltas come long before the first snapshot: no quote on such a book."""
    async with at_work(tmp_path) as work:
        snapshots = Fault(kind=K.LOSE_FRAME, channel="lightning_board_snapshot_*", to_s=20)
        await lose_the_line(work, Fault(kind=K.ABORT_SOCKETS), snapshots)
        await work.until("line", lambda: work.run.connection.session.statistics().is_connected)
        sent = len(work.calls(PLACE))
        await work.until("lost snapshots", lambda: work.room.exchange.faults.struck["lose_frame"] >= 2)
        assert work.core.board.status is BookStatus.UNKNOWN
        assert len(work.calls(PLACE)) == sent
        await back_at_work(work)
        await work.stop_and_check()


@pytest.mark.slow
async def test_b10_one_channel_never_resumes(tmp_path: Path) -> None:
    """B10: after a reconnect the private channel is silent, others speak: the account tells, and it is renewed."""
    async with at_work(tmp_path) as work:
        await lose_the_line(work, Fault(kind=K.ABORT_SOCKETS))
        await back_at_work(work)
        connects = work.run.connection.session.statistics().connects
        await work.hit(Fault(kind=K.LOSE_FRAME, channel=EVENTS, to_s=40), times=4)
        await work.until("renewal", lambda: work.run.connection.session.statistics().connects > connects)
        await work.seconds(30)
        await back_at_work(work)
        await work.stop_and_check()


async def test_b11_list_older_than_what_was_heard(tmp_path: Path) -> None:
    """B11: the account's lists come seconds late, older than fills that were heard meanwhile: nothing is undone."""
    async with at_work(tmp_path, account={"reconcile_sec": 10, "stop_sec": 300}) as work:
        await work.hit(Fault(kind=K.DELAY_ANSWER, path=LISTS, seconds=4), times=12)
        assert work.room.venue.ledger().fills
        await work.stop_and_check()
        assert not work.facts("take_over")
        assert work.core.halted is None


async def test_b12_account_cannot_be_asked_after_a_reconnect(tmp_path: Path) -> None:
    """B12: the questions of the recovery fail: no quote until one is answered, and no position is made up."""
    async with at_work(tmp_path) as work:
        asked = work.room.exchange.faults.struck
        await lose_the_line(
            work, Fault(kind=K.ABORT_SOCKETS), Fault(kind=K.SERVER_ERROR, path=LISTS, name="lists", to_s=15)
        )
        await work.until("line", lambda: work.run.connection.session.statistics().is_private_live)
        await work.until("failed questions", lambda: asked["lists"] >= 2)
        await back_at_work(work)
        await work.stop_and_check()
        assert work.facts("report_failed")
        assert_no_quote_without_a_line(work)


async def test_b13_reconnect_storm_leaves_the_limits_alone(tmp_path: Path) -> None:
    """B13: for two minutes each line lasts a moment: connects are paced, and cancels still have their budget."""
    async with at_work(tmp_path, speed=40) as work:
        connects = work.run.connection.session.statistics().connects
        storm = [Fault(kind=K.ABORT_SOCKETS, from_s=float(at)) for at in range(0, 120, 2)]
        work.room.exchange.faults.inject(*storm)
        await work.seconds(121)
        assert work.run.connection.session.statistics().connects - connects < 60
        now_ns = work.room.clock.now_ns()
        assert work.core.budget.may_cancel(now_ns, 4)
        questions = len(work.calls("GET /v1/me/getpositions"))
        assert questions < 60
        await back_at_work(work)
        await work.stop_and_check()


async def test_b14_silence_until_the_idle_limit(tmp_path: Path) -> None:
    """B14: nothing comes any more on a line that stands: quotes are taken back at once, the line is renewed later."""
    async with at_work(tmp_path) as work:
        await work.until("quotes", lambda: len(work.resting) == 2)
        connects = work.run.connection.session.statistics().connects
        work.room.exchange.faults.inject(Fault(kind=K.FREEZE_FEED, to_s=100))
        await work.until("cancels", lambda: not work.resting)
        await work.until("renewal", lambda: work.run.connection.session.statistics().connects > connects)
        work.room.exchange.faults.lift()
        await back_at_work(work)
        await work.stop_and_check()
