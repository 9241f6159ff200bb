"""Lighter's faults, each alone, as a client meets it over real HTTP and WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest

from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.sim.lighter.clearing.records import OrderTerms, Status
from stall_then_strike.sim.lighter.transactions import TxType
from stall_then_strike.sim.lighter_server import LighterExchange
from stall_then_strike.types.dto import NS_PER_S
from tests.live.pace import steady_clock
from tests.sim.lighter.stream_rig import ETH, Json, Listener, Trader, listening, streaming
from tests.waiting import until

PRICE = 310_000
ORDERS = "/api/v1/accountActiveOrders"


class Room:
    """An exchange, a trader and a listener."""

    def __init__(
        self, exchange: LighterExchange, client: Listener, session: aiohttp.ClientSession, clock: ScaledClock
    ) -> None:
        self.exchange = exchange
        self.clock = clock
        self.client = client
        self.session = session
        self.me = Trader(exchange, exchange.add_account())
        self.other = exchange.add_account().account_index

    def inject(self, kind: FaultKind, **options: Any) -> None:
        self.exchange.faults.inject(Fault(kind=kind, **options))

    def move(self, price: int, size: int = 100, *, is_ask: bool = False, account: int | None = None) -> int:
        """Somebody else places an order that takes effect at once."""
        self.exchange.settle()
        terms = OrderTerms(market=ETH, is_ask=is_ask, size=size, price=price)
        index = self.exchange.venue.place(self.other if account is None else account, terms, self.exchange.feed.now_ns)
        self.exchange.wake()
        return index

    async def get(self, path: str, **query: Any) -> tuple[int, str]:
        headers = {"Authorization": self.me.token()} if path == ORDERS else {}
        url = self.exchange.base_url + path
        async with self.session.get(url, params=query, headers=headers) as answer:
            return answer.status, await answer.text()

    async def nonce(self) -> tuple[int, Any]:
        status, text = await self.get("/api/v1/nextNonce", account_index=self.me.account, api_key_index=4)
        return status, orjson.loads(text) if text.startswith("{") else text

    async def post(self, info: Json, tx_type: TxType = TxType.CREATE_ORDER) -> tuple[int, Any]:
        form = {"tx_type": str(int(tx_type)), "tx_info": orjson.dumps(info).decode()}
        async with self.session.post(f"{self.exchange.base_url}/api/v1/sendTx", data=form) as answer:
            return answer.status, orjson.loads(await answer.text())

    async def orders(self) -> Any:
        status, text = await self.get(ORDERS, account_index=self.me.account)
        assert status == 200, text
        return orjson.loads(text)["orders"]

    async def pass_time(self, seconds: float) -> None:
        """Wait so many seconds of the exchange's time."""
        await self.clock.sleep_until(self.clock.now_ns() + round(seconds * NS_PER_S))

    async def executed(self) -> None:
        """Wait until all accepted transactions have had their effect."""
        await until(lambda: all(tx.executed_ns for tx in self.exchange.venue.txs.values()))


@asynccontextmanager
async def room(**options: Any) -> AsyncIterator[Room]:
    """Its time waits for the event loop: no window of a fault is over because the machine stood still."""
    async with (
        steady_clock(1.0) as clock,
        streaming(clock=clock, **options) as exchange,
        listening(exchange) as client,
        aiohttp.ClientSession() as session,
    ):
        yield Room(exchange, client, session, clock)


# --- books -----------------------------------------------------------------------------------------------------------


async def test_offsets_jump_and_stay_ahead_while_nonces_meet() -> None:
    async with room() as here:
        first = await here.client.subscribe(f"order_book/{ETH}")
        here.move(PRICE)
        plain = await here.client.of("update/order_book")
        here.inject(FaultKind.OFFSET_JUMP, by=1_000, count=1)
        here.move(PRICE - 1)
        jumped = await here.client.of("update/order_book")
        here.move(PRICE - 2)
        later = await here.client.of("update/order_book")
        assert [m["offset"] - first["offset"] for m in (plain, jumped, later)] == [1, 1_002, 1_003]
        assert all(m["offset"] == m["order_book"]["offset"] for m in (plain, jumped, later))
        assert jumped["order_book"]["begin_nonce"] == plain["order_book"]["nonce"]
        async with listening(here.exchange) as another:
            assert (await another.subscribe(f"order_book/{ETH}"))["offset"] == later["offset"]


async def test_a_nonce_gap_is_a_gap_without_a_loss() -> None:
    async with room() as here:
        before = await here.client.subscribe(f"order_book/{ETH}")
        here.inject(FaultKind.NONCE_GAP, by=7, count=1)
        here.move(PRICE)
        gap = await here.client.of("update/order_book")
        assert gap["order_book"]["begin_nonce"] == before["order_book"]["nonce"] + 7
        here.move(PRICE - 1)
        assert (await here.client.of("update/order_book"))["order_book"]["begin_nonce"] == gap["order_book"]["nonce"]


