"""The real venue, read only: its list of markets, its socket, and the provider on it."""

from __future__ import annotations

import asyncio
import os
from itertools import pairwise
from typing import Any

from stall_then_strike.lighter.data import DataKind, LighterDataProvider, MarketData
from stall_then_strike.lighter.handlers.orderbook import BookChange
from stall_then_strike.lighter.handlers.trades import Trades
from stall_then_strike.lighter.instruments import MAINNET, LighterInstrumentLoader
from stall_then_strike.lighter.market_feed import LighterMarketFeed
from stall_then_strike.lighter.messages import BookFrame, MarketStats, read_frame
from stall_then_strike.lighter.ws import LighterWebSocketManager, stream_url
from stall_then_strike.types.dto import BoardSnapshot, BookStatus

LIMIT_S = 60.0
VENUE = os.environ.get("LIGHTER_INTEGRATION_URL", MAINNET)


async def test_list_of_markets_is_read() -> None:
    markets = await LighterInstrumentLoader(VENUE).refresh()
    assert markets.named("ETH-USDC").market_index == 0
    assert markets.named("BTC-USDC").market_index == 1
    assert len(markets) > 2


async def test_socket_gives_a_book_whose_changes_follow_each_other() -> None:
    frames: list[Any] = []
    socket = LighterWebSocketManager(stream_url(VENUE))
    socket.subscribe(socket.order_book(0), lambda message, recv_ns: frames.append(read_frame(message)))
    async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
        group.create_task(socket.run())
        await socket.wait_connected(LIMIT_S)
        while len(frames) < 50:  # noqa: ASYNC110 - a test may look now and then
            await asyncio.sleep(0.1)
        socket.close()
    books = [frame for frame in frames if isinstance(frame, BookFrame)]
    assert books[0].is_snapshot
    for before, after in pairwise(books):
        assert after.order_book.begin_nonce in (None, before.order_book.nonce)


async def test_provider_keeps_books_and_a_feed_whole() -> None:
    heard, events = list[MarketData](), list[Any]()
    markets = await LighterInstrumentLoader(VENUE).refresh()
    provider = LighterDataProvider(LighterWebSocketManager(stream_url(VENUE)), markets, heard.append, base_url=VENUE)
    feed = LighterMarketFeed(markets.named("BTC"))
    for kind in DataKind:
        provider.subscribe(kind, ["ETH"])
    provider.follow(feed, events.append)
    async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
        group.create_task(provider.run())
        await provider.wait_ready(LIMIT_S)
        await asyncio.sleep(15)
        assert await provider.warmup(DataKind.TRADES, ["SOL"], limit=10) > 0
        boards = [event for event in events if isinstance(event, BoardSnapshot)]
        provider.close()
    assert {type(data.value) for data in heard} >= {BookChange, Trades, MarketStats}
    assert {board.status for board in boards} <= {BookStatus.OK, BookStatus.STALE}, "STALE on a machine that is busy"
    assert all(board.best_bid_price < board.best_ask_price for board in boards)
    assert (feed.statistics().book_gaps, provider.refused()) == (0, {})
