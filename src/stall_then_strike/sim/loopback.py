"""An exchange on loopback, its port and the tasks behind it: what the exchanges of all venues have in common.

A venue's exchange gives it routes and a pump, the coroutine that moves the exchange's time. All tasks live in its task
group or in its server's requests. None survives the exit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import WSCloseCode, web

from stall_then_strike.sim.exchange.source import (
    ABORT_SOCKETS,
    CLOSE_SOCKETS,
    END_SILENCE,
    SILENCE_SOCKETS,
    Frame,
)
from stall_then_strike.sim.faults.call_faults import CallFaults
from stall_then_strike.sim.hub import RealtimeHub, address
from stall_then_strike.types.dto import NS_PER_S

STRIDE_NS: Final = 60 * NS_PER_S
"""A market that lags behind its clock, for instance after the machine slept, catches up in steps of this length."""


class Loopback:
    """Async context manager: the venue is up inside the block. It can be started again on the same port."""

    def __init__(self, host: str, port: int, hub: RealtimeHub, calls: CallFaults) -> None:
        """Open nothing yet. Port 0 lets the system choose at the first start."""
        self.port = port
        """The listening port; before the first start the one asked for, which may be 0."""
        self.hub: Final = hub
        """The sockets, which are counted there."""
        self._host = host
        self._calls = calls
        self._tasks: asyncio.TaskGroup | None = None
        self._napping: asyncio.Task[None] | None = None
        self._stack = AsyncExitStack()

    @property
    def base_url(self) -> str:
        """Address for REST, without a path."""
        return f"http://{address(self._host, self.port)}"

    @property
    def ws_url(self) -> str:
        """Address of the sockets."""
        return f"ws://{address(self._host, self.port)}{self._calls.stream_path}"

    async def __aenter__(self) -> Self:
        """Listen and start the pump. Raises OSError when the port is not available."""
        app = web.Application(middlewares=[self._calls.middleware()])
        self._route(app)
        # A handler ends when its client disconnects: a fault may hold an answer back for ever.
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
        async with AsyncExitStack() as stack:
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, self._host, self.port).start()
            self._host, self.port = runner.addresses[0][:2]  # a host name may have several addresses
            self._calls.open()
            stack.callback(self._calls.close)
            stack.push_async_callback(self.hub.close_all)
            tasks = self._tasks = await stack.enter_async_context(asyncio.TaskGroup())
            stack.callback(tasks.create_task(self._pump()).cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """Close the sockets and free the port. Raises an ExceptionGroup if the pump failed."""
        if isinstance(error, asyncio.CancelledError):  # perhaps raised by our own task group, which must see it
            return await self._stack.__aexit__(kind, error, trace)
        await self._stack.aclose()
        return None

    async def wait_subscribed(self, channel: str, clients: int = 1) -> None:
        """Return when ``clients`` clients are subscribed to a channel."""
        await self.hub.wait_subscribed(channel, clients)

    def wake(self) -> None:
        """End the nap, so that the pump looks again when the next thing is due."""
        if self._napping is not None:
            self._napping.cancel()

    # --- what a venue's class adds --------------------------------------------------------------------------------

    def _route(self, app: web.Application) -> None:
        """Add the routes of calls and sockets."""
        raise NotImplementedError

    async def _pump(self) -> None:
        """Move the venue's time."""
        raise NotImplementedError

    # --- for a venue's class --------------------------------------------------------------------------------------

    async def _nap(self, sleep: Coroutine[Any, Any, None]) -> None:
        """Sleep to the end, or until :meth:`wake`: a request may make something due earlier."""
        self._napping = self._group.create_task(sleep)
        try:
            await asyncio.wait((self._napping,))
        finally:
            self._napping.cancel()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this beside the pump."""
        self._group.create_task(work)

    def _control_sockets(self, order: Frame) -> None:
        """Do to all sockets what a fault orders; other orders are the venue's own. Nothing before the first start."""
        if self._tasks is None:
            return
        if order.channel == CLOSE_SOCKETS:
            self._start(self.hub.close_all(WSCloseCode.SERVICE_RESTART, order.text))
        elif order.channel == ABORT_SOCKETS:
            self.hub.abort_all()
        elif order.channel == SILENCE_SOCKETS:
            self.hub.silence_all()
        elif order.channel == END_SILENCE:
            self.hub.end_silence()
            self._calls.mend()

    @property
    def _group(self) -> asyncio.TaskGroup:
        if self._tasks is None:
            raise AssertionError("the exchange is not open")
        return self._tasks
