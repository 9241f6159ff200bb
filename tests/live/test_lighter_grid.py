"""The grid on the embedded Lighter: three markets under one portfolio, by signed transactions."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stall_then_strike.app.shell.command import EXIT_DONE
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.trader.live_run import LiveRun
from stall_then_strike.engine.context import Context, OrderFill, Role
from stall_then_strike.engine.core import Core
from tests.lighter.trader_rig import TradingRoom
from tests.live.test_lighter_run import room_of
from tests.live.test_own_strategies import held, strategy_of
from tests.waiting import until

pytest.importorskip("lighter")
FILE = "lighter-grid.yml"
PATIENT = "strategy.stale_ms=30000"
"""A busy machine is not to look like a dead line."""


def watched(core: Core, roles: set[Role | None]) -> None:
    """Note the roles of the fills that a grid is told."""
    grid = strategy_of(core)
    told = grid.on_order_filled

    def on_order_filled(context: Context, fill: OrderFill) -> None:
        roles.add(fill.role)
        told(context, fill)

    grid.on_order_filled = on_order_filled  # type: ignore[method-assign]


def traded(room: TradingRoom) -> set[int]:
    """The markets in which the account traded. Which one comes last, and after how many trades, is chance."""
    return {trade.market for trade in room.books.trades}


def hold_what_there_is(room: TradingRoom) -> bool:
    """Whether each grid's zones hold the position. Fills are told a moment later while quotes are forbidden."""
    assert room.last is not None
    return all(held(core) == core.inventory.position for core in room.last.portfolio.cores)


async def test_grid_trades_three_markets_on_lighter_and_a_restart_goes_on(tmp_path: Path) -> None:
    roles: set[Role | None] = set()

    def attend(run: LiveRun) -> None:
        for core in run.portfolio.cores:
            watched(core, roles)

    async with room_of(tmp_path, PATIENT, file=FILE) as room:
        room.attend = attend
        for least in (8, 10):
            ending = Ending()
            run = asyncio.create_task(room.run(None, ending))
            await until(lambda least=least: len(room.books.trades) >= least and traded(room) == {0, 1, 2}, 120)
            await until(lambda: len(room.books.orders) >= 12 and hold_what_there_is(room), 120)
            assert room.last is not None
            assert roles == {Role.MAKER}, "the venue says who rested"
            cores = room.last.portfolio.cores
            ending.ask("enough")
            async with asyncio.timeout(60):
                assert await run == EXIT_DONE
            assert all(core.record.tally.rejected == 0 for core in cores), "post-only, and none was refused"
            room.check()
        for core, one in zip(cores, room.cfg.by_instrument(), strict=True):
            assert abs(core.instrument.size(core.inventory.position)) <= one.strategy.max_inventory_btc
