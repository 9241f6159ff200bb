"""Snapshots of a paper trader that trades four minutes of the embedded exchange's market in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import cache, partial

from stall_then_strike.app.trader.observe import MOST_A_SECOND, FeedCondition, Observer
from stall_then_strike.app.trader.trader import PaperTrader
from stall_then_strike.app.trader.virtual import VirtualRun
from stall_then_strike.app.view.snapshot import Snapshot
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, BookStatus, OrderLogRow, Side, TradeLogRow
from tests.market_script import RowList, config
from tests.research.replay.replay_rig import START_NS, frames

four_minutes = cache(partial(frames, 240))
WORLD = FeedCondition(reconnects=3, awaited="")


class Watched:
    """A paper run with an observer that is read after every so many messages."""

    def __init__(self, every: int) -> None:
        self.log, self.seen = RowList(), list[Snapshot]()
        self.real_ns = self.made = 0
        clock, feed = VirtualClock(0), MarketFeed(config())
        self.trader = PaperTrader(config(), clock, feed, self.log)
        self.observer = Observer(self.trader, "paper", START_NS, self.condition, lambda: self.real_ns)
        asyncio.run(VirtualRun(self.trader, clock, feed).run(self.messages(every)))

    def condition(self) -> FeedCondition:
        """Asked once for each snapshot that is made."""
        self.made += 1
        return WORLD

    def messages(self, every: int) -> Iterator[tuple[int, str]]:
        for number, frame in enumerate(four_minutes()):
            if every and number % every == 0:
                self.real_ns += NS_PER_S
                self.seen.append(self.observer.snapshot())
            yield frame.time_ns, frame.text


watched = cache(Watched)


def test_reading_changes_nothing() -> None:
    assert watched(7).log.rows == watched(0).log.rows
    assert len(watched(7).log.rows) > 100


def test_nothing_is_made_while_nobody_reads() -> None:
    assert watched(0).made == 0
    assert watched(7).made == len(watched(7).seen) > 100


def test_at_most_five_are_made_in_a_second_however_many_are_read() -> None:
    run = Watched(0)
    seen = set()
    for ms in range(0, 2_000, 10):
        run.real_ns = ms * NS_PER_MS
        seen.add(id(run.observer.snapshot()))
    assert run.made == 2 * MOST_A_SECOND
    run.observer.restart(START_NS + NS_PER_S)
    run.observer.snapshot()
    assert run.made == 2 * MOST_A_SECOND + 1, "the run's length has changed"


def test_before_the_first_message_nothing_is_known() -> None:
    first = watched(7).seen[0]
    one = first.instruments[0]
    assert (one.book, one.best_bid, one.message_age_ms, one.reason) == (BookStatus.UNKNOWN, None, None, "")
    assert (first.halt, first.account, first.counts.messages, first.doing) == (None, None, 0, "starting")


def test_a_snapshot_says_how_it_stands() -> None:
    run = watched(7)
    last = run.seen[-1]
    one = last.instruments[0]
    assert (last.reconnects, last.connected, last.mode, last.quote) == (3, True, "paper", "JPY")
    assert 0 < last.uptime_s < 240
    assert one.best_bid is not None
    assert one.best_ask is not None
    assert one.spread_ticks == one.best_ask - one.best_bid
    assert (one.product, one.base, one.book) == ("FX_BTC_JPY", "BTC", BookStatus.OK)
    assert (last.day, one.max_position) == (one.day, config().strategy.max_inventory_btc)
    assert last.budget
    counts = [seen.counts.messages for seen in run.seen]
    assert counts == sorted(counts)


def test_quotes_are_what_is_wanted_and_orders_what_is_live() -> None:
    both = [seen.instruments[0] for seen in watched(7).seen if len(seen.instruments[0].quotes) == 2]
    assert both
    for one in both:
        assert {quote.side for quote in one.quotes} == {Side.BUY, Side.SELL}
        live = {(order.side, order.price, order.size) for order in one.orders}
        filled = {(fill.side, fill.price) for fill in one.fills}
        for quote in one.quotes:
            assert (quote.side, quote.price, quote.size) in live or (quote.side, quote.price) in filled
    assert any(seen.instruments[0].orders and not seen.instruments[0].quotes for seen in watched(7).seen), "cancelling"


def test_the_last_snapshot_is_what_the_logs_tell() -> None:
    run = Watched(0)
    last = run.observer.finish()
    one, unit = last.instruments[0], run.trader.core.instrument
    fills = [row for row in run.log.rows if isinstance(row, TradeLogRow)]
    placed = [row for row in run.log.rows if isinstance(row, OrderLogRow) and row.action == "place" and row.order_id]
    assert (last.counts.fills, one.run.volume) == (len(fills), unit.size(sum(row.size for row in fills)))
    assert last.counts.placed + last.counts.closes <= len(placed) + last.counts.rejects
    assert [(fill.ts_ns, fill.pnl) for fill in one.fills] == [(r.ts_ns, unit.amount(r.pnl_jpy)) for r in fills[-30:]]
    assert one.fills[-1].inventory_after == unit.size(fills[-1].inventory_after)
    assert one.run.realised == sum(unit.amount(row.pnl_jpy) for row in fills)
    assert sum(reason.seconds or 0 for reason in one.run.reasons) <= last.uptime_s + 1
    assert not one.orders
