"""The private side over real HTTP and WebSocket on loopback, through the real pybotters client."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import orjson
import pybotters
import pytest

from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.sim.bitflyer.desk import Delays
from stall_then_strike.sim.bitflyer.keys import ApiKey
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings, PrivateVenue
from stall_then_strike.sim.bitflyer.venue_account import ChildState
from stall_then_strike.sim.bitflyer.venue_hours import Maintenance, Phase
from stall_then_strike.sim.bitflyer_server import BitflyerExchange
from stall_then_strike.sim.exchange.flow import FlowModel
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import NS_PER_S, BoardState, Side
from tests.signing import SIGNED
from tests.sim.exchange_rig import BOARD, EXECUTIONS, PRODUCT, START_NS, TICKER
from tests.sim.private_rig import ASK, BID, KEY, NO_CALENDAR, OTHER, QUIET, order, signing_on_loopback

pytestmark = SIGNED
# pybotters 1.x hands its `auth` to aiohttp in a way that aiohttp 3.14 warns of.

SPEED = 20.0
EVENTS = "child_order_events"


@pytest.fixture(autouse=True)
def _signed() -> Iterator[None]:
    with signing_on_loopback():
        yield


def venue_of(
    market: Market, *keys: ApiKey, clock: ScaledClock | None = None, **options: Any
) -> tuple[PrivateVenue, BitflyerExchange]:
    settings = PrivateSettings(calendar=NO_CALENDAR, **options)
    private = PrivateVenue(market, keys or (KEY,), settings)
    paced = ScaledClock(SPEED, START_NS) if clock is None else clock
    return private, BitflyerExchange(market, clock=paced, private=private)


def quiet_venue(**options: Any) -> tuple[PrivateVenue, BitflyerExchange]:
    return venue_of(Market(seed=1, start_ns=START_NS, model=QUIET), **options)


class Trader:
    """A pybotters client with its events."""

    def __init__(self, client: pybotters.Client, venue: BitflyerExchange) -> None:
        self.client = client
        self.venue = venue
        self.inbox: asyncio.Queue[Any] = asyncio.Queue()
        self.answers: list[Any] = []
        self.public: list[tuple[str, Any]] = []
        self._changed = asyncio.Event()

    def hear(self, message: Any, _ws: Any) -> None:
        if "method" not in message:
            self.answers.append(message)
        elif message["params"]["channel"] == EVENTS:
            for event in message["params"]["message"]:
                self.inbox.put_nowait(event)
        else:
            self.public.append((message["params"]["channel"], message["params"]["message"]))
        self._changed.set()
        self._changed = asyncio.Event()

    async def event(self) -> Any:
        async with asyncio.timeout(20):
            return await self.inbox.get()

    async def heard(self, channel: str, wanted: Any) -> Any:
        """The first matching public message."""
        async with asyncio.timeout(20):
            while True:
                for name, message in self.public:
                    if name == channel and wanted(message):
                        return message
                await self._changed.wait()

    async def post(self, name: str, fields: Any) -> tuple[int, Any]:
        answer = await self.client.fetch("POST", f"{self.venue.base_url}/v1/me/{name}", data=fields)
        return answer.response.status, answer.data

    async def get(self, name: str, **query: Any) -> Any:
        query = {"product_code": PRODUCT, **query}
        answer = await self.client.fetch("GET", f"{self.venue.base_url}/v1/me/{name}", params=query)
        assert answer.response.status == 200, answer.data
        return answer.data

    async def send(self, fields: Any) -> str:
        status, answer = await self.post("sendchildorder", fields)
        assert status == 200, answer
        name: str = answer["child_order_acceptance_id"]
        return name


@asynccontextmanager
async def trading(venue: BitflyerExchange, *channels: str, key: ApiKey = KEY) -> AsyncIterator[Trader]:
    async with pybotters.Client(apis={"bitflyer": [key.key, key.secret]}) as client:
        trader = Trader(client, venue)
        requests = [{"method": "subscribe", "params": {"channel": c}, "id": c} for c in (EVENTS, *channels)]
        await client.ws_connect(venue.ws_url, send_json=requests, hdlr_json=trader.hear)
        async with asyncio.timeout(20):
            while len(trader.answers) < len(requests):
                await trader._changed.wait()
        assert [answer["result"] for answer in trader.answers] == [True] * len(requests)
        yield trader


async def test_order_is_accepted_registered_filled_and_shown_to_everybody() -> None:
    private, exchange = quiet_venue()
    async with exchange as venue, trading(venue, BOARD, EXECUTIONS) as trader:
        name = await trader.send(order("BUY", BID + 500, 0.01, minute_to_expire=1))
        assert name.startswith("JRF")
        registered = await trader.event()
        assert registered["event_type"] == "ORDER"
        assert registered["child_order_acceptance_id"] == name
        assert registered["child_order_id"].startswith("JFX")
        assert registered["child_order_id"].endswith("F")
        await trader.heard(BOARD, lambda m: {"price": BID + 500.0, "size": 0.01} in m["bids"])
        market = private.market
        market.submit(market.now_ns, owner=OTHER, side=Side.SELL, size=market.instrument.to_lots("0.004"))
        executed = await trader.event()
        assert (executed["event_type"], executed["size"], executed["outstanding_size"]) == ("EXECUTION", 0.004, 0.006)
        (public,) = await trader.heard(EXECUTIONS, lambda m: True)
        assert (public["id"], public["buy_child_order_acceptance_id"]) == (executed["exec_id"], name)
        assert (public["side"], public["price"]) == ("SELL", BID + 500.0)
        (position,) = await trader.get("getpositions")
        assert (position["side"], position["price"], position["size"]) == ("BUY", BID + 500.0, 0.004)
        status, body = await trader.post(
            "cancelchildorder", {"product_code": PRODUCT, "child_order_acceptance_id": name}
        )
        assert (status, body) == (200, None)
        assert (await trader.event())["event_type"] == "CANCEL"
        (row,) = await trader.get("getchildorders")
        assert (row["child_order_state"], row["executed_size"], row["cancel_size"]) == ("CANCELED", 0.004, 0.006)
        assert private.ledger().position == 400_000


async def test_market_order_takes_and_cancel_all_sweeps() -> None:
    private, exchange = quiet_venue()
    async with exchange as venue, trading(venue) as trader:
        market = private.market
        market.submit(market.now_ns, owner=OTHER, side=Side.SELL, size=market.instrument.to_lots(1), price=ASK - 1)
        await trader.send(order("BUY", None, "0.02"))
        assert [(await trader.event())["event_type"] for _ in range(2)] == ["ORDER", "EXECUTION"]
        resting = [await trader.send(order("BUY", BID - n)) for n in range(3)]
        assert {(await trader.event())["child_order_acceptance_id"] for _ in range(3)} == set(resting)
        assert await trader.post("cancelallchildorders", {"product_code": PRODUCT}) == (200, None)
        cancelled = [await trader.event() for _ in range(3)]
        assert [(e["event_type"], e["child_order_acceptance_id"]) for e in cancelled] == [
            ("CANCEL", n) for n in resting
        ]
        assert private.ledger().position == 2_000_000


async def test_events_overtake_a_slow_answer() -> None:
    slow = Delays(answer=(20 * NS_PER_S, 20 * NS_PER_S))
    _, exchange = quiet_venue(delays=slow)
    async with exchange as venue, trading(venue) as trader:
        sending = asyncio.create_task(trader.send(order()))
        registered = await trader.event()
        assert not sending.done()
        assert await sending == registered["child_order_acceptance_id"]


async def test_pybotters_own_store_follows_the_account() -> None:
    private, exchange = quiet_venue()
    apis = {"bitflyer": [KEY.key, KEY.secret]}
    async with exchange as venue, trading(venue) as trader, pybotters.Client(apis=apis) as watcher:
        store = pybotters.bitFlyerDataStore()
        subscription = {"method": "subscribe", "params": {"channel": EVENTS}, "id": 1}
        await watcher.ws_connect(venue.ws_url, send_json=[subscription], hdlr_json=store.onmessage)
        await exchange.wait_subscribed(EVENTS, clients=2)
        market = private.market
        name = await trader.send(order("BUY", BID + 1, 0.03))
        await store.childorders.wait()
        assert [o["child_order_acceptance_id"] for o in store.childorders.find()] == [name]
        market.submit(market.now_ns, owner=OTHER, side=Side.SELL, size=market.instrument.to_lots("0.03"))
        while not store.positions.find():
            await store.positions.wait()
        assert store.positions.find()[0]["size"] == 0.03


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [
        (ApiKey(key="nobody", secret=KEY.secret), 401, -501),
        (ApiKey(key=KEY.key, secret="wrong"), 401, -502),
        (ApiKey(key="weak", secret="s", permissions=frozenset({"/v1/me/getbalance"})), 401, -503),
    ],
)
async def test_refused_keys_are_answered_by_401_and_on_the_socket_by_an_error(
    key: ApiKey, status: int, code: int
) -> None:
    weak = ApiKey(key="weak", secret="s", permissions=frozenset({"/v1/me/getbalance"}))
    _, exchange = venue_of(Market(seed=1, start_ns=START_NS, model=QUIET), KEY, weak)
    async with exchange as venue, pybotters.Client(apis={"bitflyer": [key.key, key.secret]}) as client:
        answer = await client.fetch("GET", f"{venue.base_url}/v1/me/getpositions", params={"product_code": PRODUCT})
        assert (answer.response.status, answer.data["status"]) == (status, code)
        plain = aiohttp.ClientSession()
        async with plain, plain.ws_connect(venue.ws_url) as ws:
            await ws.send_json({"method": "auth", "params": login(key), "id": 1})
            refused = await ws.receive_json(timeout=10)
            assert refused["error"]["code"] == code
            await ws.send_json({"method": "subscribe", "params": {"channel": EVENTS}, "id": 2})
            assert (await ws.receive_json(timeout=10))["error"]["code"] == -32007


def login(key: ApiKey) -> dict[str, Any]:
    timestamp, nonce = 1_790_000_000_000, "n" * 16
    signature = hmac.new(key.secret.encode(), f"{timestamp}{nonce}".encode(), hashlib.sha256).hexdigest()
    return {"api_key": key.key, "timestamp": timestamp, "nonce": nonce, "signature": signature}


async def test_login_is_checked_and_second_one_refused() -> None:
    _, exchange = quiet_venue()
    good = login(KEY)
    bad: list[Any] = [
        None,
        {**good, "timestamp": str(good["timestamp"])},
        {**good, "timestamp": 179_000_000},
        {**good, "nonce": "n" * 15},
        {**good, "nonce": "n" * 256},
        {**good, "api_key": 7},
    ]
    async with exchange as venue, aiohttp.ClientSession() as session, session.ws_connect(venue.ws_url) as ws:
        for number, params in enumerate(bad):
            await ws.send_json({"method": "auth", "params": params, "id": number})
            assert (await ws.receive_json(timeout=10))["error"]["code"] == -32602
        await ws.send_str("garbage")
        assert (await ws.receive_json(timeout=10))["error"]["code"] == -32700
        for expected in ({"result": True}, {"error": {"code": -32009, "message": "already authenticated"}}):
            await ws.send_json({"method": "auth", "params": good, "id": 9})
            assert await ws.receive_json(timeout=10) == {"jsonrpc": "2.0", "id": 9, **expected}
        records = exchange.audit.records("auth")
        assert [(r.body, r.answer) for r in exchange.audit.records("invalid")] == [('"garbage"', "-32700 Parse error")]
    assert [record.account for record in records] == [None] * 6 + ["main", "main"]
    assert not any(good["signature"] in record.body + record.answer for record in records)


async def test_signed_public_calls_are_tolerated_and_all_calls_are_in_the_audit() -> None:
    _, exchange = quiet_venue()
    async with exchange as venue, trading(venue) as trader:
        fetched = await trader.client.fetch("GET", f"{venue.base_url}/v1/getboardstate?product_code={PRODUCT}")
        assert fetched.data == {"health": "NORMAL", "state": "RUNNING"}
        await trader.get("getcollateral")
        sent = await trader.client.fetch("POST", f"{venue.base_url}/v1/me/sendchildorder", data=order())
        assert sent.response.headers["x-ratelimit-remaining"] == "498"
        assert sent.response.headers["x-orderrequest-ratelimit-remaining"] == "299"
        unsigned = await trader.client.fetch("GET", f"{venue.base_url}/v1/me/getbalance", auth=None)
        assert (unsigned.response.status, unsigned.data["status"]) == (401, -500)
        assert unsigned.data["error_message"] == "ACCESS-KEY header is required"
        unknown = await trader.client.fetch("POST", f"{venue.base_url}/v1/me/getbalance", data={})
        assert unknown.response.status == 404
        assert exchange.http_requests == 5
    counts = exchange.audit.counts
    assert counts["GET /v1/getboardstate"] == counts["GET /v1/me/getcollateral"] == counts["auth"] == 1
    assert [r.account for r in exchange.audit.records() if r.what.endswith("getbalance")] == [None, None]


async def test_another_accounts_events_are_not_heard() -> None:
    second = ApiKey(key="key-2", secret="also made up", account="second")
    private, exchange = venue_of(Market(seed=1, start_ns=START_NS, model=QUIET), KEY, second)
    async with exchange as venue, trading(venue) as one, trading(venue, key=second) as two:
        resting = await one.send(order("SELL", ASK - 7))
        assert (await one.event())["event_type"] == "ORDER"
        taking = await two.send(order("BUY", ASK - 7))
        assert [(await two.event())["event_type"] for _ in range(2)] == ["ORDER", "EXECUTION"]
        executed = await one.event()
        assert executed["child_order_acceptance_id"] == resting != taking
        assert one.inbox.empty()
        assert two.inbox.empty()
    assert private.ledger("main").position == -private.ledger("second").position == -1_000_000


async def test_the_flow_hits_our_quotes() -> None:
    hungry = FlowModel(takers_per_s=2.0, taker_floor=1.0)
    market = Market(seed=5, start_ns=START_NS, model=hungry)
    private, exchange = venue_of(market)
    async with exchange as venue, trading(venue) as trader:
        bid, ask = market.engine.best_price(Side.BUY), market.engine.best_price(Side.SELL)
        assert bid is not None
        assert ask is not None
        await trader.send(order("BUY", bid + 1, 0.01))
        await trader.send(order("SELL", ask - 1, 0.01))
        while (await trader.event())["event_type"] != "EXECUTION":
            pass
    state = private.ledger()
    assert state.fills
    public = {e.exec_id: e for e in market.executions()}
    for fill in state.fills:
        seen = public[fill.exec_id]
        assert fill.order_id in {seen.buy_order_id, seen.sell_order_id}
        assert (fill.price, fill.size) == (seen.price, seen.size)


async def test_at_maximal_speed_orders_work_while_somebody_listens() -> None:
    market = Market(seed=1, start_ns=START_NS, model=QUIET)
    private = PrivateVenue(market, [KEY], PrivateSettings(calendar=NO_CALENDAR))
    async with BitflyerExchange(market, clock=None, private=private) as venue, trading(venue) as trader:
        name = await trader.send(order("BUY", BID, minute_to_expire=1))
        assert [(await trader.event())["event_type"] for _ in range(2)] == ["ORDER", "EXPIRE"]
        assert private.accounts["main"].orders[name].state is ChildState.EXPIRED


def test_private_side_of_another_market_is_refused() -> None:
    private, _ = quiet_venue()
    with pytest.raises(ValueError, match="another market"):
        BitflyerExchange(Market(seed=1, start_ns=START_NS), clock=None, private=private)


async def test_maintenance_closes_the_sockets_as_the_venue_does() -> None:
    phases = (Phase(state=BoardState.CLOSED, seconds=3), Phase(state=BoardState.PREOPEN, seconds=2))
    at_s = START_NS // NS_PER_S % 86_400 + 20
    maintenance = Maintenance(start_s=at_s, sockets_close_s=1, phases=phases)
    market = Market(seed=1, start_ns=START_NS)
    calendar = replace(NO_CALENDAR, maintenance=maintenance)
    private = PrivateVenue(market, [KEY], PrivateSettings(calendar=calendar))
    exchange = BitflyerExchange(market, clock=ScaledClock(SPEED, START_NS), private=private)
    async with exchange as venue, aiohttp.ClientSession() as session, session.ws_connect(venue.ws_url) as ws:
        await ws.send_json({"method": "subscribe", "params": {"channel": TICKER}})
        states = []
        while (frame := await ws.receive(timeout=10)).type is aiohttp.WSMsgType.TEXT:
            states.append(orjson.loads(frame.data)["params"]["message"]["state"])
        assert (ws.close_code, frame.extra) == (1012, "scheduled maintenance")
        assert states[0] == "RUNNING"
        async with session.ws_connect(venue.ws_url) as again:
            await again.send_json({"method": "subscribe", "params": {"channel": TICKER}})
            while (await again.receive_json(timeout=10))["params"]["message"]["state"] != "RUNNING":
                pass


async def test_clock_skew_limit_refuses_a_client_on_real_time() -> None:
    # The exchange stands at START_NS, pybotters signs with this machine's clock: years apart.
    _, exchange = quiet_venue(max_skew_ns=60 * NS_PER_S)
    async with exchange as venue, pybotters.Client(apis={"bitflyer": [KEY.key, KEY.secret]}) as client:
        answer = await client.fetch("GET", f"{venue.base_url}/v1/me/getcollateral")
        assert (answer.response.status, answer.data["status"]) == (401, -504)


async def test_funding_rate_is_public_and_needs_its_product() -> None:
    _, exchange = quiet_venue()
    async with exchange as venue, aiohttp.ClientSession() as session:
        url = f"{venue.base_url}/v1/getfundingrate"
        async with session.get(url) as answer:
            assert (answer.status, list(await answer.json())) == (404, ["Message"])
        async with session.get(url, params={"product_code": "ETH_JPY"}) as answer:
            assert (answer.status, (await answer.json())["status"]) == (400, -100)
    market = Market(seed=1, start_ns=START_NS, model=QUIET)
    async with BitflyerExchange(market, clock=ScaledClock(1, START_NS)) as venue, aiohttp.ClientSession() as session:
        url = f"{venue.base_url}/v1/getfundingrate"
        async with session.get(url, params={"product_code": PRODUCT}) as answer:
            assert await answer.json() == {
                "current_funding_rate": 0.0001,
                "next_funding_rate_settledate": "2026-09-21T21:00:00",
            }
        async with session.get(
            f"{venue.base_url}/v1/me/getbalance"
        ) as answer:  # without accounts the call does not exist
            assert answer.status == 404
