"""The SDK's own WebSocket client, and the SDK's transactions on the stream, without our adapter."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from stall_then_strike.sim.lighter.clearing.contracts import MARKETS
from stall_then_strike.sim.lighter_server import LighterExchange
from tests.sim.lighter.stream_rig import BTC, ETH, Trader, listening, streaming
from tests.waiting import until

pytest.importorskip("lighter")

from tests.sim.lighter.sdk_rig import client, lighter

pytestmark = pytest.mark.filterwarnings("ignore:.*websockets.*:DeprecationWarning")
# The SDK uses a deprecated interface of websockets.


class Watcher:
    """What the SDK's client tells its callbacks."""

    def __init__(self, exchange: LighterExchange, account: int) -> None:
        self.exchange = exchange
        self.account = account
        self.books: dict[str, Any] = {}
        self.updates = 0
        self.messages: list[dict[str, Any]] = []
        self.shutdowns: list[int] = []
        self.client = lighter.WsClient(
            ws_url=exchange.ws_url,
            order_book_ids=[ETH, BTC],
            account_ids=[account],
            on_order_book_update=self.on_book,
            on_account_update=self.on_account,
            on_shutdown=self.on_shutdown,
        )

    def on_book(self, market: str, book: Any) -> None:
        self.books[market] = book
        self.updates += 1

    def on_account(self, account: str, message: Any) -> None:
        assert account == str(self.account)
        self.messages.append(message)

    def on_shutdown(self, close_in_ms: int) -> None:
        self.shutdowns.append(close_in_ms)


async def test_the_sdks_client_keeps_books_and_hears_of_its_account() -> None:
    async with streaming(has_crowd=True, markets=MARKETS[:2]) as exchange, listening(exchange) as socket:
        trader = Trader(exchange, exchange.add_account())
        watcher = Watcher(exchange, trader.account)
        running = asyncio.create_task(watcher.client.run_async())
        await until(lambda: watcher.updates > 20 and watcher.messages)
        assert set(watcher.books) == {"0", "1"}
        best = {side: [float(row["price"]) for row in watcher.books["0"][side]] for side in ("bids", "asks")}
        assert max(best["bids"]) < min(best["asks"])
        await socket.send_tx(14, trader.order(1, 100, 320_000, TimeInForce=0))  # type: ignore[arg-type]
        await until(lambda: any(message["positions"] for message in watcher.messages))
        [trades] = [message["trades"] for message in watcher.messages if message["trades"]]
        assert trades["0"][0]["bid_account_id"] == trader.account
        running.cancel()
        await asyncio.wait([running])


async def test_the_sdks_client_answers_the_pings_and_hears_of_a_shutdown() -> None:
    from stall_then_strike.sim.faults.kinds import Fault, FaultKind
    from stall_then_strike.sim.lighter.realtime.keepalive import Keepalive

    async with streaming(keepalive=Keepalive(ping_s=0.05, pong_s=2.0)) as exchange:
        watcher = Watcher(exchange, exchange.add_account().account_index)
        running = asyncio.create_task(watcher.client.run_async())
        await until(lambda: watcher.messages)
        await asyncio.sleep(2.5)
        assert exchange.hub.connections == 1
        exchange.faults.inject(Fault(kind=FaultKind.SHUTDOWN, seconds=0.05, to_s=1))
        await until(lambda: watcher.shutdowns)
        assert watcher.shutdowns == [50]
        await asyncio.wait([running], timeout=20)
        assert running.done()
        running.exception()


async def test_transactions_signed_by_the_sdk_are_taken_on_the_socket() -> None:
    async with streaming() as exchange, client(exchange) as signer, listening(exchange) as socket:
        token, error = signer.create_auth_token_with_expiry()
        assert error is None
        channel = f"account_all_orders/{signer.account_index}"
        assert (await socket.subscribe(channel, token))["type"] == "subscribed/account_all_orders"
        kind, info, tx_hash, error = signer.sign_create_order(
            ETH,
            5,
            100,
            300_000,
            False,
            signer.ORDER_TYPE_LIMIT,
            signer.ORDER_TIME_IN_FORCE_GOOD_TILL_TIME,
            nonce=0,
            api_key_index=4,
        )
        assert error is None
        taken = await socket.send_tx(kind, json.loads(info))
        assert taken["tx_hash"] == tx_hash
        event = await socket.of("update/account_all_orders")
        assert [order["client_order_index"] for order in event["orders"]["0"]] == [5]
        kind, info, tx_hash, _ = signer.sign_cancel_order(ETH, 5, nonce=1, api_key_index=4)
        data = {"id": "c", "tx_types": f"[{kind}]", "tx_infos": json.dumps([info])}
        assert (await socket.answer(type="jsonapi/sendtxbatch", data=data))["tx_hash"] == [tx_hash]
        event = await socket.of("update/account_all_orders")
        assert [order["status"] for order in event["orders"]["0"]] == ["canceled"]
