"""Every recipe of Lighter's catalogue against a client that keeps trading: it strikes, and the venue recovers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any, Final

import aiohttp
import orjson
import pytest

from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.sim.faults.catalogue import random_plan
from stall_then_strike.sim.faults.kinds import SPECS, Fault, FaultPlan, FaultVenue, kinds_of
from stall_then_strike.sim.faults.lighter_catalogue import LIGHTER_RECIPES
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS
from stall_then_strike.sim.lighter.clearing.records import OrderTerms
from stall_then_strike.sim.lighter.lighter_venue import VenueSettings
from stall_then_strike.sim.lighter.transactions import TxType
from stall_then_strike.sim.lighter_server import LighterExchange
from stall_then_strike.types.dto import NS_PER_S
from tests.live.pace import steady_clock
from tests.sim.exchange_rig import START_NS
from tests.sim.lighter.stream_rig import ETH, NO_STREAM_LIMITS, Listener, Trader, streaming

DURATION_S = 20.0
SPEED = 10.0
SEEDS = int(os.environ.get("STS_CHAOS_SEEDS", "4"))
"""How many random plans; more of them take longer and find more."""
PATIENCE_S = 0.1
"""Real seconds for one step: one call, or what happens on one connection."""
RECOVERY_S = 10.0
LONGEST_S = 60.0
"""A fault is lifted before, as soon as it has struck."""
LATENESS_S = 0.05
"""Delays and pauses of the recipes are no longer than this where each runs alone."""
MOST_ROUNDS = 60
SETTINGS = VenueSettings(delay_ms=(20, 30), verifies_orders=False, limits_calls=False)
AT_ONCE = VenueSettings(delay_ms=(1, 2), verifies_orders=False, limits_calls=False)
PRICE = 310_000
PUBLIC = (f"order_book/{ETH}", f"trade/{ETH}", f"ticker/{ETH}", "market_stats/all")
PRIVATE = ("account_all", "user_stats", "account_all_orders", "account_tx", "account_all_assets")
GIVES_UP: Final = (aiohttp.ClientError, TimeoutError, AssertionError, orjson.JSONDecodeError, ConnectionError)


class Client:
    """A trader that goes on whatever happens, and the others in its market."""

    def __init__(self, exchange: LighterExchange, session: aiohttp.ClientSession) -> None:
        self.exchange = exchange
        self.session = session
        self.me = Trader(exchange, exchange.add_account(100_000), is_signed=False)
        self.others = [exchange.add_account(10**9).account_index for _ in range(2)]
        self.token = self.me.token()
        self.own = {"account_index": str(self.me.account)}
        self.next_client_index = count(1).__next__

    def ready(self) -> None:
        """Take the nonce from the venue itself, because a fault may hide it."""
        self.me.nonce = self.exchange.venue.next_nonce(self.me.account, 4)

    def order(self, price: int) -> dict[str, Any]:
        self.ready()
        return self.me.order(self.next_client_index(), 100, price)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Listener]:
        async with self.session.ws_connect(self.exchange.ws_url, heartbeat=None) as ws:
            listener = Listener(ws)
            await listener.next()
            yield listener

    @asynccontextmanager
    async def step(self) -> AsyncIterator[None]:
        """What a fault may break."""
        with suppress(*GIVES_UP):
            async with asyncio.timeout(PATIENCE_S):
                yield

    async def call(self, method: str, path: str, **options: Any) -> None:
        async with (
            self.step(),
            self.session.request(method, f"{self.exchange.base_url}/api/v1/{path}", **options) as answer,
        ):
            await answer.read()

    async def trade(self) -> None:
        """Place over REST and over a socket, cancel, and ask."""
        await self.call(
            "POST", "sendTx", data={"tx_type": "14", "tx_info": orjson.dumps(self.order(PRICE - 100)).decode()}
        )
        async with self.step(), self.connected() as client:
            await client.subscribe(f"account_all_orders/{self.me.account}", self.token)
            await client.send_tx(TxType.CREATE_ORDER, self.order(PRICE))
        async with self.step(), self.connected() as client:
            self.ready()
            oldest = min(self.exchange.venue.account(self.me.account).client_indices, default=1)
            infos = orjson.dumps([orjson.dumps(self.me.cancel(oldest)).decode()]).decode()
            await client.answer(type="jsonapi/sendtxbatch", data={"tx_types": "[15]", "tx_infos": infos})
        await self.call("GET", "nextNonce", params={**self.own, "api_key_index": "4"})
        await self.call("GET", "accountActiveOrders", params=self.own, headers={"Authorization": self.token})

    async def listen(self, *, until_struck: bool = False) -> None:
        """Subscribe to everything and listen for a while."""
        requests = [{"type": "subscribe", "channel": name} for name in PUBLIC]
        requests += [
            {"type": "subscribe", "channel": f"{topic}/{self.me.account}", "auth": self.token} for topic in PRIVATE
        ]
        async with self.step(), self.connected() as client:
            for request in requests:
                await client.ws.send_json(request)
            while not (until_struck and self.exchange.faults.struck):
                await client.next()

    def stir(self, turn: int) -> None:
        """Others quote and trade, also with us."""
        self.exchange.settle()
        venue, now_ns, price = self.exchange.venue, self.exchange.feed.now_ns, PRICE + 10 + turn % 5
        for account, is_ask in zip(self.others, (True, False), strict=True):
            venue.place(account, OrderTerms(market=ETH, is_ask=is_ask, size=50, price=price), now_ns)
        venue.place(self.others[1], OrderTerms(market=ETH, is_ask=False, size=10, price=PRICE - 200 - turn), now_ns)
        venue.place(self.others[0], OrderTerms(market=ETH, is_ask=True, size=10, price=PRICE + 200 + turn), now_ns)
        venue.place(self.others[0], OrderTerms(market=ETH, is_ask=True, size=100, price=PRICE), now_ns)
        self.exchange.wake()

    async def is_well(self) -> bool:
        """Whether the venue is as if nothing had been."""
        self.ready()
        async with self.session.get(
            f"{self.exchange.base_url}/api/v1/nextNonce", params={**self.own, "api_key_index": "4"}
        ) as answer:
            found = await answer.json()
        async with self.connected() as client:
            book = await client.subscribe(f"order_book/{ETH}")
            orders = await client.subscribe(f"account_all_orders/{self.me.account}", self.token)
        accounts = self.exchange.venue.accounts
        return (
            found == {"code": 200, "nonce": self.me.nonce}
            and (book["type"], orders["type"]) == ("subscribed/order_book", "subscribed/account_all_orders")
            and accounts.wealth() == accounts.deposits
            and self.exchange.faults.is_idle
        )

    async def recovers(self) -> bool:
        """Whether the venue is well within some time: the last answers of a fault may still be on their way."""
        with suppress(TimeoutError):
            async with asyncio.timeout(RECOVERY_S):
                while True:
                    with suppress(*GIVES_UP):
                        if await self.is_well():
                            return True
                    await asyncio.sleep(0.01)
        return False


def test_every_kind_has_a_recipe() -> None:
    assert {recipe["kind"] for recipe in LIGHTER_RECIPES.values()} == set(kinds_of(FaultVenue.LIGHTER))


# --- each alone ------------------------------------------------------------------------------------------------------


def brief(name: str, recipe: Mapping[str, Any]) -> Fault:
    """A recipe without long waits."""
    spec = SPECS[recipe["kind"]]
    waits = {"seconds": min(recipe.get("seconds", spec.seconds), LATENESS_S)} if "seconds" in spec.takes else {}
    return Fault(**{**recipe, **waits, "name": name, "to_s": LONGEST_S})


async def strikes(client: Client, name: str, recipe: Mapping[str, Any]) -> bool:
    """Trade under one fault until it has struck, and end it; return whether it struck."""
    faults = client.exchange.faults
    faults.struck.clear()
    faults.inject(brief(name, recipe))
    for turn in range(MOST_ROUNDS):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(client.listen(until_struck=True))
            await asyncio.sleep(0)
            await client.trade()
            client.stir(turn)
        if faults.struck[name]:
            break
    faults.lift(name)
    return bool(faults.struck[name])


@pytest.mark.slow
async def test_every_recipe_strikes_and_passes() -> None:
    async with (
        streaming(AT_ONCE, clock=SystemClock(), markets=MARKETS[:1], limits=NO_STREAM_LIMITS) as exchange,
        aiohttp.ClientSession() as session,
    ):
        client = Client(exchange, session)
        for name, recipe in LIGHTER_RECIPES.items():
            assert await strikes(client, name, recipe), name
            assert await client.recovers(), name


# --- mixtures --------------------------------------------------------------------------------------------------------


async def run(plan: FaultPlan) -> bool:
    """Trade through a plan, ten times as fast; return whether the exchange is well afterwards."""
    async with (
        steady_clock(SPEED, START_NS) as clock,
        streaming(SETTINGS, clock=clock, markets=MARKETS[:1], faults=plan, limits=NO_STREAM_LIMITS) as exchange,
        aiohttp.ClientSession() as session,
    ):
        client = Client(exchange, session)

        async def pause(seconds: float) -> None:
            await clock.sleep_until(clock.now_ns() + round(seconds * NS_PER_S))

        async def trade() -> None:
            while True:
                await client.trade()
                await pause(0.5)

        async def listen() -> None:
            while True:
                await client.listen()
                await pause(0.2)

        async def stir() -> None:
            for turn in count():
                client.stir(turn % 50)
                await pause(0.25)

        tasks = [asyncio.create_task(work()) for work in (trade, listen, stir)]
        await clock.sleep_until(START_NS + round(DURATION_S * NS_PER_S))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks), [t.exception() for t in tasks if not t.cancelled()]
        return await client.recovers()


@pytest.mark.slow
async def test_random_plans_pass() -> None:
    plans = [random_plan(seed, DURATION_S, recipes=LIGHTER_RECIPES) for seed in range(SEEDS)]
    results = [is_well for n in range(0, SEEDS, 4) for is_well in await asyncio.gather(*map(run, plans[n : n + 4]))]
    assert [seed for seed, is_well in enumerate(results) if not is_well] == []
