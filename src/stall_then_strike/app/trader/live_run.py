"""One live run: everything it is made of, from pre-flight to the last confirmed cancel.

Order of a start: exchange if it is the embedded one, core as the journal remembers it, pre-flight, trade rows that a
crash kept from the CSV, connection. The core then asks for the account, cancels what an earlier run left, and trades.

Order of an end: no new orders and cancel all; wait until the venue has confirmed; ask for the account once more. If the
program fails, working orders are cancelled straight over HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from loguru import logger
from yarl import URL

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.trader.embedded import open_embedded
from stall_then_strike.app.trader.journal_care import JournalCare
from stall_then_strike.app.trader.live_alerts import PAUSE, LiveAlerts
from stall_then_strike.app.trader.live_trader import LiveTrader
from stall_then_strike.app.trader.observe import FeedCondition, Observer
from stall_then_strike.app.trader.own_recording import OwnRecording
from stall_then_strike.app.trader.preflight import preflight
from stall_then_strike.app.trader.realtime import RealtimeRun
from stall_then_strike.app.trader.skew_watch import SkewWatch
from stall_then_strike.app.view.checks import Verdict, exit_code, show
from stall_then_strike.app.view.screen import Screen
from stall_then_strike.app.view.status import Status
from stall_then_strike.app.view.summary import summary_table
from stall_then_strike.config.loader import config_digest
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.core import Core
from stall_then_strike.engine.venue.evidence import names_and_strangers
from stall_then_strike.engine.venue.reconciler import REPORT_CALLS
from stall_then_strike.infra.bitflyer.credentials import Credentials, sign_for
from stall_then_strike.infra.bitflyer.venue_status import poll_venue_status
from stall_then_strike.infra.clock import ScaledClock, SystemClock, perf_ns
from stall_then_strike.infra.http_bitflyer import BitflyerHttp
from stall_then_strike.infra.journal.writer import Journal
from stall_then_strike.infra.logging_structured import CsvLogs
from stall_then_strike.infra.pyb_session import PyBotterSession, SessionEvent
from stall_then_strike.infra.watch.alerts import AlertKind, Alerts
from stall_then_strike.infra.watch.disk_watch import DiskWatch, watch_disks, written_folders
from stall_then_strike.infra.watch.heartbeat import Heartbeat, heartbeat_path
from stall_then_strike.infra.watch.loop_lag import LoopLag
from stall_then_strike.infra.watch.pauses import Pause
from stall_then_strike.tapes.event_log import Beginning
from stall_then_strike.types.dto import (
    NS_PER_MS,
    NS_PER_S,
    AccountReport,
    CallsMade,
    ExecId,
    FillEvent,
    LimitReading,
    OrderEvent,
    OrderEventKind,
    OrderId,
    OrderRequest,
    PrivateChannel,
    Reason,
)
from stall_then_strike.types.errors import VenueError

_WATCH_S: Final = 0.1
_LAST_WRITE_S: Final = 10.0
"""How long the end waits for a program that keeps the journal from being written."""
_HURRY_S: Final = 2.0
"""How long a run that is told twice to stop waits for its cancels to be taken."""
_EMERGENCY_S: Final = 5.0
_TELL_S: Final = 5.0
_LOOK_S: Final = 0.5
_LISTING_S: Final = 0.5
"""From the acceptance of an order to its place in the venue's lists, on a quiet day."""
_T = TypeVar("_T")
_LAST_ASK_S: Final = (1.0, 4.0)
"""First and longest pause before the account is asked once more at the end."""


class LiveVenue:
    """The venue as the executor sees it: orders and questions over HTTP, renewal by the session."""

    def __init__(self, http: BitflyerHttp, session: PyBotterSession) -> None:
        """Both are open."""
        self._http, self._session = http, session
        self.last: AccountReport | None = None
        """The newest report."""

    async def place(self, order: OrderRequest) -> OrderId:
        """Send an order."""
        return await self._http.place(order)

    async def cancel(self, order_id: OrderId) -> None:
        """Ask for a cancel."""
        await self._http.cancel(order_id)

    async def report(self, since: ExecId) -> AccountReport:
        """Ask for the account."""
        self.last = await self._http.report(since)
        return self.last

    def renew(self, why: str) -> None:
        """Connect anew."""
        self._session.renew(why)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveParts:
    """What the command has opened for the run."""

    cfg: AppConfig
    credentials: Credentials | None
    """None on the embedded exchange, which makes its own."""
    journal: Journal
    logs: CsvLogs
    log_dir: Path
    screen: Screen
    alerts: Alerts


