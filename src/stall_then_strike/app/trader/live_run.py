"""One live run, from pre-flight to the summary.

Order of the start: the embedded exchange if there is one, the core restored from the journal, recording, session and
HTTP client, trader; then pre-flight and connection. The core then requests the account, cancels orders of an earlier
run, and trades. For the end see ``live_end``. After a crash, the next start adds the trade rows missing from the CSV.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from loguru import logger

from stall_then_strike.app.control.metrics_text import Histograms
from stall_then_strike.app.control.reloading import Settings
from stall_then_strike.app.control.station import RunParts, Station
from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, EXIT_HALTED, EXIT_USAGE
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.shell.first_of import first_of
from stall_then_strike.app.trader.live_alerts import PAUSE, LiveAlerts, day_report
from stall_then_strike.app.trader.live_end import LiveEnd, cancel_directly
from stall_then_strike.app.trader.live_trader import LivePlace, LiveTrader
from stall_then_strike.app.trader.observe import FeedCondition, Observer
from stall_then_strike.app.trader.own_recording import OwnRecording
from stall_then_strike.app.trader.preflight import preflight
from stall_then_strike.app.trader.realtime import RealtimeRun
from stall_then_strike.app.trader.skew_watch import SkewWatch
from stall_then_strike.app.view.checks import show
from stall_then_strike.app.view.screen import Screen
from stall_then_strike.app.view.summary import summary_table
from stall_then_strike.config.loader import config_digest
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.portfolio import Portfolio
from stall_then_strike.engine.strategies import configured
from stall_then_strike.engine.strategy import MakeStrategy
from stall_then_strike.engine.venue.calendar import TradingCalendar
from stall_then_strike.infra.clock import ScaledClock, SystemClock, perf_ns
from stall_then_strike.infra.journal.care import JournalCare
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.writer import Journal
from stall_then_strike.infra.logging_structured import CsvLogs
from stall_then_strike.infra.logs.run_files import RunFiles
from stall_then_strike.infra.watch.alerts import AlertKind, Alerts
from stall_then_strike.infra.watch.day_digests import DayDigests
from stall_then_strike.infra.watch.disk_watch import DiskWatch, watch_disks, written_folders
from stall_then_strike.infra.watch.heartbeat import Heartbeat, heartbeat_path
from stall_then_strike.infra.watch.loop_lag import LoopLag
from stall_then_strike.infra.watch.pauses import Pause
from stall_then_strike.tapes.event_log import Beginning, Beginnings
from stall_then_strike.types.dto import (
    NS_PER_S,
    CallsMade,
    FillEvent,
    FundingEvent,
    LimitReading,
    OrderEvent,
    PrivateChannel,
    Reason,
)
from stall_then_strike.venues.choice import venue_of
from stall_then_strike.venues.connection import Account, Connection, SessionEvent
from stall_then_strike.venues.findings import Verdict, exit_code

_WATCH_S: Final = 0.1
_LAST_WRITE_S: Final = 10.0
"""How long the end waits while another program locks the journal."""


Through = Callable[[Connection, AppConfig, ScaledClock], Connection]
"""Makes the connection that a run trades through, of the venue's own. Neither is open."""


def directly(connection: Connection, cfg: AppConfig, clock: ScaledClock) -> Connection:
    """The venue's own: orders go to the venue."""
    return connection


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveParts:
    """What the command opened for the run."""

    cfg: AppConfig
    account: Account | None
    """None for the embedded exchange, which makes its own."""
    journal: Journal
    logs: Sequence[CsvLogs]
    """Of each instrument."""
    folder: Path
    """The run's, in the log folder."""
    screen: Screen
    alerts: Alerts
    strategy: MakeStrategy = configured
    mode: str = "live"
    """A word for what the run is."""
    through: Through = directly
    settings: Settings | None = None
    """How to read the settings anew; None if they cannot be."""
    begun: Callable[[], None] = lambda: None
    """Called once feed and private channel are live."""
    attend: Callable[[LiveRun], None] = lambda run: None
    """Told of the run before it begins."""


