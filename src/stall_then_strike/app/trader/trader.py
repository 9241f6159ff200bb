"""Connects the core: events in from any source, actions out to the outbox, rows out to the logs.

A trader has no loop. ``realtime`` drives it from a live feed and timers, ``virtual`` from a list of stamped messages;
both call the same methods, so tapes and live markets are traded by the same code. ``PaperTrader`` is here, the live
trader in ``live_trader``; they differ in their venue.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from loguru import logger

from stall_then_strike.app.trader.outbox import MOST_WAITING, InlineOutbox, Outbox
from stall_then_strike.app.trader.owed_steps import ChangeLog
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.core import Core
from stall_then_strike.engine.executor import OrderExecutor
from stall_then_strike.engine.strategy import MakeStrategy
from stall_then_strike.engine.strategy_stall import stall_then_strike
from stall_then_strike.engine.venue.shared import Shared
from stall_then_strike.infra.bitflyer.bitflyer_rules import bitflyer_rules
from stall_then_strike.infra.bitflyer.feed import FeedStatistics, MarketEvent
from stall_then_strike.infra.clock import Clock, perf_ns
from stall_then_strike.infra.watch.histogram import LatencyHistogram
from stall_then_strike.sim.paper import PaperGateway
from stall_then_strike.types.dto import (
    NOTHING,
    NS_PER_S,
    BoardSnapshot,
    BookReader,
    BookStatus,
    Changes,
    Command,
    Control,
    DecisionLogRow,
    Event,
    Fact,
    Notice,
    OrderLogRow,
    PublicTrades,
    Reason,
    Row,
    Step,
    Tick,
    TradeLogRow,
)

# Enum members resolved once: in Python 3.11, reading one off its class costs as much as a call.
_OK: Final = BookStatus.OK
_UNKNOWN: Final = BookStatus.UNKNOWN

RECENT: Final = 30
_LOG_PAUSE_S: Final = 0.002
"""How long log rows wait in real time, so that requests are sent first: formatting rows and waking the threads that
write them takes about as long as sending."""


class RowLog(Protocol):
    """Writes CSV rows."""

    def write(self, row: TradeLogRow | OrderLogRow | DecisionLogRow) -> None:
        """Take one row without blocking."""
        ...


class Feed(Protocol):
    """The source of market events, as far as a trader reads it."""

    @property
    def board(self) -> BookReader:
        """The displayed book after the last event."""
        ...

    def statistics(self) -> FeedStatistics:
        """Counts so far."""
        ...


class Trader:
    """A core with its clock, its logs and its outbox. Subclasses handle market events for their venue.

    Order within a step: changes to the journal, actions to the outbox, rows to the logs. Events that arrive during a
    step are queued.
    """

    def __init__(self, core: Core, clock: Clock, feed: Feed, logs: RowLog, outbox: Outbox) -> None:
        """Nothing is started yet."""
        self.core = core
        self.clock = clock
        self.feed = feed
        self.logs = logs
        self._outbox = outbox
        self.on_step: Callable[[], None] = lambda: None
        """Called after each step, because the next deadline may have changed."""
        self.on_input: Callable[[Event, int], None] | None = None
        """Called with each event just before the core gets it, and with the time given to the core."""
        self.latency = LatencyHistogram()
        """Time from the receipt of a board message's text to the core's answer."""
        self.recent_decisions: deque[DecisionLogRow] = deque(maxlen=RECENT)
        self.recent_trades: deque[TradeLogRow] = deque(maxlen=RECENT)
        self._inbox: deque[Event] = deque()
        self._is_stepping = False
        self._late_rows: deque[Row] = deque()
        self._is_sending = False
        self._unknown_ns: int | None = None
        self._runtime = logger.opt(depth=1)

    @property
    def next_deadline_ns(self) -> int:
        """When :meth:`wake` is to be called if no event comes before."""
        return self.core.next_deadline_ns

    def wake(self) -> None:
        """A deadline has come."""
        self.on_event(Tick(ts_ns=self.clock.now_ns()))

    def on_market(self, event: MarketEvent, started_ns: int | None = None) -> None:
        """Take one market event. Public executions do not go to the core.

        ``started_ns`` is when its text arrived, by ``perf_ns``.
        """
        if isinstance(event, BoardSnapshot):
            if event.status is _UNKNOWN or self._unknown_ns is not None:
                self._tell_of_gaps(event)
            self.on_event(event)
            if started_ns is not None:
                self.latency.add(perf_ns() - started_ns)
        elif isinstance(event, PublicTrades):
            self._on_prints(event)
        else:
            self.on_event(event)

    def _on_prints(self, message: PublicTrades) -> None:
        """Called with public executions, for subclasses."""

    def _tell_of_gaps(self, board: BoardSnapshot) -> None:
        """Log when an UNKNOWN book is known again. The connection logs the loss."""
        if board.status is _UNKNOWN:
            self._unknown_ns = board.ts_ns
        elif self._unknown_ns is not None:
            self._runtime.info("the book is known again after {:.1f} s", (board.ts_ns - self._unknown_ns) / NS_PER_S)
            self._unknown_ns = None

    def on_event(self, event: Event) -> None:
        """Take one step of the core. An event that arrives during a step is taken after it."""
        if self._is_stepping:
            self._inbox.append(event)
            return
        self._is_stepping = True
        try:
            self._step(event)
            while self._inbox:
                self._step(self._inbox.popleft())
        finally:
            self._is_stepping = False

    def _step(self, event: Event) -> None:
        """The only place that calls the core's step."""
        now_ns = self.clock.now_ns()
        if self.on_input is not None:
            self.on_input(event, now_ns)
        step = self.core.on_event(event, now_ns)
        if step is not NOTHING:
            self._take(step)
        self.on_step()

    def _remember(self, changes: Changes) -> None:
        """Store a step's changes in the journal, if there is one, before any of its actions is sent."""

    def _on_fact(self, fact: Fact) -> None:
        """Called with each fact, for subclasses."""

    def _take(self, step: Step) -> None:
        """Process a step: journal, outbox, then logs."""
        changes = step.changes
        if changes is not None:
            self._remember(changes)
        if step.actions:
            self._outbox.put(step.actions)
        if not self._is_sending:
            for row in step.rows:
                self._record(row)
        elif step.rows:
            if not self._late_rows:
                asyncio.get_running_loop().call_later(_LOG_PAUSE_S, self._log_rows)
            self._late_rows.extend(step.rows)
        if changes is not None:
            for fact in changes.facts:
                self._on_fact(fact)

    def _log_rows(self) -> None:
        while self._late_rows:
            self._record(self._late_rows.popleft())

    async def send(self) -> None:
        """Send actions as they come, until cancelled. Log rows are delayed a moment meanwhile."""
        self._is_sending = True
        try:
            await self._outbox.send()
        finally:
            self._is_sending = False
            self._log_rows()

    def halt(self, reason: Reason, detail: str) -> None:
        """Trip the kill switch from outside."""
        self._control(Command.HALT, reason, detail)

    def stop(self, *, flat: bool = False) -> None:
        """Cancel all quotes and stop striking; ``flat``: close the position, too."""
        self._control(Command.STOP_FLAT if flat else Command.STOP, Reason.STOPPING)

    def _control(self, command: Command, reason: Reason, detail: str = "") -> None:
        self.on_event(Control(ts_ns=self.clock.now_ns(), command=command, reason=reason, detail=detail))

    def _record(self, row: Row) -> None:
        if isinstance(row, Notice):
            self._runtime.log(row.level, row.text)
            return
        if isinstance(row, DecisionLogRow):
            self.recent_decisions.append(row)
        elif isinstance(row, TradeLogRow):
            self.recent_trades.append(row)
        self.logs.write(row)


