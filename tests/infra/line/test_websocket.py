"""The manager against a real server on loopback that can be told to misbehave."""

from __future__ import annotations

import asyncio
import random
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from stall_then_strike.infra.line.connection_rules import Backoff
from stall_then_strike.infra.line.socket_line import LineRules, Message
from stall_then_strike.infra.line.websocket import BaseWebSocketManager, Gap
from stall_then_strike.types.errors import FeedError, NotSent

QUICK = LineRules(
    connect_s=2.0, answer_s=2.0, first_pause_s=0.01, longest_pause_s=0.05, ping_s=30.0, silent_s=60.0, close_s=0.5
)

LIMIT_S = 20.0
"""For what is certain to come, on a busy machine too."""


@dataclass
class Server:
    """Greets if told to, answers each subscription with a snapshot, and records what it hears."""

    greets: bool = False
    url: str = ""
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    heard: list[Message] = field(default_factory=list)
    pings: int = 0
    pongs: int = 0
    answers: Callable[[str], bool] = lambda channel: True
    news: asyncio.Event = field(default_factory=asyncio.Event)
    refuses: bool = False
    thinks_s: float = 0.0
    """Before it answers a handshake."""
    handshakes: int = 0
    close_codes: list[int | None] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.refuses:
            return web.Response(status=503)
        self.handshakes += 1
        self.tell()
        await asyncio.sleep(self.thinks_s)
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        self.sockets.append(socket)
        self.tell()
        if self.greets:
            await socket.send_json({"type": "connected"})
        async for message in socket:
            if message.type is aiohttp.WSMsgType.PING:
                self.pings += 1
                await socket.pong(message.data)
            elif message.type is aiohttp.WSMsgType.PONG:
                self.pongs += 1
            elif message.type is aiohttp.WSMsgType.TEXT:
                await self.answer(socket, orjson.loads(message.data))
            self.tell()
        self.close_codes.append(socket.close_code)
        self.tell()
        return socket

    async def answer(self, socket: web.WebSocketResponse, message: Message) -> None:
        self.heard.append(message)
        channel = message.get("channel", "")
        if message.get("type") == "subscribe" and self.answers(channel):
            await socket.send_json({"channel": channel, "n": "snapshot"})

    def tell(self) -> None:
        self.news.set()

    def open(self) -> list[web.WebSocketResponse]:
        return [socket for socket in self.sockets if not socket.closed]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for news until the condition holds."""
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def served(**more: Any) -> AsyncIterator[Server]:
    server = Server(**more)
    app = web.Application()
    app.router.add_get("/stream", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/stream"
        yield server
    finally:
        for socket in server.open():
            await socket.close()
        await runner.cleanup()


class Ears:
    """What a handler hears; waits for more."""

    def __init__(self, server: Server) -> None:
        self.heard: list[Any] = []
        self._server = server

    def on_message(self, message: Message, recv_ns: int) -> None:
        assert recv_ns > 0
        self.heard.append(message["n"])
        self._server.tell()

    def on_gap(self, why: str) -> None:
        self.heard.append(f"gap: {why}")
        self._server.tell()

    async def until(self, count: int) -> list[Any]:
        await self._server.until(lambda: len(self.heard) >= count)
        return self.heard


@asynccontextmanager
async def running(manager: BaseWebSocketManager) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(manager.run())
    try:
        yield task
    finally:
        manager.close()
        async with asyncio.timeout(LIMIT_S):
            await asyncio.gather(task, return_exceptions=True)


def made(server: Server, kind: type[BaseWebSocketManager] = BaseWebSocketManager, **rules: Any) -> BaseWebSocketManager:
    return kind(server.url, rules=replace(QUICK, **rules), rng=random.Random(1))


async def test_channels_share_one_connection_and_reach_their_own_handlers() -> None:
    async with served() as server:
        manager = made(server)
        first, second = Ears(server), Ears(server)
        manager.subscribe("a/1", first.on_message)
        async with running(manager):
            await manager.wait_connected(LIMIT_S)
            manager.subscribe("a/2", second.on_message)
            await second.until(1)
            await server.sockets[0].send_json({"channel": "a/1", "n": 1})
            await server.sockets[0].send_json({"channel": "a/2", "n": 2})
            assert await second.until(2) == ["snapshot", 2]
            assert await first.until(2) == ["snapshot", 1]
            assert len(server.sockets) == 1
            assert manager.is_live("a/1")
        assert server.close_codes == [1000]


async def test_dedicated_channel_has_a_connection_of_its_own() -> None:
    async with served() as server:
        manager = made(server)
        ears, other = Ears(server), Ears(server)
        manager.subscribe("a/1", ears.on_message)
        manager.subscribe("account/7", other.on_message, dedicated=True)
        async with running(manager):
            await ears.until(1)
            await other.until(1)
            assert len(server.open()) == 2
            manager.unsubscribe("account/7")
            await server.until(lambda: len(server.open()) == 1)
            manager.subscribe("account/8", other.on_message, dedicated=True)
            await other.until(2)
            assert manager.statistics().connects == 3


async def test_dropped_connection_is_made_again_and_subscriptions_are_restored() -> None:
    async with served() as server:
        manager = made(server)
        one, two, gone = Ears(server), Ears(server), Ears(server)
        manager.subscribe("a/1", one.on_message, on_gap=one.on_gap)
        manager.subscribe("a/2", two.on_message, on_gap=two.on_gap)
        manager.subscribe("a/3", gone.on_message)
        async with running(manager):
            await gone.until(1)
            await two.until(1)
            manager.unsubscribe("a/3")
            await server.until(lambda: {"type": "unsubscribe", "channel": "a/3"} in server.heard)
            await server.sockets[0].close(code=1012, message=b"scheduled maintenance")
            assert await one.until(3) == [
                "snapshot",
                "gap: closed by the venue with code 1012 (scheduled maintenance)",
                "snapshot",
            ]
            await two.until(3)
            assert gone.heard == ["snapshot"]
            statistics = manager.statistics()
            assert (statistics.connects, statistics.drops, statistics.is_connected) == (2, 1, True)


async def test_subscriptions_wait_for_the_greeting() -> None:
    class Polite(BaseWebSocketManager):
        needs_greeting = True

        def is_greeting(self, message: Message) -> bool:
            return message.get("type") == "connected"

    async with served(greets=True) as server:
        manager = made(server, Polite)
        ears = Ears(server)
        manager.subscribe("a/1", ears.on_message)
        async with running(manager):
            await ears.until(1)
    async with served(greets=False) as server:
        manager = made(server, Polite, answer_s=0.05, most_tries=2)
        manager.subscribe("a/1", ears.on_message)
        async with running(manager) as task:
            with pytest.raises(FeedError, match="after 2 tries: no greeting"):
                await task
        assert server.heard == []


async def test_gives_up_after_the_most_tries_and_says_why() -> None:
    async with served(refuses=True) as server:
        manager = made(server, most_tries=3)
        async with running(manager) as task:
            with pytest.raises(FeedError, match=r"after 3 tries: .*503"):
                await task
        assert manager.statistics().failures == 3
        with pytest.raises(FeedError, match=r"within 0\.01 s"):
            await manager.wait_connected(0.01)


async def test_pings_both_ways() -> None:
    class Pinging(BaseWebSocketManager):
        def ping_frame(self) -> dict[str, Any]:
            return {"type": "ping"}

    async with served() as server:
        manager = made(server, Pinging, ping_s=0.02, silent_s=30.0)
        async with running(manager):
            await manager.wait_connected(LIMIT_S)
            await server.sockets[0].ping(b"x")
            await server.until(lambda: server.pings >= 2 and server.pongs >= 1 and {"type": "ping"} in server.heard)
            assert len(server.sockets) == 1


async def test_pings_before_a_reset_do_not_end_run() -> None:
    """They are read while the process is busy; by the time they are answered there is no connection."""

    def handle_slowly(message: Message, recv_ns: int) -> None:
        time.sleep(0.05)

    async with served() as server:
        manager = made(server)
        manager.subscribe("a/1", handle_slowly)
        async with running(manager) as task:
            await server.until(lambda: len(server.heard) == 1)
            venue = server.sockets[0]
            venue.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            await venue.send_json({"channel": "a/1", "n": 1})
            for _ in range(3):
                await venue.ping()
            venue._req.transport.abort()
            await server.until(lambda: len(server.heard) == 2 or task.done())
            assert not task.done()


async def test_silent_connection_is_renewed() -> None:
    async with served() as server:
        manager = made(server, silent_s=0.05)
        async with running(manager):
            await server.until(lambda: len(server.sockets) >= 3)
        assert "nothing heard for 0.05 s" in manager.statistics().last_error or manager.statistics().drops >= 2


async def test_old_connection_is_renewed() -> None:
    async with served() as server:
        manager = made(server, oldest_s=0.05, most_tries=None)
        ears = Ears(server)
        manager.subscribe("a/1", ears.on_message, on_gap=ears.on_gap)
        wanted = ["snapshot", "gap: older than 0.05 s", "snapshot"]  # not at first, if it grew old before the snapshot
        async with running(manager):
            await server.until(lambda: any(ears.heard[n : n + 3] == wanted for n in range(len(ears.heard))))


async def test_unanswered_subscription_renews_the_connection() -> None:
    async with served() as server:
        server.answers = lambda channel: len(server.sockets) > 1
        manager = made(server, answer_s=0.05)
        ears = Ears(server)
        manager.subscribe("a/1", ears.on_message)
        async with running(manager):
            await ears.until(1)
            assert len(server.sockets) > 1


async def test_resync_asks_for_a_new_snapshot() -> None:
    async with served() as server:
        manager = made(server)
        ears = Ears(server)
        manager.subscribe("a/1", ears.on_message, on_gap=ears.on_gap)
        async with running(manager):
            await ears.until(1)
            manager.resync("a/1", "hole")
            assert await ears.until(3) == ["snapshot", "gap: hole", "snapshot"]
            assert [message["type"] for message in server.heard] == ["subscribe", "unsubscribe", "subscribe"]


async def test_mailbox_that_overflows_starts_over_with_a_snapshot() -> None:
    async with served() as server:
        manager = made(server)
        box = manager.open_mailbox("a/1", bound=5)
        async with running(manager):
            assert (await box.get())[0]["n"] == "snapshot"  # type: ignore[index]  # a gap would fail just as well
            for n in range(6):
                await server.sockets[0].send_json({"channel": "a/1", "n": n})
            await server.until(lambda: len(server.heard) >= 3)
            async with asyncio.timeout(LIMIT_S):
                gap, (message, _) = await box.get(), await box.get()  # type: ignore[misc]  # as above
            assert gap == Gap("more than 5 messages waited")
            assert message["n"] == "snapshot"


async def test_outgoing_queue_is_bounded() -> None:
    class Stuck(BaseWebSocketManager):
        async def before_send(self, message: Any) -> None:
            await asyncio.Event().wait()

    async with served() as server:
        manager = made(server, Stuck, outgoing=4)
        with pytest.raises(NotSent, match="no connection"):
            manager.send({"n": 0})
        async with running(manager):
            await manager.wait_connected(LIMIT_S)
            for n in range(4):
                manager.send({"n": n})
            await asyncio.sleep(0)
            manager.send({"n": "taken in place of the one that is being sent"})
            with pytest.raises(NotSent, match="4 messages wait already"):
                manager.send({"n": 9})


async def test_close_during_a_handshake_ends_run() -> None:
    async with served(thinks_s=0.1) as server:
        manager = made(server)
        async with running(manager) as task:
            await server.until(lambda: server.handshakes == 1)
            manager.close()
            await asyncio.wait((task,), timeout=2)
            assert task.done()
    assert manager.statistics().last_error == "closed by us"


async def test_channel_given_up_during_its_handshake_leaves_no_connection() -> None:
    async with served() as server:
        manager = made(server)
        async with running(manager):
            await manager.wait_connected(2)
            server.thinks_s = 0.1
            manager.subscribe("account/7", lambda message, recv_ns: None, dedicated=True)
            await server.until(lambda: server.handshakes == 2)
            manager.unsubscribe("account/7")
            await server.until(lambda: len(server.close_codes) == 1)
            assert len(server.open()) == 1


async def test_what_waits_goes_out_before_the_close() -> None:
    async with served() as server:
        manager = made(server)
        async with running(manager):
            await manager.wait_connected(LIMIT_S)
            for n in range(20):
                manager.send({"n": n})
        await server.until(lambda: bool(server.close_codes))
        assert [message["n"] for message in server.heard] == list(range(20))


async def test_unreadable_messages_are_counted_and_unclaimed_ones_passed_over() -> None:
    async with served() as server:
        manager = made(server)
        ears = Ears(server)
        manager.subscribe("a/1", ears.on_message)
        async with running(manager):
            await ears.until(1)
            for text in ("{", "[]", '{"channel": "a/9"}', '{"channel": 5}'):
                await server.sockets[0].send_str(text)
            await server.sockets[0].send_json({"channel": "a/1", "n": "end"})
            await ears.until(2)
            assert (manager.unreadable, len(ears.heard)) == (2, 2)


async def test_exception_of_a_handler_ends_run_and_is_raised() -> None:
    async with served() as server:
        manager = made(server)

        def on_message(message: Message, recv_ns: int) -> None:
            raise ZeroDivisionError("a bug")

        manager.subscribe("a/1", on_message)
        async with running(manager) as task:
            with pytest.raises(ZeroDivisionError, match="a bug"):
                await task


async def test_cancelling_run_closes_the_sockets() -> None:
    async with served() as server:
        manager = made(server)
        async with running(manager) as task:
            await manager.wait_connected(LIMIT_S)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await server.until(lambda: not server.open())


def test_second_subscription_of_a_channel_is_refused() -> None:
    manager = BaseWebSocketManager("ws://127.0.0.1:1")
    manager.subscribe("a", lambda message, recv_ns: None)
    with pytest.raises(ValueError, match="a is subscribed already"):
        manager.subscribe("a", lambda message, recv_ns: None)


def test_pauses_double_up_to_a_minute_with_jitter_and_end_after_ten_failures() -> None:
    backoff = Backoff(1.0, 60.0, most_tries=10, rng=random.Random(3))
    pauses = [backoff.next_pause() for _ in range(10)]
    assert pauses[-1] is None
    for pause, step in zip(pauses[:-1], (1, 2, 4, 8, 16, 32, 60, 60, 60), strict=True):
        assert pause is not None
        assert step / 2 <= pause <= step
    assert len({round((pause or 0) / step, 6) for pause, step in zip(pauses, (1, 2, 4, 8, 16, 32), strict=False)}) > 1
    backoff.on_lasted()
    assert (backoff.next_pause() or 99) <= 1.0