async def run_live(parts: LiveParts, ending: Ending, duration_s: float | None) -> int:
    """Run to the end and return the exit code.

    Raises ConfigError, FeedError, LogError and JournalError, perhaps in exception groups.
    """
    cfg, account = parts.cfg, parts.account
    async with AsyncExitStack() as stack:
        speed = float(cfg.sim.speed) if cfg.env == "sim" else 1.0
        clock = ScaledClock(speed) if speed != 1.0 else SystemClock()
        venue = venue_of(cfg)
        if account is None:
            from stall_then_strike.sim.faults.plan_file import load_fault_plan  # a run at the venue does without it

            faults = load_fault_plan(cli.settings_file(Path(cfg.sim.faults))) if cfg.sim.faults else None
            cfg, account = await venue.embed(stack, cfg, clock, faults)
        connection = parts.through(venue.connect(cfg, clock, account), cfg, clock)
        async with open_run(parts, cfg, clock, account, connection, ending) as run:
            return await run.run(duration_s)


@asynccontextmanager
async def open_run(
    parts: LiveParts, cfg: AppConfig, clock: ScaledClock, account: Account, connection: Connection, ending: Ending
) -> AsyncIterator[LiveRun]:
    """A run on a given venue, with all its parts open. Nothing is sent or connected yet.

    Raises JournalError and LogError.
    """
    journal = parts.journal
    restored = [journal.load(product) for product in cfg.products]
    first, *others = (
        Beginning(is_live=True, memo=one.memo, orders=one.orders, exec_ids=one.exec_ids, fills=one.fills)
        for one in restored
    )
    beginnings = Beginnings(first=first, others=tuple(others), account=journal.account())
    portfolio = beginnings.portfolio(cfg, connection.rules, parts.strategy)
    journal.set_patience(0)  # the event loop must not wait for another program's lock
    if not journal.reserve.keep():
        logger.warning("no room can be kept back beside {}: a halt by a full disk may be lost", journal.path)

    async with OwnRecording(cfg, clock, parts.mode, beginnings) as recording, connection:
        run = LiveRun(parts, cfg, clock, account, ending, portfolio, connection)
        day_ns, _ = (calendar := TradingCalendar(cfg.session)).span(calendar.day(clock.now_ns()))
        with JournalReader.open(journal.path) as reader:
            for seat, product in zip(run.trader.seats, cfg.products, strict=True):
                for fill in reader.of(product).fills(day_ns):
                    seat.day_fills.add(fill.row)
        recording.attach(run.trader, connection)
        parts.attend(run)
        yield run


