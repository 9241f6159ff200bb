"""LighterDataProvider on the exchange on loopback: what is subscribed comes, and a lost book is whole again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from stall_then_strike.infra.clock import Sources, SystemClock
from stall_then_strike.infra.line.socket_line import LineRules
from stall_then_strike.infra.watch.pauses import Pause, PauseWatch
from stall_then_strike.lighter.data import BookLost, DataKind, LighterDataProvider, MarketData
from stall_then_strike.lighter.handlers.orderbook import BookChange
from stall_then_strike.lighter.handlers.quote import BestQuote
from stall_then_strike.lighter.handlers.trades import Trades
from stall_then_strike.lighter.market_feed import LighterMarketFeed
from stall_then_strike.lighter.markets import Markets
from stall_then_strike.lighter.messages import MarketStats
from stall_then_strike.lighter.ws import LighterWebSocketManager
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS
from stall_then_strike.sim.lighter_server import LighterExchange
from stall_then_strike.types.dto import BoardSnapshot, BookStatus, PublicTrades, Side, VenueStatus
from stall_then_strike.types.errors import ConfigError, FeedError
from tests.lighter.captured import BTC, ETH
from tests.waiting import until

LIMIT_S = 15.0
"""Long enough for a machine that is busy with other tests."""
RULES = LineRules(first_pause_s=0.01, longest_pause_s=0.05, answer_s=3.0, close_s=0.5)
BOOK, QUOTE, TRADES, STATS = DataKind.ORDERBOOK, DataKind.QUOTE, DataKind.TRADES, DataKind.MARKET_STATS


@dataclass
class Desk:
    """A provider on a running exchange, and what it gave."""

    venue: LighterExchange
    provider: LighterDataProvider
    heard: list[MarketData] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)

    def of(self, kind: DataKind, what: type[Any] = object, market: str = "ETH") -> list[Any]:
        return [
            one.value
            for one in self.heard
            if one.kind is kind and isinstance(one.value, what) and one.market.symbol == market
        ]

    def same_as_the_venue(self, market: int = 0) -> bool:
        """Whether our book is the one that the venue has shown."""
        book, shown = self.provider._handlers._books[market].book, self.venue.feed.books[market]
        if not book.is_known or book.nonce != shown.nonce:
            return False
        assert [tuple(level) for level in book.levels(Side.BUY)] == shown.depth(Side.BUY)
        assert [tuple(level) for level in book.levels(Side.SELL)] == shown.depth(Side.SELL)
        return True


@asynccontextmanager
async def desk(*, rules: LineRules = RULES, **more: Any) -> AsyncIterator[Desk]:
    async with LighterExchange(clock=SystemClock(), seed=1, has_crowd=True, markets=MARKETS[:2], **more) as venue:
        socket = LighterWebSocketManager(venue.ws_url, rules=rules)
        provider = LighterDataProvider(socket, Markets(), lambda data: at.heard.append(data), base_url=venue.base_url)
        at = Desk(venue, provider)
        task = asyncio.create_task(provider.run())
        try:
            yield at
        finally:
            provider.close()
            await task


async def test_connection_is_made_with_the_first_subscription_and_all_kinds_come() -> None:
    async with desk() as at:
        await asyncio.sleep(0.05)
        assert at.venue.hub.counters.connections == 0
        for kind in DataKind:
            at.provider.subscribe(kind, ["ETH-USDC", 1])
        await at.provider.wait_ready(LIMIT_S)
        await until(lambda: at.of(STATS) and at.of(STATS, market="BTC") and len(at.of(BOOK, BookChange)) > 20)
        await until(lambda: at.of(TRADES, Trades) + at.of(TRADES, Trades, "BTC"))
        quotes = at.of(QUOTE, BestQuote)
        assert 0 < len(quotes) < len(at.of(BOOK, BookChange))
        assert all(one[1:] != other[1:] for one, other in pairwise(quotes))
        assert all(0 < quote.bid < quote.ask for quote in quotes)
        assert isinstance(at.of(STATS)[-1], MarketStats)
        await until(at.same_as_the_venue)
        await until(lambda: at.same_as_the_venue(1))
        assert at.provider.refused() == {}
        assert at.venue.hub.counters.connections == 1
        assert at.provider.socket.channels == ("order_book/0", "order_book/1", "trade/0", "trade/1", "market_stats/all")


def quiet() -> LighterDataProvider:
    """A provider that never connects."""
    return LighterDataProvider(LighterWebSocketManager("ws://127.0.0.1:9/stream"), Markets())


async def test_subscriptions_are_added_reset_and_asked_for() -> None:
    provider = quiet()
    provider.subscribe(BOOK, ["ETH"])
    provider.subscribe(BOOK, [BTC, "XLIGHTER:SWAP:ETH-USDC"])
    provider.subscribe(QUOTE, ["BTC"])
    provider.subscribe(TRADES, ["SOL/USDC:USDC"])
    assert [market.symbol for market in provider.get_subscribed_instruments(BOOK)] == ["ETH", "BTC"]
    assert [market.symbol for market in provider.get_subscribed_instruments()] == ["ETH", "BTC", "SOL"]
    assert provider.get_subscriptions("BTC") == [BOOK, QUOTE]
    assert provider.get_subscriptions() == [BOOK, QUOTE, TRADES]
    assert provider.has_subscription(ETH, BOOK)
    assert not provider.has_subscription(ETH, TRADES)
    provider.subscribe(BOOK, ["SOL"], reset=True)
    assert [market.symbol for market in provider.get_subscribed_instruments(BOOK)] == ["SOL"]
    assert provider.socket.channels == ("order_book/1", "trade/2", "order_book/2"), "BTC's quotes need its book"
    with pytest.raises(ConfigError, match="no such market"):
        provider.subscribe(BOOK, ["NONE"])


async def test_unsubscribing_gives_up_a_channel_when_nobody_reads_it() -> None:
    provider = quiet()
    for kind in DataKind:
        provider.subscribe(kind, ["ETH", "BTC"])
    provider.unsubscribe(BOOK, ["ETH"])
    assert "order_book/0" in provider.socket.channels
    provider.unsubscribe(QUOTE, ["ETH", "SOL"])
    assert "order_book/0" not in provider.socket.channels
    provider.unsubscribe(STATS, ["ETH"])
    assert "market_stats/all" in provider.socket.channels
    provider.unsubscribe(None, ["ETH", "BTC"])
    assert (provider.socket.channels, provider.get_subscriptions()) == ((), [])


async def test_subscriptions_change_while_data_come() -> None:
    async with desk() as at:
        at.provider.subscribe(TRADES, ["ETH"])
        await until(lambda: at.provider.socket.is_live("trade/0"))
        at.provider.subscribe(QUOTE, ["ETH"])
        await until(lambda: at.of(QUOTE, BestQuote))
        assert at.of(BOOK) == []
        at.provider.subscribe(BOOK, ["ETH"])
        await until(lambda: at.of(BOOK, BookChange))
        at.provider.unsubscribe(None, ["ETH"])
        count = len(at.heard)
        await asyncio.sleep(0.2)
        assert len(at.heard) == count


async def test_trades_of_a_warm_up_are_told_once_and_as_history() -> None:
    async with desk() as at:
        assert await at.provider.warmup(BOOK, ["ETH"]) == 0
        for market in (ETH, BTC):
            at.provider.follow(LighterMarketFeed(market), at.events.append)
        await until(lambda: any(isinstance(event, PublicTrades) for event in at.events))
        found = await at.provider.warmup(TRADES, ["ETH", "BTC"], limit=5)
        assert found <= 10
        past = at.of(TRADES, Trades) + at.of(TRADES, Trades, "BTC")
        assert sum(len(trades.trades) for trades in past) == found > 0
        for trades in past:
            assert trades.is_history
            assert [one.exec_id for one in trades.trades] == sorted({one.exec_id for one in trades.trades})
        assert await at.provider.warmup(TRADES, ["ETH", "BTC"], limit=1) <= 2


LOSSES = [
    Fault(kind=FaultKind.LOSE_FRAME, channel="order_book/0", count=1),
    Fault(kind=FaultKind.NONCE_GAP, channel="order_book/0", count=1),
    Fault(kind=FaultKind.REORDER_FRAME, channel="order_book/0", count=1, seconds=0.5),
    Fault(kind=FaultKind.ABORT_SOCKETS),
]


@pytest.mark.parametrize("fault", LOSSES, ids=lambda fault: str(fault.kind))
async def test_lost_book_is_told_and_whole_again(fault: Fault) -> None:
    async with desk() as at:
        feed = LighterMarketFeed(BTC)
        at.provider.subscribe(BOOK, ["ETH"])
        at.provider.subscribe(QUOTE, ["ETH"])
        at.provider.follow(feed, at.events.append)
        await at.provider.wait_ready(LIMIT_S)
        at.venue.faults.inject(fault)
        await until(lambda: at.of(BOOK, BookLost))
        lost = at.heard.index(next(one for one in at.heard if isinstance(one.value, BookLost)))
        await until(lambda: any(isinstance(one.value, BestQuote) for one in at.heard[lost:]))
        await at.provider.wait_ready(LIMIT_S)
        await until(at.same_as_the_venue)
        assert at.of(QUOTE, BookLost)
        seen = [event.status for event in at.events if isinstance(event, BoardSnapshot)]
        if fault.kind is FaultKind.ABORT_SOCKETS:
            await until(lambda: at.events[-1].status is BookStatus.OK)
            assert BookStatus.UNKNOWN in seen
            assert sum(isinstance(event, VenueStatus) for event in at.events) == 2
        else:
            assert BookStatus.UNKNOWN not in seen, "the other market's book is not affected"


async def test_who_is_told_may_give_up_or_ask_for_more_at_once() -> None:
    async with desk() as at:

        def on_data(data: MarketData) -> None:
            at.heard.append(data)
            if data.kind is BOOK:
                at.provider.unsubscribe(BOOK, [data.market])
                at.provider.subscribe(QUOTE, [data.market])

        at.provider._on_data = on_data
        at.provider.subscribe(BOOK, ["ETH"])
        await until(lambda: at.of(QUOTE))
        assert len(at.of(BOOK)) == 1
        assert at.provider.get_subscriptions() == [QUOTE]


async def test_statistics_of_markets_that_there_are_not_are_passed_over() -> None:
    heard: list[MarketData] = []
    provider = LighterDataProvider(LighterWebSocketManager("http://127.0.0.1:1"), Markets(), heard.append)
    provider.subscribe(STATS, ["ETH"])
    figures = {"9" * 5_000: {}, "x": {}, "0": {"market_id": 0, "mark_price": "2000.10"}, "1": {"market_id": 1}}
    message = {"channel": "market_stats:all", "type": "update/market_stats", "market_stats": figures}
    provider._on_stats("market_stats", message, 1)
    assert [one.market.symbol for one in heard] == ["ETH"]
    assert isinstance(heard[0].value, MarketStats)
    assert heard[0].value.mark_price == Decimal("2000.10")


async def test_crossed_snapshot_is_never_shown() -> None:
    async with desk() as at:
        at.venue.faults.inject(Fault(kind=FaultKind.CROSSED_SNAPSHOT, channel="order_book/1", count=2))
        feed = LighterMarketFeed(BTC)
        at.provider.follow(feed, at.events.append)
        await at.provider.wait_ready(LIMIT_S)
        await until(lambda: isinstance(at.events[-1], BoardSnapshot) and at.events[-1].status is BookStatus.OK)
        boards = [event for event in at.events if isinstance(event, BoardSnapshot)]
        assert sum(board.status is BookStatus.UNKNOWN for board in boards) == 2
        assert all(board.best_bid_price < board.best_ask_price or not board.best_bid_price for board in boards)
        assert feed.statistics().book_gaps == 2


async def test_feed_that_joins_a_channel_that_is_read_already_gets_its_own_book() -> None:
    async with desk() as at:
        at.provider.subscribe(BOOK, ["ETH"])
        await at.provider.wait_ready(LIMIT_S)
        feed = LighterMarketFeed(ETH)
        at.provider.follow(feed, at.events.append)
        await at.provider.wait_ready(LIMIT_S)
        await until(lambda: feed.board.is_known and feed.board.nonce > 0)
        await until(at.same_as_the_venue)
        assert at.provider.missing == []


async def test_what_waited_while_the_process_stood_still_is_dropped_with_its_connection() -> None:
    now = [0]
    sources = Sources(wall_ns=lambda: now[0], awake_ns=lambda: now[0], elapsed_ns=lambda: now[0])
    async with desk() as at:
        paused: list[Pause] = []
        at.provider.on_pause = paused.append
        at.provider._pauses = PauseWatch(sources, 700_000_000)
        feed = LighterMarketFeed(ETH)
        at.provider.follow(feed, at.events.append)
        await at.provider.wait_ready(LIMIT_S)
        now[0] += 1_000_000_000
        await until(lambda: any(getattr(event, "status", None) is BookStatus.STALE for event in at.events))
        assert paused == []
        count = len(at.events)
        now[0] += 60_000_000_000
        await until(lambda: paused)
        await until(lambda: at.venue.hub.counters.connections == 2)
        await at.provider.wait_ready(LIMIT_S)
        after = [event.status for event in at.events[count:] if isinstance(event, BoardSnapshot)]
        assert after[0] is BookStatus.UNKNOWN


async def test_missing_book_is_named_when_time_is_up() -> None:
    async with desk() as at:
        at.venue.faults.inject(Fault(kind=FaultKind.LOSE_FRAME, channel="order_book/0"))
        at.provider.subscribe(BOOK, ["ETH"])
        with pytest.raises(FeedError, match="no order_book/0 from"):
            await at.provider.wait_ready(0.3)


async def test_socket_may_be_run_by_somebody_else() -> None:
    async with LighterExchange(clock=SystemClock(), seed=1, has_crowd=True, markets=MARKETS[:2]) as venue:
        socket = LighterWebSocketManager(venue.ws_url, rules=RULES)
        provider = LighterDataProvider(socket, Markets(), runs_socket=False)
        async with asyncio.TaskGroup() as group:
            group.create_task(socket.run())
            group.create_task(provider.run())
            provider.subscribe(BOOK, ["BTC"])
            await provider.wait_ready(LIMIT_S)
            provider.close()
            assert socket.is_connected
            socket.close()