class PaperTrader(Trader):
    """One core, one paper gateway, one executor."""

    def __init__(
        self,
        cfg: AppConfig,
        clock: Clock,
        feed: Feed,
        logs: RowLog,
        journal: ChangeLog | None = None,
        *,
        strategy: MakeStrategy = stall_then_strike,
    ) -> None:
        """Nothing is started yet. The paper gateway reads the book of ``feed``.

        Without ``journal`` nothing is stored.
        """
        venue = bitflyer_rules(cfg)
        core = Core(cfg, Shared(cfg, venue), strategy=strategy, is_remembered=journal is not None)
        self._journal = journal
        self.paper = PaperGateway(
            cfg.paper, cfg.session, core.instrument, venue, sink=self.on_event, now_ns=clock.now_ns
        )
        executor = OrderExecutor(self.paper, self.on_event, clock.now_ns, batch=MOST_WAITING, post_only=venue.post_only)
        # A cancel in flight at the paper venue is a new deadline without an event: read the deadline after sending.
        self.outbox = InlineOutbox(executor, on_sent=lambda: self.on_step())
        super().__init__(core, clock, feed, logs, self.outbox)

    def _remember(self, changes: Changes) -> None:
        if self._journal is not None:
            self._journal.record(changes)

    @property
    def next_deadline_ns(self) -> int:
        """When :meth:`wake` is to be called if no event comes before."""
        core_ns, paper_ns = self.core.next_deadline_ns, self.paper.next_deadline_ns
        return core_ns if core_ns < paper_ns else paper_ns

    def wake(self) -> None:
        """A deadline has come."""
        self.paper.advance(self.clock.now_ns())
        super().wake()

    def on_market(self, event: MarketEvent, started_ns: int | None = None) -> None:
        """Take one market event: the paper venue sees it first, as the market would have, then the core."""
        self.paper.advance(self.clock.now_ns())
        if isinstance(event, BoardSnapshot):
            book = self.feed.board if event.status is _OK else None
            self.paper.on_book(book, event.ts_ns)
        elif isinstance(event, PublicTrades):
            self.paper.on_trades(event)
        else:
            self.paper.on_status(event)
        super().on_market(event, started_ns)
