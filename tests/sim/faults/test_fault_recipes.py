"""Recipes of the catalogue against a client that keeps trading: they strike, and the exchange is well afterwards.

Those that strike with certainty do so in `tests/live/test_fault_matrix.py`, against the daemon; here are those that
leave it to chance, and mixtures.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import count

import aiohttp
import orjson
import pytest

from stall_then_strike.sim.bitflyer.private_wire import LISTS
from stall_then_strike.sim.exchange.flow_model import FlowModel
from stall_then_strike.sim.faults.catalogue import random_plan, single_plans
from stall_then_strike.sim.faults.kinds import FaultPlan
from stall_then_strike.types.dto import NS_PER_S
from tests.live.pace import steady_clock
from tests.sim.exchange_rig import BOARD, EXECUTIONS, SNAPSHOT, START_NS, TICKER
from tests.sim.faults.fault_client import EVENTS, Client, auth_request, subscribe, troubled
from tests.sim.private_rig import order

DURATION_S = 30.0
SPEED = 10.0
PATIENCE_S = 0.15
"""Real seconds for one call, a second and a half of venue time."""
LISTENED = (SNAPSHOT, BOARD, EXECUTIONS, TICKER, EVENTS)


async def pause(client: Client, seconds: float) -> None:
    """Sleep in venue time, so that calls stay below the address's limit however busy the machine is."""
    clock = client.venue._clock
    assert clock is not None
    await clock.sleep_until(clock.now_ns() + round(seconds * NS_PER_S))


async def listen(client: Client) -> None:
    """Connect, log in, subscribe and send heartbeats, again and again."""
    requests = [auth_request(), *(subscribe(channel, n) for n, channel in enumerate(LISTENED, 2))]
    while True:
        with suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(5), client.session.ws_connect(client.venue.ws_url, heartbeat=1.0) as ws:
                for request in requests:
                    await ws.send_json(request)
                async for _ in ws:
                    pass
        await asyncio.sleep(PATIENCE_S)


async def trade(client: Client) -> None:
    """Take on both sides in turn, quote and cancel, whatever the outcome."""
    for turn in count():
        with suppress(aiohttp.ClientError, TimeoutError, AssertionError, orjson.JSONDecodeError):
            async with asyncio.timeout(PATIENCE_S):
                await client.post("sendchildorder", order("SELL" if turn % 2 else "BUY", None))
        best = client.private.market.depth(1).bids[0][0]
        name = ""
        with suppress(aiohttp.ClientError, TimeoutError, AssertionError, ValueError, TypeError, KeyError):
            async with asyncio.timeout(PATIENCE_S):
                name = await client.send(order("BUY", best - 3_000))
        name = name or next(iter(client.private.accounts["main"].live), "")
        if name:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    await client.cancel(name)
        await pause(client, 0.4)


async def look(client: Client) -> None:
    """Ask for all lists of the account, again and again."""
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                questions = (client.get(path.removeprefix("/v1/")) for path in LISTS)
                await asyncio.gather(*questions, return_exceptions=True)
        await pause(client, 0.8)


async def run(plan: FaultPlan) -> tuple[dict[str, int], bool]:
    """Trade through a plan; return what struck and whether the exchange is well afterwards."""
    async with steady_clock(SPEED, START_NS) as clock, troubled(plan=plan, model=FlowModel(), clock=clock) as client:
        tasks = [asyncio.create_task(work(client)) for work in (listen, trade, look)]
        await clock.sleep_until(START_NS + round(DURATION_S * NS_PER_S))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks), [t.exception() for t in tasks if not t.cancelled()]
        status, text = await client.get("me/getcollateral")
        board, _ = await client.get("getboardstate")
        is_well = (status, board) == (200, 200) and orjson.loads(text)["collateral"] > 0
        return client.struck, is_well and client.venue.faults.is_idle


@pytest.mark.slow
async def test_every_recipe_of_chance_strikes_and_passes() -> None:
    plans = single_plans(DURATION_S)
    names = sorted(name for name, plan in plans.items() if any(fault.chance < 1 for fault in plan.faults))
    assert names
    results = dict(zip(names, await asyncio.gather(*(run(plans[name]) for name in names)), strict=True))
    assert [name for name, (struck, _) in results.items() if name not in struck] == []
    assert [name for name, (_, is_well) in results.items() if not is_well] == []


@pytest.mark.slow
async def test_random_plans_pass() -> None:
    results = await asyncio.gather(*(run(random_plan(seed, DURATION_S)) for seed in range(4)))
    assert [seed for seed, (_, is_well) in enumerate(results) if not is_well] == []
