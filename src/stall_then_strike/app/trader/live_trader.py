"""The live trader: a step's changes are in the journal before its quotes are sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from loguru import logger

from stall_then_strike.app.trader.live_alerts import JOURNAL
from stall_then_strike.app.trader.outbox import TaskOutbox
from stall_then_strike.app.trader.owed_steps import ChangeLog, OwedSteps
from stall_then_strike.app.trader.trader import RowLog, Seat, Trader
from stall_then_strike.engine.core import Core
from stall_then_strike.engine.executor import OrderExecutor
from stall_then_strike.engine.portfolio import Portfolio
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.infra.market_source import InstrumentFeed
from stall_then_strike.infra.orderbook_view import OwnQuote
from stall_then_strike.types.dto import (
    Changes,
    Command,
    ExecId,
    Fact,
    FillEvent,
    PrintedFill,
    PublicTrade,
    PublicTrades,
    Reason,
    Reconcile,
    Side,
)
from stall_then_strike.venues.connection import Desk

_KEPT_PRINTS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePlace:
    """One instrument of a live trader."""

    core: Core
    """Made with an account, and restored."""
    feed: InstrumentFeed
    logs: RowLog
    desk: Desk
    """Sends this instrument's orders, and knows whether the displayed book has them."""


class LiveTrader(Trader):
    """The cores of one account, one venue, one journal."""

    def __init__(
        self,
        portfolio: Portfolio,
        clock: ScaledClock,
        places: Sequence[LivePlace],
        journal: ChangeLog,
        *,
        locked_sec: float = 120.0,
        on_fact: Callable[[Fact, str], None] = lambda fact, product: None,
    ) -> None:
        """``places`` are in the order of the portfolio's cores. ``on_fact`` gets facts that may be worth an
        alert, and of several instruments whose they are.

        ``locked_sec``: how long another program may lock the journal before trading halts, real seconds.
        """
        self.owed = OwedSteps(journal, self, locked_sec=locked_sec)
        """Steps that are not in the journal yet."""
        self.outboxes = [self._outbox(place, number, clock) for number, place in enumerate(places)]
        self.outbox = self.outboxes[0]
        seats = [Seat(n, one.core, one.feed, one.logs, self.outboxes[n]) for n, one in enumerate(places)]
        super().__init__(portfolio, clock, seats)
        self.on_asked: Callable[[int], None] | None = None
        """Called for each account request not made by the core, just before the budget is charged."""
        self._desks = [place.desk for place in places]
        self._prints: list[list[PublicTrade]] = [[] for _ in places]
        """Of each instrument: the latest public executions that may be of an order without a name."""
        self._tell_fact = on_fact

    def _outbox(self, place: LivePlace, number: int, clock: ScaledClock) -> TaskOutbox:
        sink = self.sink(number)
        desk, rules = place.desk, place.core.shared.venue
        executor = OrderExecutor(desk, sink, clock.now_ns, desk, batch=rules.batch, post_only=rules.post_only)
        return TaskOutbox(executor, self.owed, sink, clock, batch=rules.batch)

    def _remember(self, changes: Changes, seat: Seat) -> None:
        self.owed.add(changes)

    def _on_changes(self, changes: Changes, seat: Seat) -> None:
        """Tell the view of the book which orders are ours, before its next message, and tell of facts."""
        self._desks[seat.number].set_own(_own_quotes(seat.core))
        of = seat.core.instrument.product_code if len(self.seats) > 1 else ""
        for fact in changes.facts:
            self._tell_fact(fact, of)

    def _on_prints(self, message: PublicTrades, number: int) -> None:
        """Public executions go to the core only if they are of our orders.

        An execution may overtake the answer that names its order. While an order of ours has no name, those of other
        orders are kept, and looked at again with the next message.
        """
        orders = self.seats[number].core.orders
        own: list[PublicTrade] = []
        others: list[PublicTrade] = []
        for trade in (*self._prints[number], *message.trades):
            is_own = orders.by_id(trade.buy_order_id) or orders.by_id(trade.sell_order_id)
            (own if is_own else others).append(trade)
        is_one_nameless = any(order.order_id is None for order in orders.live())
        self._prints[number] = others[-_KEPT_PRINTS:] if is_one_nameless else []
        for trade in own:
            for fill in self._own_prints(trade, message.ts_ns, number):
                self.on_event(PrintedFill(ts_ns=message.ts_ns, fill=fill), number)

    def _own_prints(self, trade: PublicTrade, ts_ns: int, number: int) -> Iterator[FillEvent]:
        known = self.seats[number].core.orders.by_id
        sides = (Side.BUY, trade.buy_order_id, trade.buy_fee), (Side.SELL, trade.sell_order_id, trade.sell_fee)
        for side, order_id, fee in sides:
            if known(order_id) is not None:
                yield FillEvent(
                    ts_ns=ts_ns,
                    exec_id=trade.exec_id,
                    side=side,
                    price=trade.price,
                    size=trade.size,
                    fee=fee,
                    order_id=order_id,
                )

    # --- the journal

    def on_locked(self) -> None:
        """Stop striking until the journal can be written."""
        self._control(Command.HOLD, Reason.JOURNAL_LOCKED)

    def on_locked_long(self, text: str) -> None:
        """Tell the operator which program blocks trading."""
        logger.error("{}; no quotes until it lets go", text)
        self.remember(JOURNAL, text)

    def on_failed(self, text: str) -> None:
        """Halt trading. The halt is then an owed step, too."""
        self.halt(Reason.LOG_FAILURE, text)

    def on_written(self, text: str) -> None:
        """Resume striking."""
        self._control(Command.RELEASE, Reason.JOURNAL_LOCKED)
        if text:
            logger.warning("{}", text)
            self.remember(JOURNAL, text)

    # --- outside the core

    async def send(self) -> None:
        """Send actions as they come, and write owed steps, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(self.owed.keep_trying())
            try:
                await super().send()
            finally:
                writing.cancel()

    def remember(self, what: str, detail: str) -> None:
        """Write a fact of the run itself (its start, its end, a pause) into the journal."""
        now_ns = self.clock.now_ns()
        fact = Fact(ts_ns=now_ns, what=what, detail=detail)
        self.owed.add(Changes(ts_ns=now_ns, facts=(fact,)))
        self._tell_fact(fact, "")

    async def ask_account(self, why: str) -> None:
        """Request the account without the core. Returns when the answer, if any, was processed."""
        async with asyncio.TaskGroup() as tasks:
            for seat, outbox in zip(self.seats, self.outboxes, strict=True):
                now_ns = self.clock.now_ns()
                if self.on_asked is not None:
                    self.on_asked(now_ns)
                seat.core.budget.reserve_questions(now_ns, seat.core.shared.venue.report_calls)
                account = seat.core.account
                since = None if account is None else account.rules.since
                question = Reconcile(since=since or ExecId(0), why=why)
                tasks.create_task(outbox.executor.execute((question,)))

    async def wait_sent(self) -> None:
        """Return when nothing waits to be sent and every action is answered or known to stay unanswered."""
        for outbox in self.outboxes:
            await outbox.wait_sent()


def _own_quotes(core: Core) -> list[OwnQuote]:
    return [
        OwnQuote(side=order.side, price=order.price, remaining=order.remaining)
        for order in core.orders.quotes()
        if order.price is not None
    ]
