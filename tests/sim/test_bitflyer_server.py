"""The exchange over real HTTP and WebSocket on loopback, with aiohttp's and pybotters' clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pybotters
import pytest

from stall_then_strike.infra.clock import ScaledClock, VirtualClock
from stall_then_strike.sim.bitflyer_server import BitflyerExchange
from stall_then_strike.sim.exchange.source import Channel, MarketSource, iter_frames
from stall_then_strike.sim.market import Market
from stall_then_strike.tapes.tape_reader import TapeError, TapeSource
from stall_then_strike.types.dto import BoardState, Health
from tests.shared_data import real_tape_path
from tests.signing import SIGNED
from tests.sim.exchange_rig import BOARD, EXECUTIONS, PRODUCT, SECOND, SNAPSHOT, START_NS, TICKER, PlainBook
from tests.waiting import until

pytestmark = SIGNED
# pybotters 1.x hands its `auth` to aiohttp in a way that aiohttp 3.14 warns of.

FAST = 40.0
ALL = tuple(channel.of(PRODUCT) for channel in Channel)


def exchange(speed: float = FAST, **options: Any) -> BitflyerExchange:
    return BitflyerExchange(Market(seed=1, start_ns=START_NS), clock=ScaledClock(speed, START_NS), **options)


class Listener:
    """A plain client that keeps a book and checks every message against it."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.book = PlainBook()
        self.texts: list[str] = []
        self.messages: dict[str, list[Any]] = {channel: [] for channel in ALL}
        self.answers: list[Any] = []
        self.bad_mids = 0

    async def subscribe(self, *channels: str) -> None:
        await self.ws.send_json(
            [{"method": "subscribe", "params": {"channel": c}, "id": i} for i, c in enumerate(channels)]
        )

    async def read(self) -> bool:
        """Take one frame; False when the socket is closed."""
        frame = await self.ws.receive(timeout=10)
        if frame.type is not aiohttp.WSMsgType.TEXT:
            return False
        self.texts.append(frame.data)
        value = orjson.loads(frame.data)
        if isinstance(value, list) or "method" not in value:
            self.answers.append(value)
            return True
        channel, message = value["params"]["channel"], value["params"]["message"]
        self.messages[channel].append(message)
        if channel in {BOARD, SNAPSHOT}:
            self.book.feed(channel, message)
            if self.book.is_known and self.book.mid != message["mid_price"]:
                self.bad_mids += 1
        return True

    async def read_until(self, done: Callable[[], bool]) -> None:
        while not done():
            assert await self.read(), "the socket closed"

    async def drain(self) -> None:
        while await self.read():
            pass


@asynccontextmanager
async def listening(venue: BitflyerExchange, *channels: str) -> AsyncIterator[Listener]:
    async with aiohttp.ClientSession() as session, session.ws_connect(venue.ws_url) as ws:
        listener = Listener(ws)
        if channels:
            await listener.subscribe(*channels)
            await listener.read_until(lambda: bool(listener.answers))
        yield listener


@asynccontextmanager
async def calling(venue: BitflyerExchange) -> AsyncIterator[Callable[..., Any]]:
    """A client's GET: path and query in, response and decoded body out."""
    async with aiohttp.ClientSession() as session:

        async def get(path: str, **query: Any) -> tuple[aiohttp.ClientResponse, Any]:
            async with session.get(f"{venue.base_url}/v1/{path}", params=query) as response:
                text = await response.text()
                return response, orjson.loads(text) if response.content_type == "application/json" else text

        yield get


# --- realtime ---------------------------------------------------------------------------------------------------------


async def test_client_book_agrees_with_every_mid() -> None:
    async with exchange() as venue, listening(venue, *ALL) as client:
        wanted = {SNAPSHOT: 4, BOARD: 101, EXECUTIONS: 1, TICKER: 1}
        await client.read_until(lambda: all(len(client.messages[channel]) >= n for channel, n in wanted.items()))
        assert client.answers == [[{"jsonrpc": "2.0", "id": n, "result": True} for n in range(4)]]
        assert client.bad_mids == 0
        assert all(len(m["bids"]) == len(m["asks"]) == 300 for m in client.messages[SNAPSHOT])


async def test_snapshot_comes_by_the_venues_timer_and_not_on_subscribing() -> None:
    async with exchange() as venue, listening(venue, SNAPSHOT) as early:
        await early.read_until(lambda: len(early.messages[SNAPSHOT]) == 1)
        async with listening(venue, SNAPSHOT, BOARD) as late:
            await late.read_until(lambda: len(late.messages[SNAPSHOT]) == 1)
            assert len(late.messages[BOARD]) > 15  # nothing but deltas for nearly five seconds
            await early.read_until(lambda: len(early.messages[SNAPSHOT]) == 2)
            assert early.messages[SNAPSHOT][1] == late.messages[SNAPSHOT][0]  # the same one for everybody


