"""The live trader: what the core changes is in the journal before its quotes are sent, and sending waits for nothing.

A slow or lost answer must not hold up a cancel, so every action is sent by a task of its own, which begins in the next
turn of the event loop; how many may be under way at once is bounded. Log rows come after that: formatting them and
waking the threads that write them takes about as long as sending. Facts that come while a step is being taken wait
their turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from loguru import logger

from stall_then_strike.app.trader.live_alerts import JOURNAL
from stall_then_strike.app.trader.owed_steps import EXIT_WAIT_S, QUOTE_WAIT_S, ChangeLog, OwedSteps
from stall_then_strike.app.trader.trader import RowLog, Trader
from stall_then_strike.engine.core import Core
from stall_then_strike.engine.executor import OrderExecutor
from stall_then_strike.engine.gateway import AccountReader, OrderGateway
from stall_then_strike.engine.venue.reconciler import REPORT_CALLS
from stall_then_strike.infra.bitflyer.feed import MarketEvent, MarketFeed
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.infra.orderbook_view import OrderBookView, OwnQuote
from stall_then_strike.types.dto import (
    NS_PER_S,
    Action,
    Changes,
    CloseMarket,
    Command,
    Event,
    ExecId,
    Fact,
    FillEvent,
    OrderEvent,
    OrderEventKind,
    PlaceLimit,
    PrintedFill,
    PublicTrades,
    Reason,
    Reconcile,
    Row,
    Side,
    Step,
)

IN_FLIGHT: Final = 64
"""Actions that may be on their way at once. Each ends within its calls' time limits."""
_TURNS_OF_A_CALL: Final = 2
"""Turns of the event loop until a call is with the system: aiohttp prepares it in one and writes it in the next. Calls
of one step begin so far apart, or the first would wait until the second is prepared as well."""
_LOG_PAUSE_S: Final = 0.002
"""How long log rows wait, so that what is being sent goes first."""
_TOO_LATE_S: Final = 2.0
"""A quote that is so old was decided on before this process stood still, or the machine slept. Real seconds."""


class Venue(OrderGateway, AccountReader, Protocol):
    """What live trading needs of a venue."""


