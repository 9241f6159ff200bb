"""A webhook on loopback that takes alerts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.infra.watch.alerts import Alerts, AlertUrls

SECRET = "s3cr3t-t0ken"


class Sink:
    """A JSON webhook that records what it gets and answers as the test sets."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.asked = asyncio.Event()
        self.arrived: asyncio.Queue[Any] = asyncio.Queue()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.status = 200
        self.takes_files = True
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.got.append(await request.json())
        self.asked.set()
        await self.may_answer.wait()
        self.arrived.put_nowait(self.got[-1])
        is_taken = self.takes_files or not self.got[-1].get("attachments")
        return web.Response(status=self.status if is_taken else 413)

    async def next(self) -> Any:
        async with asyncio.timeout(20):
            return await self.arrived.get()


@asynccontextmanager
async def serving() -> AsyncIterator[Sink]:
    sink = Sink()
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/{path:.*}", sink.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    sink.url = f"json://user:{SECRET}@{host}:{port}/{SECRET}"
    try:
        yield sink
    finally:
        sink.may_answer.set()
        await runner.cleanup()


def alerts_to(*urls: str, pause_sec: float = 60, clock: VirtualClock | None = None) -> Alerts:
    return Alerts(AlertUrls(urls), pause_sec=pause_sec, clock=clock or VirtualClock(0), source="here")


@asynccontextmanager
async def open_alerts(alerts: Alerts) -> AsyncIterator[Alerts]:
    """As in the program, but closed in a thread, because the sinks of these tests run on the event loop."""
    with alerts:
        try:
            yield alerts
        finally:
            await asyncio.to_thread(alerts.close)
