"""The kill switch in live trading: whatever trips it leaves a reason, a line, a CSV row, and nothing at the venue.

Each case is tripped at the exchange or below the trader, never by calling the switch. Limits by marks, dust and the
like are in `tests/scenarios/test_f_risk_and_persistence.py`, -205 and 429 in `test_d_rest_and_limits.py`.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from stall_then_strike.app.shell.command import EXIT_HALTED
from stall_then_strike.sim.bitflyer.tickets import Refusal
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.types.dto import Changes, Reason
from stall_then_strike.types.errors import JournalError
from stall_then_strike.types.text import utc_day
from tests.scenarios.at_work import PLACE, STILL, AtWork, at_work, show_another_position
from tests.scenarios.test_c_restart import JUST_BEFORE_MIDNIGHT_NS, NO_STRIKES, with_a_position
from tests.signing import SIGNED

pytestmark = SIGNED
K = FaultKind


@pytest.fixture
def criticals() -> Iterator[list[str]]:
    """Critical lines of the runtime log."""
    lines: list[str] = []
    number = logger.add(lines.append, level="CRITICAL", format="{message}")
    yield lines
    logger.remove(number)


async def nothing(work: AtWork) -> None:
    """The settings trip it."""


async def refuse_orders(work: AtWork) -> None:
    work.room.venue.desk.refusal = Refusal(status=-106, message="The price is too low.")


async def revoke_the_key(work: AtWork) -> None:
    await work.until("both quotes", lambda: len(work.resting) == 2)
    work.room.venue.keyring._keys.clear()


async def move_the_clock(work: AtWork) -> None:
    await work.until("both quotes", lambda: len(work.resting) == 2)
    work.room.exchange.faults.inject(Fault(kind=K.CLOCK_SKEW, seconds=60, to_s=10_000))


async def break_the_journal(work: AtWork) -> None:
    class Full:
        def record(self, changes: Changes) -> None:
            raise JournalError("the journal cannot be written: no space left on device")

    work.run.trader.owed._journal = Full()


LOOSE: dict[str, Any] = {"daily_pnl_jpy": -1_000_000, "max_dd_jpy": -1_000_000}
CASES: dict[str, tuple[dict[str, Any], Callable[[AtWork], Awaitable[None]], Reason, bool]] = {
    "daily loss": ({"daily_pnl_jpy": -1}, nothing, Reason.KILL_PNL, True),
    "drawdown": ({"max_dd_jpy": -1}, nothing, Reason.KILL_DRAWDOWN, True),
    "rejects": ({"max_rejects": 3}, refuse_orders, Reason.REJECTS, False),
    "key revoked": ({}, revoke_the_key, Reason.AUTH_REFUSED, False),
    "clock": ({}, move_the_clock, Reason.CLOCK_SKEW, True),
    "position": ({}, show_another_position, Reason.POSITION_MISMATCH, False),
}


@pytest.mark.parametrize("name", CASES)
async def test_every_trip_has_its_reason_its_line_and_its_row(name: str, tmp_path: Path, criticals: list[str]) -> None:
    risk, trip, reason, ends_flat = CASES[name]
    account = {"reconcile_sec": 10, "position_checks": 2}
    async with at_work(tmp_path, speed=30, risk={**LOOSE, **risk}, account=account) as work:
        await trip(work)
        assert await work.ended() == EXIT_HALTED
        assert work.core.halted is reason
        await work.seconds(1)
        assert not work.live
        if ends_flat:
            assert work.position == 0
        assert any(line.startswith(f"HALT {reason.label}") for line in criticals)
        assert [row["reason"] for row in work.decisions("halt")] == [reason.label]
        assert [fact.detail.split()[0] for fact in work.facts("halt")] == [reason.label]
        kinds = [row["decision_type"] for row in work.room.rows("decisions")]
        assert "strike" not in kinds[kinds.index("halt") :]


async def test_journal_that_fails_halts_with_exits_only(tmp_path: Path, criticals: list[str]) -> None:
    """No quote leaves that is not in the journal; what is open is closed all the same."""
    async with at_work(tmp_path, **STILL) as work:
        await with_a_position(work)
        sent = len(work.calls(PLACE))
        await break_the_journal(work)
        assert await work.ended() == EXIT_HALTED
        assert work.core.halted is Reason.LOG_FAILURE
        assert work.position == 0
        await work.seconds(1)
        assert not work.live
        assert all('"MARKET"' in call.body for call in work.calls(PLACE)[sent:])
        assert any("no space left" in line for line in criticals)
        assert [row["reason"] for row in work.decisions("halt")] == ["log_failure"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs the full device of Linux")
async def test_f6_full_disk_under_a_live_log(tmp_path: Path, criticals: list[str]) -> None:
    """F6: the orders CSV cannot be written: halted, flat, exit 3."""
    async with at_work(tmp_path, begin=False) as work:
        folder = work.room.logs / "orders"
        folder.mkdir(parents=True)
        (folder / f"orders-{utc_day(work.room.clock.now_ns())}.csv").symlink_to("/dev/full")
        assert await work.room.run() == EXIT_HALTED
        assert work.core.halted is Reason.LOG_FAILURE
        assert work.position == 0
        assert any("No space left" in line for line in criticals)
        assert [row["reason"] for row in work.decisions("halt")] == ["log_failure"]


async def test_waiting_after_a_halt_ends_with_the_day(tmp_path: Path) -> None:
    """`after_halt: wait` stays up, halted and without quotes, until the trading day rolls."""
    risk = {**LOOSE, "after_halt": "wait"}
    async with at_work(tmp_path, start_ns=JUST_BEFORE_MIDNIGHT_NS, risk=risk) as work:
        await work.new_strikes()
        work.run.trader.halt(Reason.KILL_PNL, "by the test")
        await work.until("nothing live", lambda: not work.live and not work.core.inventory.position)
        sent = len(work.calls(PLACE))
        await work.seconds(2)
        assert all('"MARKET"' in call.body for call in work.calls(PLACE)[sent:]), "a fill came late"
        await work.until("new day", lambda: work.core.halted is None)
        assert work.room.clock.now_ns() > JUST_BEFORE_MIDNIGHT_NS + 59 * 10**9
        await work.new_strikes()
        await work.stop_and_check()


async def test_halted_run_that_is_stopped_ends_with_3(tmp_path: Path) -> None:
    async with at_work(tmp_path, risk={**LOOSE, "after_halt": "wait"}) as work:
        work.run.trader.halt(Reason.OPERATOR, "by the test")
        await work.stop_and_check(EXIT_HALTED)


async def test_position_of_a_halt_that_was_killed_is_closed_by_the_next_run(tmp_path: Path) -> None:
    """The process dies between the halt and the close: the next one is halted, and closes."""
    async with at_work(tmp_path, **STILL) as work:
        await with_a_position(work)
        work.room.exchange.faults.inject(Fault(kind=K.LOSE_REQUEST, path="/v1/me/*", name="line"))
        work.run.trader.halt(Reason.OPERATOR, "by the test")
        await work.until("halt that is remembered", lambda: work.facts("halt"))
        await work.kill()
        assert work.position
        work.room.exchange.faults.lift()
        work.room.cfg = work.room.cfg.model_copy(
            update={"strategy": work.room.cfg.strategy.model_copy(update=NO_STRIKES["strategy"])}
        )
        assert await work.room.run() == EXIT_HALTED
        assert work.position == 0
        await work.check()