class LiveTrader(Trader):
    """One core, one venue, one journal."""

    def __init__(
        self,
        core: Core,
        clock: ScaledClock,
        feed: MarketFeed,
        view: OrderBookView,
        logs: RowLog,
        journal: ChangeLog,
        venue: Venue,
        *,
        locked_sec: float = 120.0,
        on_fact: Callable[[Fact], None] = lambda fact: None,
    ) -> None:
        """``core`` is made with ``live=True`` and restored; ``on_fact`` hears of what may be worth an alert.

        ``locked_sec``: how long another program may lock the journal before trading halts, real seconds.
        """
        super().__init__(core, clock, feed, logs)
        self.executor = OrderExecutor(venue, self.on_event, clock.now_ns, venue)
        self.owed = OwedSteps(journal, self, locked_sec=locked_sec)
        """Steps on their way into the journal."""
        self.on_asked: Callable[[int], None] | None = None
        """Told of a question that the core did not ask, just before it is booked on the core's budget."""
        self._view = view
        self._on_fact = on_fact
        self._inbox: deque[Event] = deque()
        self._is_stepping = False
        self._too_late_ns = round(_TOO_LATE_S * clock.speed * NS_PER_S)
        self._late_rows: deque[Row] = deque()
        self._tasks: asyncio.TaskGroup | None = None
        self._failure: Exception | None = None
        """What broke a call of ours, and with it the run."""
        self._answered = asyncio.Event()
        self.in_flight = 0
        """Actions without their answer."""

    def on_event(self, event: Event) -> None:
        """One step of the core. What comes from within a step is taken after it."""
        self._inbox.append(event)
        if self._is_stepping:
            return
        self._is_stepping = True
        try:
            while self._inbox:
                self._step(self._inbox.popleft())
        finally:
            self._is_stepping = False

    def _step(self, event: Event) -> None:
        step = self._ask_core(event)
        changes = step.changes
        if changes is not None:
            self.owed.add(changes)
            self._view.set_own(self._own_quotes())
        self._take(step)
        for fact in changes.facts if changes is not None else ():
            self._on_fact(fact)

    def on_market(self, event: MarketEvent, started_ns: int | None = None) -> None:
        """Take one market event. Of the public executions, those of our orders concern the core."""
        if isinstance(event, PublicTrades):
            for fill in self._own_prints(event):
                self.on_event(PrintedFill(ts_ns=event.ts_ns, fill=fill))
        else:
            super().on_market(event, started_ns)

    def _own_prints(self, message: PublicTrades) -> Iterator[FillEvent]:
        known = self.core.orders.by_id
        for trade in message.trades:
            for side, order_id in ((Side.BUY, trade.buy_order_id), (Side.SELL, trade.sell_order_id)):
                if known(order_id) is not None:
                    yield FillEvent(
                        ts_ns=message.ts_ns,
                        exec_id=trade.exec_id,
                        side=side,
                        price=trade.price,
                        size=trade.size,
                        order_id=order_id,
                    )

    # --- the journal

    def on_locked(self) -> None:
        """Strike no more until the journal can be written."""
        self._control(Command.HOLD, Reason.JOURNAL_LOCKED)

    def on_locked_long(self, text: str) -> None:
        """Say who holds trading up."""
        logger.error("{}; no quotes until it lets go", text)
        self.remember(JOURNAL, text)

    def on_failed(self, text: str) -> None:
        """Halt; the halt itself is owed, too."""
        self.halt(Reason.LOG_FAILURE, text)

    def on_written(self, text: str) -> None:
        """Go on."""
        self._control(Command.RELEASE, Reason.JOURNAL_LOCKED)
        if text:
            logger.warning("{}", text)
            self.remember(JOURNAL, text)

    def _own_quotes(self) -> list[OwnQuote]:
        return [
            OwnQuote(side=order.side, price=order.price, remaining=order.remaining)
            for order in self.core.own_orders()
            if order.price is not None
        ]

    # --- sending, then logging

    async def send(self) -> None:
        """Send actions as they come, for ever, each by itself."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            writing = tasks.create_task(self.owed.keep_trying())
            try:
                await super().send()
            finally:
                writing.cancel()
                self._tasks = None
                self._log_rows()

    async def send_waiting(self) -> None:
        """Set off what is in the outbox, as far as there is room."""
        if self._failure is not None:  # the run ends, but not before what is on its way has its answers
            while self.in_flight:
                self._answered.clear()
                await self._answered.wait()
            raise self._failure
        while self._tasks is not None and self.outbox and self.in_flight < IN_FLIGHT:
            self._set_off(self._tasks, self.outbox.popleft())

    def _put_out(self, actions: Sequence[Action]) -> None:
        is_broken = self._failure is not None
        if is_broken or self._tasks is None or self.outbox or self.in_flight + len(actions) > IN_FLIGHT:
            super()._put_out(actions)
            return
        for number, action in enumerate(actions):
            self._set_off(self._tasks, action, number * _TURNS_OF_A_CALL)

    def _set_off(self, tasks: asyncio.TaskGroup, action: Action, turns: int = 0) -> None:
        self.in_flight += 1
        tasks.create_task(self._send(action, turns, self.owed.taken, self.clock.now_ns()))

    def _take(self, step: Step) -> None:
        """As ever, but actions before rows."""
        if step.actions:
            self._put_out(step.actions)
        if step.rows:
            if self._tasks is not None and not self._late_rows:
                asyncio.get_running_loop().call_later(_LOG_PAUSE_S, self._log_rows)
            self._late_rows.extend(step.rows)
        if self._tasks is None:
            self._log_rows()
        self.on_step()

    def _log_rows(self) -> None:
        while self._late_rows:
            self._record(self._late_rows.popleft())

    def remember(self, what: str, detail: str) -> None:
        """Write a fact of the run itself (its start, its end, a pause) into the journal."""
        now_ns = self.clock.now_ns()
        fact = Fact(ts_ns=now_ns, what=what, detail=detail)
        self.owed.add(Changes(ts_ns=now_ns, facts=(fact,)))
        self._on_fact(fact)

    async def ask_account(self, why: str) -> None:
        """Ask for the account although the core does not want to know; return when its word, if any, was taken."""
        now_ns = self.clock.now_ns()
        if self.on_asked is not None:
            self.on_asked(now_ns)
        self.core.budget.reserve_questions(now_ns, REPORT_CALLS)
        account = self.core.account
        since = None if account is None else account.rules.since
        await self.executor.execute((Reconcile(since=since or ExecId(0), why=why),))

    async def wait_sent(self) -> None:
        """Return when nothing waits to be sent and every answer is in, or known not to come."""
        while self.outbox or self.in_flight:
            self._answered.clear()
            await self._answered.wait()

    async def _send(self, action: Action, turns: int, step: int, decided_ns: int) -> None:
        try:
            for _ in range(turns):
                await asyncio.sleep(0)
            is_written = not self.owed or await self.owed.wait_written(step, _wait_s(action))
            if not isinstance(action, PlaceLimit):
                await self.executor.execute((action,))
            elif not is_written:
                self._not_sent(action, "the journal cannot be written")
            elif self.clock.now_ns() - decided_ns >= self._too_late_ns:
                self._not_sent(action, "it was decided on before a pause")
            else:
                await self.executor.execute((action,))
        except Exception as error:  # noqa: BLE001 - raised by `send_waiting`; here it would cut off the other calls
            self._failure = self._failure or error
        finally:
            self.in_flight -= 1
            self._answered.set()
            if self.outbox or self._failure is not None:
                self._waiting.set()

    def _not_sent(self, quote: PlaceLimit, why: str) -> None:
        self.on_event(
            OrderEvent(
                ts_ns=self.clock.now_ns(),
                kind=OrderEventKind.NOT_SENT,
                client_order_id=quote.client_order_id,
                detail=why,
            )
        )


def _wait_s(action: Action) -> float:
    """How long an action waits for its step to be written; a cancel and a question change nothing that is not known."""
    if isinstance(action, PlaceLimit):
        return QUOTE_WAIT_S
    return EXIT_WAIT_S if isinstance(action, CloseMarket) else 0.0
