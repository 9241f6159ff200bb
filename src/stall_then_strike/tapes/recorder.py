"""Records live connections to tapes. Each product has its own session, so a silent product does not affect others."""

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
from stall_then_strike.tapes.salvage import RecordFolder
from stall_then_strike.tapes.tape_writer import TapeWriter
from stall_then_strike.types.errors import FeedError, LogError
from stall_then_strike.venues.choice import venue_of
from stall_then_strike.venues.connection import Connection


@dataclass(frozen=True, slots=True)
class Product:
    """A product to record."""

    code: str
    tick_size: Decimal | None = None
    """Price step in quote currency; None means the configured one. With a wrong one no board message can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductState:
    """The state of the recording of one product."""

    product: str
    messages: int
    lost: int
    is_connected: bool
    connects: int
    drops: int
    mid_checked: int
    mid_agreed: int
    has_book: bool
    silence: str
    """Why no book arrived within the time limit; empty if one did."""


class Recorder:
    """All products of one run; an async context manager. The exit writes all frames received and finishes the tapes."""

    def __init__(self, cfg: AppConfig, products: Sequence[Product], out: Path, clock: ScaledClock) -> None:
        """Open nothing yet. The first recording that fails ends ``wait_failed``."""
        self.ended: Final = asyncio.Event()
        """Set when a tape can no longer be written."""
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
        """Lock the folder, finish tapes that a crash left behind, start to connect. Raises LogError."""
        self._loop = asyncio.get_running_loop()
        try:
            for product in self._products:
                cfg = self._config(product)
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
                connection = venue_of(cfg).connect(cfg, self._clock, None)
                await self._stack.enter_async_context(connection)
                connection.session.tap = writer
                self._lines.append(_Line(product.code, connection, writer))
            for line in self._lines:
                await line.session.connect_ws()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    def _config(self, product: Product) -> AppConfig:
        """Settings for a connection of one product alone, which carries all its public channels."""
        cfg = self._cfg
        known = (one.exchange for one in cfg.by_instrument() if one.exchange.product_code == product.code)
        exchange = next(known, cfg.exchange).model_copy(update={"product_code": product.code})
        if product.tick_size is not None:
            exchange = exchange.model_copy(update={"tick_size": product.tick_size})
        changed = {"exchange": exchange, "pybotters": cfg.pybotters, "ws": cfg.ws.model_copy(update={"channels": ()})}
        return AppConfig().model_copy(update=changed)

    async def __aexit__(self, *exc: object) -> None:
        """Close the connections, write what is queued, finish the tapes. Raises LogError if a tape failed."""
        await self._stack.aclose()
        if self._failure is not None and exc[0] is None:
            raise self._failure

    async def wait_ready(self, timeout_s: float) -> None:
        """Wait until each product's book is known or time is up; silent products are logged and keep trying.

        Raises FeedError if all products are silent.
        """
        async with asyncio.TaskGroup() as tasks:
            for line in self._lines:
                tasks.create_task(line.wait_ready(timeout_s))
        if all(line.silence for line in self._lines):
            raise FeedError("; ".join(line.silence for line in self._lines))

    async def wait_failed(self) -> NoReturn:
        """Wait until recording cannot go on and raise the cause: FeedError or LogError."""
        async with asyncio.TaskGroup() as tasks:
            for line in self._lines:
                tasks.create_task(line.session.wait_failed())
            await self.ended.wait()
            raise self._failure or LogError("recording ended")

    def stop(self, why: str) -> None:
        """Set why the tapes end, for their manifests; call it before the exit."""
        self._why = why

    def states(self) -> list[ProductState]:
        """The state of each product, in the given order."""
        return [line.state() for line in self._lines]

    def _close(self, writer: TapeWriter) -> None:
        writer.close(self._why)

    def _on_failure(self, error: LogError) -> None:
        """Note a failed tape; called by a writing thread."""
        self._failure = self._failure or error
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.ended.set)


class _Line:
    """The recording of one product."""

    def __init__(self, product: str, connection: Connection, writer: TapeWriter) -> None:
        self.product, self.session, self.writer = product, connection.session, writer
        (self._feed,) = connection.feeds
        self.silence = ""

    async def wait_ready(self, timeout_s: float) -> None:
        try:
            await self.session.wait_ready(timeout_s)
        except FeedError as error:
            self.silence = str(error)
            logger.warning("{}: {}; still trying", self.product, error)

    def state(self) -> ProductState:
        line, counts = self.session.statistics(), self._feed.statistics()
        if counts.board_snapshots:
            self.silence = ""
        return ProductState(
            product=self.product,
            messages=self.writer.messages,
            lost=self.writer.lost,
            is_connected=line.is_connected,
            connects=line.connects,
            drops=line.connects - line.is_connected,
            mid_checked=counts.mid_checked,
            mid_agreed=counts.mid_agreed,
            has_book=counts.board_snapshots > 0,
            silence=self.silence,
        )


def _tell(path: Path) -> None:
    logger.info("finished {}", path)
