"""The network is away for thirty seconds, under open orders and a position: what comes of them, and of trading."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from stall_then_strike.app.shell.command import EXIT_DONE
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.infra.clock import ScaledClock, SystemClock
from stall_then_strike.sim.bitflyer.venue_account import ChildState
from stall_then_strike.sim.exchange.request_log import Audit
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.types.dto import NS_PER_S, BookStatus
from tests.live.pace import scaled_constants, steady_clock
from tests.live.rig import LiveRoom, ended, live_room
from tests.live.witness import Witness
from tests.signing import SIGNED

pytestmark = SIGNED

CUT_S = 30.0
STRATEGY = {"max_inventory_btc": Decimal("0.004"), "max_reverse_ticks": 1_000_000}
"""Positions are kept."""
HASTY = {"timeout_sec": Decimal(2)}
"""What was under way at the cut is given up before the network is back."""
REAL = {"pybotters": {"timeout_sec": Decimal(10)}, "ws": {"reconnect_min_sec": Decimal(1)}}
"""The defaults, in place of what the rig shortens for fast time."""


def is_exposed(room: LiveRoom) -> bool:
    """Whether there are an order on the book, a position, and no call under way."""
    account = room.venue.accounts["main"]
    on_book = any(order.state is ChildState.ACTIVE for order in account.live.values())
    return room.last is not None and on_book and bool(account.ledger.position) and not room.last.trader.outbox.in_flight


async def survive(room: LiveRoom, witness: Witness, *, is_port_closed: bool) -> None:
    """Cut under exposure: nothing is quoted meanwhile, nothing is left on the book, books agree, it trades on."""
    witness.enter(room)
    room.attend = witness.attend
    ending = Ending()
    task = asyncio.create_task(room.run(ending=ending))
    while not is_exposed(room):
        assert not task.done()
        await room.pass_time(0.02)
    run = room.last
    assert run is not None
    exposed = list(room.venue.accounts["main"].live.values())
    cut_ns = room.clock.now_ns()
    if is_port_closed:
        await room.exchange.__aexit__(None, None, None)
        await room.pass_time(CUT_S)
        await room.exchange.__aenter__()
    else:
        room.exchange.faults.inject(Fault(kind=FaultKind.CUT_NETWORK, to_s=CUT_S))
        await room.pass_time(CUT_S)
    back_ns = cut_ns + round(CUT_S * NS_PER_S)
    assert run.core.book_status(back_ns) is not BookStatus.OK
    strikes = len(witness.strikes_ns)
    assert [at for at in witness.strikes_ns if cut_ns + NS_PER_S <= at < back_ns] == []
    while len(witness.strikes_ns) < strikes + 3:
        assert not task.done()
        await room.pass_time(0.2)
    account = room.venue.accounts["main"]
    assert not [order for order in exposed if order.acceptance_id in account.live]
    ending.ask("traded on")
    assert await ended(task) == EXIT_DONE
    room.check()
    witness.check(late_ns=0, slack=0)


async def in_room(tmp_path: Path, clock: ScaledClock, *, is_port_closed: bool, **sections: object) -> None:
    witness = Witness()
    more = {"pybotters": HASTY, "strategy": STRATEGY, **sections}
    async with live_room(tmp_path, clock=clock, sections=more, audit=Audit(sink=witness.on_received)) as room:  # type: ignore[arg-type]  # settings of any shape
        await survive(room, witness, is_port_closed=is_port_closed)


@pytest.mark.parametrize("is_port_closed", [False, True], ids=["no answer", "port closed"])
async def test_cut_in_fast_time(tmp_path: Path, is_port_closed: bool) -> None:
    speed = 15.0
    with scaled_constants(speed):
        async with steady_clock(speed) as clock:
            await in_room(tmp_path, clock, is_port_closed=is_port_closed)


@pytest.mark.slow(40)
@pytest.mark.timeout(300)
async def test_cut_in_real_time(tmp_path: Path) -> None:
    await in_room(tmp_path, SystemClock(), is_port_closed=False, **REAL)
