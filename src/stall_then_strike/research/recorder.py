"""From connections to tapes: each product has a session of its own, so that one that is silent disturbs no other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final, NoReturn

from loguru import logger

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.infra.pyb_session import PyBotterSession
from stall_then_strike.research.salvage import RecordFolder
from stall_then_strike.research.tape_audit import product_config
from stall_then_strike.research.tape_writer import TapeWriter
from stall_then_strike.types.errors import FeedError, LogError


@dataclass(frozen=True, slots=True)
class Product:
    """What to record."""

    code: str
    tick_size: Decimal | None = None
    """Price step in quote currency; None: the configured one. Without the right one no board message is understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductState:
    """How the recording of one product goes."""

    product: str
    messages: int
    lost: int
    is_connected: bool
    connects: int
    drops: int
    mid_checked: int
    mid_agreed: int
    silence: str
    """Why no book came within the time limit; empty if one did."""


class Recorder:
    """All products of one run; an async context manager. Leaving it finishes the tapes: nothing taken is lost."""

    def __init__(self, cfg: AppConfig, products: Sequence[Product], out: Path, clock: ScaledClock) -> None:
        """Nothing is opened yet. The first recording that fails ends ``wait_failed``."""
        self.ended: Final = asyncio.Event()
        """Set when a tape cannot be written any more."""
        self._cfg = cfg
        self._out = out
        self._clock = clock
        self._products = products
        self._stack = AsyncExitStack()
        self._lines: list[_Line] = []
        self._failure: LogError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._why = "stopped"

    async def __aenter__(self) -> Recorder:
        """Take the folder, finish what a crash left, begin to connect. Raises LogError."""
        self._loop = asyncio.get_running_loop()
        try:
            for product in self._products:
                cfg = product_config(self._cfg.exchange, product.code, product.tick_size).model_copy(
                    update={"pybotters": self._cfg.pybotters, "ws": self._cfg.ws.model_copy(update={"channels": ()})}
                )
                self._stack.enter_context(RecordFolder(self._out, cfg.exchange))
                writer = TapeWriter(
                    self._out,
                    cfg.exchange,
                    bound=self._cfg.record.queue_frames,
                    now_ns=self._clock.now_ns,
                    on_failure=self._on_failure,
                    on_finished=_tell,
                )
                self._stack.callback(self._close, writer)
                session = PyBotterSession(cfg, self._clock, lambda event: None)
                session.tap = writer
                await self._stack.enter_async_context(session)
                self._lines.append(_Line(product.code, session, writer))
            for line in self._lines:
                await line.session.connect_ws()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        """End the connections, write what waits, finish the tapes. Raises LogError if a tape could not be finished."""
        await self._stack.aclose()
        if self._failure is not None and exc[0] is None:
            raise self._failure

    async def wait_ready(self, timeout_s: float) -> None:
        """Wait until each product's book is known or time is up; the silent ones are told of and go on trying.

        Raises FeedError if none of them speaks.
        """
        async with asyncio.TaskGroup() as tasks:
            for line in self._lines:
                tasks.create_task(line.wait_ready(timeout_s))
        if all(line.silence for line in self._lines):
            raise FeedError("; ".join(line.silence for line in self._lines))

    async def wait_failed(self) -> NoReturn:
        """Wait until recording cannot go on, and raise why: FeedError, LogError."""
        async with asyncio.TaskGroup() as tasks:
            for line in self._lines:
                tasks.create_task(line.session.wait_failed())
            await self.ended.wait()
            raise self._failure or LogError("recording ended")

    def stop(self, why: str) -> None:
        """Say why the tapes end; to be called before leaving."""
        self._why = why

    def states(self) -> list[ProductState]:
        """All products, as asked for."""
        return [line.state() for line in self._lines]

    def _close(self, writer: TapeWriter) -> None:
        writer.close(self._why)

    def _on_failure(self, error: LogError) -> None:
        """Called from a writing thread."""
        self._failure = self._failure or error
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.ended.set)


class _Line:
    """One product."""

    def __init__(self, product: str, session: PyBotterSession, writer: TapeWriter) -> None:
        self.product, self.session, self.writer = product, session, writer
        self.silence = ""

    async def wait_ready(self, timeout_s: float) -> None:
        try:
            await self.session.wait_ready(timeout_s)
        except FeedError as error:
            self.silence = str(error)
            logger.warning("{}: {}; still trying", self.product, error)

    def state(self) -> ProductState:
        counts = self.session.statistics()
        if counts.feed.board_snapshots:
            self.silence = ""
        return ProductState(
            product=self.product,
            messages=self.writer.messages,
            lost=self.writer.lost,
            is_connected=counts.is_connected,
            connects=counts.connects,
            drops=counts.drops,
            mid_checked=counts.feed.mid_checked,
            mid_agreed=counts.feed.mid_agreed,
            silence=self.silence,
        )


def _tell(path: Path) -> None:
    logger.info("finished {}", path)
