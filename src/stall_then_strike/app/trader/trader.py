"""The core with its surroundings: events in from any source, actions out to the executor, rows out to the logs.

A trader has no loop of its own. ``realtime`` drives it from a live feed and timers, ``virtual`` from a list of stamped
messages; both call the same methods, so that a tape is traded by the same code as the market. ``PaperTrader`` is here,
the live one in ``live``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from loguru import logger

from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.core import Core
from stall_then_strike.engine.executor import OrderExecutor
from stall_then_strike.infra.bitflyer.feed import FeedStatistics, MarketEvent
from stall_then_strike.infra.clock import Clock, perf_ns
from stall_then_strike.infra.watch.histogram import LatencyHistogram
from stall_then_strike.sim.paper import PaperGateway
from stall_then_strike.types.dto import (
    NS_PER_S,
    Action,
    BoardSnapshot,
    BookReader,
    BookStatus,
    Command,
    Control,
    DecisionLogRow,
    Event,
    Notice,
    OrderLogRow,
    PublicTrades,
    Reason,
    Row,
    Step,
    Tick,
    TradeLogRow,
)

OUTBOX: Final = 1_000
"""Actions that may wait for the executor. A strike is two; more than a few waiting means that sending has stopped."""
RECENT: Final = 30


class RowLog(Protocol):
    """Where CSV rows go."""

    def write(self, row: TradeLogRow | OrderLogRow | DecisionLogRow) -> None:
        """Take one row without blocking."""
        ...


class Feed(Protocol):
    """Where market events come from, as far as a trader looks back at it."""

    @property
    def board(self) -> BookReader:
        """The displayed book after the last event."""
        ...

    def statistics(self) -> FeedStatistics:
        """Counts so far."""
        ...


class OutboxFull(RuntimeError):
    """The executor no longer sends."""


class Trader:
    """A core with its clock, its logs and what waits to be sent. Subclasses bring the gateway."""

    def __init__(self, core: Core, clock: Clock, feed: Feed, logs: RowLog) -> None:
        """Everything is given; nothing is started."""
        self.core = core
        self.clock = clock
        self.feed = feed
        self.logs = logs
        self.outbox: deque[Action] = deque()
        self._waiting = asyncio.Event()
        self.on_step: Callable[[], None] = lambda: None
        """Called after each step, when the next deadline may have moved."""
        self.on_input: Callable[[Event, int], None] | None = None
        """Told of each event just before the core is, with the moment that the core is told."""
        self.latency = LatencyHistogram()
        """From the text of a board message to the core's answer."""
        self.recent_decisions: deque[DecisionLogRow] = deque(maxlen=RECENT)
        self.recent_trades: deque[TradeLogRow] = deque(maxlen=RECENT)
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
        """Take one market event; executions of others concern no core.

        ``started_ns`` is when its text arrived, on the stopwatch of ``perf_ns``.
        """
        if isinstance(event, PublicTrades):
            return
        if isinstance(event, BoardSnapshot):
            self._tell_of_gaps(event)
        self.on_event(event)
        if started_ns is not None and isinstance(event, BoardSnapshot):
            self.latency.add(perf_ns() - started_ns)

    def _tell_of_gaps(self, board: BoardSnapshot) -> None:
        """Say when a book that was lost is known again; its loss is told by the connection."""
        if board.status is BookStatus.UNKNOWN:
            self._unknown_ns = board.ts_ns
        elif self._unknown_ns is not None:
            self._runtime.info("the book is known again after {:.1f} s", (board.ts_ns - self._unknown_ns) / NS_PER_S)
            self._unknown_ns = None

    def on_event(self, event: Event) -> None:
        """One step of the core; its rows are written and its actions queued."""
        self._take(self._ask_core(event))

    def _ask_core(self, event: Event) -> Step:
        """The one door to the core's steps."""
        now_ns = self.clock.now_ns()
        if self.on_input is not None:
            self.on_input(event, now_ns)
        return self.core.on_event(event, now_ns)

    def _take(self, step: Step) -> None:
        for row in step.rows:
            self._record(row)
        if step.actions:
            self._put_out(step.actions)
        self.on_step()

    def _put_out(self, actions: Sequence[Action]) -> None:
        """Queue actions for the sender."""
        if len(self.outbox) + len(actions) > OUTBOX:
            raise OutboxFull(f"more than {OUTBOX} actions wait to be sent")
        self.outbox.extend(actions)
        self._waiting.set()

    async def send(self) -> None:
        """Send actions as they come, for ever."""
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            await self.send_waiting()

    async def send_waiting(self) -> None:
        """Send what is in the outbox."""
        raise NotImplementedError

    def halt(self, reason: Reason, detail: str) -> None:
        """Trip the kill switch from outside."""
        self._control(Command.HALT, reason, detail)

    def stop(self, *, flat: bool = False) -> None:
        """Cancel and strike no more; ``flat``: close the position, too."""
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

    def __init__(self, cfg: AppConfig, clock: Clock, feed: Feed, logs: RowLog) -> None:
        """Everything is given; nothing is started. ``feed`` is where the paper gateway reads the book."""
        super().__init__(Core(cfg), clock, feed, logs)
        self.paper = PaperGateway(cfg.paper, cfg.session, self.core.instrument, sink=self.on_event, now_ns=clock.now_ns)
        self.executor = OrderExecutor(self.paper, self.on_event, clock.now_ns, is_instant=True)

    @property
    def next_deadline_ns(self) -> int:
        """When :meth:`wake` is to be called if no event comes before."""
        core, paper = self.core.next_deadline_ns, self.paper.next_deadline_ns
        return core if paper is None else min(core, paper)

    def wake(self) -> None:
        """A deadline has come."""
        self.paper.advance(self.clock.now_ns())
        super().wake()

    def on_market(self, event: MarketEvent, started_ns: int | None = None) -> None:
        """Take one market event: the paper venue sees it first, as the market would have, then the core."""
        self.paper.advance(self.clock.now_ns())
        if isinstance(event, PublicTrades):
            self.paper.on_trades(event)
        elif isinstance(event, BoardSnapshot):
            book = self.feed.board if event.status is BookStatus.OK else None
            self.paper.on_book(book, event.ts_ns)
        else:
            self.paper.on_status(event)
        super().on_market(event, started_ns)

    async def send_waiting(self) -> None:
        """Send what is in the outbox."""
        while self.outbox:
            batch = tuple(self.outbox)
            self.outbox.clear()
            await self.executor.execute(batch)
        self.on_step()  # a cancel taken by the paper venue is a deadline that no event tells of
