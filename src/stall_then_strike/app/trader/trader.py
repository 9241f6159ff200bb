"""Connects the core: events in from any source, actions out to the outbox, rows out to the logs.

A trader has no loop. ``realtime`` drives it from a live feed and timers, ``virtual`` from a list of stamped messages;
both call the same methods, so tapes and live markets are traded by the same code. ``PaperTrader`` is here, the live
trader in ``live_trader``; they differ in their venue.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from loguru import logger

from stall_then_strike.app.trader.outbox import MOST_WAITING, InlineOutbox, Outbox
from stall_then_strike.app.trader.owed_steps import ChangeLog
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.core import Core
from stall_then_strike.engine.executor import OrderExecutor
from stall_then_strike.engine.gateway import EventSink
from stall_then_strike.engine.portfolio import Portfolio
from stall_then_strike.engine.strategies import configured
from stall_then_strike.engine.strategy import MakeStrategy
from stall_then_strike.engine.venue.account import TAKEN_TAG
from stall_then_strike.engine.venue.calendar import TradingCalendar
from stall_then_strike.engine.venue.shared import Shared
from stall_then_strike.infra.clock import Clock, perf_ns
from stall_then_strike.infra.market_source import FeedStatistics, MarketEvent
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
    Notice,
    OrderEvent,
    OrderEventKind,
    OrderLogRow,
    PublicTrades,
    Reason,
    Row,
    Step,
    Tick,
    TradeLogRow,
)
from stall_then_strike.venues.venue_rules import venue_rules

# Enum members resolved once: in Python 3.11, reading one off its class costs as much as a call.
_OK: Final = BookStatus.OK
_UNKNOWN: Final = BookStatus.UNKNOWN
_ACCEPTED: Final = OrderEventKind.ACCEPTED

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


class DayFills:
    """Counts the fills of a trading day, those of earlier runs included if they are told."""

    def __init__(self, calendar: TradingCalendar) -> None:
        """None is told yet."""
        self._calendar, self._span, self._count = calendar, (0, 0), 0

    def add(self, row: TradeLogRow) -> None:
        """Count a row of the trade log; a position that was taken over is no fill."""
        if row.tag == TAKEN_TAG:
            return
        if row.ts_ns >= self._span[1]:
            self._span, self._count = self._calendar.span(self._calendar.day(row.ts_ns)), 0
        self._count += row.ts_ns >= self._span[0]

    def of(self, now_ns: int) -> int:
        """Those of the day of ``now_ns``."""
        return self._count if now_ns < self._span[1] else 0


class Seat:
    """One instrument of a trader: its core, and what belongs to this core alone."""

    def __init__(self, number: int, core: Core, feed: Feed, logs: RowLog, outbox: Outbox) -> None:
        """``number`` is the instrument's in the portfolio."""
        self.number, self.core, self.feed, self.logs, self.outbox = number, core, feed, logs, outbox
        self.recent_decisions: deque[DecisionLogRow] = deque(maxlen=RECENT)
        self.recent_trades: deque[TradeLogRow] = deque(maxlen=RECENT)
        self.day_fills = DayFills(TradingCalendar(core.cfg.session))

    def record(self, row: TradeLogRow | OrderLogRow | DecisionLogRow) -> None:
        """Log a row, and keep the newest for the panel."""
        if isinstance(row, DecisionLogRow):
            self.recent_decisions.append(row)
        elif isinstance(row, TradeLogRow):
            self.recent_trades.append(row)
            self.day_fills.add(row)
        self.logs.write(row)