async def test_a_lost_update_is_a_gap_with_a_loss() -> None:
    async with room() as here:
        first = await here.client.subscribe(f"order_book/{ETH}")
        here.inject(FaultKind.LOSE_FRAME, channel="order_book/*", event="update", count=1)
        here.move(PRICE)
        await until(lambda: here.exchange.faults.struck)
        here.move(PRICE - 1)
        update = await here.client.of("update/order_book")
        assert update["order_book"]["begin_nonce"] > first["order_book"]["nonce"]


async def test_a_snapshot_is_crossed_and_the_next_is_not() -> None:
    async with room() as here:
        here.move(PRICE)
        here.move(PRICE - 5)
        here.move(PRICE + 10, is_ask=True)
        here.inject(FaultKind.CROSSED_SNAPSHOT, count=1)
        await asyncio.sleep(0.1)
        crossed = (await here.client.subscribe(f"order_book/{ETH}"))["order_book"]
        assert float(crossed["asks"][0]["price"]) < float(crossed["bids"][0]["price"])
        await here.client.answer(type="unsubscribe", channel=f"order_book/{ETH}")
        sound = (await here.client.subscribe(f"order_book/{ETH}"))["order_book"]
        assert float(sound["asks"][0]["price"]) > float(sound["bids"][0]["price"])


async def test_trades_come_twice_and_out_of_order() -> None:
    async with room() as here:
        await here.client.subscribe(f"trade/{ETH}")
        here.inject(FaultKind.DUPLICATE_FRAME, channel="trade/*", count=1)
        here.move(PRICE, is_ask=True)
        here.move(PRICE, account=here.me.account)
        ids = [(await here.client.of("update/trade"))["trades"][0]["trade_id"] for _ in range(2)]
        assert ids[0] == ids[1]
        here.inject(FaultKind.REORDER_FRAME, channel="trade/*", count=1)
        for price in (PRICE, PRICE + 1):
            here.move(price, is_ask=True)
            here.move(price, account=here.me.account)
            await asyncio.sleep(0.02)
        late = [(await here.client.of("update/trade"))["trades"][0]["trade_id"] for _ in range(2)]
        assert late == [ids[0] + 2, ids[0] + 1]


# --- transactions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "words"),
    [(21_104, "invalid nonce"), (21_120, "invalid signature"), (21_136, "please update your SDK version")],
)
async def test_transactions_are_refused_over_both_ways_and_nothing_happens(code: int, words: str) -> None:
    async with room() as here:
        here.inject(FaultKind.REFUSE_TX, code=code, count=2)
        order = here.me.order(1, 100, PRICE)
        refused = {"code": code, "message": words}
        assert await here.post(order) == (400, refused)
        assert await here.client.send_tx(TxType.CREATE_ORDER, order, "a") == {"error": refused, "id": "a"}
        assert (await here.post(order))[0] == 200
        await here.executed()
        assert len(await here.orders()) == 1


async def test_a_stale_nonce_lags_behind() -> None:
    async with room() as here:
        await here.post(here.me.order(1, 100, PRICE))
        here.inject(FaultKind.STALE_NONCE, count=1)
        assert await here.nonce() == (200, {"code": 200, "nonce": 0})
        assert await here.nonce() == (200, {"code": 200, "nonce": 1})


async def test_an_order_is_accepted_and_silently_gone() -> None:
    async with room() as here:
        await here.client.subscribe(f"account_all_orders/{here.me.account}", here.me.token())
        here.inject(FaultKind.SILENT_CANCEL, count=1)
        status, answer = await here.post(here.me.order(1, 100, PRICE))
        assert (status, answer["code"]) == (200, 200)
        await here.post(here.me.order(2, 100, PRICE))
        await here.executed()
        event = await here.client.of("update/account_all_orders")
        assert [order["client_order_index"] for order in event["orders"][str(ETH)]] == [2]
        assert [order["client_order_index"] for order in await here.orders()] == [2]
        assert here.exchange.venue.txs[answer["tx_hash"]].executed_ns


async def test_an_order_sent_over_the_socket_has_no_event_but_is_there() -> None:
    async with room() as here:
        await here.client.subscribe(f"account_all_orders/{here.me.account}", here.me.token())
        here.inject(FaultKind.UNSEEN_ORDER, count=1)
        for size in (100, 200):  # without client indices: each order is known by its transaction
            await here.client.send_tx(TxType.CREATE_ORDER, here.me.order(0, size, PRICE))
        event = await here.client.of("update/account_all_orders")
        assert [order["base_size"] for order in event["orders"][str(ETH)]] == [200]
        assert [order["base_size"] for order in await here.orders()] == [100, 200]