class LiveRun:
    """A run with all its parts open; made by :func:`open_run`."""

    def __init__(
        self,
        parts: LiveParts,
        cfg: AppConfig,
        clock: ScaledClock,
        account: Account,
        ending: Ending,
        portfolio: Portfolio,
        connection: Connection,
    ) -> None:
        """Join the parts. ``portfolio`` must be restored, ``connection`` open, its session not connected."""
        self._parts, self._cfg, self._clock, self._account = parts, cfg, clock, account
        self._ending, self.portfolio, self.connection = ending, portfolio, connection
        self._session = connection.session
        self.core = portfolio.first
        self._is_checked = False
        """Whether the pre-flight is over. Until then a wrong clock is only one of its findings."""
        self._is_past_core = False
        """Whether answers no longer go to the core: it has failed, or the run has ended."""
        self._skew = SkewWatch(int(cfg.risk.max_clock_skew_sec * NS_PER_S))
        has_reports = cfg.watch.day_report and parts.alerts.is_on
        self._digests = DayDigests(
            lambda text, report: parts.alerts.send(AlertKind.SUMMARY, "trading day", text, report),
            partial(day_report, RunFiles(parts.folder), parts.journal.path) if has_reports else None,
        )
        self._alerts = LiveAlerts(parts.alerts.send, float(cfg.watch.alert_disconnect_sec), self._digests.put)
        self._lag = LoopLag(cfg.watch.lag_warn_ms)
        self.trader = LiveTrader(
            portfolio,
            clock,
            [
                LivePlace(core=core, feed=feed, logs=logs, desk=desk)
                for core, feed, logs, desk in zip(
                    portfolio.cores, connection.feeds, parts.logs, connection.desks, strict=True
                )
            ],
            parts.journal,
            locked_sec=float(cfg.journal.locked_sec),
            on_fact=self._alerts.on_fact,
        )
        self._end = LiveEnd(self.trader, connection, clock, ending, self._say)
        connection.listener = self
        where = "embedded exchange" if parts.account is None else cfg.exchange.base_url
        self._mode = f"{parts.mode} · {where}"

    @property
    def account(self) -> Account:
        """The account that is traded."""
        return self._account

    @property
    def folder(self) -> Path:
        """Where the run leaves what it leaves."""
        return self._parts.folder

    # --- life

    async def run(self, duration_s: float | None) -> int:
        """Run from pre-flight to the summary; return the exit code."""
        code = await first_of(self._preflight(), self._ending.wanted)
        if code is None:
            return await self._stopped_early()
        if code != EXIT_DONE:
            return code
        self._is_checked = True
        self.trader.on_event(CallsMade(ts_ns=self._clock.now_ns(), calls=self.connection.calls_made))
        self._tell_halt()
        observer = Observer(self.trader, self._mode, self._clock.now_ns(), self._condition)
        try:
            await self._trade(observer, duration_s)
        except Exception as error:
            self._tell_failure(error)
            raise
        finally:
            await self._cancel_the_rest()
            is_written = await self._write_the_rest()
        code = self._finish(observer)
        return code if is_written or code != EXIT_DONE else EXIT_FAILED

    async def _preflight(self) -> int:
        results = await preflight(self._cfg, self._account, self.connection, self._clock, self._parts.folder)
        show(results, self._parts.screen.console)
        for result in results:
            if result.verdict is Verdict.OK:
                logger.info("pre-flight: {}: {}", result.name, result.text)
            else:
                level = "WARNING" if result.verdict is Verdict.WARNING else "ERROR"
                logger.log(level, "pre-flight: {}: {}; {}", result.name, result.text, result.advice)
        code = exit_code(results)
        if code == EXIT_USAGE:  # after any other code a supervisor restarts the run every few seconds
            faults = (f"{result.name}: {result.text}" for result in results if result.verdict is Verdict.FAULT)
            self._parts.alerts.send(AlertKind.STOP, "not started", self._account.redact("; ".join(faults)))
        return code

    async def _stopped_early(self) -> int:
        """A signal came before trading began; an earlier run may have left orders."""
        await self._cancel_the_rest()
        logger.info("ended before trading: {}; {}", self._ending.why, self._end.last_words())
        if self.portfolio.halted is not None:
            return EXIT_HALTED
        return EXIT_FAILED if self.portfolio.any_live else EXIT_DONE

    async def _trade(self, observer: Observer, duration_s: float | None) -> None:
        """Connect, trade to the end, and stop in good order."""
        heartbeat = Heartbeat(heartbeat_path(self._cfg), SystemClock(), period_sec=float(self._cfg.watch.heartbeat_sec))
        station = self._station(observer)
        async with asyncio.TaskGroup() as tasks:
            owned = [*self._start_tasks(tasks, observer, heartbeat), tasks.create_task(station.run())]
            self.trader.remember("start", config_digest(self._cfg))
            await self._session.connect_ws()
            await self._ready()
            observer.restart(self._clock.now_ns())
            station.ready()
            if not self._ending.wanted.is_set():
                self._parts.begun()
                logger.info("feed and private channel are live: {}", self._cfg.exchange.ws_url)
                text = f"{', '.join(self._cfg.products)}, {self._mode}"
                self._parts.alerts.send(AlertKind.START, "started", text)
            await self._ending.wait(None if duration_s is None else duration_s / self._clock.speed)
            station.stopping()
            await self._end.stop(flat=self._cfg.risk.stop_flat, limit_s=float(self._cfg.account.stop_sec))
            for task in owned:
                task.cancel()
        if not self.portfolio.any_live:
            heartbeat.stopped()

    def _start_tasks(
        self, tasks: asyncio.TaskGroup, observer: Observer, heartbeat: Heartbeat
    ) -> list[asyncio.Task[None]]:
        """Start the background tasks of trading, which run until cancelled."""
        cfg, parts, trader, clock = self._cfg, self._parts, self.trader, self._clock
        timer = RealtimeRun(trader, clock, speed=clock.speed)
        care = JournalCare(parts.journal, cfg.journal.keep_days, clock.now_ns, self._tell_of_journal)
        disks = DiskWatch(written_folders(cfg, parts.folder, Path(cfg.journal.dir)), cfg.watch.min_free_disk_mb)
        return [
            tasks.create_task(timer.keep_time()),
            tasks.create_task(trader.send()),
            tasks.create_task(self._session.wait_failed()),
            tasks.create_task(self.connection.poll_status()),
            tasks.create_task(heartbeat.run()),
            tasks.create_task(self._lag.run()),
            tasks.create_task(self._watch()),
            tasks.create_task(self._digests.run()),
            tasks.create_task(care.run()),
            tasks.create_task(watch_disks(disks, self._tell_of_disk)),
            tasks.create_task(parts.screen.show(observer.snapshot)),
        ]

    def _station(self, observer: Observer) -> Station:
        parts, trader = self._parts, self.trader
        histograms = Histograms(decision=trader.latency, round_trip=trader.round_trip, lag=self._lag.histogram)
        return Station(
            RunParts(
                cfg=self._cfg.control,
                socket=RunFiles(parts.folder).socket,
                trader=trader,
                ending=self._ending,
                observer=observer,
                histograms=histograms,
                screen=parts.screen,
                settings=parts.settings,
            )
        )

    async def _ready(self) -> None:
        """Wait for the first complete book and the private channel, or for a signal."""
        limit_s = float(self._cfg.ws.connect_timeout_sec) / min(1.0, self._clock.speed)
        await first_of(self._session.wait_ready(limit_s), self._ending.wanted)

    async def _cancel_the_rest(self) -> None:
        """After a failure: cancel the orders that may be live, without the core."""
        self._is_past_core = True
        for core, desk in zip(self.portfolio.cores, self.connection.desks, strict=True):
            await cancel_directly(core, desk, self._clock)

    async def _write_the_rest(self) -> bool:
        """Write the owed steps into the journal. Returns whether all were written."""
        has_failed = self.portfolio.halted is Reason.LOG_FAILURE
        if await self.trader.owed.settle(_WATCH_S if has_failed else _LAST_WRITE_S):
            return True
        logger.critical("{} steps are not in the journal: it does not know how this run ended", len(self.trader.owed))
        return False

    def _finish(self, observer: Observer) -> int:
        portfolio, parts = self.portfolio, self._parts
        halted = portfolio.halted
        ended = self._ending.why if halted is None else f"halted: {halted.label}"
        if portfolio.any_live or not self._end.is_shown:
            ended = f"{ended}; NOT CONFIRMED by the venue"
        parts.screen.end(summary_table(observer.finish(), folder=str(parts.folder), ended=ended))
        logger.info("ended: {}", ended)
        parts.alerts.send(AlertKind.STOP, "stopped", f"{ended}; {self._end.last_words()}")
        if halted is not None:
            return EXIT_HALTED
        is_held = any(core.inventory.position for core in portfolio.cores)
        was_to_be_flat = self._cfg.risk.stop_flat and is_held
        is_done = self._end.is_shown and not portfolio.any_live and not was_to_be_flat and portfolio.start_fault is None
        return EXIT_DONE if is_done else EXIT_FAILED  # an unconfirmed end counts as failed

    # --- events

    def on_session(self, event: SessionEvent, number: int) -> None:
        """Take one event of the session, of the instrument with this number."""
        if isinstance(event, OrderEvent | FillEvent | FundingEvent | PrivateChannel):
            self.trader.on_event(event, number)
        else:
            self.trader.on_market(event, self._session.frame_perf_ns, number)

    def on_reading(self, reading: LimitReading) -> None:
        """Take the venue's own reading of a rate limit."""
        if not self._is_past_core:
            self.trader.on_event(reading)

    def on_pause(self, pause: Pause) -> None:
        """Take a sleep, a standstill or a clock step."""
        self._forget_skew()
        if not self._is_past_core:
            self.trader.remember(PAUSE, str(pause))

    def _forget_skew(self) -> None:
        """The clock may have jumped: skews measured before do not count any more."""
        self._skew.restart()
        self.connection.forget_skew()

    def on_skew(self, skew_ns: int) -> None:
        """Take what one answer tells of the venue's clock; halt when it is too far from ours."""
        why = self._skew.add(skew_ns)
        portfolio, is_watched = self.portfolio, self._is_checked and not self._is_past_core
        is_sound = portfolio.halted is None and portfolio.start_fault is None
        if why and is_watched and is_sound and not self._is_set_right(skew_ns):
            self.trader.halt(Reason.CLOCK_SKEW, why)

    def _is_set_right(self, skew_ns: int) -> bool:
        """Catch up with the machine's clock if that explains the skew. Returns whether it did.

        The machine's clock is right by now, only this run's is behind: the machine's clock was wrong at the start, or
        it is a virtual machine that was frozen with all its clocks.
        """
        behind_ns = self._clock.behind_ns()
        if behind_ns <= 0 or not self._skew.is_fine(skew_ns - behind_ns):
            return False
        text = f"this run was {behind_ns / NS_PER_S:,.1f} s behind the machine's clock and the venue's: set right"
        logger.warning("{}", text)
        self._session.give_up(text)
        self._clock.catch_up()
        self._forget_skew()
        self.trader.remember(PAUSE, text)
        return True

    # --- supervision

    async def _watch(self) -> None:
        """Watch for failing logs, long disconnects and the moment when nothing is live any more."""
        portfolio, trader, parts = self.portfolio, self.trader, self._parts
        while True:
            failure = next((one.failure for one in parts.logs if one.failure is not None), None)
            if failure is not None and portfolio.halted is None and portfolio.start_fault is None:
                trader.halt(Reason.LOG_FAILURE, str(failure))
            transport = self._session.statistics()
            self._alerts.on_connection(perf_ns() / NS_PER_S, is_up=transport.is_private_live, why=transport.last_error)
            if portfolio.start_fault is not None:
                self._ending.ask(f"this start failed: {portfolio.start_fault.label}")
            if portfolio.is_done:
                if portfolio.halted is not None:
                    self._ending.ask(f"halted: {portfolio.halted.label}")
                self._end.is_over.set()
            await asyncio.sleep(_WATCH_S)

    def _tell_of_journal(self, text: str) -> None:
        logger.warning("{}", text)
        self._parts.alerts.send(AlertKind.JOURNAL, "the journal", text)

    def _tell_of_disk(self, text: str) -> None:
        logger.warning("{}", text)
        self._parts.alerts.send(AlertKind.DISK, "disk space", text)

    # --- messages

    def _tell_halt(self) -> None:
        """Say that an earlier run was halted, and what this run does about open orders and position."""
        if self.core.halted is None:
            return
        is_kept = self.core.kill_switch.keeps_position
        then = "orders are cancelled, the position is left to you" if is_kept else "what is open is closed"
        logger.critical("still halted: {}; `state` tells more, `state resume` lifts it", self.core.halted.label)
        self._parts.screen.console.print(
            f"STILL HALTED: {self.core.halted.label}. No quotes; {then}. `state resume` lifts it.",
            style="bold red",
        )

    def _tell_failure(self, error: Exception) -> None:
        """Report what ends the run, in the runtime log and to the operator. One line per cause in a group."""
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        what = self._account.redact(f"{type(error).__name__}: {error}")
        logger.critical("the run fails: {}", what)
        self._parts.alerts.send(AlertKind.STOP, "failed", f"{what}; {self._end.last_words()}")

    def _say(self, text: str) -> None:
        """Show a line to the operator if there is no panel."""
        if not self._parts.screen.is_panel:
            with suppress(OSError):
                self._parts.screen.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _condition(self) -> FeedCondition:
        return FeedCondition.of(self._session.statistics(), self._lag.p99_ns, self._end.awaited)
