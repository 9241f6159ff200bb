"""A paper run with a journal trades as without one, and the journal tells what the logs tell."""

from __future__ import annotations

import asyncio
from functools import cache, partial
from pathlib import Path

from stall_then_strike.app.trader.owed_steps import ChangeLog
from stall_then_strike.app.trader.trader import PaperTrader
from stall_then_strike.app.trader.virtual import VirtualRun
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.infra.journal.batch import BatchedJournal
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.types.dto import OrderLogRow, TradeLogRow
from tests.market_script import RowList, config
from tests.research.replay.replay_rig import START_NS, frames

four_minutes = cache(partial(frames, 240))


def traded(journal: ChangeLog | None) -> tuple[PaperTrader, RowList]:
    clock, feed, log = VirtualClock(0), MarketFeed(config()), RowList()
    trader = PaperTrader(config(), clock, feed, log, journal)
    asyncio.run(VirtualRun(trader, clock, feed).run((frame.time_ns, frame.text) for frame in four_minutes()))
    return trader, log


def test_journal_of_a_paper_run_tells_what_its_logs_tell_and_changes_nothing(tmp_path: Path) -> None:
    _, plain = traded(None)
    with BatchedJournal.open(tmp_path / "run.sqlite3", product_code="FX_BTC_JPY", now_ns=START_NS) as journal:
        trader, log = traded(journal)
    assert log.rows == plain.rows
    placed = [row for row in log.rows if isinstance(row, OrderLogRow) and row.action == "place" and row.order_id]
    with JournalReader.open(tmp_path / "run.sqlite3") as reader:
        fills, orders, memo = list(reader.fills()), list(reader.orders()), reader.memo()
    assert [fill.row for fill in fills] == [row for row in log.rows if isinstance(row, TradeLogRow)]
    assert len(fills) > 5
    assert {order.order_id for order in orders} == {row.order_id for row in placed}
    assert not any(order.is_live for order in orders)
    assert memo is not None
    held = trader.core.inventory.memo()
    assert memo.inventory == held._replace(mid2=memo.inventory.mid2), "marks are remembered now and then"
    assert (memo.cash_base, memo.since) == (None, None)
