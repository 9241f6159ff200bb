"""One paper run, from the journal to the summary: in virtual time over messages, or in real time on a feed."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from loguru import logger

from stall_then_strike.app.control.metrics_text import Histograms
from stall_then_strike.app.control.reloading import Settings
from stall_then_strike.app.control.station import RunParts, Station
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_HALTED
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.shell.first_of import first_of
from stall_then_strike.app.trader.observe import FeedCondition, Observer
from stall_then_strike.app.trader.own_recording import OwnRecording
from stall_then_strike.app.trader.realtime import RealtimeRun
from stall_then_strike.app.trader.trader import PaperTrader
from stall_then_strike.app.trader.virtual import SeveralFeeds, VirtualRun
from stall_then_strike.app.view.after_run import Step, after_run
from stall_then_strike.app.view.screen import Screen
from stall_then_strike.app.view.summary import summary_table
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.feeds import Feeds
from stall_then_strike.infra.clock import Clock, ScaledClock, SystemClock, VirtualClock
from stall_then_strike.infra.journal.batch import BatchedJournal
from stall_then_strike.infra.journal.care import JournalCare
from stall_then_strike.infra.logs.run_logs import RunLogs
from stall_then_strike.infra.market_source import InstrumentFeed, MarketEvent
from stall_then_strike.infra.watch.disk_watch import DiskWatch, watch_disks, written_folders
from stall_then_strike.tapes.event_log import Beginnings
from stall_then_strike.tapes.sequence import Numbered
from stall_then_strike.tapes.tape_reader import TapeError
from stall_then_strike.types.dto import NS_PER_S, BoardSnapshot, PublicTrades, Reason, VenueStatus
from stall_then_strike.venues.choice import venue_of
from stall_then_strike.venues.connection import Connection, Session, SessionEvent, Unheard

_STOP_S: Final = 5.0
"""How long a stopping run waits for its cancels to be confirmed, real seconds."""
_WATCH_S: Final = 0.1
_PAPER: Final = "paper"
"""Part of the names of recordings."""


class _Market(Unheard):
    """Hands the market of a connection without an account to a trader on paper."""

    def __init__(self, trader: PaperTrader, session: Session) -> None:
        self._trader, self._session = trader, session

    def on_session(self, event: SessionEvent, number: int) -> None:
        if isinstance(event, BoardSnapshot | PublicTrades | VenueStatus):
            self._trader.on_market(event, self._session.frame_perf_ns, number)


class PaperRun:
    """One run, from an open log folder to its summary."""

    def __init__(
        self,
        cfg: AppConfig,
        logs: RunLogs,
        screen: Screen,
        journal: BatchedJournal | None = None,
        settings: Settings | None = None,
        steps: Sequence[Step] = (),
    ) -> None:
        """Nothing is started yet. ``journal`` is None for a replay, ``settings`` if they cannot be read anew.

        ``steps`` are what a newcomer can do after the run; without them its end has the table alone.
        """
        self._steps = steps
        self._settings = settings
        self._cfg = cfg
        self._logs = logs
        self._screen = screen
        self.folder = logs.run.folder
        """The run's."""
        self._journal = journal
        self.ending = Ending()
        """Takes signals. After a second one, the run does not wait for its last paper orders."""
        self.ended = ""
        """Why the run ended; empty before."""
        self._over = asyncio.Event()

    # --- virtual time

    async def virtual(
        self,
        feeds: Sequence[InstrumentFeed],
        messages: Iterable[Numbered],
        *,
        mode: str,
        speed: float,
        duration_s: float | None,
        ended: str,
        is_tape: bool = False,
    ) -> int:
        """Trade stamped messages; ``ended`` is the reason given at their end. Messages of a tape are not recorded.

        ``feeds`` are all of :func:`recorded_feeds`.
        """
        clock = VirtualClock(0)
        trader = self._trader(self._cfg, clock, feeds)
        observer = Observer(trader, mode, 0)
        recording = OwnRecording(self._cfg, None, _PAPER, Beginnings.on_paper(self._cfg))

        def flush() -> None:
            self._logs.flush()
            recording.drain()
            if self._journal is not None:
                self._journal.write_and_tidy()

        def on_market(event: MarketEvent, started_ns: int | None) -> None:
            trader.on_market(event, started_ns, decoder.number)

        def begin(now_ns: int) -> None:
            self._logs.run.begin()
            observer.restart(now_ns)

        paced, decoder = not math.isinf(speed), SeveralFeeds(feeds)
        run = VirtualRun(
            trader,
            clock,
            decoder,
            pacer=(lambda start_ns: ScaledClock(speed, start_ns)) if paced else None,
            on_start=begin,
            flush=flush,
            on_market=on_market,
        )
        async with recording, asyncio.TaskGroup() as tasks:
            recording.attach(trader)
            owned = self._watchers(tasks, trader, run)
            if paced:
                owned += self._shown(tasks, trader, observer)
            frames = messages if is_tape else recording.listen(messages)
            await run.run(frames, duration_ns=_nanoseconds(duration_s))
            for task in owned:
                task.cancel()
        code = self._finish_virtual(trader, observer, run, ended)
        silent = [feed.product for feed in feeds if not feed.statistics().board_snapshots]
        if silent and not self.ending.wanted.is_set():
            raise TapeError(f"no board snapshot of {' and '.join(silent)} in {run.messages} messages")
        return code

    def _trader(self, cfg: AppConfig, clock: Clock, feeds: Sequence[InstrumentFeed]) -> PaperTrader:
        (feed, logs), *others = zip(feeds, self._logs.each, strict=True)
        return PaperTrader(cfg, clock, feed, logs, self._journal, others=others)

    def _shown(self, tasks: asyncio.TaskGroup, trader: PaperTrader, observer: Observer) -> list[asyncio.Task[None]]:
        """Show a run that takes its time, and let it be commanded."""
        station = Station(
            RunParts(
                cfg=self._cfg.control,
                socket=self._logs.run.files.socket,
                trader=trader,
                ending=self.ending,
                observer=observer,
                histograms=Histograms(decision=trader.latency, round_trip=trader.round_trip),
                screen=self._screen,
                settings=self._settings,
            )
        )
        station.ready()
        return [tasks.create_task(self._screen.show(observer.snapshot)), tasks.create_task(station.run())]

    async def alone(
        self,
        run: VirtualRun[Any],
        running: Coroutine[Any, Any, None],
        trader: PaperTrader,
        observer: Observer,
        ended: str,
    ) -> int:
        """Trade in virtual time; ``running`` is a coroutine that drives ``run``. Nothing is shown or recorded."""
        self._logs.run.begin()
        async with asyncio.TaskGroup() as tasks:
            owned = self._watchers(tasks, trader, run)
            await running
            for task in owned:
                task.cancel()
        return self._finish_virtual(trader, observer, run, ended)

    def _watchers(
        self, tasks: asyncio.TaskGroup, trader: PaperTrader, run: VirtualRun[Any]
    ) -> list[asyncio.Task[None]]:
        return [tasks.create_task(self._watch(trader)), tasks.create_task(self._stop_virtual(run))]

    async def _stop_virtual(self, run: VirtualRun[Any]) -> None:
        await self.ending.wanted.wait()
        run.stop()

    def _finish_virtual(self, trader: PaperTrader, observer: Observer, run: VirtualRun[Any], ended: str) -> int:
        if run.backwards:
            logger.warning("{} messages were stamped before an earlier one; they count as of its time", run.backwards)
        return self._finish(trader, observer, self.ending.why or ended)

    # --- real time

    async def realtime(self, *, mode: str, sim: bool, speed: float, duration_s: float | None) -> int:
        """Trade a live feed in real time."""
        async with AsyncExitStack() as stack:
            clock = ScaledClock(speed) if speed != 1.0 else SystemClock()
            cfg = self._cfg
            venue = venue_of(cfg)
            if sim:
                cfg, _ = await venue.embed(stack, cfg, clock, None)
            recording = OwnRecording(cfg, clock, _PAPER, Beginnings.on_paper(cfg))
            await stack.enter_async_context(recording)
            connection = await stack.enter_async_context(venue.connect(cfg, clock, None))
            session = connection.session
            trader = self._trader(cfg, clock, connection.feeds)
            recording.attach(trader, connection)
            connection.listener = _Market(trader, session)
            observer = Observer(trader, mode, clock.now_ns(), lambda: FeedCondition.of(session.statistics()))
            await session.connect_ws()
            await self._ready(session, speed)
            observer.restart(clock.now_ns())
            if not self.ending.wanted.is_set():
                self._logs.run.begin()
                logger.info("feed is live: {}", cfg.exchange.ws_url)
            async with asyncio.TaskGroup() as tasks:
                owned = self._start_tasks(tasks, trader, connection, clock)
                owned += self._shown(tasks, trader, observer)
                await self._until_end(trader, None if duration_s is None else duration_s / speed)
                for task in owned:
                    task.cancel()
            return self._finish(trader, observer, self.ending.why)

    def _start_tasks(
        self,
        tasks: asyncio.TaskGroup,
        trader: PaperTrader,
        connection: Connection,
        clock: ScaledClock,
    ) -> list[asyncio.Task[None]]:
        """Start the background tasks of trading, which run until cancelled."""
        cfg = self._cfg
        disks = DiskWatch(written_folders(cfg, self.folder), cfg.watch.min_free_disk_mb)
        owned = [
            tasks.create_task(RealtimeRun(trader, clock, speed=clock.speed).keep_time()),
            tasks.create_task(trader.send()),
            tasks.create_task(connection.session.wait_failed()),
            tasks.create_task(connection.poll_status()),
            tasks.create_task(self._watch(trader)),
            tasks.create_task(watch_disks(disks, logger.warning)),
        ]
        if self._journal is not None:
            care = JournalCare(self._journal.journal, cfg.journal.keep_days, clock.now_ns, logger.warning)
            owned += [tasks.create_task(self._journal.keep_writing()), tasks.create_task(care.run())]
        return owned

    async def _ready(self, session: Session, speed: float) -> None:
        """Wait for the first complete book, or for a signal."""
        # If the venue's time runs slowly, its snapshots come slowly too.
        limit_s = float(self._cfg.ws.connect_timeout_sec) / min(1.0, speed)
        await first_of(session.wait_ready(limit_s), self.ending.wanted)

    async def _until_end(self, trader: PaperTrader, seconds: float | None) -> None:
        """Wait for the end of the run, then until no order of ours is live."""
        await self.ending.wait(seconds)
        trader.stop()
        is_over = await first_of(self._over.wait(), self.ending.hurry, limit_s=_STOP_S)
        if not is_over and not self.ending.hurry.is_set():
            logger.warning("stopped with live paper orders: their cancels were not confirmed in {} s", _STOP_S)

    # --- both

    async def _watch(self, trader: PaperTrader) -> None:
        """Watch for the moment when nothing is live any more; halt if a log cannot be written."""
        while True:
            portfolio, failure = trader.portfolio, self._logs.failure
            if failure is not None and portfolio.halted is None:
                trader.halt(Reason.LOG_FAILURE, str(failure))
            if portfolio.is_done:
                if portfolio.halted is not None:
                    self.ending.ask(f"halted: {portfolio.halted.label}")
                self._over.set()
            await asyncio.sleep(_WATCH_S)

    def _finish(self, trader: PaperTrader, observer: Observer, ended: str) -> int:
        halted = trader.core.halted
        if halted is not None:
            ended = f"halted: {halted.label}"
        self.ended = ended
        last = observer.finish()
        self._screen.end(summary_table(last, folder=str(self.folder), ended=ended))
        if self._steps:
            self._screen.end(after_run(last, self._steps))
        logger.info("ended: {}", ended)
        return EXIT_DONE if halted is None else EXIT_HALTED


def recorded_feeds(cfg: AppConfig) -> Feeds[InstrumentFeed]:
    """The feeds of all instruments, for messages that do not come over a connection."""
    return Feeds(venue_of(cfg).recorded(cfg))


def _nanoseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * NS_PER_S)
