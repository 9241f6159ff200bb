"""Records while trading: public frames to tapes, and the core's events to an event log.

Off by default (``record.enabled``). If the recording cannot be started, the run does not start either, because the user
asked for it. If it fails later, the run says so once and goes on without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from loguru import logger

from stall_then_strike.app.trader.live_trader import LiveTrader
from stall_then_strike.app.trader.trader import Trader
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import Clock
from stall_then_strike.tapes.event_log import Asked, Beginning, EventLog
from stall_then_strike.tapes.salvage import RecordFolder
from stall_then_strike.tapes.tape_writer import TapeWriter
from stall_then_strike.venues.connection import Session

Message = tuple[int, str | None]
_ENDED: Final = "run ended"


class OwnRecording:
    """One run's recording, as an async context manager. Does nothing if recording is not enabled."""

    def __init__(self, cfg: AppConfig, clock: Clock | None, mode: str, beginning: Beginning) -> None:
        """Nothing is opened yet. ``clock`` is None in virtual time, where the messages' stamps are the time."""
        self._cfg, self._clock, self._mode, self._beginning = cfg, clock, mode, beginning
        self._stack = ExitStack()
        self._tape: TapeWriter | None = None
        self._events: EventLog | None = None

    async def __aenter__(self) -> Self:
        """Lock the folder and start the threads. Raises LogError."""
        cfg = self._cfg
        if cfg.record.enabled:
            folder = Path(cfg.record.dir)
            try:
                self._stack.enter_context(RecordFolder(folder, cfg.exchange))
                now_ns = None if self._clock is None else self._clock.now_ns
                self._tape = TapeWriter(folder, cfg.exchange, bound=cfg.record.queue_frames, now_ns=now_ns)
                self._stack.callback(self._tape.close, _ENDED)
                if cfg.record.own_events:
                    self._events = EventLog(folder, cfg, self._mode, self._beginning)
                    self._stack.callback(self._events.close, _ENDED)
            except BaseException:
                self._stack.close()
                raise
            logger.info("recording to {}", folder)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Finish the files, and log how much was lost."""
        await asyncio.to_thread(self._stack.close)
        for what, lost in (("frames", self._tape), ("events", self._events)):
            if lost is not None and lost.lost:
                logger.error("{} {} were not recorded", lost.lost, what)

    def attach(self, trader: Trader, session: Session | None = None) -> None:
        """Record a trader's events and a session's frames. Call this before the first event and before connecting."""
        events = self._events
        if events is not None:
            trader.on_input = events.on_input
            if isinstance(trader, LiveTrader):
                calls = trader.core.shared.venue.report_calls
                trader.on_asked = lambda now_ns: events.on_input(Asked(calls), now_ns)
        if session is not None:
            session.tap = self._tape

    def listen(self, messages: Iterable[Message]) -> Iterator[Message]:
        """Record messages that come without a session, as the caller takes them."""
        for recv_ns, text in messages:
            if self._tape is not None and text is not None:
                self._tape.on_frame(text.encode(), recv_ns)
            yield recv_ns, text

    def drain(self) -> None:
        """Wait for the disk, because virtual time runs faster than it writes."""
        for stream in (self._tape, self._events):
            if stream is not None:
                stream.drain()
