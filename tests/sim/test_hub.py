"""Long frames of the hub, which aiohttp compresses in a thread: a connection may end meanwhile."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from random import Random
from typing import Any

import aiohttp
import pytest

from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.sim.lighter_server import LighterExchange

LONG = Random(1).randbytes(1 << 21).hex()
"""Takes a thread tens of milliseconds to compress."""
PAUSE_S = 0.01


def _cut(exchange: LighterExchange, client: aiohttp.ClientWebSocketResponse) -> None:
    exchange.hub.abort_all()


def _hang_up(exchange: LighterExchange, client: aiohttp.ClientWebSocketResponse) -> None:
    assert client._conn is not None
    assert client._conn.transport is not None
    client._conn.transport.abort()


def _cut_and_cancel_twice(exchange: LighterExchange, client: aiohttp.ClientWebSocketResponse) -> None:
    (writer,) = (task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__name__", "") == "write")
    writer.cancel()
    asyncio.get_running_loop().call_soon(asyncio.get_running_loop().call_soon, writer.cancel)
    _cut(exchange, client)


@pytest.mark.parametrize("end", [_cut, _hang_up, _cut_and_cancel_twice])
async def test_connection_that_ends_meanwhile_leaves_no_error_unheard(
    end: Callable[[LighterExchange, aiohttp.ClientWebSocketResponse], None],
) -> None:
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    async with LighterExchange(clock=SystemClock(), seed=1) as exchange, aiohttp.ClientSession() as session:
        for _ in range(3):
            client = await session.ws_connect(exchange.ws_url, compress=15, max_msg_size=0)
            assert client.compress
            await client.receive()  # the greeting
            exchange.hub.broadcast(LONG)
            await asyncio.sleep(PAUSE_S)  # the thread is at work
            end(exchange, client)
            await client.close()
    while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110 - tasks of aiohttp, too, which tell nobody
        await asyncio.sleep(PAUSE_S)
    gc.collect()
    await asyncio.sleep(0)
    assert not unheard, unheard


async def test_long_frame_arrives_whole() -> None:
    async with LighterExchange(clock=SystemClock(), seed=1) as exchange, aiohttp.ClientSession() as session:
        client = await session.ws_connect(exchange.ws_url, compress=15, max_msg_size=0)
        await client.receive()
        exchange.hub.broadcast(LONG)
        assert (await client.receive()).data == LONG
        await client.close()
