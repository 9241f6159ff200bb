"""Starts that fail for a moment's fault of the world: the next one trades, and what was open stays as it was."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from stall_then_strike.app.shell.command import EXIT_FAILED, EXIT_HALTED, EXIT_USAGE, ended_by
from stall_then_strike.app.trader.live_run import LiveRun
from stall_then_strike.sim.bitflyer.rpc import RpcError
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.types.dto import Command, Control, Reason
from tests.scenarios.at_work import HASTY, PLACE, STILL, AtWork, at_work, show_another_position
from tests.scenarios.test_c_restart import NO_STRIKES, with_a_position
from tests.signing import SIGNED

pytestmark = SIGNED
K = FaultKind
STOP_FLAT = {"risk": {"stop_flat": True}}


async def left_with_a_position(work: AtWork) -> int:
    """A run with a position was killed; how much it left open."""
    position = await with_a_position(work)
    await work.kill()
    return position


async def assert_next_start_trades(work: AtWork) -> None:
    work.room.exchange.faults.lift()
    work.room.attend = lambda run: None
    await work.start()
    await work.new_strikes()
    assert work.core.halted is None
    await work.stop_and_check()


async def test_a_clock_that_is_off_while_the_preflight_asks_is_forgotten(tmp_path: Path) -> None:
    """Exit 1 and not a word in the journal: nobody has to lift anything, nothing is sold at market."""
    async with at_work(tmp_path, **STILL) as work:
        position = await left_with_a_position(work)
        sent = len(work.calls(PLACE))
        work.room.exchange.faults.inject(Fault(kind=K.CLOCK_SKEW, seconds=20, to_s=10_000))
        assert await work.room.run() == EXIT_FAILED
        assert (work.position, len(work.calls(PLACE))) == (position, sent)
        assert work.room.journal()[1].halted is None
        assert not work.facts("halt")
        await assert_next_start_trades(work)


@pytest.mark.parametrize("reason", [Reason.CLOCK_SKEW, Reason.LOG_FAILURE, Reason.AUTH_REFUSED])
async def test_what_goes_wrong_before_the_account_is_known_ends_the_start_only(reason: Reason, tmp_path: Path) -> None:
    """Also with `stop_flat`: nothing of this run is open."""
    async with at_work(tmp_path, **STILL, **STOP_FLAT) as work:
        position = await left_with_a_position(work)
        sent = len(work.calls(PLACE))

        def spoil(run: LiveRun) -> None:
            telling = run._tell_halt

            def tell() -> None:
                telling()
                now_ns = work.room.clock.now_ns()
                run.trader.on_event(Control(ts_ns=now_ns, command=Command.HALT, reason=reason, detail="by the test"))

            run._tell_halt = tell  # type: ignore[method-assign]  # after the pre-flight, before the connection

        work.room.attend = spoil
        assert await work.room.run() == EXIT_FAILED
        assert (work.position, len(work.calls(PLACE))) == (position, sent)
        assert work.room.journal()[1].halted is None
        assert any(reason.label in fact.detail for fact in work.facts("start_failed"))
        await assert_next_start_trades(work)


async def test_one_429_at_a_start_is_a_pause(tmp_path: Path) -> None:
    """Another program has used the address up when the account is first asked for."""
    async with at_work(tmp_path, begin=False) as work:

        def spoil(run: LiveRun) -> None:
            telling = run._tell_halt

            def tell() -> None:
                telling()
                fault = Fault(kind=K.OVER_LIMIT, path="/v1/me/getchildorders", seconds=10, count=1)
                work.room.exchange.faults.inject(fault)

            run._tell_halt = tell  # type: ignore[method-assign]

        work.room.attend = spoil
        await work.start()
        await work.new_strikes()
        assert work.room.exchange.faults.struck.total() == 1
        assert work.core.start_fault is None
        await work.stop_and_check()


@pytest.mark.parametrize(
    ("code", "words", "expected"),
    [
        (-32603, "Internal error", EXIT_FAILED),
        (-32000, "Service temporarily unavailable", EXIT_FAILED),
        (-32000, "API key is invalid", EXIT_USAGE),
        (-500, "Authentication failed", EXIT_USAGE),
    ],
)
async def test_a_server_error_at_the_login_is_not_a_wrong_key(
    code: int, words: str, expected: int, tmp_path: Path
) -> None:
    """A supervisor tries again after 1 and not after 2."""
    async with at_work(tmp_path, begin=False, ws={"connect_timeout_sec": 2}) as work:

        def refuse(*_: object) -> str:
            raise RpcError(code, words)

        work.room.exchange._log_in = refuse  # type: ignore[method-assign]
        with pytest.raises(ExceptionGroup) as raised:
            await work.room.run()
        assert ended_by(raised.value, "run_live") == expected
        assert not work.calls(PLACE)


@pytest.mark.parametrize("after_halt", ["exit", "wait"])
async def test_a_halt_that_leaves_the_position_keeps_its_word_to_the_end(after_halt: str, tmp_path: Path) -> None:
    """With `stop_flat`: neither the end of the process nor the next start closes what nobody can explain."""
    risk = {"stop_flat": True, "after_halt": after_halt}
    async with at_work(tmp_path, **STILL, risk=risk, account={"reconcile_sec": 10, "position_checks": 2}) as work:
        await with_a_position(work)
        await show_another_position(work)
        await work.until("halt", lambda: work.core.halted)
        assert (await work.ended() if after_halt == "exit" else await work.stop()) == EXIT_HALTED
        assert await work.room.run(3) == EXIT_HALTED
        assert [call.body for call in work.calls(PLACE) if '"MARKET"' in call.body] == []
        assert work.position


async def test_a_venue_that_is_gone_at_the_end_is_not_a_success(tmp_path: Path) -> None:
    """What is not shown is not done: exit 1, and the summary says the same."""
    async with at_work(tmp_path, account={"stop_sec": Decimal(2)}, **HASTY) as work:
        await work.new_strikes()
        await work.until("no order", lambda: not work.live and not work.core.orders.any_live)
        work.room.exchange.faults.inject(Fault(kind=K.LOSE_REQUEST, path="/v1/me/*"))
        assert await work.stop() == EXIT_FAILED
        said = work.room.console.getvalue()
        assert "NOT CONFIRMED" in said
        assert said.count("stopping: waiting") >= 1


async def test_calls_of_the_preflight_and_of_long_reports_are_booked(tmp_path: Path) -> None:
    """Each private call counts on the budget once, whoever made it: the venue's count and ours are the same."""
    async with at_work(tmp_path, **NO_STRIKES) as work:
        await work.seconds(5)
        await work.until("peace", lambda: not work.run.trader.outbox.in_flight)
        made = sum("/v1/me/" in call.what for call in work.room.exchange.audit.records())
        used = {use.name: use.used for use in work.core.budget.use(work.room.clock.now_ns())}
        assert made == used["private"] == work.run.connection.calls_made
        await work.stop_and_check()


async def test_a_bug_in_one_call_cuts_off_no_other(tmp_path: Path) -> None:
    """The run fails, but its other order is named by then, and cancelled."""
    async with at_work(tmp_path, begin=False) as work:
        count = 0

        def spoil(run: LiveRun) -> None:
            def tell() -> None:
                http = run.connection.desks[0].gateway
                place = http.place  # type: ignore[attr-defined] # bitFlyer's

                async def broken(order: object) -> object:
                    nonlocal count
                    count += 1
                    if count == 1:
                        await asyncio.sleep(0.001)
                        raise ZeroDivisionError("a bug")
                    return await place(order)  # type: ignore[arg-type]

                http.place = broken  # type: ignore[attr-defined]

            run._tell_halt = tell  # type: ignore[method-assign]

        work.room.attend = spoil
        with pytest.raises(ExceptionGroup):
            await work.room.run()
        await work.seconds(1)
        assert count == 2
        assert not work.live
        assert len(work.facts("accepted")) == 1
