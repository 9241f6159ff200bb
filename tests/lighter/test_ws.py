"""The socket on the exchange on loopback: every channel, tokens, drops, and transactions over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from stall_then_strike.infra.line.socket_line import LineRules
from stall_then_strike.lighter import LighterDealer
from stall_then_strike.lighter.messages import (
    AccountFrame,
    BookFrame,
    Frame,
    OrdersFrame,
    StatsFrame,
    TransactionsFrame,
    read_frame,
)
from stall_then_strike.lighter.signing.tokens import Tokens
from stall_then_strike.lighter.ws import LighterWebSocketManager, stream_url
from stall_then_strike.types.errors import BatchFailed, ConfigError, NotSent
from tests.lighter.dealer_rig import Rig, config, rig

RULES = LineRules(first_pause_s=0.01, longest_pause_s=0.05, answer_s=3.0, close_s=0.5)
PRIVATE = (
    "account_all",
    "account_all_assets",
    "account_all_orders",
    "account_all_positions",
    "account_all_trades",
    "account_tx",
    "user_stats",
)


@dataclass
class Heard:
    """What came in, as values."""

    frames: list[Any]
    news: asyncio.Event

    def take(self, message: dict[str, Any], recv_ns: int) -> None:
        self.frames.append(read_frame(message))
        self.news.set()

    def gap(self, why: str) -> None:
        self.frames.append(why)
        self.news.set()

    async def until(self, condition: Callable[[list[Any]], bool]) -> list[Any]:
        async with asyncio.timeout(8):
            while not condition(self.frames):
                self.news.clear()
                await self.news.wait()
        return self.frames

    def of(self, kind: str) -> list[Frame]:
        return [frame for frame in self.frames if isinstance(frame, Frame) and frame.kind == kind]

    async def kinds(self, *kinds: str) -> None:
        await self.until(lambda _: all(self.of(kind) for kind in kinds))


@asynccontextmanager
async def socket_of(
    at: Rig, *, lifetime_s: int = 3_600, rules: LineRules = RULES
) -> AsyncIterator[tuple[LighterWebSocketManager, Heard]]:
    dealer = at.dealer
    tokens = Tokens(dealer.signer, at.keys[0].api_key_index, dealer._clock, lifetime_s=lifetime_s)
    socket = LighterWebSocketManager(at.venue.ws_url, tokens=tokens, rules=rules)
    task = asyncio.create_task(socket.run())
    try:
        await socket.wait_connected(5)
        yield socket, Heard([], asyncio.Event())
    finally:
        socket.close()
        await asyncio.gather(task, return_exceptions=True)


def listen(socket: LighterWebSocketManager, heard: Heard, *channels: str, **more: Any) -> None:
    for channel in channels:
        socket.subscribe(channel, heard.take, on_gap=heard.gap, **more)


async def place(at: Rig, price: float, size: float) -> int:
    order = await at.dealer.create_limit_order(price, size)
    await at.dealer.flush()
    return int(order["client_order_index"])


def test_address_of_the_socket_follows_from_that_of_the_api() -> None:
    assert stream_url("https://mainnet.zklighter.elliot.ai") == "wss://mainnet.zklighter.elliot.ai/stream"
    assert stream_url("http://127.0.0.1:8080") == "ws://127.0.0.1:8080/stream"


async def test_public_channels_give_snapshots_and_the_book_goes_on_without_a_hole() -> None:
    async with rig() as at, socket_of(at) as (socket, heard):
        names = (socket.order_book(0), socket.trade(0), socket.market_stats())
        listen(socket, heard, *names)
        await heard.kinds("order_book", "trade", "market_stats")
        for n in range(5):
            await place(at, 3000.0 + n, 0.01)

        def is_complete(_: list[Any]) -> bool:
            levels: dict[Decimal, Decimal] = {}
            for frame in heard.of("order_book"):
                assert isinstance(frame, BookFrame)
                levels |= {level.price: level.size for level in frame.order_book.bids or ()}
            return len(levels) == 5

        await heard.until(is_complete)
        books = [frame.order_book for frame in heard.of("order_book") if isinstance(frame, BookFrame)]
        assert all(after.begin_nonce == before.nonce for before, after in pairwise(books))


async def test_private_channels_follow_an_order_to_its_fill() -> None:
    async with rig() as at, socket_of(at) as (socket, heard):
        listen(socket, heard, *(socket.of_account(kind, at.account) for kind in PRIVATE))
        listen(socket, heard, socket.of_account("account_orders", at.account, 0))
        await heard.kinds("account_all", "account_all_orders", "account_orders", "user_stats", "account_tx")
        coi = await place(at, 3100.0, 0.02)
        other = at.venue.add_account()
        async with await LighterDealer.create(config(at.venue.base_url, other)) as dealer:
            await dealer.create_limit_order(3100.0, -0.02)
            await dealer.flush()

        def is_filled(frames: list[Any]) -> bool:
            orders = [order for frame in frames if isinstance(frame, OrdersFrame) for order in frame.all()]
            return any(order.client_order_index == coi and order.status == "filled" for order in orders)

        def has_position(frames: list[Any]) -> bool:
            accounts = [frame for frame in frames if isinstance(frame, AccountFrame)]
            return any(p.size == Decimal("0.02") for frame in accounts for p in (frame.positions or {}).values())

        await heard.until(lambda frames: is_filled(frames) and has_position(frames))
        trades = [t for frame in heard.frames if isinstance(frame, AccountFrame) for t in frame.all_trades()]
        assert {trade.side_of(at.account) for trade in trades} == {"buy"}
        assert any(isinstance(frame, StatsFrame) for frame in heard.frames)
        hashes = [tx.hash for f in heard.frames if isinstance(f, TransactionsFrame) for tx in f.txs or ()]
        assert next(iter(at.venue.venue.txs)) in hashes


async def test_private_channel_without_tokens_is_refused_here() -> None:
    async with rig() as at:
        socket = LighterWebSocketManager(at.venue.ws_url, rules=RULES)
        socket.subscribe(socket.of_account("account_all", at.account), lambda message, recv_ns: None)
        with pytest.raises(ConfigError, match=r"account_all/\d+: needs an auth token"):
            await socket.run()
    with pytest.raises(ValueError, match="no private channel"):
        LighterWebSocketManager.of_account("order_book", 1)


async def test_private_channels_are_subscribed_anew_before_their_token_ends() -> None:
    async with rig() as at, socket_of(at, lifetime_s=2) as (socket, heard):
        listen(socket, heard, socket.of_account("account_all_orders", at.account), socket.order_book(0))
        await heard.until(lambda _: len([f for f in heard.of("account_all_orders") if f.is_snapshot]) >= 2)
        assert socket._tokens is not None
        assert socket._tokens.made >= 2
        assert len([frame for frame in heard.of("order_book") if frame.is_snapshot]) == 1
        assert socket.statistics().connects == 1
        assert socket.errors == {}


async def test_dropped_socket_comes_back_with_all_its_channels_and_fresh_state() -> None:
    async with rig() as at, socket_of(at) as (socket, heard):
        listen(socket, heard, socket.order_book(0), socket.of_account("account_all_orders", at.account))
        await heard.kinds("order_book", "account_all_orders")
        await place(at, 3000.0, 0.01)
        await heard.until(lambda _: len(heard.of("account_all_orders")) >= 2)
        socket.renew("a test")
        await heard.until(lambda frames: "a test" in frames)
        await heard.until(lambda _: len([f for f in heard.of("account_all_orders") if f.is_snapshot]) == 2)
        last = heard.of("account_all_orders")[-1]
        assert isinstance(last, OrdersFrame)
        assert [order.status for order in last.all()] == ["open"]
        assert socket.statistics().connects == 2


async def test_dedicated_private_channel_beside_the_shared_connection() -> None:
    async with rig() as at, socket_of(at) as (socket, heard):
        listen(socket, heard, socket.order_book(0))
        listen(socket, heard, socket.of_account("user_stats", at.account), dedicated=True)
        await heard.kinds("order_book", "user_stats")
        assert at.venue.hub.connections == 2


async def test_orders_over_the_socket_go_in_messages_of_fifteen() -> None:
    async with rig() as at, socket_of(at) as (socket, _):
        await at.dealer.send_over(socket)
        async with asyncio.TaskGroup() as group:
            for n in range(40):
                group.create_task(at.dealer.create_limit_order(3000.0 + n, 0.01))
        result = await at.dealer.flush()
        assert list(at.venue.venue.txs) == result["tx_hash"]
        assert at.nonces() == list(range(40))
        assert (at.requests("sendTxBatch"), at.requests("sendTx")) == (0, 0)
        await at.dealer.cancel_all_orders()
        await at.settled()
        assert at.orders() == []
        await at.dealer.send_over(None)
        await place(at, 3000.0, 0.01)
        assert at.requests("sendTx") == 1


async def test_refusal_over_the_socket_has_the_venues_code() -> None:
    async with rig() as at, socket_of(at) as (socket, _):
        await at.dealer.send_over(socket)
        coi = await place(at, 3000.0, 0.01)
        at.dealer._client_indexes.new = lambda: coi
        await at.dealer.create_limit_order(3001.0, 0.01)
        with pytest.raises(BatchFailed) as caught:
            await at.dealer.flush()
        assert caught.value.results[0]["code"] == 21728


async def test_socket_that_breaks_under_a_batch_loses_nothing() -> None:
    async with rig() as at, socket_of(at) as (socket, _):
        for line in at.dealer._sender._lines.values():
            line._between_s = 0.01
        await at.dealer.send_over(socket)
        for n in range(30):
            await at.dealer.create_limit_order(3000.0 + n, 0.01)
        async with asyncio.TaskGroup() as group:
            group.create_task(at.dealer.flush())
            for _ in range(3):
                await asyncio.sleep(0.01)
                socket.renew("a test")
        await at.settled()
        assert sorted(order.price for order in at.orders()) == [300_000 + 100 * n for n in range(30)]
        assert at.nonces() == list(range(30))


async def test_nothing_is_sent_without_a_connection() -> None:
    socket = LighterWebSocketManager("ws://127.0.0.1:9/stream", rules=replace(RULES, most_tries=1))
    with pytest.raises(NotSent):
        await socket.send_signed([])
