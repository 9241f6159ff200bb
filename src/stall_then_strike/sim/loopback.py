"""The port of an exchange on loopback, and the tasks behind it: what the exchanges of all venues have in common.

An exchange gives it routes and a pump, the coroutine that moves the exchange's time. All tasks live in its task group
or in its server's requests. None survives the close.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final

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
    """One port with its server and tasks. It can be opened again, on the same port."""

    def __init__(self, host: str, port: int, hub: RealtimeHub, calls: CallFaults) -> None:
        """Open nothing yet. Port 0 lets the system choose at the first opening."""
        self.port = port
        self._host = host
        self._hub, self._calls = hub, calls
        self._tasks: asyncio.TaskGroup | None = None
        self._nap: asyncio.Task[None] | None = None
        self._stack = AsyncExitStack()

    @property
    def was_opened(self) -> bool:
        """Whether there are or were tasks."""
        return self._tasks is not None

    def url(self, scheme: str) -> str:
        """The address, without a path."""
        return f"{scheme}://{address(self._host, self.port)}"

    async def open(self, app: web.Application, pump: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Listen and start the pump. Raises OSError when the port is not available."""
        # A handler ends when its client disconnects: a fault may hold an answer back for ever.
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
        async with AsyncExitStack() as stack:
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, self._host, self.port).start()
            self._host, self.port = runner.addresses[0][:2]  # a host name may have several addresses
            self._calls.open()
            stack.callback(self._calls.close)
            stack.push_async_callback(self._hub.close_all)
            tasks = self._tasks = await stack.enter_async_context(asyncio.TaskGroup())
            stack.callback(tasks.create_task(pump()).cancel)
            self._stack = stack.pop_all()

    async def close(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """Close the sockets and free the port. The arguments are those of an exit; so is the answer.

        Raises an ExceptionGroup if the pump failed.
        """
        if isinstance(error, asyncio.CancelledError):  # perhaps raised by our own task group, which must see it
            return await self._stack.__aexit__(kind, error, trace)
        await self._stack.aclose()
        return None

    async def nap(self, sleep: Coroutine[Any, Any, None]) -> None:
        """Sleep to the end, or until :meth:`wake`: a request may make something due earlier."""
        self._nap = self._group.create_task(sleep)
        try:
            await asyncio.wait((self._nap,))
        finally:
            self._nap.cancel()

    def wake(self) -> None:
        """End the nap, so that the pump looks again when the next thing is due."""
        if self._nap is not None:
            self._nap.cancel()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this beside the pump."""
        self._group.create_task(work)

    def control_sockets(self, order: Frame) -> None:
        """Do to all sockets what a fault orders; other orders are the venue's own. Nothing before the opening."""
        if order.channel == CLOSE_SOCKETS and self.was_opened:
            self.start(self._hub.close_all(WSCloseCode.SERVICE_RESTART, order.text))
        elif order.channel == ABORT_SOCKETS:
            self._hub.abort_all()
        elif order.channel == SILENCE_SOCKETS:
            self._hub.silence_all()
        elif order.channel == END_SILENCE:
            self._hub.end_silence()
            self._calls.mend()

    @property
    def _group(self) -> asyncio.TaskGroup:
        if self._tasks is None:
            raise AssertionError("the exchange is not open")
        return self._tasks