async def test_unsubscribed_channel_falls_silent_and_errors_are_answered_in_place() -> None:
    async with exchange() as venue, listening(venue, BOARD, TICKER) as client:
        await client.ws.send_str("garbage")
        await client.ws.send_json({"method": "unsubscribe", "params": {"channel": BOARD}, "id": 9})
        await client.read_until(lambda: len(client.answers) == 3)
        assert [a.get("result", a.get("error", {}).get("code")) for a in client.answers[1:]] == [-32700, True]
        deltas = len(client.messages[BOARD])
        seen = len(client.messages[TICKER])
        await client.read_until(lambda: len(client.messages[TICKER]) > seen + 2)
        assert len(client.messages[BOARD]) == deltas
        assert (venue.hub.requests, venue.hub.errors) == (3, 1)


async def test_unknown_product_is_acknowledged_and_stays_silent() -> None:
    async with exchange() as venue, listening(venue, "lightning_board_NOTHING", TICKER) as client:
        await client.read_until(lambda: len(client.messages[TICKER]) > 3)
        assert client.answers[0][0]["result"] is True


async def test_pybotters_store_builds_its_board_from_the_feed() -> None:
    async with exchange() as venue, pybotters.Client() as client:
        store = pybotters.bitFlyerDataStore()
        await client.ws_connect(
            venue.ws_url,
            send_json=[{"method": "subscribe", "params": {"channel": c}, "id": c} for c in ALL],
            hdlr_json=store.onmessage,
        )
        await until(lambda: len(store.executions) and len(store.ticker) and len(store.board) > 500)
        board = store.board.sorted(limit=1)
        assert 0 < board["asks"][0]["price"] - board["bids"][0]["price"] < 6_000
        response = await client.get(f"{venue.base_url}/v1/getticker", params={"product_code": PRODUCT})
        assert (await response.json())["product_code"] == PRODUCT


async def test_signed_handshake_and_signed_calls_are_welcome() -> None:
    headers = {"ACCESS-KEY": "k", "ACCESS-TIMESTAMP": "1", "ACCESS-SIGN": "s"}
    async with exchange() as venue, aiohttp.ClientSession(headers=headers) as session:
        async with session.get(f"{venue.base_url}/v1/markets") as response:
            assert response.status == 200
        async with session.ws_connect(venue.ws_url) as ws:
            await ws.send_str('{"method":"subscribe","params":{"channel":"lightning_ticker_FX_BTC_JPY"},"id":1}')
            assert (await ws.receive_json())["result"] is True


async def test_two_clients_hear_the_same_frames() -> None:
    async with exchange() as venue, listening(venue, BOARD) as one, listening(venue, BOARD) as two:
        await two.read_until(lambda: len(two.texts) > 20)
        await one.read_until(lambda: two.texts[1] in one.texts and len(one.texts) > 30)
        begin = one.texts.index(two.texts[1])
        common = min(len(one.texts) - begin, len(two.texts) - 1)
        assert one.texts[begin : begin + common] == two.texts[1 : 1 + common]


# --- pings and slow clients -------------------------------------------------------------------------------------------


async def test_server_pings_and_keeps_a_peer_that_answers() -> None:
    async with (
        exchange(ping_s=0.05) as venue,
        aiohttp.ClientSession() as session,
        session.ws_connect(venue.ws_url, autoping=False) as ws,
    ):
        for _ in range(3):
            assert (await ws.receive(timeout=2)).type is aiohttp.WSMsgType.PING
            await ws.pong()
        assert venue.hub.connections == 1


async def test_peer_that_does_not_answer_pings_is_cut_off() -> None:
    async with exchange(ping_s=0.05) as venue, aiohttp.ClientSession() as session:
        async with session.ws_connect(venue.ws_url, autoping=False) as ws:
            assert (await ws.receive(timeout=2)).type is aiohttp.WSMsgType.PING
            assert (await ws.receive(timeout=2)).type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
        assert venue.hub.counters.silent_clients == 1


async def test_clients_ping_is_answered() -> None:
    async with (
        exchange() as venue,
        aiohttp.ClientSession() as session,
        session.ws_connect(venue.ws_url, autoping=False) as ws,
    ):
        await ws.ping(b"you?")
        message = await ws.receive(timeout=2)
        assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"you?")


