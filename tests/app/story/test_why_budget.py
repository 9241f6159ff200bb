"""The limit that delayed strikes, counted again from the decision log: the same as in the run's own budget."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stall_then_strike.app.story.why_budget import NOT_COUNTED, budget_waits
from stall_then_strike.app.trader.trader import PaperTrader, Seat
from stall_then_strike.app.trader.virtual import VirtualRun
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.infra.logging_structured import CsvLogs
from stall_then_strike.infra.logs.log_reader import LogReader
from stall_then_strike.types.dto import DecisionLogRow, Notice, OrderLogRow, Reason, Row, TradeLogRow
from tests.market_script import config
from tests.research.replay import replay_rig as rig


class Listener:
    """Collects rows, and the budget's state at each hold with the reason BUDGET."""

    def __init__(self, logs: CsvLogs) -> None:
        self.logs = logs
        self.trader: PaperTrader | None = None
        self.said: dict[int, str] = {}

    def write(self, row: TradeLogRow | OrderLogRow | DecisionLogRow) -> None:
        if isinstance(row, DecisionLogRow) and row.decision_type == "hold" and row.reason is Reason.BUDGET:
            assert self.trader is not None
            wait = self.trader.core.budget.wait(row.ts_ns)
            assert wait is not None
            self.said[row.ts_ns // 1_000] = wait.text(row.ts_ns)
        self.logs.write(row)


class Told(PaperTrader):
    """Keeps what goes to the runtime log."""

    def __init__(self, *parts: object) -> None:
        super().__init__(*parts)  # type: ignore[arg-type] # the same
        self.notices: list[Notice] = []

    def _record(self, seat: Seat, row: Row) -> None:
        if isinstance(row, Notice):
            self.notices.append(row)
        super()._record(seat, row)


@pytest.mark.parametrize(
    "cfg",
    [config(), config(exchange={"limits": {"private_per_5min": 90, "reserve_private": 20}})],
    ids=["small orders", "private"],
)
def test_the_waits_worked_out_are_those_of_the_run(cfg: AppConfig, tmp_path: Path) -> None:
    clock, feed = VirtualClock(0), MarketFeed(cfg)
    with CsvLogs(tmp_path, cfg.exchange.instrument(), cfg.log) as logs:
        listener = Listener(logs)
        listener.trader = trader = Told(cfg, clock, feed, listener)
        frames = rig.frames(240)
        asyncio.run(VirtualRun(trader, clock, feed, flush=logs.flush).run((f.time_ns, f.text) for f in frames))
    first, last = frames[0].time_ns, frames[-1].time_ns + 1
    found = budget_waits(LogReader([tmp_path]).decisions(first, last).within, (), cfg)
    assert len(found) > 5
    assert {ts_ns // 1_000: text for ts_ns, text in found.items()} == listener.said
    told = [row for row in trader.notices if row.text.startswith("no strike for the budget: ")]
    assert 4 <= len(told) <= min(24, len(found)), "now and then, not each time"
    assert listener.said[told[0].ts_ns // 1_000] in told[0].text


def test_what_our_own_calls_do_not_explain_is_said_to_be_so(tmp_path: Path) -> None:
    cfg = config()
    with CsvLogs(tmp_path, cfg.exchange.instrument(), cfg.log) as logs:
        logs.write(
            DecisionLogRow(
                ts_ns=rig.START_NS,
                best_age_ms=0,
                spread_ticks=1,
                inventory=0,  # type: ignore[arg-type] # lots
                decision_type="hold",
                entry_bid_px=None,
                entry_ask_px=None,
                actions=(),
                reason=Reason.BUDGET,
            )
        )
    rows = LogReader([tmp_path]).decisions(rig.START_NS, rig.START_NS + 1_000).within
    assert budget_waits(rows, (), cfg) == {rig.START_NS: NOT_COUNTED}