class Trader:
    """A portfolio with its clock, and for each core its logs and outbox. Subclasses handle their venue's events.

    Order within a step: changes to the journal, actions to the outbox, rows to the logs. Events that arrive during a
    step are queued.
    """

    def __init__(self, portfolio: Portfolio, clock: Clock, seats: Sequence[Seat]) -> None:
        """Nothing is started yet. ``seats`` are in the order of the portfolio's cores."""
        self.portfolio = portfolio
        self._alone = portfolio.alone
        self.seats = tuple(seats)
        first = self.seats[0]
        self.core, self.feed, self.logs = first.core, first.feed, first.logs
        """Those of the first instrument, or of the only one."""
        self.recent_decisions, self.recent_trades = first.recent_decisions, first.recent_trades
        self.clock = clock
        self.on_step: Callable[[], None] = lambda: None
        """Called after each step, because the next deadline may have changed."""
        self.on_input: Callable[[Event, int, int], None] | None = None
        """Called with each event just before its core gets it, the time given to the core, and the instrument."""
        self.latency = LatencyHistogram()
        """Time from the receipt of a board message's text to the core's answer."""
        self.round_trip = LatencyHistogram()
        """Time from the decision to send an order to the venue's acceptance, on the run's clock."""
        self._inbox: deque[tuple[Event, int]] = deque()
        self._is_stepping = False
        self._late_rows: deque[tuple[Seat, Row]] = deque()
        self._is_sending = False
        self._unknown_ns: dict[int, int] = {}
        """Since when the book of an instrument is unknown, by its number."""
        self._runtime = logger.opt(depth=1)

    @property
    def next_deadline_ns(self) -> int:
        """When :meth:`wake` is to be called if no event comes before."""
        return self.portfolio.next_deadline_ns

    def wake(self) -> None:
        """A deadline has come."""
        self.on_event(Tick(ts_ns=self.clock.now_ns()))

    def on_market(self, event: MarketEvent, started_ns: int | None = None, number: int = 0) -> None:
        """Take one market event of an instrument. Public executions do not go to the core.

        ``started_ns`` is when its text arrived, by ``perf_ns``.
        """
        if isinstance(event, BoardSnapshot):
            if event.status is _UNKNOWN or self._unknown_ns:
                self._tell_of_gaps(event, number)
            self.on_event(event, number)
            if started_ns is not None:
                self.latency.add(perf_ns() - started_ns)
        elif isinstance(event, PublicTrades):
            self._on_prints(event, number)
        else:
            self.on_event(event, number)

    def sink(self, number: int) -> EventSink:
        """Where an instrument's answers and events of its venue go."""
        return self.on_event if number == 0 else partial(self.on_event, number=number)

    def _on_prints(self, message: PublicTrades, number: int) -> None:
        """Called with public executions, for subclasses."""

    def _tell_of_gaps(self, board: BoardSnapshot, number: int) -> None:
        """Log when an UNKNOWN book is known again. The connection logs the loss."""
        if board.status is _UNKNOWN:
            self._unknown_ns[number] = board.ts_ns
        elif (since_ns := self._unknown_ns.pop(number, None)) is not None:
            of = f" of {self.seats[number].core.instrument.product_code}" if len(self.seats) > 1 else ""
            self._runtime.info("the book{} is known again after {:.1f} s", of, (board.ts_ns - since_ns) / NS_PER_S)

    def on_event(self, event: Event, number: int = 0) -> None:
        """Take an event of the instrument with this number. One that arrives during a step is taken after it."""
        if self._is_stepping:
            self._inbox.append((event, number))
            return
        self._is_stepping = True
        try:
            self._step(event, number)
            while self._inbox:
                self._step(*self._inbox.popleft())
        finally:
            self._is_stepping = False

    def _step(self, event: Event, number: int) -> None:
        """The only place that calls the portfolio's step."""
        now_ns = self.clock.now_ns()
        if self.on_input is not None:
            self.on_input(event, now_ns, number)
        if (core := self._alone) is not None:  # the account is its only instrument: see `Portfolio.alone`
            step = core.on_event(event, now_ns)
            if step is not NOTHING:
                self._take(self.seats[0], step)
        else:
            for taken in self.portfolio.on_event(event, now_ns, number):
                self._take(self.seats[taken.number], taken.step)
        if type(event) is OrderEvent and event.kind is _ACCEPTED and event.order_id is not None:
            order = self.seats[number].core.orders.by_id(event.order_id)
            if order is not None:
                self.round_trip.add(event.ts_ns - order.sent_ns)
        self.on_step()

    def _remember(self, changes: Changes, seat: Seat) -> None:
        """Store a step's changes in the journal, if there is one, before any of its actions is sent."""

    def _on_changes(self, changes: Changes, seat: Seat) -> None:
        """Called with a step's changes after its actions were taken, for subclasses."""

    def _take(self, seat: Seat, step: Step) -> None:
        """Process a step: journal, outbox, then logs."""
        changes = step.changes
        if changes is not None:
            self._remember(changes, seat)
        if step.actions:
            seat.outbox.put(step.actions)
        if not self._is_sending:
            for row in step.rows:
                self._record(seat, row)
        elif step.rows:
            if not self._late_rows:
                asyncio.get_running_loop().call_later(_LOG_PAUSE_S, self._log_rows)
            self._late_rows.extend([(seat, row) for row in step.rows])
        if changes is not None:
            self._on_changes(changes, seat)

    def _log_rows(self) -> None:
        while self._late_rows:
            self._record(*self._late_rows.popleft())

    async def send(self) -> None:
        """Send actions as they come, until cancelled. Log rows are delayed a moment meanwhile."""
        self._is_sending = True
        try:
            if len(self.seats) == 1:
                await self.seats[0].outbox.send()
                return
            async with asyncio.TaskGroup() as tasks:
                for seat in self.seats:
                    tasks.create_task(seat.outbox.send())
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

    def _record(self, seat: Seat, row: Row) -> None:
        if not isinstance(row, Notice):
            seat.record(row)
        elif len(self.seats) > 1:
            self._runtime.log(row.level, f"{seat.core.instrument.product_code}: {row.text}")
        else:
            self._runtime.log(row.level, row.text)