async def test_client_that_does_not_read_is_cut_off_and_the_others_are_served() -> None:
    async with exchange(queue_frames=64) as venue, listening(venue, BOARD) as good:
        reader, writer = await asyncio.open_connection("127.0.0.1", venue.port)
        writer.write(
            b"GET /json-rpc HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        payload = b'{"method":"subscribe","params":{"channel":"lightning_board_snapshot_FX_BTC_JPY"}}'
        writer.write(bytes([0x81, 0x80 | len(payload)]) + bytes(4) + payload)
        await venue.wait_subscribed(Channel.SNAPSHOT)
        big = "x" * 1_000_000  # fills the sockets' buffers at once; the client reads nothing
        for _ in range(200):
            venue.inject(Channel.SNAPSHOT, big)
            await asyncio.sleep(0)
            if venue.hub.counters.slow_clients:
                break
        assert venue.hub.counters.slow_clients == 1
        seen = len(good.texts)
        await good.read_until(lambda: len(good.texts) > seen + 3)
        writer.close()


# --- REST -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["get", ""])
async def test_market_calls_answer_under_both_names(prefix: str) -> None:
    async with exchange() as venue, calling(venue) as get, listening(venue, EXECUTIONS) as client:
        await client.read_until(lambda: bool(client.messages[EXECUTIONS]))
        assert (await get(f"{prefix}markets"))[1] == [{"product_code": PRODUCT, "market_type": "FX"}]
        board = (await get(f"{prefix}board", product_code=PRODUCT))[1]
        assert len(board["bids"]) > 320
        assert len(board["asks"]) > 320
        assert board["mid_price"] == (board["bids"][0]["price"] + board["asks"][0]["price"]) // 2
        ticker = (await get(f"{prefix}ticker", product_code=PRODUCT))[1]
        assert not ticker["timestamp"].endswith("Z")
        (execution, *_) = (await get(f"{prefix}executions", product_code=PRODUCT))[1]
        assert set(execution) == {
            "id",
            "side",
            "price",
            "size",
            "exec_date",
            "buy_child_order_acceptance_id",
            "sell_child_order_acceptance_id",
        }


async def test_board_state_and_health_are_what_was_set() -> None:
    async with exchange() as venue, calling(venue) as get:
        assert (await get("getboardstate", product_code=PRODUCT))[1] == {"health": "NORMAL", "state": "RUNNING"}
        venue.set_condition(state=BoardState.CIRCUIT_BREAK, health=Health.SUPER_BUSY)
        assert (await get("getboardstate", product_code=PRODUCT))[1] == {
            "health": "SUPER BUSY",
            "state": "CIRCUIT BREAK",
        }
        assert (await get("gethealth", product_code=PRODUCT))[1] == {"status": "SUPER BUSY"}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"product_code": "fx_btc_jpy"}, 200),
        ({"product_code": "BTC_JPY"}, 400),
        ({"product_code": "NOTHING"}, 400),
        ({}, 400),
    ],
)
async def test_product_codes_ignore_case_and_unknown_ones_are_refused(query: dict[str, str], status: int) -> None:
    async with exchange() as venue, calling(venue) as get:
        response, body = await get("gethealth", **query)
        assert response.status == status
        if status == 400:
            assert body == {"status": -100, "error_message": "Invalid product", "data": None}


async def test_unknown_path_is_a_page_in_html() -> None:
    async with exchange() as venue, calling(venue) as get:
        response, body = await get("getnothing")
        assert (response.status, response.content_type) == (404, "text/html")
        assert body.startswith("<!DOCTYPE html>")


async def test_executions_are_paged_by_exclusive_ids_newest_first() -> None:
    market = Market(seed=1, start_ns=START_NS)
    market.advance(START_NS + 1_500 * SECOND)
    venue = BitflyerExchange(market, clock=StandingClock(VirtualClock(market.now_ns)), ip_limit=None)
    async with venue, calling(venue) as get:

        async def ids(**query: int) -> list[int]:
            return [item["id"] for item in (await get("getexecutions", product_code=PRODUCT, **query))[1]]

        newest = await ids()
        assert len(newest) == 100
        assert newest == list(range(newest[0], newest[0] - 100, -1))
        assert len(await ids(count=9_999)) == 500
        assert await ids(before=newest[2], count=2) == newest[3:5]
        assert await ids(after=newest[2]) == newest[:2]
        assert await ids(before=newest[0], after=newest[3]) == newest[1:3]
        response, body = await get("getexecutions", product_code=PRODUCT, count="many")
        assert (response.status, body["status"]) == (400, -100)


