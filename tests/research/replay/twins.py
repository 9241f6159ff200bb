"""One tape, three engines: a virtual run over its messages, one over its columns, and the compiled replay."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stall_then_strike.app.trader.trader import PaperTrader
from stall_then_strike.app.trader.virtual import Message, VirtualRun
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.research.replay import compiled
from stall_then_strike.research.replay.compiled import CompiledReplay, Outcome
from stall_then_strike.research.replay.kernel_rows import LogRow, log_rows
from stall_then_strike.research.tables.column_feed import ColumnFeed
from stall_then_strike.research.tables.columns import Columns
from stall_then_strike.research.tables.prepare import write_columns
from tests.market_script import RowList

NS_PER_S = 10**9


@dataclass
class Twins:
    """What the engines made of one tape."""

    trader: PaperTrader
    run: VirtualRun[Any]
    rows: list[LogRow]
    outcome: Outcome
    compiled_rows: list[LogRow]
    column_trader: PaperTrader
    column_run: VirtualRun[Any]
    column_rows: list[LogRow]

    def check(self) -> None:
        """Equal to the last integer: every row, every count, all that is remembered of the account."""
        self._check_columns()
        for number, (theirs, ours) in enumerate(zip(self.rows, self.compiled_rows, strict=False)):
            assert ours == theirs, f"row {number}"
        assert len(self.compiled_rows) == len(self.rows)
        core, outcome = self.trader.core, self.outcome
        assert outcome.inventory == core.inventory.memo()
        assert (outcome.realised_today, outcome.pnl_today) == (core.inventory.realised_today, core.inventory.pnl_today)
        assert (outcome.total, outcome.max_fall) == (core.inventory.run_pnl, core.inventory.run_max_drawdown)
        assert outcome.halted == core.halted
        core.record.finish(self.trader.clock.now_ns())
        tally = core.record.tally
        assert outcome.tally == {name: getattr(tally, name) for name in compiled.TALLY}
        assert outcome.reason_rows == tally.reason_rows
        assert outcome.reason_ns == {reason: ns for reason, ns in tally.reason_ns.items() if ns}
        assert outcome.end_ns == self.trader.clock.now_ns()
        assert (outcome.messages, outcome.backwards) == (self.run.messages, self.run.backwards)
        assert tally.anomalies == 0

    def _check_columns(self) -> None:
        """Prepared messages leave behind what their text did."""
        for number, (theirs, ours) in enumerate(zip(self.rows, self.column_rows, strict=False)):
            assert ours == theirs, f"row {number}"
        assert len(self.column_rows) == len(self.rows)
        ours, theirs = self.column_trader.core, self.trader.core
        assert self.column_trader.clock.now_ns() == self.trader.clock.now_ns()
        for core in (ours, theirs):
            core.record.finish(self.trader.clock.now_ns())
        assert ours.record.tally == theirs.record.tally
        assert ours.inventory.memo() == theirs.inventory.memo()
        assert (ours.halted, ours.hold_reason) == (theirs.halted, theirs.hold_reason)
        assert (self.column_run.messages, self.column_run.backwards) == (self.run.messages, self.run.backwards)
        statistics = self.column_trader.feed.statistics()
        if self.run.messages == self.column_trader.feed.columns.manifest.messages:
            checked = self.trader.feed.statistics()
            assert (statistics.mid_checked, statistics.mid_agreed) == (checked.mid_checked, checked.mid_agreed)


def interpreted(
    messages: Iterable[Message], cfg: AppConfig, duration_ns: int | None = None
) -> tuple[PaperTrader, VirtualRun[Any], list[LogRow]]:
    """One virtual run."""
    clock, feed, log = VirtualClock(0), MarketFeed(cfg), RowList()
    trader = PaperTrader(cfg, clock, feed, log)
    run = VirtualRun(trader, clock, feed)
    asyncio.run(run.run(messages, duration_ns=duration_ns))
    return trader, run, log.rows


def over_columns(
    columns: Columns, cfg: AppConfig, duration_ns: int | None = None
) -> tuple[PaperTrader, VirtualRun[Any], list[LogRow]]:
    """One run over columns."""
    clock, feed, log = VirtualClock(0), ColumnFeed(columns), RowList()
    trader = PaperTrader(cfg, clock, feed, log)
    run = VirtualRun(trader, clock, feed)
    asyncio.run(run.run(feed.messages(), duration_ns=duration_ns))
    return trader, run, log.rows


def twins(
    messages: list[Message], cfg: AppConfig, folder: Path, *, duration_ns: int | None = None, chunk: int = 16_384
) -> Twins:
    """Run all. ``folder`` is an empty one for the columns."""
    trader, run, rows = interpreted(messages, cfg, duration_ns)
    write_columns(messages, cfg, folder, chunk=chunk)
    columns = Columns(folder)
    outcome = CompiledReplay(cfg, columns, duration_ns=duration_ns).run()
    return Twins(
        trader, run, rows, outcome, list(log_rows(outcome, cfg)), *over_columns(columns, cfg, duration_ns=duration_ns)
    )
