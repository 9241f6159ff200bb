"""Lighter's realtime connection for live trading: market data and the account on one socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NoReturn

from loguru import logger

from stall_then_strike.infra.clock import ScaledClock, perf_ns
from stall_then_strike.infra.line.frame_tap import FrameTap
from stall_then_strike.infra.line.outcome import Outcome
from stall_then_strike.infra.market_source import MarketEvent
from stall_then_strike.infra.watch.pauses import Pause, PauseKind
from stall_then_strike.lighter.account import LighterAccountProcessor
from stall_then_strike.lighter.factory import MarketParts
from stall_then_strike.types.errors import FeedError, LoginRefused
from stall_then_strike.venues.connection import SessionState

POLL_S: Final = 0.05
"""Time between two looks at whether all is there, real seconds."""
_INVALID_AUTH: Final = 20013
_REFUSED_TIMES: Final = 2
"""A token may be refused once because clocks differ; the second is a new one."""


class LighterSession:
    """Runs the socket."""

    def __init__(
        self,
        parts: MarketParts,
        account: LighterAccountProcessor | None,
        clock: ScaledClock,
        sinks: Sequence[Callable[[MarketEvent], None]],
        on_pause: Callable[[Pause], None],
    ) -> None:
        """Nothing is connected. ``sinks`` get the market events of the instruments; ``account`` is told its own."""
        self._parts, self._account, self._clock, self._tell_pause = parts, account, clock, on_pause
        self.frame_perf_ns = 0
        self._outcome = Outcome()
        self._running: asyncio.Task[None] | None = None
        parts.data.on_pause = self._on_pause
        for feed, sink in zip(parts.feeds, sinks, strict=True):
            parts.data.follow(feed, partial(self._on_market, sink))

    @property
    def tap(self) -> FrameTap | None:
        """Receives raw frames and connection changes."""
        return self._parts.socket.tap

    @tap.setter
    def tap(self, tap: FrameTap | None) -> None:
        self._parts.socket.tap = tap

    # --- life --------------------------------------------------------------------------------------------------------

    async def connect_ws(self) -> None:
        """Start to connect and return at once."""
        if self._running is not None:
            raise RuntimeError("connect_ws was called before")
        if self._account is not None:
            self._account.start()
        # A separate task, because it outlives this call; `close` cancels and awaits it.
        self._running = asyncio.create_task(self._run(), name="lighter session")  # noqa: TID251
        self._running.add_done_callback(self._on_done)

    async def wait_ready(self, timeout_sec: float | None = None) -> None:
        """Wait for a whole book of every market and the account's channels. Raises FeedError, LoginRefused."""
        limit_s = 15.0 if timeout_sec is None else timeout_sec
        if not await self._outcome.wait_ready(limit_s):
            missing = self._parts.data.missing or ["the account's channels"]
            why = self._parts.socket.statistics().last_error or "no snapshot came"
            raise FeedError(f"no {', '.join(missing)} from {self._parts.socket.url} within {limit_s:g} s: {why}")

    async def wait_failed(self) -> NoReturn:
        """Wait until the session cannot go on, and raise the cause."""
        await self._outcome.wait_failed()

    async def close(self) -> None:
        """End the connection."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait((self._running,))

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._parts.socket.run())
            tasks.create_task(self._parts.data.run())
            tasks.create_task(self._watch())

    def _on_done(self, running: asyncio.Task[None]) -> None:
        if running.cancelled():
            return
        error = running.exception()
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        self._outcome.fail(error or FeedError(f"{self._parts.socket.url}: the socket was closed"))

    async def _watch(self) -> None:
        """Look until all is there, or the key is refused."""
        parts = self._parts
        while True:
            await asyncio.sleep(POLL_S)
            if parts.socket.errors.get(_INVALID_AUTH, 0) >= _REFUSED_TIMES:
                raise LoginRefused(f"{parts.socket.url} refuses the key's tokens")
            if (self._account is None or self._account.is_live) and not parts.data.missing:
                logger.bind(channel="ws").info("connected to {}", parts.socket.url)
                self._outcome.set_ready()
                return

    def _on_pause(self, pause: Pause) -> None:
        """The provider of market data has given the connection up if need be."""
        logger.warning("{}", pause)
        if pause.kind is PauseKind.SLEPT:
            self._clock.catch_up()  # the machine's clock may have been set when it woke up
        self._tell_pause(pause)

    def _on_market(self, sink: Callable[[MarketEvent], None], event: MarketEvent) -> None:
        self.frame_perf_ns = perf_ns()
        sink(event)

    # --- the connection ----------------------------------------------------------------------------------------------

    def statistics(self) -> SessionState:
        """The state now."""
        line = self._parts.socket.statistics()
        return SessionState(
            connects=line.connects,
            is_connected=line.is_connected,
            is_private_live=self._account is not None and self._account.is_live,
            last_error=line.last_error,
        )

    def renew(self, why: str) -> None:
        """Request a new connection. Returns at once."""
        self._parts.socket.renew(why)

    def give_up(self, why: str) -> None:
        """Close the connection now, and make another at the usual pace."""
        self._parts.socket.renew(why)