async def test_calls_are_counted_per_address_and_refused_past_the_limit() -> None:
    clock = VirtualClock(START_NS)
    source = Market(seed=1, start_ns=START_NS)
    source.set_condition(health=Health.BUSY)
    async with BitflyerExchange(source, clock=StandingClock(clock), ip_limit=3) as venue, calling(venue) as get:
        for left in (2, 1, 0):
            response, _ = await get("markets")
            assert response.status == 200
            assert response.headers["x-ratelimit-remaining"] == str(left)
        clock.advance_to(START_NS + 10 * SECOND)
        response, body = await get("nothing")
        assert (response.status, body["status"]) == (429, -1)
        assert response.headers["x-ratelimit-period"] == "290"
        assert response.headers["x-ratelimit-reset"] == str(START_NS // SECOND + 300)
        clock.advance_to(START_NS + 300 * SECOND)
        assert (await get("markets"))[0].headers["x-ratelimit-remaining"] == "2"
        assert venue.http_refused == 1


class StandingClock:
    """A clock with another clock's time, whose sleeps never end."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    def now_ns(self) -> int:
        return self._clock.now_ns()

    async def sleep_until(self, deadline_ns: int) -> None:
        await asyncio.Event().wait()


# --- trouble ----------------------------------------------------------------------------------------------------------


async def test_injected_text_reaches_the_clients_of_its_channel_as_it_is() -> None:
    async with exchange() as venue, listening(venue, TICKER) as client, listening(venue, BOARD):
        assert venue.inject(Channel.TICKER, '{"params":NaN') == 1
        with pytest.raises(orjson.JSONDecodeError):
            await client.read_until(lambda: False)
        assert client.texts[-1] == '{"params":NaN'


# --- life -------------------------------------------------------------------------------------------------------------


async def test_venue_comes_back_on_the_same_port_with_the_same_market() -> None:
    venue = exchange()
    async with venue, listening(venue, TICKER) as client:
        port = venue.port
        await client.read_until(lambda: bool(client.messages[TICKER]))
        first = client.messages[TICKER][0]["tick_id"]
    with pytest.raises(aiohttp.ClientError):
        async with listening(venue):
            pass
    async with venue, listening(venue, TICKER) as client:
        assert venue.port == port
        await client.read_until(lambda: bool(client.messages[TICKER]))
        assert client.messages[TICKER][0]["tick_id"] > first


async def test_exit_says_going_away_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    async with aiohttp.ClientSession() as session:
        async with exchange() as venue:
            ws = await session.ws_connect(venue.ws_url)
        message = await ws.receive(timeout=2)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
    assert asyncio.all_tasks() == before


async def test_taken_port_is_an_os_error() -> None:
    async with exchange() as venue:
        with pytest.raises(OSError, match="address"):
            async with exchange(port=venue.port):
                pass


async def test_exception_in_the_block_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError):
        async with exchange():
            raise KeyError("mine")


async def test_market_that_fails_ends_the_block_with_its_error(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"recv_ns":1,"msg":{}}\nbroken\n{"recv_ns":2,"msg":{}}\n')
    source = TapeSource(path)
    with pytest.raises(ExceptionGroup) as caught:
        async with BitflyerExchange(source, clock=VirtualClock(1)):
            await asyncio.sleep(5)
    assert caught.group_contains(TapeError)


async def test_maximal_speed_waits_for_a_client_and_loses_nothing() -> None:
    path = real_tape_path()
    expected = [frame.text for frame in iter_frames(TapeSource(path))]
    async with BitflyerExchange(TapeSource(path), clock=None, queue_frames=4) as venue:
        await asyncio.sleep(0.05)
        async with listening(venue, *ALL) as client:
            await client.read_until(lambda: len(client.texts) > len(expected))
            await venue.wait_ended()
            assert client.texts[1:] == expected


async def test_maximal_speed_keeps_a_client_that_subscribes_while_its_queue_is_full() -> None:
    source: MarketSource = Market(seed=1, start_ns=START_NS)
    async with BitflyerExchange(source, clock=None, queue_frames=4) as venue, listening(venue, *ALL) as client:
        sent = -1
        while venue.hub.counters.frames != sent:  # until nothing more can be sent to a client that does not read
            sent = venue.hub.counters.frames
            await asyncio.sleep(0.2)
        await client.subscribe(BOARD)
        await asyncio.sleep(0.1)
        await client.read_until(lambda: len(client.answers) == 2)


async def test_maximal_speed_goes_on_when_a_slow_client_leaves() -> None:
    source: MarketSource = Market(seed=1, start_ns=START_NS)
    async with BitflyerExchange(source, clock=None, queue_frames=4) as venue, listening(venue, BOARD) as good:
        async with listening(venue, SNAPSHOT):
            await good.read_until(lambda: len(good.texts) > 50)
        seen = len(good.texts)
        await good.read_until(lambda: len(good.texts) > seen + 50)
