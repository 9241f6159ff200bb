"""A server on loopback that behaves as a test scripts it, and a session with it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.clock import Clock, SystemClock
from stall_then_strike.infra.pyb_session import PyBotterSession, SessionEvent
from stall_then_strike.types.dto import BoardSnapshot, BookStatus

PRODUCT = "FX_BTC_JPY"
BOARD = f"lightning_board_{PRODUCT}"
SNAPSHOT = f"lightning_board_snapshot_{PRODUCT}"
EXECUTIONS = f"lightning_executions_{PRODUCT}"
TICKER = f"lightning_ticker_{PRODUCT}"
WHOLE = {"mid_price": 105.0, "bids": [{"price": 100.0, "size": 0.5}], "asks": [{"price": 110.0, "size": 0.5}]}
LIMIT_S = 20.0
"""For what is certain to come, on a busy machine too."""
STALE_MS = 3_500
"""So long a frame may have waited: what a machine that stands still for a moment reads afterwards is believed."""
DELTA = {"mid_price": 105.0, "bids": [{"price": 99.0, "size": 0.5}], "asks": []}


class Venue:
    """Acknowledges subscriptions, sends what the test gives it, and records what it receives."""

    def __init__(self) -> None:
        self.port = 0
        self.sockets: list[web.WebSocketResponse] = []
        self.connected_s: list[float] = []
        self.requests: list[dict[str, Any]] = []
        self.answers: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda _: {"result": True}
        self.on_connect: Callable[[web.WebSocketResponse], Awaitable[None]] | None = None
        self.greets = True
        """Whether a whole book follows the subscription of the snapshot channel."""
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/json-rpc"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/json-rpc", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop as if the process were killed: connections are cut, the port is closed."""
        for ws in self.sockets:
            self.cut(ws)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @staticmethod
    def cut(ws: web.WebSocketResponse) -> None:
        transport = ws._req.transport if ws._req is not None else None
        if transport is not None:
            transport.abort()

    async def send(self, channel: str, content: Any) -> None:
        await self.send_raw(orjson.dumps(data(channel, content)).decode())

    async def send_raw(self, text: str) -> None:
        await self.sockets[-1].send_str(text)

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        self.sockets.append(ws)
        self.connected_s.append(asyncio.get_running_loop().time())
        if self.on_connect is not None:
            await self.on_connect(ws)
        with suppress(ConnectionError):
            async for message in ws:
                if message.type is WSMsgType.TEXT:
                    await self._answer(ws, json.loads(message.data))
        return ws

    async def _answer(self, ws: web.WebSocketResponse, request: dict[str, Any]) -> None:
        self.requests.append(request)
        answer = self.answers(request)
        if answer is not None and "id" in request:
            await ws.send_json({"jsonrpc": "2.0", "id": request["id"], **answer})
        if self.greets and request["params"].get("channel") == SNAPSHOT:
            await ws.send_json(data(SNAPSHOT, WHOLE))


def data(channel: Any, content: Any, method: Any = "channelMessage") -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": {"channel": channel, "message": content}}


def config(url: str, **ws: Any) -> AppConfig:
    return AppConfig.model_validate(
        {
            "exchange": {"ws_url": url, "base_url": "http://127.0.0.1:9"},
            "pybotters": {"timeout_sec": 1},
            "strategy": {"stale_ms": STALE_MS},
            "ws": {"connect_timeout_sec": 2, "reconnect_min_sec": ws.pop("reconnect_min_sec", "0.05"), **ws},
        },
        strict=False,
    )


class Heard:
    """Keeps events; lets tests wait for one."""

    def __init__(self) -> None:
        self.events: list[SessionEvent] = []
        self._more = asyncio.Event()

    def __call__(self, event: SessionEvent) -> None:
        self.events.append(event)
        self._more.set()

    async def wait(self, wanted: Callable[[SessionEvent], bool], after: int = 0) -> SessionEvent:
        async with asyncio.timeout(LIMIT_S):
            while True:
                for event in self.events[after:]:
                    if wanted(event):
                        return event
                self._more.clear()
                await self._more.wait()

    @property
    def boards(self) -> list[BookStatus]:
        return [event.status for event in self.events if isinstance(event, BoardSnapshot)]


def is_board(status: BookStatus) -> Callable[[SessionEvent], bool]:
    return lambda event: isinstance(event, BoardSnapshot) and event.status is status


@asynccontextmanager
async def live(
    venue: Venue,
    heard: Callable[[SessionEvent], None],
    clock: Clock | None = None,
    credentials: Credentials | None = None,
    **ws: Any,
) -> AsyncIterator[PyBotterSession]:
    """A session that has received its first book."""
    async with PyBotterSession(config(venue.url, **ws), clock or SystemClock(), heard, credentials) as session:
        await session.connect_ws()
        await session.wait_ready(LIMIT_S)
        yield session