class PaperTrader(Trader):
    """The cores of one account, and for each of them a paper gateway and an executor."""

    def __init__(
        self,
        cfg: AppConfig,
        clock: Clock,
        feed: Feed,
        logs: RowLog,
        journal: ChangeLog | None = None,
        *,
        others: Sequence[tuple[Feed, RowLog]] = (),
        strategy: MakeStrategy = configured,
    ) -> None:
        """Nothing is started yet. Each paper gateway reads the book of its instrument's feed.

        ``feed`` and ``logs`` are the first instrument's, ``others`` are those of the others, in the order of ``cfg``.
        Without ``journal`` nothing is stored.
        """
        venue = venue_rules(cfg)
        shared, each = Shared(cfg, venue), cfg.by_instrument()
        cores = [Core(one, shared, strategy=strategy, is_remembered=journal is not None) for one in each]
        self._journal = journal
        sinks = [self.sink(number) for number in range(len(cores))]
        self.papers = tuple(
            PaperGateway(
                cfg.paper,
                cfg.session,
                core.instrument,
                venue,
                sink=sink,
                now_ns=clock.now_ns,
                place=(number, len(each)),
            )
            for number, (core, sink) in enumerate(zip(cores, sinks, strict=True))
        )
        self.outboxes = tuple(
            # A cancel in flight at the paper venue is a new deadline without an event: read the deadline after sending.
            InlineOutbox(
                OrderExecutor(paper, sink, clock.now_ns, batch=MOST_WAITING, post_only=venue.post_only),
                on_sent=lambda: self.on_step(),
            )
            for paper, sink in zip(self.papers, sinks, strict=True)
        )
        self._waiting = tuple(outbox.actions for outbox in self.outboxes)
        places = zip(cores, ((feed, logs), *others), self.outboxes, strict=True)
        seats = [Seat(number, core, *place, outbox) for number, (core, place, outbox) in enumerate(places)]
        super().__init__(Portfolio(cfg.risk, cores), clock, seats)

    def _remember(self, changes: Changes, seat: Seat) -> None:
        if self._journal is not None:
            self._journal.record(changes)

    @property
    def has_waiting(self) -> bool:
        """Whether any action waits to be sent."""
        return any(self._waiting)

    async def send_waiting(self) -> None:
        """Send the waiting actions of all instruments, and those that their answers lead to, of whichever."""
        while self.has_waiting:
            for outbox in self.outboxes:
                if outbox.actions:
                    await outbox.send_waiting()

    @property
    def next_deadline_ns(self) -> int:
        """When :meth:`wake` is to be called if no event comes before."""
        if self._alone is None:
            return min(self.portfolio.next_deadline_ns, *(paper.next_deadline_ns for paper in self.papers))
        core_ns, paper_ns = self._alone.next_deadline_ns, self.papers[0].next_deadline_ns
        return core_ns if core_ns < paper_ns else paper_ns

    def wake(self) -> None:
        """A deadline has come."""
        self._advance()
        super().wake()

    def _advance(self) -> None:
        now_ns = self.clock.now_ns()
        for paper in self.papers:
            paper.advance(now_ns)

    def on_market(self, event: MarketEvent, started_ns: int | None = None, number: int = 0) -> None:
        """Take one market event: the paper venue sees it first, as the market would have, then the core."""
        self._advance()
        paper = self.papers[number]
        if isinstance(event, BoardSnapshot):
            book = self.seats[number].feed.board if event.status is _OK else None
            paper.on_book(book, event.ts_ns)
        elif isinstance(event, PublicTrades):
            paper.on_trades(event)
        else:
            paper.on_status(event)
        super().on_market(event, started_ns, number)
