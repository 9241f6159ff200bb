"""One tape, two engines: an interpreted virtual run, and the compiled replay of the same messages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stall_then_strike.app.trading import PaperTrader
from stall_then_strike.app.virtual import Message, VirtualRun
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.infra.market_feed import MarketFeed
from stall_then_strike.research import compiled
from stall_then_strike.research.columns import Columns
from stall_then_strike.research.compiled import CompiledReplay, Outcome
from stall_then_strike.research.prepare import write_columns
from stall_then_strike.research.rows import LogRow, log_rows
from tests.market_script import RowList

NS_PER_S = 10**9


@dataclass
class Twins:
    """What both engines made of one tape."""

    trader: PaperTrader
    run: VirtualRun
    rows: list[LogRow]
    outcome: Outcome
    compiled_rows: list[LogRow]

    def check(self) -> None:
        """Equal to the last integer: every row, every count, all that is remembered of the account."""
        for number, (theirs, ours) in enumerate(zip(self.rows, self.compiled_rows, strict=False)):
            assert ours == theirs, f"row {number}"
        assert len(self.compiled_rows) == len(self.rows)
        core, outcome = self.trader.core, self.outcome
        assert outcome.inventory == core.inventory.memo()
        assert (outcome.realised_today, outcome.pnl_today) == (core.inventory.realised_today, core.inventory.pnl_today)
        assert outcome.halted == core.halted
        core.record.finish(self.trader.clock.now_ns())
        tally = core.record.tally
        assert outcome.tally == {name: getattr(tally, name) for name in compiled.TALLY}
        assert outcome.reason_rows == tally.reason_rows
        assert outcome.reason_ns == {reason: ns for reason, ns in tally.reason_ns.items() if ns}
        assert outcome.end_ns == self.trader.clock.now_ns()
        assert (outcome.messages, outcome.backwards) == (self.run.messages, self.run.backwards)
        assert tally.anomalies == 0


def interpreted(
    messages: Iterable[Message], cfg: AppConfig, duration_ns: int | None = None
) -> tuple[PaperTrader, VirtualRun, list[LogRow]]:
    """One virtual run."""
    clock, feed, log = VirtualClock(0), MarketFeed(cfg), RowList()
    trader = PaperTrader(cfg, clock, feed, log)
    run = VirtualRun(trader, clock, feed)
    asyncio.run(run.run(messages, duration_ns=duration_ns))
    return trader, run, log.rows


def twins(
    messages: list[Message], cfg: AppConfig, folder: Path, *, duration_ns: int | None = None, chunk: int = 16_384
) -> Twins:
    """Run both. ``folder`` is an empty one for the columns."""
    trader, run, rows = interpreted(messages, cfg, duration_ns)
    write_columns(messages, cfg, folder, chunk=chunk)
    outcome = CompiledReplay(cfg, Columns(folder), duration_ns=duration_ns).run()
    return Twins(trader, run, rows, outcome, list(log_rows(outcome, cfg)))
