"""When the server ends a connection, in shortened times: none so short that a machine that stands still is silent."""

from __future__ import annotations

import asyncio

import aiohttp

from stall_then_strike.sim.lighter.realtime.keepalive import Keepalive
from tests.sim.lighter.stream_rig import listening, streaming


async def test_a_silent_client_is_closed_and_one_that_sends_anything_is_not() -> None:
    async with (
        streaming(keepalive=Keepalive(idle_s=2.0)) as exchange,
        listening(exchange) as silent,
        listening(exchange) as talking,
        listening(exchange, heartbeat=0.1) as pinging,
    ):
        async with asyncio.TaskGroup() as tasks:
            end = tasks.create_task(silent.ended())
            heard = tasks.create_task(pinging.ws.receive())
            while not end.done():
                assert await talking.answer(type="ping") == {"type": "pong"}
                await asyncio.sleep(0.05)
            heard.cancel()
        assert end.result() == 1008
        assert exchange.hub.counters.silent_clients == 1
        assert exchange.hub.connections == 2


async def test_the_servers_ping_wants_a_pong() -> None:
    async with (
        streaming(keepalive=Keepalive(ping_s=0.1, pong_s=2.0)) as exchange,
        listening(exchange) as polite,
        listening(exchange) as rude,
    ):
        for _ in range(5):
            assert await polite.next() == {"type": "ping"}
            await polite.ws.send_json({"type": "pong"})
        assert await rude.ended() == 1008
        assert rude.messages[-1] == {"type": "ping"}
        assert await polite.answer(type="ping") is not None


async def test_a_connection_grows_old() -> None:
    async with streaming(keepalive=Keepalive(age_s=0.2)) as exchange, listening(exchange) as client:
        assert await client.ended() == 1001


async def test_a_new_limit_of_silence_holds_for_present_connections() -> None:
    keepalive = Keepalive()
    async with streaming(keepalive=keepalive) as exchange, listening(exchange) as client:
        keepalive.change(idle_s=0.05)
        assert await client.ended() == 1008


async def test_frames_are_compressed_for_those_who_ask() -> None:
    async with streaming() as exchange, listening(exchange) as plain, listening(exchange, compress=15) as packed:
        assert plain.ws.compress == 0
        assert isinstance(packed.ws, aiohttp.ClientWebSocketResponse)
        assert packed.ws.compress == 15
        for client in (plain, packed):
            assert (await client.subscribe("order_book/0"))["type"] == "subscribed/order_book"
