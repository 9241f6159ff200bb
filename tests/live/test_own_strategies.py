"""The grid and the example of an own strategy, chosen by configuration: live, on paper, and in replay."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from stall_then_strike.app.trader.trader import PaperTrader
from stall_then_strike.app.trader.virtual import VirtualRun
from stall_then_strike.config.layers import read_file
from stall_then_strike.engine.context import Strategy
from stall_then_strike.engine.core import Core
from stall_then_strike.engine.sandbox import Sandbox
from stall_then_strike.engine.strategy_grid import Grid
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.types.dto import Reason, TradeLogRow
from tests.live.test_other_strategy import MANY_ERRORS
from tests.market_script import RowList, config
from tests.research.replay.replay_rig import frames
from tests.scenarios.at_work import AtWork, at_work
from tests.signing import SIGNED
from tests.tapes.test_event_replay import csv_bytes, event_logs, recording, replayed

REPO = Path(__file__).parents[2]
EXAMPLE = REPO / "examples" / "two_sided.yml"
GRID: Mapping[str, Any] = {
    "strategy": {"name": "grid", "stale_ms": 5_000, "max_inventory_btc": Decimal("0.005")},
    "parameters": {"lower": 13_500_000, "upper": 13_700_000, "zones": 400, "size": Decimal("0.001")},
}


def sections(file: Path) -> dict[str, Any]:
    tree = read_file(file).plain()
    return {name: tree[name] for name in ("strategy", "parameters")}


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(EXAMPLE.parent))
    return sections(EXAMPLE)


def strategy_of(core: Core) -> Strategy:
    assert isinstance(core.strategy, Sandbox)
    return core.strategy.strategy


def held(core: Core) -> int:
    """What the grid's zones hold together."""
    grid = strategy_of(core)
    assert isinstance(grid, Grid)
    return sum(zone.held for zone in grid.zones)


async def until_it_turned_round(work: AtWork, fills: int = 8) -> None:
    tally = work.core.record.tally

    def sides() -> set[str]:
        return {row["side"] for row in work.room.rows("trades")}

    await work.until("fills on both sides", lambda: tally.fills >= fills and sides() == {"BUY", "SELL"})


async def until_zones_hold_the_position(work: AtWork) -> None:
    """Fills are told a moment later while quotes are forbidden."""
    await work.until("zones that hold the position", lambda: held(work.core) == work.core.inventory.position)


@SIGNED
async def test_grid_trades_live_starts_again_and_both_runs_are_replayed_row_for_row(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    async with at_work(tmp_path, begin=False, **GRID) as work:
        recording(work.room, raw)
        await work.start()
        await until_it_turned_round(work)
        await until_zones_hold_the_position(work)
        await work.stop_and_check()
        await work.start()
        await work.until("orders of the second run", lambda: work.core.record.tally.placed >= 4)
        await until_zones_hold_the_position(work)
        await work.stop_and_check()
        ledger = work.room.venue.ledger()
        assert abs(ledger.position) <= 500_000, "the cap"
        assert replayed(event_logs(raw), tmp_path / "again") == csv_bytes(work.room.logs)
        assert {row["decision_type"] for row in work.room.rows("decisions")} >= {"quote", "cancel", "hold"}


@SIGNED
async def test_grid_that_is_killed_finds_its_position_again(tmp_path: Path) -> None:
    async with at_work(tmp_path, **GRID) as work:
        await work.until("fills", lambda: work.core.record.tally.fills >= 4)
        await work.kill()
        await work.start()
        await work.until("orders of the second run", lambda: work.core.record.tally.placed >= 4)
        await until_zones_hold_the_position(work)
        await work.stop_and_check()


@SIGNED
async def test_halt_ends_the_grid_flat(tmp_path: Path) -> None:
    async with at_work(tmp_path, **GRID) as work:
        await work.until("a position", lambda: work.core.inventory.position)
        work.run.trader.halt(Reason.OPERATOR, "by the test")
        assert await work.ended() == 3
        await work.check()
        assert work.position == 0


@SIGNED
async def test_example_trades_live_and_its_run_is_replayed_row_for_row(
    tmp_path: Path, examples: dict[str, Any]
) -> None:
    raw = tmp_path / "raw"
    async with at_work(tmp_path, begin=False, **examples) as work:
        recording(work.room, raw)
        await work.start()
        await until_it_turned_round(work, 4)
        await work.stop_and_check()
        assert replayed(event_logs(raw), tmp_path / "again") == csv_bytes(work.room.logs)


def on_paper(**chosen: Any) -> tuple[PaperTrader, list[Any]]:
    cfg, clock, log = config(**MANY_ERRORS, **chosen), VirtualClock(0), RowList()
    feed = MarketFeed(cfg)
    trader = PaperTrader(cfg, clock, feed, log)
    asyncio.run(VirtualRun(trader, clock, feed).run((frame.time_ns, frame.text) for frame in frames(60.0)))
    return trader, log.rows


def test_grid_on_paper_turns_fills_round_and_twice_the_same() -> None:
    trader, rows = on_paper(**GRID)
    fills = [row for row in rows if isinstance(row, TradeLogRow)]
    assert {row.side for row in fills} == {"BUY", "SELL"}
    assert held(trader.core) == trader.core.inventory.position
    assert all(abs(row.inventory_after) <= 500_000 for row in fills)
    assert not trader.core.orders.any_live
    assert rows == on_paper(**GRID)[1]


def test_example_on_paper_and_twice_the_same(examples: dict[str, Any]) -> None:
    trader, rows = on_paper(**examples)
    assert trader.core.record.tally.fills > 2
    assert not trader.core.orders.any_live
    assert rows == on_paper(**examples)[1]


def test_example_is_short_and_its_configuration_as_the_page_tells() -> None:
    source = EXAMPLE.with_suffix(".py").read_text()
    assert len(source.splitlines()) <= 60
    assert yaml.safe_load(EXAMPLE.read_text())["strategy"] == "two_sided.TwoSided"
    page = (REPO / "docs" / "strategies.md").read_text()
    assert "examples/two_sided.py" in page