async def run_live(parts: LiveParts, ending: Ending, duration_s: float | None) -> int:
    """Run to the end; the exit code. Raises ConfigError, FeedError, LogError and JournalError, perhaps in groups."""
    cfg, credentials = parts.cfg, parts.credentials
    async with AsyncExitStack() as stack:
        speed = float(cfg.sim.speed) if cfg.env == "sim" else 1.0
        clock = ScaledClock(speed) if speed != 1.0 else SystemClock()
        if credentials is None:
            embedded = await open_embedded(stack, cfg, clock)
            credentials = embedded.credentials
            cfg = cfg.model_copy(update={"exchange": embedded.addresses(cfg.exchange)})
        for url in (cfg.exchange.base_url, cfg.exchange.ws_url):
            stack.enter_context(sign_for(URL(url).host or ""))
        run = LiveRun(parts, cfg, clock, credentials, ending, speed)
        return await run.run(duration_s)


class LiveRun:
    """A run whose venue is known."""

    def __init__(
        self,
        parts: LiveParts,
        cfg: AppConfig,
        clock: ScaledClock,
        credentials: Credentials,
        ending: Ending,
        speed: float,
    ) -> None:
        """Remember what the journal knows; nothing is started. ``speed`` is how much faster than real ``clock`` is."""
        self._parts, self._cfg, self._clock, self._credentials = parts, cfg, clock, credentials
        self._ending, self._speed = ending, speed
        self._over = asyncio.Event()
        self._is_checked = False
        """Whether the pre-flight is over. Until then a wrong clock is among its findings, and no more."""
        self._awaited = ""
        """What the end of the run waits for; empty before."""
        self._is_past_core = False
        """Whether answers concern the core no more: it has failed, or the run has ended."""
        self._is_shown = False
        """Whether the venue has shown the account as we believe it to be at the end."""
        restored = parts.journal.load()
        self.core = Core(cfg, live=True)
        beginning = Beginning(
            is_live=True,
            memo=restored.memo,
            orders=restored.orders,
            exec_ids=restored.exec_ids,
            fills=restored.fills,
        )
        beginning.restore(self.core)
        self._skew = SkewWatch(int(cfg.risk.max_clock_skew_sec * NS_PER_S))
        self._alerts = LiveAlerts(parts.alerts.send, float(cfg.watch.alert_disconnect_sec))
        self._lag = LoopLag(cfg.watch.lag_warn_ms)
        self._session = PyBotterSession(cfg, clock, self._on_session, credentials)
        self._session.on_pause = self._on_pause
        self._recording = OwnRecording(cfg, clock, "live", beginning)
        self._http: BitflyerHttp | None = None
        self._trader: LiveTrader | None = None
        self._venue: LiveVenue | None = None

    @property
    def http(self) -> BitflyerHttp:
        """The venue over HTTP, once the session is open."""
        if self._http is None:
            raise AssertionError("the session is not open")
        return self._http

    @property
    def trader(self) -> LiveTrader:
        """The trader, once the session is open."""
        if self._trader is None:
            raise AssertionError("the session is not open")
        return self._trader

    # --- events

    def _on_session(self, event: SessionEvent) -> None:
        if isinstance(event, OrderEvent | FillEvent | PrivateChannel):
            self.trader.on_event(event)
        else:
            self.trader.on_market(event, self._session.frame_perf_ns)

    def _on_reading(self, reading: LimitReading) -> None:
        if not self._is_past_core:
            self.trader.on_event(reading)

    def _on_pause(self, pause: Pause) -> None:
        self._forget_skew()
        if not self._is_past_core:
            self.trader.remember(PAUSE, str(pause))

    def _forget_skew(self) -> None:
        """The clock may have jumped: what answers said before is of another one."""
        self._skew.restart()
        self.http.skew.forget()

    def _on_skew(self, skew_ns: int) -> None:
        why = self._skew.add(skew_ns)
        core, is_watched = self.core, self._is_checked and not self._is_past_core
        if why and is_watched and core.halted is None and core.start_fault is None and not self._is_set_right(skew_ns):
            self.trader.halt(Reason.CLOCK_SKEW, why)

    def _is_set_right(self, skew_ns: int) -> bool:
        """Whether the difference from the venue was this run's alone and is gone: the machine's clock has the venue's
        time by now. It was wrong at the start, or the machine is a virtual one that was frozen with all of its clocks.
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

    # --- life

    async def run(self, duration_s: float | None) -> int:
        """From pre-flight to the summary; the exit code."""
        cfg, parts, session = self._cfg, self._parts, self._session
        parts.journal.set_patience(0)  # the event loop waits for nobody
        if not parts.journal.reserve.keep():
            logger.warning("no room can be kept back beside {}: a halt by a full disk may be lost", parts.journal.path)
        async with self._recording, session:
            self._http = BitflyerHttp(
                session.get_client(),
                cfg.exchange,
                self._clock,
                timeout=session.call_timeout,
                on_reading=self._on_reading,
                on_skew=self._on_skew,
                redact=self._credentials.redact,
            )
            self._venue = LiveVenue(self._http, session)
            self._trader = LiveTrader(
                self.core,
                self._clock,
                session.feed,
                session.view,
                parts.logs,
                parts.journal,
                self._venue,
                locked_sec=float(cfg.journal.locked_sec),
                on_fact=self._alerts.on_fact,
            )
            self._recording.attach(self._trader, session)
            code = await self._unless_stopped(self._preflight())
            if code is None:
                return await self._stopped_early()
            if code != cli.EXIT_DONE:
                return code
            self._is_checked = True
            self._trader.on_event(CallsMade(ts_ns=self._clock.now_ns(), calls=self._http.private_calls))
            self._tell_halt()
            observer = Observer(cfg, self._trader, self._mode, self._clock.now_ns())
            try:
                await self._trade(observer, duration_s)
            except Exception as error:
                self._tell_failure(error)
                raise
            finally:
                await self._cancel_the_rest()
                is_written = await self._write_the_rest()
            code = self._finish(observer)
            return code if is_written or code != cli.EXIT_DONE else cli.EXIT_FAILED

    def _tell_failure(self, error: Exception) -> None:
        """Say in the runtime log, and to the operator, what ends the run. One line each: causes in a group are many."""
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        what = self._credentials.redact(f"{type(error).__name__}: {error}")
        logger.critical("the run fails: {}", what)
        self._parts.alerts.send(AlertKind.STOP, "failed", f"{what}; {self._last_words()}")

    @property
    def _mode(self) -> str:
        return (
            "live · embedded exchange" if self._parts.credentials is None else f"live · {self._cfg.exchange.base_url}"
        )

    async def _preflight(self) -> int:
        results = await preflight(self._cfg, self._credentials, self.http, self._clock, self._parts.log_dir)
        show(results, self._parts.screen.console)
        for result in results:
            if result.verdict is Verdict.OK:
                logger.info("pre-flight: {}: {}", result.name, result.text)
            else:
                level = "WARNING" if result.verdict is Verdict.WARNING else "ERROR"
                logger.log(level, "pre-flight: {}: {}; {}", result.name, result.text, result.advice)
        code = exit_code(results)
        if code == cli.EXIT_USAGE:  # a supervisor starts it again after any other fault, every few seconds
            faults = (f"{result.name}: {result.text}" for result in results if result.verdict is Verdict.FAULT)
            self._parts.alerts.send(AlertKind.STOP, "not started", self._credentials.redact("; ".join(faults)))
        return code

    def _tell_halt(self) -> None:
        """Say that an earlier run was halted, and what this one will do about what is open."""
        if self.core.halted is None:
            return
        is_kept = self.core.kill_switch.keeps_position
        then = "orders are cancelled, the position is left to you" if is_kept else "what is open is closed"
        logger.critical("still halted: {}; `state` tells more, `state resume` lifts it", self.core.halted.label)
        self._parts.screen.console.print(
            f"STILL HALTED: {self.core.halted.label}. No quotes; {then}. `state resume` lifts it.",
            style="bold red",
        )

    async def _unless_stopped(self, what: Coroutine[None, None, _T]) -> _T | None:
        """The result of something that a signal ends; None if it did."""
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(what)
            stopped = tasks.create_task(self._ending.wanted.wait())
            await asyncio.wait((asked, stopped), return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
            stopped.cancel()
        return None if asked.cancelled() else asked.result()

    async def _stopped_early(self) -> int:
        """A signal came before trading began; an earlier run may have left orders."""
        await self._cancel_the_rest()
        logger.info("ended before trading: {}; {}", self._ending.why, self._last_words())
        if self.core.halted is not None:
            return cli.EXIT_HALTED
        return cli.EXIT_FAILED if self.core.orders.any_live else cli.EXIT_DONE

    async def _ready(self) -> None:
        """Wait for the first whole book and the private channel, but not past a signal."""
        limit_s = float(self._cfg.ws.connect_timeout_sec) / min(1.0, self._speed)
        await self._unless_stopped(self._session.wait_ready(limit_s))

    async def _trade(self, observer: Observer, duration_s: float | None) -> None:
        cfg, session, trader = self._cfg, self._session, self.trader
        heartbeat = Heartbeat(heartbeat_path(cfg), SystemClock(), period_sec=float(cfg.watch.heartbeat_sec))
        timer = RealtimeRun(trader, self._clock, speed=self._speed)
        care = JournalCare(self._parts.journal, cfg.journal.keep_days, self._clock.now_ns, self._tell_of_journal)
        disks = DiskWatch(written_folders(cfg, self._parts.log_dir, Path(cfg.journal.dir)), cfg.watch.min_free_disk_mb)
        async with asyncio.TaskGroup() as tasks:
            owned = [
                tasks.create_task(timer.keep_time()),
                tasks.create_task(timer.send()),
                tasks.create_task(session.wait_failed()),
                tasks.create_task(poll_venue_status(self.http, self._clock, trader.on_market)),
                tasks.create_task(heartbeat.run()),
                tasks.create_task(self._lag.run()),
                tasks.create_task(self._watch()),
                tasks.create_task(care.run()),
                tasks.create_task(watch_disks(disks, self._tell_of_disk)),
                tasks.create_task(self._parts.screen.show(lambda: self._status(observer))),
            ]
            trader.remember("start", config_digest(cfg))
            await session.connect_ws()
            await self._ready()
            observer.restart(self._clock.now_ns())
            if not self._ending.wanted.is_set():
                logger.info("feed and private channel are live: {}", cfg.exchange.ws_url)
                self._parts.alerts.send(AlertKind.START, "started", f"{cfg.exchange.product_code}, {self._mode}")
            await self._until_end(None if duration_s is None else duration_s / self._speed)
            for task in owned:
                task.cancel()
        if not self.core.orders.any_live:
            heartbeat.stopped()

    async def _until_end(self, seconds: float | None) -> None:
        """Wait for the end of the run, then until the venue has confirmed that nothing of ours is live."""
        ending, trader = self._ending, self.trader
        try:
            async with asyncio.timeout(seconds):
                await ending.wanted.wait()
        except TimeoutError:
            ending.ask("duration over")
        trader.stop(flat=self._cfg.risk.stop_flat)
        async with asyncio.TaskGroup() as tasks:
            telling = tasks.create_task(self._tell_awaited())
            self._is_shown = await self._before_hurry(self._confirmed(), float(self._cfg.account.stop_sec))
            telling.cancel()
        if not self._is_shown:
            with suppress(TimeoutError):
                async with asyncio.timeout(_HURRY_S):
                    await trader.wait_sent()
        is_left = self.core.orders.any_live or not self._is_shown
        logger.log("ERROR" if is_left else "INFO", "end of trading: {}", self._last_words())
        trader.remember("stop", f"{ending.why}; {self._last_words()}")

    async def _tell_awaited(self) -> None:
        """Say what the end waits for, at once, when it changes and every few seconds: silence looks like a hang."""
        end_s = perf_ns() / NS_PER_S + float(self._cfg.account.stop_sec)
        last, told_s = "", 0.0
        while True:
            now_s, what = perf_ns() / NS_PER_S, self._what_is_awaited()
            self._awaited = f"stopping: {what}; {max(0.0, end_s - now_s):.0f} s at most, a second signal ends it now"
            if what != last or now_s - told_s >= _TELL_S:
                last, told_s = what, now_s
                logger.info("{}", self._awaited)
                if not self._parts.screen.is_panel:
                    with suppress(OSError):
                        self._parts.screen.console.print(self._awaited, highlight=False, markup=False, soft_wrap=True)
            await asyncio.sleep(_LOOK_S)

    def _what_is_awaited(self) -> str:
        """What is missing for the end, in words."""
        core, unit = self.core, self.core.instrument
        if live := list(core.orders.live()):
            names = ", ".join(order.order_id or f"{order.client_order_id} (no name)" for order in live)
            return f"waiting for the end of {'order' if len(live) == 1 else 'orders'} {names}"
        if core.exits.closing is not None:
            held = f"{unit.size(core.inventory.position):+f} {unit.base}"
            way = f", with an order in its way that is not ours: {', '.join(core.obstacles)}" if core.obstacles else ""
            return f"closing {held} ({core.exits.closing.reason.label}){way}"
        if core.account is not None and core.account.to_cancel:
            return f"waiting for the end of what should not be on the book: {', '.join(core.account.to_cancel)}"
        if not self._session.statistics().is_private_live:
            return "waiting for the venue, which does not answer now, to show the account"
        return "waiting for the venue to show the account as it is here"

    def _status(self, observer: Observer) -> Status:
        status = observer.status(self._condition())
        return replace(status, reason=self._awaited) if self._awaited else status

    async def _confirmed(self) -> None:
        """Return when nothing is live and the venue has shown the position that we end with, and each fill of ours.

        What it shows may be news: then the core has more to do, and is asked for after that. A question that cannot be
        asked or answered is put again, as far as the budget allows.
        """
        core, trader = self.core, self.trader
        pause_s, longest_s = (seconds / self._speed for seconds in _LAST_ASK_S)
        while True:
            await self._over.wait()
            if core.budget.may_ask(self._clock.now_ns(), REPORT_CALLS, urgent=True):
                asked_ns = self._clock.now_ns()
                await trader.ask_account("stopping")
                if self._is_shown_since(asked_ns) and core.is_done:
                    return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, longest_s)
            if not core.is_done:
                self._over.clear()  # set again by the watch

    def _is_shown_since(self, asked_ns: int) -> bool:
        """Whether a report that was asked for then or later leaves nothing to be found out."""
        last, account = None if self._venue is None else self._venue.last, self.core.account
        return last is not None and account is not None and last.asked_ns >= asked_ns and account.is_shown_by(last)

    async def _before_hurry(self, what: Coroutine[None, None, object], limit_s: float) -> bool:
        """Wait for something, but not past the limit or a second signal; whether it came."""
        async with asyncio.TaskGroup() as tasks:
            waited = tasks.create_task(what)
            hurried = tasks.create_task(self._ending.hurry.wait())
            await asyncio.wait((waited, hurried), timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            came = waited.done()
            waited.cancel()
            hurried.cancel()
        return came

    def _last_words(self) -> str:
        core, unit = self.core, self.core.instrument
        live = list(core.orders.live())
        doubt = "" if self._is_shown else ", not confirmed by the venue"
        if core.exits.closing is not None and core.obstacles:
            doubt += f"; in the way of its close, and not ours: {', '.join(core.obstacles)}"
        position = f"position {unit.size(core.inventory.position):+f} {unit.base}{doubt}"
        if not live:
            return f"no order of ours is live; {position}"
        names = ", ".join(order.order_id or f"{order.client_order_id} (no name)" for order in live)
        return f"NOT CONFIRMED: {names}; what rests expires by itself within a minute; {position}"

    async def _cancel_the_rest(self) -> None:
        """After a failure: cancel over HTTP what may be live, without the core."""
        self._is_past_core = True
        live = list(self.core.orders.live())
        if not live:
            return
        logger.warning("cancelling {} orders that may be live", len(live))
        with suppress(TimeoutError):
            async with asyncio.timeout(_EMERGENCY_S):
                await self._cancel([order.order_id for order in live if order.order_id is not None])
                if any(order.order_id is None for order in live):
                    await self._cancel(await self._lost_names())

    async def _cancel(self, names: Collection[OrderId]) -> None:
        answers = await asyncio.gather(*map(self.http.cancel, names), return_exceptions=True)
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, BaseException):
                logger.error("{}: {}", name, answer)

    async def _lost_names(self) -> list[OrderId]:
        """What the venue calls orders whose answers did not come any more: those of their terms that it lists.

        They may have been accepted a moment ago, and are listed a moment later.
        """
        now_ns = self._clock.now_ns()
        nameless = [order for order in self.core.orders.live() if order.order_id is None]
        for order in nameless:
            self.core.orders.apply(
                OrderEvent(ts_ns=now_ns, kind=OrderEventKind.SEND_UNKNOWN, client_order_id=order.client_order_id)
            )
        known = [order.order_id for order in nameless if order.order_id is not None]  # by events that were waiting
        if len(known) == len(nameless):
            return known
        await asyncio.sleep(_LISTING_S)
        since = None if self.core.account is None else self.core.account.rules.since
        try:
            report = await self.http.report(since or ExecId(0))
        except VenueError as error:
            logger.error("orders without a name cannot be found: {}", error)
            return known
        found = names_and_strangers(report, self.core.orders)
        return known + [event.order_id for event in found.names if event.order_id is not None]

    # --- looking after it

    async def _watch(self) -> None:
        """Notice failing logs, long disconnects, and that nothing is live any more."""
        core, trader, parts = self.core, self.trader, self._parts
        while True:
            if parts.logs.failure is not None and core.halted is None and core.start_fault is None:
                trader.halt(Reason.LOG_FAILURE, str(parts.logs.failure))
            transport = self._session.statistics()
            self._alerts.on_connection(perf_ns() / NS_PER_S, is_up=transport.is_private_live, why=transport.last_error)
            if core.start_fault is not None:
                self._ending.ask(f"this start failed: {core.start_fault.label}")
            if core.is_done:
                if core.halted is not None:
                    self._ending.ask(f"halted: {core.halted.label}")
                self._over.set()
            await asyncio.sleep(_WATCH_S)

    def _tell_of_journal(self, text: str) -> None:
        logger.warning("{}", text)
        self._parts.alerts.send(AlertKind.JOURNAL, "the journal", text)

    def _tell_of_disk(self, text: str) -> None:
        logger.warning("{}", text)
        self._parts.alerts.send(AlertKind.DISK, "disk space", text)

    async def _write_the_rest(self) -> bool:
        """Have the journal take what it is owed; whether it did."""
        has_failed = self.core.halted is Reason.LOG_FAILURE
        if await self.trader.owed.settle(_WATCH_S if has_failed else _LAST_WRITE_S):
            return True
        logger.critical("{} steps are not in the journal: it does not know how this run ended", len(self.trader.owed))
        return False

    def _condition(self) -> FeedCondition:
        transport = self._session.statistics()
        lag_ns = self._lag.p99_ns
        return FeedCondition(
            connected=transport.is_connected,
            reconnects=max(0, transport.connects - 1),
            lag_p99_ms=None if lag_ns is None else lag_ns / NS_PER_MS,
        )

    def _finish(self, observer: Observer) -> int:
        core, parts = self.core, self._parts
        halted = core.halted
        ended = self._ending.why if halted is None else f"halted: {halted.label}"
        if core.orders.any_live or not self._is_shown:
            ended = f"{ended}; NOT CONFIRMED by the venue"
        summary = observer.summary(self._condition(), log_dir=str(parts.log_dir), ended=ended)
        parts.screen.end(summary_table(summary))
        logger.info("ended: {}", ended)
        parts.alerts.send(AlertKind.STOP, "stopped", f"{ended}; {self._last_words()}")
        if halted is not None:
            return cli.EXIT_HALTED
        was_to_be_flat = self._cfg.risk.stop_flat and core.inventory.position != 0
        is_done = self._is_shown and not core.orders.any_live and not was_to_be_flat and core.start_fault is None
        return cli.EXIT_DONE if is_done else cli.EXIT_FAILED  # what is not shown is not done
