"""Every recipe of Lighter's catalogue against a client that keeps trading: it strikes, and the venue recovers."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any

import aiohttp
import orjson
import pytest

from stall_then_strike.sim.faults.catalogue import random_plan, single_plans
from stall_then_strike.sim.faults.kinds import FaultPlan, FaultVenue, kinds_of
from stall_then_strike.sim.faults.lighter_catalogue import LIGHTER_RECIPES
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS
from stall_then_strike.sim.lighter.clearing.records import OrderTerms
from stall_then_strike.sim.lighter.lighter_venue import VenueSettings
from stall_then_strike.sim.lighter.realtime.stream_limits import NO_STREAM_LIMITS
from stall_then_strike.sim.lighter.transactions import TxType
from stall_then_strike.types.dto import NS_PER_S
from tests.live.pace import steady_clock
from tests.sim.exchange_rig import START_NS
from tests.sim.lighter.stream_rig import ETH, Trader, listening, streaming

DURATION_S = 20.0
SPEED = 10.0
PATIENCE_S = 0.2
"""Real seconds for one call or one connection, two seconds of venue time."""
WINDOWS = ((1.0, 8.0), (10.0, 17.0))
"""Two recipes share a run, one after the other."""
SETTINGS = VenueSettings(delay_ms=(20, 30), verifies_orders=False, limits_calls=False)
PRICE = 310_000
GIVES_UP = (aiohttp.ClientError, TimeoutError, AssertionError, orjson.JSONDecodeError, ConnectionError)


class Client:
    """A trader that goes on whatever happens, and the others in its market."""

    def __init__(self, exchange: Any, clock: Any, session: aiohttp.ClientSession) -> None:
        self.exchange = exchange
        self.clock = clock
        self.session = session
        self.me = Trader(exchange, exchange.add_account(100_000), is_signed=False)
        self.others = [exchange.add_account(10**9).account_index for _ in range(2)]
        self.token = self.me.token()

    async def pause(self, seconds: float) -> None:
        await self.clock.sleep_until(self.clock.now_ns() + round(seconds * NS_PER_S))

    def ready(self) -> None:
        """Take the nonce from the venue itself, because a fault may hide it."""
        self.me.nonce = self.exchange.venue.next_nonce(self.me.account, 4)

    async def call(self, method: str, path: str, **options: Any) -> None:
        with suppress(*GIVES_UP):
            async with (
                asyncio.timeout(PATIENCE_S),
                self.session.request(method, f"{self.exchange.base_url}/api/v1/{path}", **options) as answer,
            ):
                await answer.read()

    async def trade(self) -> None:
        """Place over REST and over a socket, cancel, and ask."""
        own, auth = {"account_index": str(self.me.account)}, {"Authorization": self.token}
        for turn in count(1):
            self.ready()
            info = orjson.dumps(self.me.order(2 * turn, 100, PRICE - 100)).decode()
            await self.call("POST", "sendTx", data={"tx_type": "14", "tx_info": info})
            with suppress(*GIVES_UP):
                async with asyncio.timeout(PATIENCE_S), listening(self.exchange) as client:
                    self.ready()
                    await client.send_tx(TxType.CREATE_ORDER, self.me.order(2 * turn + 1, 100, PRICE))
                    await client.subscribe(f"account_all_orders/{self.me.account}", self.token)
            with suppress(*GIVES_UP):
                async with asyncio.timeout(PATIENCE_S), listening(self.exchange) as client:
                    self.ready()
                    infos = [orjson.dumps(self.me.cancel(2 * turn)).decode()]
                    data = {"tx_types": "[15]", "tx_infos": orjson.dumps(infos).decode()}
                    await client.answer(type="jsonapi/sendtxbatch", data=data)
            await self.call("GET", "nextNonce", params={**own, "api_key_index": "4"})
            await self.call("GET", "accountActiveOrders", params=own, headers=auth)
            await self.pause(0.5)

    async def listen(self) -> None:
        """Subscribe to everything, listen for a while, and again."""
        account = self.me.account
        private = ("account_all", "user_stats", "account_all_orders", "account_tx", "account_all_assets")
        while True:
            with suppress(*GIVES_UP):
                async with asyncio.timeout(PATIENCE_S), listening(self.exchange) as client:
                    for channel in (f"order_book/{ETH}", f"trade/{ETH}", f"ticker/{ETH}", "market_stats/all"):
                        await client.ws.send_json({"type": "subscribe", "channel": channel})
                    for topic in private:
                        request = {"type": "subscribe", "channel": f"{topic}/{account}", "auth": self.token}
                        await client.ws.send_json(request)
                    while True:
                        await client.next()
            await asyncio.sleep(0.01)

    async def stir(self) -> None:
        """Others quote and trade, also with us."""
        venue, exchange = self.exchange.venue, self.exchange
        for turn in count():
            exchange.settle()
            now_ns, price = exchange.feed.now_ns, PRICE + 10 + turn % 5
            for account, is_ask, limit in zip(self.others, (True, False), (price, price), strict=True):
                venue.place(account, OrderTerms(market=ETH, is_ask=is_ask, size=50, price=limit), now_ns)
            venue.place(self.others[0], OrderTerms(market=ETH, is_ask=True, size=100, price=PRICE), now_ns)
            exchange.wake()
            await self.pause(0.25)

    async def is_well(self) -> bool:
        """Whether the venue is as if nothing had been."""
        self.ready()
        async with self.session.get(
            f"{self.exchange.base_url}/api/v1/nextNonce",
            params={"account_index": str(self.me.account), "api_key_index": "4"},
        ) as answer:
            found = await answer.json()
        async with listening(self.exchange) as client:
            book = await client.subscribe(f"order_book/{ETH}")
            orders = await client.subscribe(f"account_all_orders/{self.me.account}", self.token)
        accounts = self.exchange.venue.accounts
        return (
            found == {"code": 200, "nonce": self.me.nonce}
            and (book["type"], orders["type"]) == ("subscribed/order_book", "subscribed/account_all_orders")
            and accounts.wealth() == accounts.deposits
            and self.exchange.faults.is_idle
        )


async def run(plan: FaultPlan) -> tuple[dict[str, int], bool]:
    """Trade through a plan; return what struck and whether the exchange is well afterwards."""
    async with (
        steady_clock(SPEED, START_NS) as clock,
        streaming(SETTINGS, clock=clock, markets=MARKETS[:1], faults=plan, limits=NO_STREAM_LIMITS) as exchange,
        aiohttp.ClientSession() as session,
    ):
        client = Client(exchange, clock, session)
        tasks = [asyncio.create_task(work()) for work in (client.trade, client.listen, client.stir)]
        await clock.sleep_until(START_NS + round(DURATION_S * NS_PER_S))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks), [t.exception() for t in tasks if not t.cancelled()]
        return exchange.faults.struck, await client.is_well()


def test_every_kind_has_a_recipe() -> None:
    assert {recipe["kind"] for recipe in LIGHTER_RECIPES.values()} == set(kinds_of(FaultVenue.LIGHTER))


def shared_plan(names: tuple[str, ...]) -> FaultPlan:
    """The recipes of a run, each in its own window."""
    plans = single_plans(DURATION_S, LIGHTER_RECIPES)
    return FaultPlan(
        tuple(
            replace(fault, from_s=from_s, to_s=to_s)
            for name, (from_s, to_s) in zip(names, WINDOWS, strict=False)
            for fault in plans[name].faults
        )
    )


@pytest.mark.slow
async def test_every_recipe_strikes_and_passes() -> None:
    names = sorted(LIGHTER_RECIPES)
    pairs = [tuple(names[n : n + 2]) for n in range(0, len(names), 2)]
    results = {}
    for some in (pairs[n : n + 8] for n in range(0, len(pairs), 8)):
        results |= dict(zip(some, await asyncio.gather(*(run(shared_plan(pair)) for pair in some)), strict=True))
    assert [name for pair, (struck, _) in results.items() for name in pair if name not in struck] == []
    assert [pair for pair, (_, is_well) in results.items() if not is_well] == []


@pytest.mark.slow
async def test_random_plans_pass() -> None:
    plans = [random_plan(seed, DURATION_S, recipes=LIGHTER_RECIPES) for seed in range(8)]
    results = await asyncio.gather(*(run(plan) for plan in plans))
    assert [seed for seed, (_, is_well) in enumerate(results) if not is_well] == []
