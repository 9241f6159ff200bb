"""How a run ends: in good order, in a hurry, too early, with a venue that does not answer, and by a failure inside."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, EXIT_HALTED
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.infra.watch.heartbeat import heartbeat_path, read_beat
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.types.dto import BookStatus, Reason
from tests.scenarios.at_work import CANCEL, HASTY, PLACE, STILL, AtWork, at_work
from tests.scenarios.test_c_restart import with_a_position
from tests.signing import SIGNED

pytestmark = SIGNED
K = FaultKind


def beat(work: AtWork) -> str | None:
    found = read_beat(heartbeat_path(work.room.cfg))
    return None if found is None else found.state


async def test_stop_in_good_order_says_so_to_the_watchdog(tmp_path: Path) -> None:
    async with at_work(tmp_path) as work:
        await work.until("both quotes", lambda: len(work.resting) == 2)
        assert beat(work) == "running"
        await work.stop_and_check()
        assert beat(work) == "stopped"


async def test_stop_before_trading_sends_nothing(tmp_path: Path) -> None:
    """A signal during pre-flight, whose questions hang, ends the run at once."""
    async with at_work(tmp_path, begin=False, pybotters={"timeout_sec": Decimal(60)}) as work:
        work.room.exchange.faults.inject(Fault(kind=K.LOSE_ANSWER, path="/v1/me/*"))
        work.task = asyncio.create_task(work.room.run(ending=work.ending))
        await work.until("hanging question", lambda: work.room.exchange.faults.struck["lose_answer"])
        assert await work.stop() == EXIT_DONE
        assert not [call for call in work.room.exchange.audit.records() if call.what.startswith("POST")]
        assert beat(work) is None


async def test_stop_before_trading_cancels_what_an_earlier_run_left(tmp_path: Path) -> None:
    """And is no good end: the cancels are not confirmed."""
    async with at_work(tmp_path, **STILL, **HASTY) as work:
        await work.until("both quotes", lambda: len(work.resting) == 2)
        await work.kill()
        assert len(work.resting) == 2
        work.room.exchange.faults.inject(Fault(kind=K.LOSE_ANSWER, path="/v1/me/getpermissions"))
        work.ending = Ending()
        work.task = asyncio.create_task(work.room.run(ending=work.ending))
        await work.until("hanging question", lambda: work.room.exchange.faults.struck["lose_answer"])
        assert await work.stop() == EXIT_FAILED
        await work.until_gone()


async def test_stop_while_connecting(tmp_path: Path) -> None:
    async with at_work(tmp_path, begin=False) as work:
        work.room.exchange.faults.inject(Fault(kind=K.RESET_SOCKETS))
        work.task = asyncio.create_task(work.room.run(ending=work.ending))
        await work.until("vain attempt", lambda: work.room.exchange.faults.struck["reset_sockets"])
        assert await work.stop() == EXIT_DONE
        assert not [call for call in work.room.exchange.audit.records() if call.what.startswith("POST")]
        assert beat(work) == "stopped"


async def test_stop_in_a_cut_network_is_bounded_and_not_confirmed(tmp_path: Path) -> None:
    async with at_work(tmp_path, account={"stop_sec": 2}, **STILL, **HASTY) as work:
        await work.until("both quotes", lambda: len(work.resting) == 2)
        work.room.exchange.faults.inject(Fault(kind=K.CUT_NETWORK, to_s=1_000))
        assert await work.stop() == EXIT_FAILED
        assert work.core.orders.any_live
        assert beat(work) == "running", "the watchdog must go on"
        work.room.exchange.faults.lift()


async def test_stop_with_an_order_in_doubt_is_not_confirmed(tmp_path: Path) -> None:
    async with at_work(tmp_path, account={"stop_sec": 2}, **HASTY) as work:
        await work.hit(Fault(kind=K.LOSE_REQUEST, path="/v1/me/sendchildorder", count=1))
        await work.until("doubt", lambda: work.facts("send_unknown"))
        assert await work.stop() == EXIT_FAILED
        assert beat(work) == "running"
        await work.check()


@pytest.mark.slow
async def test_second_signal_hurries_and_still_cancels(tmp_path: Path) -> None:
    """The venue takes the cancels and answers none: the second signal does not wait for it."""
    async with at_work(tmp_path, account={"stop_sec": 300}, pybotters={"timeout_sec": Decimal(60)}, **STILL) as work:
        await work.until("both quotes", lambda: len(work.resting) == 2)
        names = {order.acceptance_id for order in work.resting}
        quotes = len(work.calls(PLACE))
        silent = [Fault(kind=K.LOSE_ANSWER, path="/v1/me/*"), Fault(kind=K.LOSE_FRAME, channel="child_order_events")]
        work.room.exchange.faults.inject(*silent)
        work.ending.on_signal("SIGINT")
        work.ending.on_signal("SIGINT")
        assert await work.ended() == EXIT_FAILED
        asked = {name for name in names if any(name in call.body for call in work.calls(CANCEL))}
        assert asked == names
        assert len(work.calls(PLACE)) == quotes
        await work.until_gone()


async def test_fill_of_the_last_moment_is_closed_when_we_must_be_flat(tmp_path: Path) -> None:
    """The last look at the account shows a fill that nobody told: it is closed before the run ends."""
    async with at_work(tmp_path, risk={"stop_flat": True}, **STILL) as work:
        await work.until("both quotes", lambda: len(work.resting) == 2)
        deaf = Fault(kind=K.LOSE_FRAME, channel="child_order_events", event="EXECUTION", count=1)
        mute = Fault(kind=K.LOSE_FRAME, channel="lightning_executions_*", to_s=3)
        work.room.exchange.faults.inject(deaf, mute)
        work.hit_quote(40_000)
        assert await work.stop() == EXIT_DONE
        assert work.position == 0
        await work.check()


async def test_not_flat_in_time_is_a_failure(tmp_path: Path) -> None:
    """The feed is dead, and a stop waits no longer than it is told to: exit 1 names the position."""
    async with at_work(tmp_path, risk={"stop_flat": True}, account={"stop_sec": 1}, **STILL) as work:
        position = await with_a_position(work)
        work.room.exchange.faults.inject(Fault(kind=K.LOSE_FRAME, channel="lightning_board_*"))
        await work.until("a stale book", lambda: work.core.book_status(work.room.clock.now_ns()) is BookStatus.STALE)
        assert await work.stop() == EXIT_FAILED
        assert work.position == position


async def test_halt_closes_without_a_book_after_its_patience(tmp_path: Path) -> None:
    """Halted with a position and a dead feed: at market after `flatten_blind_sec`."""
    async with at_work(tmp_path, risk={"flatten_blind_sec": 5}, **STILL) as work:
        await with_a_position(work)
        work.room.exchange.faults.inject(Fault(kind=K.LOSE_FRAME, channel="lightning_board_*"))
        await work.until("a stale book", lambda: work.core.book_status(work.room.clock.now_ns()) is BookStatus.STALE)
        work.run.trader.halt(Reason.OPERATOR, "by the test")
        assert await work.ended() == EXIT_HALTED
        assert work.position == 0
        await work.check()


class Broken(RuntimeError):
    """A bug."""


def break_core(work: AtWork) -> None:
    """From here on the core fails at every board, and so it fails at every other event."""
    core = work.core

    def fails(event: Any, now_ns: int) -> Any:
        raise Broken("made by the test")

    core.on_event = fails  # type: ignore[method-assign]


async def test_bug_in_the_core_cancels_over_http_before_the_end(tmp_path: Path) -> None:
    async with at_work(tmp_path, **STILL) as work:
        await work.until("both quotes", lambda: len(work.resting) == 2)
        await work.until("named", lambda: all(order.order_id for order in work.core.orders.live()))
        names = {order.acceptance_id for order in work.resting}
        break_core(work)
        with pytest.raises(BaseExceptionGroup) as failure:
            await work.ended()
        assert failure.group_contains(Broken)
        assert {name for name in names if any(name in call.body for call in work.calls(CANCEL))} == names
        await work.until_gone()
        assert beat(work) == "running"


async def test_bug_in_the_core_cancels_also_orders_without_a_name(tmp_path: Path) -> None:
    """The answers are on their way when it fails: the orders are found by their terms."""
    async with at_work(tmp_path, begin=False, **STILL) as work:
        slow = Fault(kind=K.DELAY_ANSWER, path="/v1/me/sendchildorder", seconds=9)
        work.room.exchange.faults.inject(slow)
        await work.start()
        await work.until("both quotes", lambda: len(work.resting) == 2)
        assert not any(order.order_id for order in work.core.orders.live())
        break_core(work)
        with pytest.raises(BaseExceptionGroup):
            await work.ended()
        await work.until_gone()


async def test_bug_in_the_view_is_fatal_too(tmp_path: Path) -> None:
    async with at_work(tmp_path, **STILL) as work:
        await work.until("both quotes", lambda: len(work.resting) == 2)

        def fails(quotes: Any) -> None:
            raise Broken("made by the test")

        work.run.trader._desks[0].set_own = fails
        with pytest.raises(BaseExceptionGroup):
            await work.ended()
        await work.until_gone()


async def test_bug_in_the_strategy_costs_its_quotes_and_then_the_day(tmp_path: Path) -> None:
    """One exception cancels the quotes and trading goes on; the third of a day halts."""
    async with at_work(tmp_path) as work:
        await work.until("both quotes", lambda: len(work.resting) == 2)
        strategy, decide = work.core.strategy, work.core.strategy.on_event
        left = 1

        def fails(*seen: Any) -> Any:
            nonlocal left
            if left:
                left -= 1
                raise Broken("made by the test")
            return decide(*seen)

        strategy.on_event = fails  # type: ignore[method-assign]
        await work.until("error", lambda: work.facts("error"))
        await work.new_strikes()
        assert work.core.halted is None
        left = 10
        assert await work.ended() == EXIT_HALTED
        await work.check()
        assert work.decisions("halt")[0]["reason"] == "internal_error"
