"""Stall-then-strike trades two markets on Lighter on loopback, whatever becomes of its messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from stall_then_strike.app.shell.command import EXIT_DONE
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.trader.live_run import LiveRun
from stall_then_strike.engine.core import Core
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.types.dto import Event, FillEvent, PrintedFill, Side, Step
from tests.lighter.trader_rig import TradingRoom, trading_room
from tests.live.pace import steady_clock

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
K = FaultKind
SPEED = 6.0


def cores(room: TradingRoom) -> Sequence[Core]:
    assert room.last is not None
    return room.last.portfolio.cores


TROUBLE = (
    Fault(kind=K.LOSE_REPLY, method="jsonapi/sendtxbatch", count=2),
    Fault(kind=K.REFUSE_TX, code=21104, chance=0.7),
    Fault(kind=K.LOSE_FRAME, channel="account_*", event="update"),
)
"""Lost answers, then refused nonces, then a private channel that is silent."""
LASTS_S = 8
"""Each trouble, from its first strike: when it can strike depends on how long the one before kept the trader still."""


async def test_trouble_passes_and_nothing_is_lost(tmp_path: Path) -> None:
    async with steady_clock(SPEED) as clock, trading_room(tmp_path, clock=clock) as room:
        ending, faults = Ending(), room.exchange.faults
        running = asyncio.create_task(room.run(ending=ending))
        for fault in TROUBLE:
            faults.inject(fault)
            await room.wait(lambda fault=fault: running.done() or faults.struck[fault.label], 120)
            await room.pass_time(LASTS_S)
            faults.lift(fault.label)
        quiet_ns = clock.now_ns()
        await room.wait(lambda: running.done() or has_struck(room, quiet_ns), 120)
        assert has_struck(room, quiet_ns)
        ending.ask("the trouble has passed")
        assert await running == EXIT_DONE
        assert len(faults.struck) == len(TROUBLE)
        room.check()


async def test_public_channel_tells_each_fill_with_its_fee(tmp_path: Path) -> None:
    """A fill may be booked from there, if the private channel loses it. No message tells a close's index before."""
    printed: dict[int, FillEvent] = {}

    def attend(run: LiveRun) -> None:
        for core in run.portfolio.cores:
            core.on_event = partial(note, core.on_event)  # type: ignore[method-assign]

    def note(on_event: Callable[[Event, int], Step], event: Event, now_ns: int) -> Step:
        if isinstance(event, PrintedFill):
            printed[event.fill.exec_id] = event.fill
        return on_event(event, now_ns)

    async with steady_clock(SPEED) as clock, trading_room(tmp_path, clock=clock) as room:
        room.attend = attend

        def is_closed() -> bool:
            return any(trade.maker.account != room.books.index for trade in room.books.trades)

        assert await room.run_until(lambda: len(printed) >= 3 and is_closed(), 120) == EXIT_DONE
        assert is_closed()
        room.check()
        assert printed.keys() == {trade.trade_id for trade in room.books.trades}
        for trade in room.books.trades:
            fill = printed[trade.trade_id]
            party = trade.bid if fill.side is Side.BUY else trade.ask
            assert party.account == room.books.index
            assert 0 < fill.fee == -(-trade.quote * party.fee // 10**6)


def has_struck(room: TradingRoom, since_ns: int) -> bool:
    """Whether both markets have been quoted since then, by a trader that knows the account."""
    return all(
        core.account is not None
        and core.account.is_settled
        and any(order.sent_ns >= since_ns for order in core.orders.live())
        for core in cores(room)
    )
