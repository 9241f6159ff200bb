"""The account at the venue, as far as live trading has to know it: whose book is right, and what follows.

Joins what a report proves (`evidence.py`) with when it is asked for (`reconciler.py`). A report is taken in this order:
names of orders whose answers were lost, executions, the states of orders, executions of strangers, position, cash. What
it finds goes through the same door as the venue's events, so that a fill counts once whichever way it came.

What is not ours: orders of others are reported and left alone unless ``foreign_orders`` says otherwise; their
executions change the account's position, hence ours, and are booked under the tag ``foreign``. A position that was
there before the first run is taken over at its cost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stall_then_strike.config.models import AccountConfig, ForeignOrders
from stall_then_strike.engine.budget import Budget
from stall_then_strike.engine.evidence import Evidence, is_ghost, names_and_strangers, overdue_at_ns, states
from stall_then_strike.engine.inventory import InventoryManager
from stall_then_strike.engine.orders import Order, Orders
from stall_then_strike.engine.reconciler import PERIOD, REPORT_CALLS, Books, Reconciler
from stall_then_strike.engine.recording import Recorder
from stall_then_strike.types.dto import (
    NS_PER_S,
    AccountReport,
    CoreMemo,
    ExecId,
    FillEvent,
    FundingEvent,
    OrderEvent,
    OrderEventKind,
    OrderId,
    PrivateChannel,
    Reason,
    Reconcile,
    ReportedOrder,
    ReportFailed,
)
from stall_then_strike.types.instrument import Instrument, Money

FOREIGN_TAG: Final = "foreign"
CORRECTION_TAG: Final = "correction"
_RETRY_NS: Final = 1 * NS_PER_S
FORGET_NS: Final = 10 * NS_PER_S
"""Age at which an event that no order of ours claims is forgotten, if the books agree without it."""
_RENEW_NS: Final = 60 * NS_PER_S
"""Least pause between two renewals of a connection whose private channel is silent."""


class Account:
    """Keeper of the account's truth. Orders change through ``apply`` only; the position's strangers are booked here."""

    def __init__(
        self,
        cfg: AccountConfig,
        instrument: Instrument,
        *,
        orders: Orders,
        inventory: InventoryManager,
        budget: Budget,
        record: Recorder,
        apply: Callable[[OrderEvent | FillEvent], bool],
    ) -> None:
        """``apply`` takes a fact on an order in and says whether it was news."""
        self._orders, self._inventory, self._budget = orders, inventory, budget
        self._record, self._apply = record, apply
        self._instrument = instrument
        self._cancels_strangers = cfg.foreign_orders is ForeignOrders.CANCEL
        self._reported: set[OrderId] = set()
        self._renewed_ns = 0
        self._ask_ns = 0
        self._ask_why = ""
        self.rules = Reconciler(cfg, instrument)
        self.strangers: tuple[ReportedOrder, ...] = ()
        """Orders on the book, by the last report, that are not ours."""
        self.to_cancel: list[OrderId] = []
        """Orders on the book, found by the last report, that should not be there."""
        self.reported_ns: int | None = None
        """When the last report was taken in."""
        self.was_settled = False
        """Whether it ever was known well enough in this run."""
        self.why_renew = ""
        """Why the connection is to be made anew; empty if it is not."""

    @property
    def is_settled(self) -> bool:
        """Whether the account is known well enough to trade on."""
        return self.rules.is_settled

    def restore(self, memo: CoreMemo) -> None:
        """Go on from where an earlier run was."""
        self.rules.since, self.rules.cash_base = memo.since, memo.cash_base

    def is_shown_by(self, report: AccountReport) -> bool:
        """Whether a report, just taken in, leaves nothing to be found out: our position, our fills, nothing to cancel.

        Fills that never were can make up for each other: then only the list of executions tells.
        """
        return report.position == self._inventory.position and self.rules.is_listed and not self.to_cancel

    def is_ghost(self, order: Order, now_ns: int) -> bool:
        """Whether a close need not wait for this order (`evidence.is_ghost`)."""
        return is_ghost(order, now_ns, self.rules.doubt_ns)

    # --- questions

    def ask(self, now_ns: int, *, is_news: bool) -> Reconcile | None:
        """The question to the venue, if it is time for it and the budget allows it.

        ``is_news``: something may have changed when it is time.
        """
        if not is_news and now_ns < self._ask_ns:
            return None
        self._ask_ns, self._ask_why = self.rules.due(self._orders, now_ns)
        if now_ns < self._ask_ns or not self._budget.may_ask(now_ns, REPORT_CALLS, urgent=self._ask_why != PERIOD):
            return None
        why = self._ask_why
        if why != PERIOD:
            self._record.fact("ask", detail=why)
        self._budget.reserve_questions(now_ns, REPORT_CALLS)
        self.rules.asked(now_ns)
        self._ask_ns, self._ask_why = self.rules.due(self._orders, now_ns)
        return Reconcile(since=self.rules.since or ExecId(0), why=why)

    def next_ask_ns(self, now_ns: int) -> int:
        """When to look again: later than now, also where the budget holds the question back."""
        return self._ask_ns if self._ask_ns > now_ns else now_ns + _RETRY_NS

    # --- events

    def on_channel(self, event: PrivateChannel, now_ns: int) -> None:
        """The private channel came up or went down."""
        if not event.is_live and not self.rules.is_live:
            return
        # Up once more without having been down: another connection, and what was told between the two is lost.
        self.rules.on_channel(now_ns, is_live=event.is_live)
        self._record.fact("channel", detail="up" if event.is_live else "down")
        if event.is_live:
            self._record.note("INFO", "private channel is up; asking for the account")
        else:
            self._record.note("WARNING", "private channel is down: no quotes until the account is reconciled again")

    def on_failed(self, event: ReportFailed) -> None:
        """The account could not be asked."""
        self.rules.failed()
        self._record.fact("report_failed", detail=event.detail)
        self._record.note("WARNING", f"the account cannot be reconciled now: {event.detail}")

    def on_report(self, report: AccountReport, now_ns: int) -> Reason | None:
        """Take the venue's word. Returns why trading must halt, if it must."""
        self.to_cancel, self.why_renew = [], ""
        self.reported_ns = now_ns
        was_settled = self.rules.is_settled
        if self.rules.since is None:
            self._begin(report)
        found = names_and_strangers(report, self._orders)
        late = self._take_orders(report, found, now_ns)
        halt = self._take_position(report, now_ns)
        self.rules.answered(self._orders, now_ns)
        self.was_settled = self.was_settled or self.rules.is_settled
        if self.rules.is_settled and not was_settled:
            position = self._instrument.size(self._inventory.position)
            self._record.note("INFO", f"account reconciled: position {position:+f} BTC")
            self._record.fact("report", detail=f"position {position:+f}")
        if late and self.rules.is_live and now_ns - self._renewed_ns >= _RENEW_NS:
            self._renewed_ns = now_ns
            self.why_renew = "the private channel did not tell what the account shows"
        return halt

    # --- parts

    def _begin(self, report: AccountReport) -> None:
        """The first report of all: what is there was there before us."""
        if report.position:
            size = self._instrument.size(report.position)
            self._record.note("WARNING", f"a position of {size:+f} BTC was there before the first run: taken over")
            self._record.fact("take_over", detail=f"position {size:+f}")
        self._inventory.take_over(report.position, report.basis)
        self.rules.take_over(report, self._inventory.cash)
        for fill in report.fills:
            self._orders.count_stranger(fill)

    def _take_orders(self, report: AccountReport, found: Evidence, now_ns: int) -> int:
        """Apply all evidence on orders and executions; returns how much of it the private channel should have told.

        It owes only what happened since it came up: what lies in a gap is no fault of the connection after it.
        """
        for name in found.names:
            self._apply(name)
        late = 0
        for fill in report.fills:
            if fill.order_id is not None and self._orders.by_id(fill.order_id) is not None:
                is_old = self.rules.live_ns <= fill.ts_ns <= report.asked_ns - self.rules.doubt_ns
                late += self._apply(fill) and is_old
        for event in states(report, self._orders, self.rules.vanish_ns):
            is_late = self._is_late(event, report.asked_ns)
            late += self._apply(event) and is_late
        late += sum(self._is_untold(order, report.asked_ns) for order in self._orders.live())
        for fill in found.foreign_fills:
            self._book(fill, FOREIGN_TAG, now_ns)
        self.to_cancel.extend(found.orphans)
        self.strangers = tuple(found.strangers)
        for stranger in found.strangers:
            if self._cancels_strangers:
                self.to_cancel.append(stranger.order_id)
            if stranger.order_id not in self._reported:
                self._reported.add(stranger.order_id)
                size, done = self._instrument.size(stranger.size), "to be cancelled" * self._cancels_strangers
                at = "market" if stranger.price is None else f"{self._instrument.price(stranger.price):f}"
                self._record.note(
                    "WARNING",
                    f"order {stranger.order_id} ({stranger.side} {size:f} @ {at}) is not ours: {done or 'left alone'}",
                )
                self._record.fact("stranger", order_id=stranger.order_id, detail=done)
        self._reported &= {order.order_id for order in found.strangers}
        for order_id in found.orphans:
            self._record.anomaly(f"order {order_id} is still on the book although it was believed ended")
            self._record.fact("orphan", order_id=order_id)
        return late

    def _is_late(self, event: OrderEvent, asked_ns: int) -> bool:
        """Whether the channel should have told this long ago. It owes no word on a cancel that did nothing."""
        if event.kind is OrderEventKind.CANCEL_UNSENT or event.kind is OrderEventKind.PROVEN_ABSENT:
            return False
        order = None if event.order_id is None else self._orders.by_id(event.order_id)
        if order is None or order.sent_ns < self.rules.live_ns:
            return False
        overdue_ns = overdue_at_ns(order, self.rules.doubt_ns)
        return overdue_ns is not None and overdue_ns <= asked_ns

    def _is_untold(self, order: Order, asked_ns: int) -> bool:
        """Whether the venue accepted an order and neither channel nor lists ever told more of it.

        It may have been lost at the venue. But so looks every order that ends unfilled while the channel is silent, and
        then none would tell of it before a fill does.
        """
        is_untold = order.order_id is not None and order.registered_ns is None
        return is_untold and order.sent_ns >= self.rules.live_ns and self.is_ghost(order, asked_ns)

    def _take_position(self, report: AccountReport, now_ns: int) -> Reason | None:
        rules, inventory = self.rules, self._inventory
        books = rules.compare(report, inventory.position)
        if books is Books.AGREE:
            if report.is_complete:
                self._orders.forget_early(report.asked_ns - FORGET_NS)
            self._take_cash(report)
            return None
        ours, theirs = (self._instrument.size(size) for size in (inventory.position, report.position))
        differs = f"position {theirs:+f} BTC at the venue, {ours:+f} here"
        self._record.fact("difference", detail=differs)
        if books is Books.DIFFER:
            self._record.note("WARNING", f"{differs}: asking again")
            return None
        if books is Books.PHANTOMS:
            for fill in rules.phantoms():
                self._record.anomaly(f"{differs}: the venue has no execution {fill.exec_id}, taken back")
                self._take_back(fill, now_ns)
            return None
        self._record.note("ERROR", f"{differs}: nothing explains it; taken over")
        inventory.take_over(report.position, report.basis)
        rules.take_over(report, inventory.cash)
        for fill in report.fills:
            self._orders.count_stranger(fill)
        return Reason.POSITION_MISMATCH

    def _take_cash(self, report: AccountReport) -> None:
        self.rules.note_held(report.basis)
        payment = self.rules.payment(report, self._inventory.cash)
        if payment is None:
            return
        if payment.is_carry:
            event = FundingEvent(ts_ns=report.ts_ns, amount=Money(payment.amount), what="funding or carry")
            self._inventory.apply_cash(event.amount)
            self._record.funding(event)
            self._record.fact("funding", detail=f"{self._instrument.amount(payment.amount):+f}")
        else:
            amount = self._instrument.amount(payment.amount)
            self._record.note(
                "WARNING", f"collateral moved by {amount:+,.2f} JPY without a fill: not counted as result"
            )
            self._record.fact("collateral", detail=f"{amount:+f}")

    def _take_back(self, fill: FillEvent, now_ns: int) -> None:
        """Book the opposite of a fill that never was: position and cash are then as if it had not been counted."""
        opposite = FillEvent(
            ts_ns=now_ns,
            exec_id=ExecId(-fill.exec_id),
            side=fill.side.opposite,
            price=fill.price,
            size=fill.size,
            fee=Money(-fill.fee),
            order_id=fill.order_id,
            client_order_id=fill.client_order_id,
        )
        self._book(opposite, CORRECTION_TAG, now_ns)

    def _book(self, fill: FillEvent, tag: str, now_ns: int) -> None:
        """Book a fill that is of no order of ours."""
        if self._orders.is_counted(fill.exec_id):
            return
        self._orders.count_stranger(fill)
        self._record.stranger(fill, tag, self._inventory.apply_fill(fill))
        if tag == FOREIGN_TAG:
            self.rules.note_fill(now_ns, fill)
