"""A strategy that is not ours, through the same seam: live on the embedded exchange, on paper, and in replay."""

from __future__ import annotations

import asyncio
from pathlib import Path

from stall_then_strike.app.trader.trader import PaperTrader
from stall_then_strike.app.trader.virtual import VirtualRun
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.types.dto import DecisionLogRow, OrderLogRow, TradeLogRow
from tests.engine.toys import Follower, Stumbler
from tests.market_script import RowList, config
from tests.research.replay.replay_rig import frames
from tests.scenarios.at_work import at_work
from tests.signing import SIGNED
from tests.tapes.test_event_replay import csv_bytes, event_logs, recording, replayed

MANY_ERRORS = {"risk": {"max_errors": 100_000}}


@SIGNED
async def test_it_trades_live_and_its_run_is_replayed_row_for_row(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    async with at_work(tmp_path, begin=False) as work:
        recording(work.room, raw)
        work.room.strategy = Follower
        await work.start()
        tally = work.core.record.tally
        await work.until("a position that was too large, closed", lambda: tally.closes and not work.position)
        await work.stop_and_check()
        toy = work.core.strategy
        assert isinstance(toy, Follower)
        keys = [key for key, _ in toy.ended]
        assert len(keys) == len(set(keys)) == tally.quotes + tally.rejected, "each quote ended once"
        assert toy.filled == {key: executed for key, executed in toy.ended if executed}, "each fill was told once"
        assert sum(executed > 0 for _, executed in toy.ended) == tally.touched
        assert replayed(event_logs(raw), tmp_path / "again", Follower) == csv_bytes(work.room.logs)
        assert {row["decision_type"] for row in work.room.rows("decisions")} >= {"rest", "cancel", "close"}
        assert {row["tag"] for row in work.room.rows("trades")} == {"toy", "close"}


@SIGNED
async def test_one_that_raises_at_random_loses_its_quotes_and_the_engine_lives(tmp_path: Path) -> None:
    async with at_work(tmp_path, begin=False, **MANY_ERRORS) as work:
        work.room.strategy = Stumbler
        await work.start()
        tally = work.core.record.tally
        await work.until("many errors", lambda: len(work.facts("error")) >= 30 and tally.fills >= 2)
        assert work.core.halted is None
        taken_back = [row for row in work.decisions("cancel") if row["reason"] == "internal_error"]
        assert taken_back, "an error takes back what is quoted"
        await work.stop_and_check()


def on_paper(strategy: type[Follower]) -> tuple[PaperTrader, list[TradeLogRow | OrderLogRow | DecisionLogRow]]:
    cfg, clock, log = config(**MANY_ERRORS), VirtualClock(0), RowList()
    feed = MarketFeed(cfg)
    trader = PaperTrader(cfg, clock, feed, log, strategy=strategy)
    asyncio.run(VirtualRun(trader, clock, feed).run((frame.time_ns, frame.text) for frame in frames(60.0)))
    return trader, log.rows


def test_it_trades_on_paper_and_twice_the_same() -> None:
    trader, rows = on_paper(Follower)
    assert trader.core.record.tally.fills
    rests = [row for row in rows if isinstance(row, DecisionLogRow) and row.decision_type == "rest"]
    assert len(rests) > 20
    assert {row.tag for row in rows if isinstance(row, TradeLogRow)} >= {"toy"}
    assert not trader.core.orders.any_live
    assert rows == on_paper(Follower)[1]


def test_bug_on_paper_leaves_nothing_behind() -> None:
    trader, rows = on_paper(Stumbler)
    reasons = [row.reason.label for row in rows if isinstance(row, DecisionLogRow) and row.decision_type == "cancel"]
    assert reasons.count("internal_error") > 5
    assert trader.core.halted is None
    assert not trader.core.orders.any_live
