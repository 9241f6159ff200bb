"""Records while trading: public frames to a tape for each instrument, and all cores' events to one event log.

Off by default (``record.enabled``). If the recording cannot be started, the run does not start either, because the user
asked for it. If it fails later, the run says so once and goes on without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from loguru import logger

from stall_then_strike.app.trader.live_trader import LiveTrader
from stall_then_strike.app.trader.trader import Trader
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.feeds import Feeds
from stall_then_strike.infra.clock import Clock
from stall_then_strike.infra.line.frame_tap import FrameTap, Taps
from stall_then_strike.infra.market_source import InstrumentFeed
from stall_then_strike.tapes.event_log import Beginnings, EventLog
from stall_then_strike.tapes.salvage import RecordFolder
from stall_then_strike.tapes.sequence import Numbered
from stall_then_strike.tapes.tape_writer import TapeWriter
from stall_then_strike.venues.connection import Connection

_ENDED: Final = "run ended"
_EMBEDDED: Final = "the embedded exchange"
"""Whose frames are recorded in virtual time."""


class _TapeOfEach(Taps):
    """One connection's frames, on the tape of their instrument. What names none is on the tape of each."""

    def __init__(self, tapes: Sequence[FrameTap], names: Feeds[InstrumentFeed]) -> None:
        super().__init__(tapes)
        self._names = names

    def on_frame(self, data: bytes, recv_ns: int) -> None:
        number = self._names.named_in(data)
        for tape in self._taps if number is None else self._taps[number : number + 1]:
            tape.on_frame(data, recv_ns)


class OwnRecording:
    """One run's recording, as an async context manager. Does nothing if recording is not enabled."""

    def __init__(self, cfg: AppConfig, clock: Clock | None, mode: str, beginnings: Beginnings) -> None:
        """Nothing is opened yet. ``clock`` is None in virtual time, where the messages' stamps are the time."""
        self._cfg, self._clock, self._mode, self._beginnings = cfg, clock, mode, beginnings
        self._stack = ExitStack()
        self._tapes: list[TapeWriter] = []
        self._events: EventLog | None = None

    async def __aenter__(self) -> Self:
        """Lock the folder and start the threads. Raises LogError."""
        cfg = self._cfg
        if cfg.record.enabled:
            folder = Path(cfg.record.dir)
            try:
                self._open(folder)
            except BaseException:
                self._stack.close()
                raise
            logger.info("recording to {}", folder)
        return self

    def _open(self, folder: Path) -> None:
        cfg = self._cfg
        now_ns = None if self._clock is None else self._clock.now_ns
        source = _EMBEDDED if self._clock is None else None
        for each in cfg.by_instrument():
            self._stack.enter_context(RecordFolder(folder, each.exchange))
            tape = TapeWriter(folder, each.exchange, bound=cfg.record.queue_frames, now_ns=now_ns, source=source)
            self._stack.callback(tape.close, _ENDED)
            self._tapes.append(tape)
        if cfg.record.own_events:
            self._events = EventLog(folder, cfg, self._mode, self._beginnings)
            self._stack.callback(self._events.close, _ENDED)

    async def __aexit__(self, *exc: object) -> None:
        """Finish the files, and log how much was lost."""
        await asyncio.to_thread(self._stack.close)
        frames, events = sum(tape.lost for tape in self._tapes), 0 if self._events is None else self._events.lost
        for what, lost in (("frames", frames), ("events", events)):
            if lost:
                logger.error("{} {} were not recorded", lost, what)

    def attach(self, trader: Trader, connection: Connection | None = None) -> None:
        """Record a trader's events and a connection's frames. To be called before the first event and frame."""
        events = self._events
        if events is not None:
            trader.on_input = events.on_input
            if isinstance(trader, LiveTrader):
                calls = trader.core.shared.venue.report_calls
                trader.on_asked = lambda now_ns: events.on_asked(calls, now_ns)
        if connection is not None and self._tapes:
            names = Feeds(connection.feeds)
            connection.session.tap = self._tapes[0] if names.is_one else _TapeOfEach(self._tapes, names)

    def listen(self, messages: Iterable[Numbered]) -> Iterator[Numbered]:
        """Record messages that come without a session, as the caller takes them."""
        for recv_ns, (number, text) in messages:
            if self._tapes and text is not None:
                self._tapes[number].on_frame(text.encode(), recv_ns)
            yield recv_ns, (number, text)

    def drain(self) -> None:
        """Wait for the disk, because virtual time runs faster than it writes."""
        for stream in (*self._tapes, self._events):
            if stream is not None:
                stream.drain()
