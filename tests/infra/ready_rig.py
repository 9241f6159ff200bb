"""Connections for orders that are open, as in a live run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.http_bitflyer import SignedLine
from stall_then_strike.infra.line.ready_line import CONNECTIONS, ReadyLine


@asynccontextmanager
async def ready(url: str, credentials: Credentials) -> AsyncIterator[SignedLine]:
    """A line whose connections are all open."""
    line = ReadyLine(url, connect_s=20)
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(line.keep_open())
        while len(line) < CONNECTIONS:  # noqa: ASYNC110 - the loop's turns are what is waited for
            await asyncio.sleep(0.001)
        yield SignedLine(line, url, credentials)
        keeping.cancel()
