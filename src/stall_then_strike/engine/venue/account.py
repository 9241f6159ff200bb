"""The account at the venue: compares our orders, position and cash with it, and acts on differences.

It combines what a report proves (`evidence.py`) with when to query one (`reconciler.py`). A report is processed in this
order: ids of orders whose acknowledgements were lost, executions, states of orders, executions of strangers, position,
cash. Its findings are applied like events of the venue, so a fill counts once, from whichever source.

Orders that are not ours are reported and left alone, unless ``foreign_orders`` says otherwise. Their executions change
the account's position, and so ours; they are booked under the tag ``foreign``. A position from before the first run is
taken over at its cost.

Every change of the position is a booked row, so the rows always sum to the position: a phantom fill that is taken back,
a fill that is reinstated because a later list shows it, and a take-over of a position have their own rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from stall_then_strike.config.models import AccountConfig, ForeignOrders
from stall_then_strike.engine.inventory import InventoryManager
from stall_then_strike.engine.orders import Order, Orders
from stall_then_strike.engine.recording import Recorder
from stall_then_strike.engine.venue.budget import Budget
from stall_then_strike.engine.venue.corrections import is_taken_back, reinstated_id, taken_back_id, taken_over_id
from stall_then_strike.engine.venue.evidence import (
    Evidence,
    Owner,
    is_ghost,
    names_and_strangers,
    overdue_at_ns,
    owner,
    states,
)
from stall_then_strike.engine.venue.reconciler import PERIOD, Books, Reconciler
from stall_then_strike.engine.venue.rules import VenueRules
from stall_then_strike.engine.venue.witnesses import Witness
from stall_then_strike.types.dto import (
    NO_ORDER,
    NS_PER_S,
    AccountReport,
    BookedFill,
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
    Side,
)
from stall_then_strike.types.instrument import NO_MONEY, Instrument, Lots, Money, Ticks

FOREIGN_TAG: Final = "foreign"
CORRECTION_TAG: Final = "correction"
TAKEN_TAG: Final = "taken_over"
_RETRY_NS: Final = 1 * NS_PER_S
FORGET_NS: Final = 10 * NS_PER_S
"""Age at which an early event is dropped if no order of ours got its id and the positions agree without it."""
_RENEW_NS: Final = 60 * NS_PER_S
"""Least pause between two renewals of the connection because of missing private events."""


class Account:
    """The state of reconciliation. Orders change only through ``apply``; fills of strangers are booked here."""

    def __init__(
        self,
        cfg: AccountConfig,
        instrument: Instrument,
        venue: VenueRules,
        *,
        orders: Orders,
        inventory: InventoryManager,
        budget: Budget,
        record: Recorder,
        apply: Callable[[OrderEvent | FillEvent], bool],
    ) -> None:
        """``apply`` applies an event to our orders and returns whether it was news."""
        self._orders, self._inventory, self._budget = orders, inventory, budget
        self._record, self._apply = record, apply
        self._instrument = instrument
        self._cancels_strangers = cfg.foreign_orders is ForeignOrders.CANCEL
        self._failing_ns = int(cfg.failing_sec * NS_PER_S)
        self._unsure_ns: int | None = None
        """Since when the account is not reconciled; None while it is."""
        self._is_unsure_told = False
        self._is_behind = False
        self._untold = False
        """Whether the private channel missed a fill that the public one reported."""
        self._reported: set[OrderId] = set()
        self._renewed_ns = 0
        self._ask_ns = 0
        self._ask_why = ""
        self._venue = venue
        self.rules = Reconciler(cfg, instrument, venue)
        self.strangers: tuple[ReportedOrder, ...] = ()
        """Orders on the book in the last report that are not ours."""
        self.to_cancel: list[OrderId] = []
        """Orders on the book in the last report that must be cancelled."""
        self.reported_ns: int | None = None
        """When the last report was processed."""
        self.shares_collateral = False
        """Whether other instruments change the collateral, too: then one report alone does not tell our cash."""
        self._cash_report: AccountReport | None = None
        """A report whose collateral is this instrument's alone, to be compared with our cash in this step."""
        self.was_settled = False
        """Whether the account was reconciled at least once in this run."""
        self.why_renew = ""
        """Why the connection must be renewed; empty if it need not be."""

    @property
    def is_settled(self) -> bool:
        """Whether the account is reconciled, so that trading may rely on it."""
        return self.rules.is_settled

    def is_sure(self, now_ns: int) -> bool:
        """Whether it is reconciled, and its queries have not failed for so long that quoting must stop."""
        rules = self.rules
        return rules.is_settled and (rules.failing_ns is None or now_ns - rules.failing_ns < self._failing_ns)

    def is_contradicted(self, now_ns: int) -> bool:
        """Whether the venue's last reported position contradicts ours; then a close that can wait must wait."""
        return self.rules.contradicts(self._inventory.position, now_ns)

    def restore(self, memo: CoreMemo, fills: Iterable[BookedFill]) -> None:
        """Restore an earlier run's state. ``fills`` are the last ones it booked; their orders are restored already."""
        self.rules.since, self.rules.cash_base = memo.since, memo.cash_base
        for booked in fills:
            if booked.row.tag == FOREIGN_TAG:
                self._orders.add_stranger(OrderId(booked.row.order_id))
            if booked.exec_id > 0 and not self._is_taken_back(booked.exec_id):
                self.rules.remember(booked)

    def _is_taken_back(self, exec_id: ExecId) -> bool:
        return is_taken_back(exec_id, self._orders.is_counted)

    def is_shown_by(self, report: AccountReport) -> bool:
        """Whether the report just processed has our position and all our fills, and shows nothing to cancel.

        Phantom fills can cancel out: then only the list of executions shows them.
        """
        return report.position == self._inventory.position and self.rules.is_listed and not self.to_cancel

    def is_ghost(self, order: Order, now_ns: int) -> bool:
        """Whether a close need not wait for this order (`evidence.is_ghost`)."""
        return is_ghost(order, now_ns, self._venue)

    # --- questions

    def ask(self, now_ns: int, *, is_news: bool) -> Reconcile | None:
        """A query of the account, if it is due and the budget allows it.

        ``is_news``: something happened that may change when it is due.
        """
        if not is_news and now_ns < self._ask_ns:
            return None
        self._ask_ns, self._ask_why = self.rules.due(self._orders, now_ns)
        calls, is_urgent = self._venue.report_calls, self._ask_why != PERIOD
        if now_ns < self._ask_ns or not self._budget.may_ask(now_ns, calls, urgent=is_urgent):
            return None
        why = self._ask_why
        if why != PERIOD:
            self._record.fact("ask", detail=why)
        self._budget.reserve_questions(now_ns, calls)
        self.rules.asked(now_ns)
        self._ask_ns, self._ask_why = self.rules.due(self._orders, now_ns)
        return Reconcile(since=self.rules.since or ExecId(0), why=why)

    def ask_along(self, now_ns: int, why: str) -> Reconcile | None:
        """A query that goes with that of another instrument of the account; None while an answer is awaited."""
        if self.rules.is_asking:
            return None
        self._record.fact("ask", detail=why)
        self._budget.reserve_questions(now_ns, self._venue.report_calls)
        self.rules.asked(now_ns)
        self._ask_ns, self._ask_why = self.rules.due(self._orders, now_ns)
        return Reconcile(since=self.rules.since or ExecId(0), why=why)

    def next_look_ns(self, now_ns: int) -> int:
        """When to check again: later than ``now_ns``, even if the budget delays a query that is due."""
        at_ns = self._ask_ns if self._ask_ns > now_ns else now_ns + _RETRY_NS
        printed_ns = self.rules.witnesses.next_ns
        return at_ns if printed_ns is None else max(now_ns + 1, min(at_ns, printed_ns))

    # --- events

    def on_channel(self, event: PrivateChannel, now_ns: int) -> None:
        """The private channel came up or went down."""
        if not event.is_live and not self.rules.is_live:
            return
        # Up again without having been down: a new connection, and events between the two are lost.
        self.rules.on_channel(now_ns, is_live=event.is_live)
        self._record.fact("channel", detail="up" if event.is_live else "down")
        if event.is_live:
            self._record.note("INFO", "private channel is up; asking for the account")
        else:
            self._record.note("WARNING", "private channel is down: no quotes until the account is reconciled again")

    def on_told(self, fill: FillEvent, now_ns: int) -> None:
        """The private channel reported a fill, which has just been applied unless it is doubtful."""
        witnesses = self.rules.witnesses
        witnesses.add(fill.exec_id, Witness.PRIVATE)
        if fill.order_id is None or self._orders.is_counted(fill.exec_id) or self._orders.by_id(fill.order_id):
            return
        terms = self._orders.early_terms(fill.order_id)
        nameless = [order for order in self._orders.live() if order.order_id is None]
        # May be included in the position that was taken over.
        is_old = now_ns <= self.rules.taken_ns + self._venue.lag_ns
        if is_old or (terms is None and not self._orders.is_stranger(fill.order_id)):
            return
        if terms is None or owner(fill, terms, nameless, now_ns, self._venue, total=fill.size) is Owner.STRANGER:
            self._book(fill, FOREIGN_TAG, now_ns)

    def on_printed(self, fill: FillEvent, now_ns: int) -> None:
        """The public channel reported a fill of ours."""
        self.rules.witnesses.add(fill.exec_id, Witness.PUBLIC)
        if not self._orders.is_counted(fill.exec_id):
            self.rules.witnesses.expect(fill, now_ns)

    def on_time(self, now_ns: int) -> None:
        """Check what has lasted too long; most of the time nothing waits."""
        rules = self.rules
        if self._cash_report is not None:
            report, self._cash_report = self._cash_report, None
            self._take_cash(report)
        if rules.witnesses.waiting:
            self._look_at_prints(now_ns)
        if not rules.is_settled or rules.failing_ns is not None or self._unsure_ns is not None:
            self._look_at_doubt(now_ns)

    def _look_at_prints(self, now_ns: int) -> None:
        """Handle fills that the private channel did not report in time."""
        for fill in self.rules.witnesses.overdue(now_ns):
            text = f"only the public channel tells of execution {fill.exec_id} of order {fill.order_id}"
            doubt = self._orders.doubt(fill)
            if self.rules.witnesses.numbers_agree and not doubt:
                self._record.anomaly(f"{text}: booked")
                self._untold = self._apply(fill)
            else:
                self._record.anomaly(f"{text}: {doubt or 'asking for the account'}")
            self.rules.alarm("an execution that the private channel did not tell")

    def _look_at_doubt(self, now_ns: int) -> None:
        """Report once that the account is long unreconciled. A channel that is down is reported elsewhere."""
        if not self.rules.is_live or (self.rules.is_settled and self.rules.failing_ns is None):
            self._unsure_ns, self._is_unsure_told = None, False
            return
        self._unsure_ns = self._unsure_ns or now_ns
        if not self._is_unsure_told and now_ns - self._unsure_ns >= self._failing_ns:
            self._is_unsure_told = True
            text = f"the account is not reconciled for {self._failing_ns // NS_PER_S} s: {self._ask_why or PERIOD}"
            self._record.note("ERROR", f"{text}; no quotes until it is")
            self._record.fact("unreconciled", detail=text)

    def on_failed(self, event: ReportFailed, now_ns: int) -> None:
        """The query of the account failed."""
        self.rules.failed(now_ns)
        self._record.fact("report_failed", detail=event.detail)
        self._record.note("WARNING", f"the account cannot be reconciled now: {event.detail}")

    def on_report(self, report: AccountReport, now_ns: int) -> Reason | None:
        """Process a report. Returns why trading must halt, if it must."""
        self.to_cancel, self.why_renew = [], ""
        self.reported_ns = now_ns
        was_settled = self.rules.is_settled
        self.rules.answered()
        if self.rules.since is None:
            self._begin(report, now_ns)
        self.rules.look(report)
        found = names_and_strangers(report, self._orders, self._venue, is_behind=self.rules.is_behind)
        late = self._take_orders(report, found, now_ns) + self._untold
        self._untold = False
        halt = self._take_position(report, now_ns)
        self.was_settled = self.was_settled or self.rules.is_settled
        if self.rules.is_settled and not was_settled:
            position = self._instrument.size(self._inventory.position)
            self._record.note("INFO", f"account reconciled: position {position:+f} {self._instrument.base}")
            self._record.fact("report", detail=f"position {position:+f}")
        if late and self.rules.is_live and now_ns - self._renewed_ns >= _RENEW_NS:
            self._renewed_ns = now_ns
            self.why_renew = "the private channel did not tell what the account shows"
        return halt

    # --- parts

    def _begin(self, report: AccountReport, now_ns: int) -> None:
        """Process the very first report: its position is from before the first run."""
        if report.position:
            size = self._instrument.size(report.position)
            held = f"a position of {size:+f} {self._instrument.base}"
            self._record.note("WARNING", f"{held} was there before the first run: taken over")
            self._record.fact("take_over", detail=f"position {size:+f}")
        self._take_over(report, now_ns)

    def _take_over(self, report: AccountReport, now_ns: int) -> None:
        """Replace our position by the venue's."""
        inventory = self._inventory
        size = report.position - inventory.position
        # The row's price is the average cost of the new position, or else of the old one: no better price is known.
        held, basis = abs(report.position or inventory.position), report.basis if report.position else inventory.basis
        inventory.take_over(report.position, report.basis)
        if size:
            taken = FillEvent(
                ts_ns=now_ns,
                exec_id=taken_over_id(now_ns),
                side=Side.BUY if size > 0 else Side.SELL,
                price=Ticks(max(1, abs(basis) // held)),
                size=Lots(abs(size)),
                order_id=NO_ORDER,
            )
            self._record.stranger(taken, TAKEN_TAG, NO_MONEY)
        self.rules.take_over(report, inventory.cash)
        if self.shares_collateral:
            self.rules.cash_base = None  # the next comparison sets it
        for fill in report.fills:
            self._orders.count_stranger(fill)

    def _take_orders(self, report: AccountReport, found: Evidence, now_ns: int) -> int:
        """Apply the evidence on orders and executions; return how much of it the private channel should have reported.

        Only events since the channel came up count: earlier ones are no fault of the current connection.
        """
        for name in found.names:
            self._apply(name)
        late = 0
        for fill in report.fills:
            self._reinstate(fill, now_ns)
            if fill.order_id is not None and self._orders.by_id(fill.order_id) is not None:
                is_old = self.rules.live_ns <= fill.ts_ns <= report.asked_ns - self.rules.doubt_ns
                late += self._apply(fill) and is_old
        for event in states(report, self._orders, self._venue, is_behind=self.rules.is_behind):
            is_late = self._is_late(event, report.asked_ns)
            late += self._apply(event) and is_late
        late += sum(self._is_untold(order, report.asked_ns) for order in self._orders.live())
        self._take_strangers(report, found.foreign_fills, now_ns)
        self.to_cancel.extend(found.orphans)
        self.strangers = tuple(found.strangers)
        for stranger in found.strangers:
            self._orders.add_stranger(stranger.order_id)
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

    def _take_strangers(self, report: AccountReport, fills: Sequence[FillEvent], now_ns: int) -> None:
        """Book executions of strangers, except those that the position taken over includes."""
        new = self.rules.not_held(fills, report, self._inventory.position)
        if new is None:
            return
        for fill in fills:
            if fill in new:
                self._book(fill, FOREIGN_TAG, now_ns)
            else:
                self._orders.count_stranger(fill)

    def _is_late(self, event: OrderEvent, asked_ns: int) -> bool:
        """Whether the channel should have reported this long ago. It need not report a cancel without effect."""
        if event.kind is OrderEventKind.CANCEL_UNSENT or event.kind is OrderEventKind.PROVEN_ABSENT:
            return False
        order = None if event.order_id is None else self._orders.by_id(event.order_id)
        if order is None or order.sent_ns < self.rules.live_ns:
            return False
        overdue_ns = overdue_at_ns(order, self.rules.doubt_ns, self._venue)
        return overdue_ns is not None and overdue_ns <= asked_ns

    def _is_untold(self, order: Order, asked_ns: int) -> bool:
        """Whether the venue accepted an order and neither channel nor lists have shown it since.

        The venue may have lost it. But every order that ends unfilled while the channel is silently dead looks the
        same, and then nothing else would show the failure before the next fill.
        """
        is_untold = order.accepted_ns is not None and order.registered_ns is None
        return is_untold and order.sent_ns >= self.rules.live_ns and self.is_ghost(order, asked_ns)

    def _take_position(self, report: AccountReport, now_ns: int) -> Reason | None:
        rules, inventory = self.rules, self._inventory
        books = rules.compare(report, inventory.position)
        if rules.is_behind and not self._is_behind:
            text = "the venue's lists are behind: they lack fills that two channels told of; waiting for them"
            self._record.note("WARNING", text)
            self._record.fact("behind", detail=text)
        self._is_behind = rules.is_behind
        if books is Books.BEHIND:
            return None
        if books is Books.AGREE:
            if report.is_complete:
                self._orders.forget_early(report.asked_ns - FORGET_NS)
            if not self.shares_collateral:
                self._take_cash(report)
            return None
        ours, theirs = (self._instrument.size(size) for size in (inventory.position, report.position))
        differs = f"position {theirs:+f} {self._instrument.base} at the venue, {ours:+f} here"
        self._record.fact("difference", detail=differs)
        if books is Books.DIFFER:
            self._record.note("WARNING", f"{differs}: asking again")
            return None
        if books is Books.PHANTOMS:
            for fill in rules.phantoms():
                self._record.anomaly(f"{differs}: the venue has no execution {fill.exec_id}, taken back")
                self._take_back(fill, now_ns)
            return None
        if rules.is_of_take_over(report):
            self._record.note("WARNING", f"{differs}: the position taken over was behind; taken over again")
            self._take_over(report, now_ns)
            return None
        self._record.note("ERROR", f"{differs}: nothing explains it; taken over")
        self._take_over(report, now_ns)
        return Reason.POSITION_MISMATCH

    def compare_cash(self, report: AccountReport) -> None:
        """Compare a report's cash with ours in the next step; its collateral is as if this instrument were alone."""
        self._cash_report = report

    def _take_cash(self, report: AccountReport) -> None:
        self.rules.note_held(report.basis)
        payment = self.rules.payment(report, self._inventory.cash)
        if payment is None:
            return
        if payment.is_carry:
            event = FundingEvent(ts_ns=report.ts_ns, amount=Money(payment.amount), what=payment.what)
            self._inventory.apply_cash(event.amount)
            self._record.funding(event)
        else:
            amount = self._instrument.amount(payment.amount)
            self._record.note(
                "WARNING",
                f"collateral moved by {amount:+,.2f} {self._instrument.quote} without a fill: not counted as result",
            )
            self._record.fact("collateral", detail=f"{amount:+f}")

    def _take_back(self, fill: FillEvent, now_ns: int) -> None:
        """Book the opposite of a phantom fill, so that position and cash are as if it had never been booked."""
        opposite = FillEvent(
            ts_ns=now_ns,
            exec_id=taken_back_id(fill.exec_id),
            side=fill.side.opposite,
            price=fill.price,
            size=fill.size,
            fee=Money(-fill.fee),
            order_id=fill.order_id,
            client_order_id=fill.client_order_id,
        )
        self._book(opposite, CORRECTION_TAG, now_ns)

    def _reinstate(self, fill: FillEvent, now_ns: int) -> None:
        """Book a fill again that was taken back by mistake."""
        if not self._is_taken_back(fill.exec_id):
            return
        again = replace(fill, ts_ns=now_ns, exec_id=reinstated_id(fill.exec_id))
        self._record.anomaly(f"execution {fill.exec_id} was taken back and is on the venue's list now: booked again")
        self._book(again, CORRECTION_TAG, now_ns)
        self.rules.note_fill(now_ns, fill)

    def _book(self, fill: FillEvent, tag: str, now_ns: int) -> None:
        """Book a fill that is not of our orders, or a correction."""
        if self._orders.is_counted(fill.exec_id):
            return
        self._orders.count_stranger(fill)
        realised = self._inventory.apply_fill(fill)
        self._record.stranger(fill, tag, realised)
        if tag == FOREIGN_TAG:
            self.rules.note_fill(now_ns, fill, realised)