async def test_a_lost_answer_leaves_the_order_behind() -> None:
    async with room() as here:
        here.inject(FaultKind.LOSE_REPLY, method="jsonapi/sendtx", count=1)
        data = {"id": "x", "tx_type": 14, "tx_info": here.me.order(1, 100, PRICE)}
        await here.client.ws.send_json({"type": "jsonapi/sendtx", "data": data})
        assert await here.client.answer(type="ping") == {"type": "pong"}
        await here.executed()
        here.inject(FaultKind.RESET_ANSWER, path="/api/v1/sendTx", count=1)
        with pytest.raises(aiohttp.ClientError):
            await here.post(here.me.order(2, 100, PRICE))
        await here.executed()
        assert [order["client_order_index"] for order in await here.orders()] == [1, 2]
        assert (await here.nonce())[1]["nonce"] == 2
        assert {order.status for order in here.exchange.venue.account(here.me.account).orders.values()} == {Status.OPEN}


# --- calls -----------------------------------------------------------------------------------------------------------


async def test_a_rate_limit_bars_everything_for_its_cooldown() -> None:
    async with room() as here:
        here.inject(FaultKind.OVER_LIMIT, path="/api/v1/nextNonce", seconds=0.3, count=1)
        refused = (429, {"code": 23_000, "message": "Too Many Requests!"})
        assert await here.nonce() == refused
        assert (await here.get("/api/v1/orderBooks"))[0] == 429
        assert await here.post(here.me.order(1, 100, PRICE)) == refused
        here.me.nonce -= 1
        await here.pass_time(0.35)
        assert (await here.post(here.me.order(1, 100, PRICE)))[0] == 200


@pytest.mark.parametrize("status", [403, 405, 500, 502, 503])
async def test_errors_in_front_of_the_venue_are_pages(status: int) -> None:
    async with room() as here:
        here.inject(FaultKind.SERVER_ERROR, http_status=status, count=1)
        found, page = await here.nonce()
        assert found == status
        assert page.startswith("<!DOCTYPE html>")
        assert (await here.nonce())[0] == 200


async def test_a_list_may_be_null() -> None:
    async with room() as here:
        here.inject(FaultKind.NULL_LIST, count=1)
        assert await here.orders() is None
        assert await here.orders() == []


async def test_an_expired_token_is_refused_on_the_stream_and_over_rest() -> None:
    async with room() as here:
        here.inject(FaultKind.REFUSE_AUTH, count=2)
        channel, token = f"account_all_orders/{here.me.account}", here.me.token()
        refused = await here.client.subscribe(channel, token)
        assert refused["error"]["code"] == 20_013
        assert refused["error"]["message"].startswith("invalid auth: expired token: account_all_orders:")
        status, text = await here.get(ORDERS, account_index=here.me.account)
        assert (status, orjson.loads(text)["code"]) == (401, 20_013)
        assert (await here.client.subscribe(channel, token))["type"] == "subscribed/account_all_orders"


# --- the stream as a whole -------------------------------------------------------------------------------------------


async def test_a_restart_is_announced_and_shuts_clients_out_for_a_while() -> None:
    async with room() as here:
        here.inject(FaultKind.SHUTDOWN, seconds=0.1, to_s=0.5)
        assert await here.client.of("shutdown") == {"type": "shutdown", "close_in_ms": 100}
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            async with listening(here.exchange):
                pass
        assert await here.client.ended() == 1012
        await here.pass_time(0.6)
        async with listening(here.exchange) as again:
            assert await again.answer(type="ping") == {"type": "pong"}


async def test_idle_clients_are_closed_while_the_server_is_impatient() -> None:
    async with room() as here:
        here.inject(FaultKind.CLOSE_IDLE, seconds=0.1, to_s=0.5)
        assert await here.client.ended() == 1008
        await here.pass_time(0.5)
        assert here.exchange.keepalive.idle_s == 120
        async with listening(here.exchange) as patient:
            await asyncio.sleep(0.2)
            assert await patient.answer(type="ping") == {"type": "pong"}


async def test_a_balance_is_not_streamed() -> None:
    async with room() as here:
        for topic in ("user_stats", "account_all_assets", "account_all_positions"):
            await here.client.subscribe(f"{topic}/{here.me.account}", here.me.token())
        here.inject(FaultKind.LOSE_FRAME, channel="user_stats/*", event="update")
        here.inject(FaultKind.LOSE_FRAME, channel="account_all_assets/*", event="update")
        here.client.messages.clear()
        here.move(PRICE, is_ask=True)
        here.move(PRICE, account=here.me.account)
        await here.client.of("update/account_all_positions")
        assert [m["type"] for m in here.client.messages] == ["update/account_all_positions"]
        assert here.exchange.faults.struck == {"lose_frame": 2}


async def test_a_restart_that_is_over_at_once_does_not_keep_the_server_closed() -> None:
    async with room() as here:
        here.inject(FaultKind.SHUTDOWN, seconds=0.01, to_s=1e-6)
        assert (await here.client.of("shutdown"))["close_in_ms"] == 10
        assert await here.client.ended() == 1012
        async with listening(here.exchange):
            pass
