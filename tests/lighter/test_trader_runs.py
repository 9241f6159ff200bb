"""Stall-then-strike trades two markets on Lighter on loopback, whatever becomes of its process and messages."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from stall_then_strike.app.shell import cli
from stall_then_strike.engine.core import Core
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.types.dto import NS_PER_S
from tests.lighter.trader_rig import TradingRoom, trading_room
from tests.live.pace import steady_clock

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
K = FaultKind
SPEED = 6.0


def fills(room: TradingRoom) -> set[int]:
    """Markets in which the account has traded."""
    return {trade.market for trade in room.books.trades}


def cores(room: TradingRoom) -> Sequence[Core]:
    assert room.last is not None
    return room.last.portfolio.cores


def is_sound(room: TradingRoom) -> None:
    assert all(core.record.tally.anomalies == 0 and core.halted is None for core in cores(room))


async def test_two_markets_are_traded_and_the_ledger_is_ours(tmp_path: Path) -> None:
    async with steady_clock(SPEED) as clock, trading_room(tmp_path, clock=clock) as room:
        assert await room.run(lambda: fills(room) == {0, 1} and len(room.books.trades) >= 6, 60) == cli.EXIT_DONE
        is_sound(room)
        room.check()
        assert fills(room) == {0, 1}
        witnesses = [core.account.rules.witnesses.numbers_agree for core in cores(room) if core.account]
        assert any(witnesses), "public trades name our orders"


async def test_killed_trader_finds_its_orders_again(tmp_path: Path) -> None:
    async with steady_clock(SPEED) as clock, trading_room(tmp_path, clock=clock) as room:
        for _ in range(2):
            count = len(room.books.trades)
            await room.killed_run(
                lambda count=count: len(room.books.trades) > count and len(room.books.orders) >= 2,  # type: ignore[misc]  # a default binds the count
                30,
            )
        assert await room.run(lambda: run_has_struck(room), 30) == cli.EXIT_DONE
        is_sound(room)
        room.check()


def run_has_struck(room: TradingRoom) -> bool:
    return all(core.record.tally.strikes >= 2 for core in cores(room))


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
        is_over = partial(has_struck, room, quiet_ns)
        assert await room.run(lambda: clock.now_ns() > quiet_ns and is_over(), 120) == cli.EXIT_DONE
        assert len(room.exchange.faults.struck) == len(TROUBLE)
        room.check()


def has_struck(room: TradingRoom, since_ns: int) -> bool:
    """Whether both markets have been quoted since then, by a trader that knows the account."""
    return all(
        core.account is not None
        and core.account.is_settled
        and any(order.sent_ns >= since_ns for order in core.orders.live())
        for core in cores(room)
    )
