"""Stall-then-strike trades two markets on Lighter on loopback, whatever becomes of its process and messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.types.dto import NS_PER_S
from tests.lighter.trader_rig import STANDARD, TradingRoom, TradingRun, trading_room
from tests.live.pace import steady_clock

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
K = FaultKind
SPEED = 6.0


def fills(room: TradingRoom) -> set[int]:
    """Markets in which the account has traded."""
    return {trade.market for trade in room.books.trades}


def is_sound(run: TradingRun) -> None:
    assert all(core.record.tally.anomalies == 0 for core in run.portfolio.cores)
    assert run.portfolio.halted is None


async def test_two_markets_are_traded_and_the_ledger_is_ours(tmp_path: Path) -> None:
    async with steady_clock(SPEED) as clock, trading_room(tmp_path, clock=clock, settings=STANDARD) as room:
        run = await room.run(lambda: fills(room) == {0, 1} and len(room.books.trades) >= 6, 60)
        is_sound(run)
        room.check()
        assert fills(room) == {0, 1}
        witnesses = [core.account.rules.witnesses.numbers_agree for core in run.portfolio.cores if core.account]
        assert any(witnesses), "public trades name our orders"


async def test_killed_trader_finds_its_orders_again(tmp_path: Path) -> None:
    async with steady_clock(SPEED) as clock, trading_room(tmp_path, clock=clock) as room:
        for _ in range(2):
            count = len(room.books.trades)
            await room.killed_run(
                lambda count=count: len(room.books.trades) > count and len(room.books.orders) >= 2,  # type: ignore[misc]  # a default binds the count
                30,
            )
        run = await room.run(lambda: run_has_struck(room), 30)
        is_sound(run)
        room.check()


def run_has_struck(room: TradingRoom) -> bool:
    assert room.last is not None
    return all(core.record.tally.strikes >= 2 for core in room.last.portfolio.cores)


TROUBLE = (
    Fault(kind=K.LOSE_REPLY, method="jsonapi/sendtxbatch", count=2, from_s=1, to_s=8),
    Fault(kind=K.REFUSE_TX, code=21104, chance=0.4, from_s=9, to_s=14),
    Fault(kind=K.LOSE_FRAME, channel="account_*", event="update", from_s=15, to_s=22),
)
"""Lost answers, then refused nonces, then a private channel that is silent."""


async def test_trouble_passes_and_nothing_is_lost(tmp_path: Path) -> None:
    async with steady_clock(SPEED) as clock, trading_room(tmp_path, clock=clock) as room:
        room.exchange.faults.inject(*TROUBLE)
        quiet_ns = clock.now_ns() + 23 * NS_PER_S
        run = await room.run(lambda: clock.now_ns() > quiet_ns and has_struck(room, quiet_ns), 120)
        assert len(room.exchange.faults.struck) == len(TROUBLE)
        assert run.portfolio.halted is None
        room.check()


def has_struck(room: TradingRoom, since_ns: int) -> bool:
    """Whether both markets have been quoted since then, by a trader that knows the account."""
    assert room.last is not None
    return all(
        core.account is not None
        and core.account.is_settled
        and any(order.sent_ns >= since_ns for order in core.orders.live())
        for core in room.last.portfolio.cores
    )
