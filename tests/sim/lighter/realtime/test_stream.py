"""Requests on the stream, over a real socket."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import orjson
import pytest

from stall_then_strike.sim.lighter.realtime.stream_limits import StreamLimits
from stall_then_strike.sim.lighter.transactions import TxType
from tests.sim.lighter.stream_rig import Trader, captured, listening, streaming


def code_of(message: dict[str, Any]) -> int:
    code: int = message["error"]["code"]
    return code


async def test_errors_leave_the_socket_open() -> None:
    async with streaming() as exchange, listening(exchange) as client:
        for text, code, words in [
            ("{", 30_000, "Invalid JSON"),
            ("[]", 30_000, "Invalid JSON"),
            ('{"type":"dance"}', 30_001, "Invalid Type"),
            ('{"type":"unsubscribe","channel":"ticker/0"}', 30_002, "Not Subscribed to : ticker:0"),
            ('{"type":"subscribe","channel":"account/3"}', 30_005, "Invalid Channel:  (account)"),
            ('{"type":"subscribe"}', 30_005, "Invalid Channel:  ()"),
            ('{"type":"subscribe","channel":"order_book/7"}', 30_005, "Invalid Channel:  (order_book)"),
            ('{"type":"subscribe","channel":"spot_market_stats/0"}', 30_005, "Invalid Channel:  (spot_market_stats)"),
            ('{"type":"subscribe","channel":"pool_info/77"}', 30_005, "Invalid Channel:  (pool_info)"),
            ('{"type":"subscribe","channel":"account_all/77"}', 21_100, "account not found"),
        ]:
            await client.ws.send_str(text)
            assert (await client.next())["error"] == {"code": code, "message": words}
        assert await client.answer(type="ping") == {"type": "pong"}
        assert exchange.hub.errors == 10


async def test_the_captured_error_is_ours() -> None:
    theirs = [message for message in captured("ws_invalid_channel_20251208.jsonl") if "error" in message]
    async with streaming() as exchange, listening(exchange) as client:
        assert [await client.subscribe("account/659514")] == theirs


async def test_subscribing_twice_is_an_error_and_unsubscribing_makes_it_possible_again() -> None:
    async with streaming() as exchange, listening(exchange) as client:
        assert (await client.subscribe("ticker/0"))["type"] == "subscribed/ticker"
        again = await client.subscribe("ticker/0")
        assert again == {"error": {"code": 30_003, "message": "Already Subscribed to : ticker:0"}}
        gone = await client.answer(type="unsubscribe", channel="ticker/0")
        assert gone == {"channel": "ticker:0", "type": "unsubscribed"}
        assert (await client.subscribe("ticker/0"))["type"] == "subscribed/ticker"


async def test_a_private_channel_wants_the_token_of_its_account() -> None:
    async with streaming() as exchange, listening(exchange) as client:
        owner, other = (Trader(exchange, exchange.add_account()) for _ in range(2))
        channel = f"account_all_orders/{owner.account}"
        assert code_of(await client.subscribe(channel)) == 20_013
        assert code_of(await client.subscribe(channel, "nonsense")) == 20_013
        assert code_of(await client.subscribe(channel, other.token())) == 20_013
        old = await client.subscribe(channel, owner.token(-1))
        assert old["error"] == {
            "code": 20_013,
            "message": f"invalid auth: expired token: account_all_orders:{owner.account}",
        }
        assert (await client.subscribe(channel, owner.token()))["type"] == "subscribed/account_all_orders"
        for open_channel in (f"account_all/{owner.account}", f"user_stats/{owner.account}"):
            assert (await client.subscribe(open_channel))["type"].startswith("subscribed/")


async def test_a_transaction_is_answered_with_its_hash_and_refused_with_its_id() -> None:
    async with streaming() as exchange, listening(exchange) as client:
        trader = Trader(exchange, exchange.add_account())
        order = trader.order(7, 100, 310_000)
        taken = await client.send_tx(TxType.CREATE_ORDER, order, "first")
        assert taken.pop("predicted_execution_time_ms") >= trader.now_ms - 10_000
        [tx_hash] = exchange.venue.txs
        assert taken == {"type": "jsonapi/sendtx", "id": "first", "code": 200, "tx_hash": tx_hash}
        again = await client.send_tx(TxType.CREATE_ORDER, order, "second")
        assert again == {"error": {"code": 21_104, "message": "invalid nonce"}, "id": "second"}
        spoilt = {**trader.order(8, 100, 310_000), "Price": 310_001}
        assert code_of(await client.send_tx(TxType.CREATE_ORDER, spoilt)) == 21_120
        unread = await client.answer(type="jsonapi/sendtx", data="?")
        assert unread == {"error": {"code": 20_001, "message": "invalid param "}}
        no_number = await client.answer(type="jsonapi/sendtx", data={"id": 5, "tx_type": "14", "tx_info": order})
        assert no_number == {"error": {"code": 20_001, "message": "invalid param "}, "id": 5}


async def test_a_batch_is_encoded_twice_and_has_at_most_fifteen() -> None:
    async with streaming() as exchange, listening(exchange) as client:
        trader = Trader(exchange, exchange.add_account())

        async def send(number: int) -> dict[str, Any]:
            infos = [orjson.dumps(trader.order(n + 1, 100, 300_000 + n)).decode() for n in range(number)]
            data = {
                "id": "b",
                "tx_types": orjson.dumps([14] * number).decode(),
                "tx_infos": orjson.dumps(infos).decode(),
            }
            return await client.answer(type="jsonapi/sendtxbatch", data=data)

        assert code_of(await send(16)) == 21_514
        trader.nonce = 0
        taken = await send(15)
        assert (taken["type"], taken["id"], taken["code"]) == ("jsonapi/sendtxbatch", "b", 200)
        assert taken["tx_hash"] == list(exchange.venue.txs)
        plain = await client.answer(type="jsonapi/sendtxbatch", data={"tx_types": [14], "tx_infos": []})
        assert plain == {"error": {"code": 20_001, "message": "invalid param "}}


async def test_limits_of_messages_and_subscriptions_spare_transactions() -> None:
    limits = StreamLimits(messages=4, subscriptions=2)
    async with streaming(limits=limits) as exchange, listening(exchange) as client:
        trader = Trader(exchange, exchange.add_account())
        for channel in ("ticker/0", "ticker/1"):
            assert (await client.subscribe(channel))["type"] == "subscribed/ticker"
        assert code_of(await client.subscribe("trade/0")) == 23_001
        assert await client.answer(type="ping") == {"type": "pong"}
        assert code_of(await client.answer(type="ping")) == 30_009
        assert (await client.send_tx(TxType.CREATE_ORDER, trader.order(1, 100, 300_000)))["code"] == 200
        assert exchange.refused == {"message": 1, "subscription": 1}


async def test_one_connection_too_many_is_refused_and_a_closed_one_makes_room() -> None:
    async with streaming(limits=StreamLimits(connections=1)) as exchange:
        async with listening(exchange) as client:
            await client.subscribe("ticker/0")
            with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
                async with listening(exchange):
                    pass
        async with asyncio.timeout(5):
            while exchange.hub.connections:  # noqa: ASYNC110 - a connection's end has no event
                await asyncio.sleep(0.01)
        async with listening(exchange) as client:
            assert (await client.subscribe("ticker/0"))["type"] == "subscribed/ticker"


async def test_an_audit_has_the_requests_without_their_secrets() -> None:
    async with streaming() as exchange, listening(exchange) as client:
        trader = Trader(exchange, exchange.add_account())
        token = trader.token()
        await client.subscribe(f"account_tx/{trader.account}", token)
        [record] = exchange.audit.records("subscribe")
        assert (record.transport, record.answer) == ("ws", "ok")
        assert token not in record.body
        orders = [trader.order(n, 100, 300_000) for n in (1, 2)]
        await client.send_tx(TxType.CREATE_ORDER, orders[0])
        infos = orjson.dumps([orjson.dumps(orders[1]).decode()]).decode()
        await client.answer(type="jsonapi/sendtxbatch", data={"tx_types": "[14]", "tx_infos": infos})
        for record in (*exchange.audit.records("jsonapi/sendtx"), *exchange.audit.records("jsonapi/sendtxbatch")):
            assert record.answer == "ok"
            assert "300000" in record.body
            assert not any(order["Sig"][:40] in record.body for order in orders)
            assert "Sig" not in record.body
        assert len(exchange.venue.txs) == 2


async def test_an_exchange_can_be_started_again_on_its_port() -> None:
    async with streaming() as exchange, listening(exchange) as client:
        trader = Trader(exchange, exchange.add_account())
        await client.send_tx(TxType.CREATE_ORDER, trader.order(1, 100, 300_000))
    async with exchange, listening(exchange) as client:
        found = await client.subscribe(f"account_all_orders/{trader.account}", trader.token())
        assert [order["client_order_index"] for order in found["orders"]["0"]] == [1]


async def test_transactions_have_another_name_for_older_clients() -> None:
    async with streaming() as exchange, listening(exchange) as client:
        trader = Trader(exchange, exchange.add_account())
        await client.subscribe(f"executed_transaction/{trader.account}", trader.token())
        taken = await client.send_tx(TxType.CREATE_ORDER, trader.order(1, 100, 300_000))
        told = await client.of("update/executed_transaction")
        assert [tx["hash"] for tx in told["txs"]] == [taken["tx_hash"]]


async def test_a_connection_for_reading_gives_all_data_and_takes_no_transactions() -> None:
    async with streaming() as exchange, listening(exchange, params={"readonly": "true"}) as reader:
        me = Trader(exchange, exchange.add_account())
        assert (await reader.subscribe("order_book/0"))["type"] == "subscribed/order_book"
        orders = await reader.subscribe(f"account_all_orders/{me.account}", me.token())
        assert orders["type"] == "subscribed/account_all_orders"
        refusal = await reader.send_tx(TxType.CREATE_ORDER, me.order(1, 100, 310_000))
        assert refusal == {"error": {"code": 20_558, "message": "restricted jurisdiction"}, "id": "x"}
        assert exchange.venue.txs == {}
        me.nonce = 0
        async with listening(exchange, params={"readonly": "false"}) as writer:
            assert (await writer.send_tx(TxType.CREATE_ORDER, me.order(1, 100, 310_000)))["code"] == 200
        assert (await reader.of("update/account_all_orders"))["orders"] != {}
