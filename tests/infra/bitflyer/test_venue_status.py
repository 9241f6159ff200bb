"""The venue's health, asked over real HTTP from the embedded exchange."""

from __future__ import annotations

import asyncio

import aiohttp
import pybotters
import pytest
from aiohttp import web

from stall_then_strike.config.models import ExchangeConfig
from stall_then_strike.infra.bitflyer.venue_status import PERIOD_S, poll_venue_status
from stall_then_strike.infra.clock import ScaledClock, SystemClock
from stall_then_strike.infra.http_bitflyer import BitflyerHttp
from stall_then_strike.sim.bitflyer_server import BitflyerExchange
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import NS_PER_S, BoardState, Health, VenueStatus
from tests.market_script import START_NS

LIMIT = aiohttp.ClientTimeout(total=5)


async def first_answer(base_url: str, *, period_s: float = 15.0, wait_s: float = 10.0) -> VenueStatus | None:
    """The first status reported, or None if there was none in time."""
    told: asyncio.Queue[VenueStatus] = asyncio.Queue()
    exchange = ExchangeConfig(base_url=base_url)
    async with pybotters.Client(apis={}) as client, asyncio.TaskGroup() as tasks:
        http = BitflyerHttp(client, exchange, SystemClock(), timeout=LIMIT)
        polling = poll_venue_status([http], SystemClock(), lambda status, _: told.put_nowait(status), period_s=period_s)
        poll = tasks.create_task(polling)
        try:
            async with asyncio.timeout(wait_s):
                return await told.get()
        except TimeoutError:
            return None
        finally:
            poll.cancel()


@pytest.mark.parametrize("health", [Health.NORMAL, Health.SUPER_BUSY, Health.STOP])
async def test_state_and_health_are_what_the_venue_says(health: Health) -> None:
    async with BitflyerExchange(Market(seed=1, start_ns=START_NS), clock=ScaledClock(1.0, START_NS)) as exchange:
        exchange.set_condition(state=BoardState.PREOPEN, health=health)
        status = await first_answer(exchange.base_url)
    assert status is not None
    assert (status.state, status.health) == (BoardState.PREOPEN, health)


ANSWERS = [
    pytest.param(200, "<html>busy</html>", id="a page"),
    pytest.param(502, "<html>bad gateway</html>", id="a gateway's error"),
    pytest.param(200, "[]", id="an array"),
    pytest.param(200, "", id="nothing"),
    pytest.param(200, '{"status":-1,"error_message":"Over API limit"}', id="an error with status 200"),
    pytest.param(429, '{"status":-1,"error_message":"Over API limit"}', id="too many calls"),
]


@pytest.mark.parametrize(("status", "body"), ANSWERS)
async def test_what_is_no_answer_says_nothing_and_is_asked_again(status: int, body: str) -> None:
    calls = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        if calls <= 2:
            return web.Response(status=status, text=body, content_type="text/html")
        return web.json_response({"health": "VERY BUSY", "state": "A NEW WORD"})

    app = web.Application()
    app.router.add_get("/v1/getboardstate", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        told = await first_answer(f"http://127.0.0.1:{port}", period_s=0.01)
    finally:
        await runner.cleanup()
    assert calls == 3
    assert told is not None
    assert (told.state, told.health) == (BoardState.UNKNOWN, Health.VERY_BUSY)


async def test_dead_venue_says_nothing(unused_tcp_port: int) -> None:
    assert await first_answer(f"http://127.0.0.1:{unused_tcp_port}", period_s=0.01, wait_s=0.2) is None


async def test_several_products_are_asked_at_once_and_then_in_turn() -> None:
    """As many calls of the address as for one, in the clock's own seconds; a fault of one keeps no other."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(product := request.query["product_code"])
        if len(asked) == 7:
            is_enough.set()
        if product == "XRP_JPY":
            return web.Response(status=502)
        return web.json_response({"health": "NORMAL", "state": "RUNNING"})

    app = web.Application()
    app.router.add_get("/v1/getboardstate", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    told: list[int] = []
    is_enough = asyncio.Event()
    clock = ScaledClock(100.0)
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        codes = ["FX_BTC_JPY", "XRP_JPY", "ETH_JPY"]
        async with pybotters.Client(apis={}) as client, asyncio.TaskGroup() as tasks:
            exchanges = [ExchangeConfig(base_url=base_url, product_code=code) for code in codes]
            https = [BitflyerHttp(client, exchange, clock, timeout=LIMIT) for exchange in exchanges]
            start_ns = clock.now_ns()
            poll = tasks.create_task(poll_venue_status(https, clock, lambda _, number: told.append(number)))
            async with asyncio.timeout(10):
                await is_enough.wait()
            passed_s = (clock.now_ns() - start_ns) / NS_PER_S
            poll.cancel()
    finally:
        await runner.cleanup()
    assert asked == codes * 2 + codes[:1]
    assert told[:4] == [0, 2, 0, 2]
    assert passed_s >= 4 * PERIOD_S
