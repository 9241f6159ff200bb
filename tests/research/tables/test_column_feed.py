"""A run over prepared messages leaves the same rows as one over their text."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stall_then_strike.app.trader.trader import PaperTrader
from stall_then_strike.app.trader.virtual import VirtualRun
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.research.tables.column_feed import ColumnFeed
from stall_then_strike.research.tables.columns import Columns
from stall_then_strike.research.tables.prepare import write_columns
from stall_then_strike.types.dto import BoardSnapshot, Event
from tests.market_script import RowList, config
from tests.research.replay import replay_rig as rig
from tests.research.replay.twins import twins

pytestmark = pytest.mark.timeout(600)
MINUTES = 20


@pytest.fixture(scope="module")
def messages() -> list[tuple[int, str | None]]:
    """Long enough for the windows of all limits to fill up and run out."""
    return [(frame.time_ns, frame.text) for frame in rig.frames(60 * MINUTES)]


@pytest.mark.parametrize(
    "cfg",
    [
        config(),
        config(strategy={"quote_mode": "join", "ttl_ms": 3_000}, paper={"queue_model": "power"}),
        config(strategy={"quote_mode": "inside", "stall_T_ms": 60, "max_inventory_btc": 0.002}),
        config(exchange={"limits": {"small_orders_per_min": 30, "private_per_5min": 90, "reserve_private": 20}}),
        config(strategy={"max_reverse_ticks": 5_000}, paper={"funding_times": ("09:05",)}),
    ],
    ids=["base", "join", "inside", "narrow limits", "held positions"],
)
def test_a_generated_market_is_traded_alike_from_text_and_from_columns(
    cfg: AppConfig, messages: list[tuple[int, str | None]], tmp_path: Path
) -> None:
    twins(messages, cfg, tmp_path).check()


def test_the_trader_is_told_every_message(messages: list[tuple[int, str | None]], tmp_path: Path) -> None:
    write_columns(messages, config(), tmp_path)
    clock, feed = VirtualClock(0), ColumnFeed(Columns(tmp_path))
    trader, told = PaperTrader(config(), clock, feed, RowList()), list[Event]()
    trader.on_input = lambda event, *_: told.append(event)
    asyncio.run(VirtualRun(trader, clock, feed).run(feed.messages()))
    boards = sum(isinstance(event, BoardSnapshot) for event in told)
    assert boards == trader.core.record.tally.boards == feed.columns.manifest.boards


def test_a_stopped_run_ends_in_good_order(messages: list[tuple[int, str | None]], tmp_path: Path) -> None:
    write_columns(messages, config(), tmp_path, chunk=500)
    clock, feed = VirtualClock(0), ColumnFeed(Columns(tmp_path))
    trader = PaperTrader(config(), clock, feed, RowList())
    run = VirtualRun(trader, clock, feed)
    trader.on_input = lambda _event, now_ns, _number: run.stop() if now_ns > messages[4_000][0] else None
    asyncio.run(run.run(feed.messages()))
    assert 4_000 < run.messages < 4_300
    assert trader.core.is_done
    assert not feed.statistics().mid_checked, "counts of a tape that was not read to its end say nothing of the run"
