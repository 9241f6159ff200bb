"""Lighter on loopback: one port that speaks REST under ``/api/v1/``.

The venue itself is pure (`lighter/lighter_venue.py`); this file gives it a clock and a socket. A task lets what is due
have its effect, and every call does so, too, before it reads.

All tasks live in the exchange's task group or in its server's requests. None survives the exit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from aiohttp import web

from stall_then_strike.sim.exchange.request_log import Audit
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS, MICRO, LighterMarket, Plan
from stall_then_strike.sim.lighter.lighter_venue import LighterVenue, VenueSettings
from stall_then_strike.sim.lighter.rest import LighterRest
from stall_then_strike.sim.lighter.venue_events import VenueEvent


class VenueClock(Protocol):
    """What the exchange needs of a clock."""

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch, never going backwards."""
        ...

    async def sleep_until(self, deadline_ns: int) -> None:
        """Return when ``now_ns`` has reached the deadline; at once if it already has."""
        ...


class Credentials(NamedTuple):
    """What a client needs to trade for an account."""

    account_index: int
    api_key_index: int
    private_key: str
    """Hexadecimal, with 0x."""


class LighterExchange:
    """Async context manager: the venue is up inside the block."""

    def __init__(
        self,
        *,
        clock: VenueClock,
        markets: Iterable[LighterMarket] = MARKETS,
        seed: int = 0,
        plan: Plan = Plan.STANDARD,
        settings: VenueSettings | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        audit: Audit | None = None,
    ) -> None:
        """Open nothing yet. ``settings`` has its own plan and overrides ``plan``. Port 0 lets the system choose."""
        self._clock = clock
        self._host = host
        self._port = port
        self.audit = Audit() if audit is None else audit
        settings = VenueSettings(plan=plan) if settings is None else settings
        self.venue = LighterVenue(markets, start_ns=clock.now_ns(), seed=seed, settings=settings)
        self.listeners: list[Callable[[list[VenueEvent]], None]] = []
        """Called with what has happened, in its order."""
        self._rest = LighterRest(self.venue, now_ns=self._read_clock, audit=self.audit)
        self._rest.took = self.wake
        self._tasks: asyncio.TaskGroup | None = None
        self._nap: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Listen and start. Raises OSError when the port is not available."""
        app = web.Application()
        app.router.add_routes(self._rest.routes())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
        async with AsyncExitStack() as stack:
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, self._host, self._port).start()
            self._host, self._port = runner.addresses[0][:2]
            tasks = self._tasks = await stack.enter_async_context(asyncio.TaskGroup())
            pump = tasks.create_task(self._pump())
            stack.callback(pump.cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Close the sockets, free the port. Raises an ExceptionGroup if the venue failed."""
        if isinstance(exc, asyncio.CancelledError):  # perhaps raised by our own task group, which must see it
            return await self._stack.__aexit__(exc_type, exc, traceback)
        await self._stack.aclose()
        return None

    @property
    def base_url(self) -> str:
        """Address for REST, without ``/api/v1``."""
        return f"http://{self._host}:{self._port}"

    @property
    def ws_url(self) -> str:
        """Address of the stream."""
        return f"ws://{self._host}:{self._port}/stream"

    def add_account(self, usdc: int = 10_000, *, api_key_index: int = 4, plan: Plan | None = None) -> Credentials:
        """Open an account with that many USDC and a throw-away key."""
        account = self.venue.add_account(usdc * MICRO, plan=plan)
        return self.add_key(account.index, api_key_index)

    def add_key(self, account_index: int, api_key_index: int) -> Credentials:
        """Register another throw-away key."""
        private = self.venue.add_key(self.venue.account(account_index), api_key_index)
        return Credentials(account_index, api_key_index, f"0x{private.hex()}")

    def settle(self) -> None:
        """Let what is due have its effect now, and tell the listeners."""
        events = self.venue.advance(self._clock.now_ns())
        if events:
            for listener in self.listeners:
                listener(events)

    def wake(self) -> None:
        """Make the pump look again when the next thing is due."""
        self._woken.set()
        if self._nap is not None:
            self._nap.cancel()

    # --- inside ---------------------------------------------------------------------------------------------------

    def _read_clock(self) -> int:
        """The current time, at which everything due has had its effect."""
        self.settle()
        return self.venue.now_ns

    async def _pump(self) -> None:
        """Let what is due have its effect when it is due."""
        if self._tasks is None:
            raise AssertionError("the pump runs in the exchange's task group")
        while True:
            self._woken.clear()
            self.settle()
            due_ns = self.venue.next_due_ns()
            if due_ns is None:
                await self._woken.wait()
                continue
            self._nap = self._tasks.create_task(self._clock.sleep_until(due_ns))
            try:
                await asyncio.wait((self._nap,))
            finally:
                self._nap.cancel()
