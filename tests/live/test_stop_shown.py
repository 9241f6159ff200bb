"""A run does not end before the venue has shown what it ends with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_HALTED
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.types.dto import Reason
from tests.live.pace import scaled_constants, steady_clock
from tests.live.rig import LiveRoom, ended, live_room
from tests.signing import SIGNED

pytestmark = SIGNED
SPEED = 15.0


async def until(room: LiveRoom, condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await room.pass_time(0.05)


def is_trading(room: LiveRoom) -> bool:
    return room.last is not None and room.last.core.record.tally.strikes > 0


async def test_halt_ends_flat_although_an_execution_never_was(tmp_path: Path) -> None:
    with scaled_constants(SPEED):
        async with steady_clock(SPEED) as clock, live_room(tmp_path, clock=clock) as room:
            task = asyncio.create_task(room.run())
            await until(room, lambda: is_trading(room))
            room.exchange.faults.inject(Fault(kind=FaultKind.PHANTOM_EXECUTION, count=1))
            assert room.last is not None
            run = room.last
            await until(room, lambda: room.exchange.faults.struck.total())
            await until(room, lambda: run.core.inventory.position != room.venue.ledger().position)
            run.trader.halt(Reason.OPERATOR, "a test")
            assert await ended(task) == EXIT_HALTED
            assert room.venue.ledger().position == 0
            room.check()


@pytest.mark.parametrize("http_status", [500, 200])
async def test_stop_asks_again_where_the_venue_does_not_show_the_account(tmp_path: Path, http_status: int) -> None:
    with scaled_constants(SPEED):
        async with steady_clock(SPEED) as clock, live_room(tmp_path, clock=clock) as room:
            ending = Ending()
            task = asyncio.create_task(room.run(ending=ending))
            await until(room, lambda: is_trading(room))
            kind = FaultKind.SERVER_ERROR if http_status == 500 else FaultKind.TRUNCATED_JSON
            room.exchange.faults.inject(Fault(kind=kind, path="/v1/me/get*", to_s=3.0))
            stopped_ns = room.clock.now_ns()
            ending.ask("a test")
            assert await ended(task) == EXIT_DONE
            assert room.last is not None
            account = room.last.core.account
            assert account is not None
            assert account.reported_ns is not None
            assert account.reported_ns > stopped_ns
            room.check()
