"""One step of the daemon: an event and the current time in, actions and log rows out.

``Core`` receives every event with ``now_ns`` and returns what to do and what to write. ``next_deadline_ns`` says when
it must be woken even without an event. The same class runs live, on paper and in replay: only the clock, the source of
events and the gateway differ. The same events at the same times give the same steps.

The order of a step: roll the trading day (an event after its end belongs to the next day), apply the event, check the
day's limits, let the strategy decide, advance a closing. Every piece of state is owned by ``Core`` or by one of the
objects that it owns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from functools import partial
from typing import Final, assert_never

from stall_then_strike.config.changes import with_changes
from stall_then_strike.config.models import AfterHalt, AppConfig
from stall_then_strike.engine.acting.dispatch import Dispatch
from stall_then_strike.engine.acting.exits import Exits
from stall_then_strike.engine.acting.quoting import Quoting
from stall_then_strike.engine.gates import first_gate
from stall_then_strike.engine.inventory import InventoryManager
from stall_then_strike.engine.orders import Applied, Order, Orders, OrderState
from stall_then_strike.engine.recording import Recorder
from stall_then_strike.engine.strategies import configured
from stall_then_strike.engine.strategy import MakeStrategy, Tunable
from stall_then_strike.engine.venue.account import Account
from stall_then_strike.engine.venue.budget import NEVER_NS
from stall_then_strike.engine.venue.shared import Shared
from stall_then_strike.types.dto import (
    NOTHING,
    NS_PER_MS,
    NS_PER_S,
    AccountReport,
    BoardSnapshot,
    BoardState,
    BookedFill,
    BookStatus,
    CallsMade,
    Changes,
    Command,
    Control,
    CoreMemo,
    Event,
    ExecId,
    FillEvent,
    FundingEvent,
    Health,
    LimitReading,
    NewSettings,
    OrderEvent,
    OrderEventKind,
    OrderId,
    OrderMemo,
    PrintedFill,
    PrivateChannel,
    Reason,
    RefusalKind,
    RenewFeed,
    ReportFailed,
    Side,
    Step,
    Tick,
    VenueRefusal,
    VenueStatus,
)
from stall_then_strike.types.instrument import Lots, Ticks

# Enum members resolved once: in Python 3.11, reading one off its class costs as much as a call.
_OK: Final = BookStatus.OK
_STALE: Final = BookStatus.STALE
_RUNNING: Final = BoardState.RUNNING
_BUDGET: Final = Reason.BUDGET
_ACCEPTED: Final = OrderEventKind.ACCEPTED
_REGISTERED: Final = OrderEventKind.REGISTERED
_REJECTED: Final = OrderEventKind.REJECTED
_NOT_SENT: Final = OrderEventKind.NOT_SENT

_UNHEALTHY: Final = frozenset({Health.SUPER_BUSY, Health.NO_ORDER, Health.STOP})
_OVERLOAD_NS: Final = 5 * NS_PER_S
"""Least pause after the venue was overloaded, refused our key or restricted the account."""
_LONGEST_PAUSE_NS: Final = 30 * NS_PER_S
_MEMO_NS: Final = 5 * NS_PER_S
"""How old the journal's peak and drawdown of an open position may be."""
_TELL_WAIT_NS: Final = 10 * NS_PER_S
_OF_THE_ACCOUNT: Final = frozenset({Reason.POSITION_MISMATCH, Reason.OPERATOR})
"""Halts that take effect even before trading has begun. Any other halt then makes this start fail."""
_REASONS: Final = {int(reason): reason for reason in Reason}
_BOOK_GATES: Final = {
    BookStatus.UNKNOWN: Reason.BOOK_UNKNOWN,
    BookStatus.SUSPECT: Reason.BOOK_SUSPECT,
    BookStatus.STALE: Reason.BOOK_STALE,
}

_NO_BOARD: Final = BoardSnapshot(
    ts_ns=0,
    best_bid_price=Ticks(0),
    best_bid_size=Lots(0),
    best_ask_price=Ticks(0),
    best_ask_size=Lots(0),
    best_since_ns=0,
    status=BookStatus.UNKNOWN,
)


class Core:
    """The daemon's state machine. Feed it every event, do what it returns, and wake it at its deadline."""

    def __init__(
        self,
        cfg: AppConfig,
        shared: Shared,
        *,
        strategy: MakeStrategy = configured,
        is_remembered: bool = False,
    ) -> None:
        """Start flat, without a book and with the kill switch armed.

        ``shared`` is what the account's instruments share. ``is_remembered``: steps include what the journal must
        store; with an account at a venue they always do.
        """
        self.instrument = unit = cfg.exchange.instrument()
        self.shared = shared
        self.budget, self.kill_switch = shared.budget, shared.kill_switch
        self.calendar, self._margin = shared.calendar, shared.margin
        self._is_remembered = shared.is_live or is_remembered
        self.inventory = inventory = InventoryManager(cfg.risk, unit)
        self.orders = orders = Orders()
        self.record = record = Recorder(unit, inventory, is_remembered=self._is_remembered)
        self.dispatch = Dispatch(unit, orders, self.budget, record, own_names=shared.venue.own_names)
        self.dispatch.board = _NO_BOARD
        self.account = shared.account(unit, orders=orders, inventory=inventory, record=record, apply=self._apply)
        is_ghost = None if self.account is None else self.account.is_ghost
        self.exits = Exits(cfg, unit, shared.venue, self.budget, self.dispatch, orders, inventory, record, is_ghost)
        self.strategy = strategy(cfg, unit)
        self.quoting = Quoting(self.strategy, unit, self.budget, self.dispatch, self.exits, orders, inventory, is_ghost)
        self.cfg = cfg
        """The settings in force: those of the start, and what was changed since."""
        self._stale_ns, self._max_errors = cfg.strategy.stale_ms * NS_PER_MS, cfg.risk.max_errors
        self._start()

    def _start(self) -> None:
        """The state of a run that has seen nothing yet."""
        self._board = _NO_BOARD
        self._state, self._health = BoardState.UNKNOWN, Health.UNKNOWN
        self._refused_close: Side | None = None
        """The side of the last close if the venue refused it, otherwise None."""
        self.obstacles: tuple[OrderId, ...] = ()
        """Orders that are not ours and that the refused close would meet."""
        self.start_fault: Reason | None = None
        """Why this start failed before trading began; None if it did not. It is not stored for the next run."""
        self._has_begun = self.account is None
        """Whether this run has reconciled the account and begun to trade or to complete a halt.

        Nothing is closed before.
        """
        self.restored: CoreMemo | None = None
        """The memo of an earlier run."""
        self._stopping = self._stop_flat = False
        self._held: Reason | None = None
        self._day: date | None = None
        self._quiet: str | None = None
        self._is_limit_told = False
        """Whether a limit of the day was reached and reported while the position is left to the operator."""
        self._now_ns = self._change_ns = self._tell_wait_ns = self._memo_ns = self._errors = 0
        self._checked = self._remembered = -1

    def restore(
        self,
        memo: CoreMemo | None,
        orders: Iterable[OrderMemo],
        exec_ids: Iterable[ExecId],
        fills: Iterable[BookedFill] = (),
    ) -> None:
        """Restore an earlier run's state, before the first event. Its live orders are marked for cancellation.

        ``orders`` are in the order they were sent and include the last ended ones. ``exec_ids`` are those of the fills
        counted, oldest first. ``fills`` are the last of these fills.
        """
        memos = tuple(orders)
        self.orders.restore(memos, exec_ids)
        self.budget.restore(memos)
        for order in self.orders.live():
            self.orders.want_cancel(order, Reason.ORPHAN)
        self.restored = memo
        if memo is None:
            return
        self.inventory.restore(memo.inventory)
        self.kill_switch.restore(memo.halted, memo.pnl_base)
        self.kill_switch.tell(memo.halt_ns, memo.halt_detail)
        self.shared.paused = memo.paused
        self._day = date.fromisoformat(memo.day) if memo.day else None
        if self.account is not None:
            self.account.restore(memo, fills)

    # --- queries

    @property
    def now_ns(self) -> int:
        """The time of the last event."""
        return self._now_ns

    @property
    def board(self) -> BoardSnapshot:
        """The last snapshot."""
        return self._board

    @property
    def venue(self) -> tuple[BoardState, Health]:
        """The board state and the health that the venue last reported."""
        return self._state, self._health

    @property
    def halted(self) -> Reason | None:
        """Why trading is halted, or None."""
        return self.kill_switch.halted

    @property
    def hold_reason(self) -> Reason | None:
        """Why nothing is being done now; None after a decision to act."""
        return self.record.hold_reason

    @property
    def is_done(self) -> bool:
        """Whether a stop, or a halt that ends the process, is complete: no order is live, no closing is under way."""
        if not self._stopping:
            if self.kill_switch.halted is None or self.cfg.risk.after_halt is not AfterHalt.EXIT:
                return False
            if self.account is not None and not self.account.was_settled:
                return False  # the halt may be from an earlier run: the account must be reconciled first
        return self.exits.closing is None and not self.orders.any_live

    def book_status(self, now_ns: int) -> BookStatus:
        """The book's status, with its age taken into account."""
        status = self._board.status
        stale = now_ns - self._board.ts_ns >= self._stale_ns
        return BookStatus.STALE if status is _OK and stale else status

    @property
    def next_deadline_ns(self) -> int:
        """When to send a ``Tick`` if no event comes before. Always later than the last event."""
        now, quoting, first = self._now_ns, self.quoting, NEVER_NS
        if now < (stale_ns := self._board.ts_ns + self._stale_ns):
            first = stale_ns
        if now < quoting.deadline_ns < first:
            first = quoting.deadline_ns
        if now < quoting.room_ns < first:
            first = quoting.room_ns
        if now < self._change_ns < first:
            first = self._change_ns
        if now < self._margin.until_ns < first:
            first = self._margin.until_ns
        if self.account is not None and now < (look_ns := self.account.next_look_ns(now)) < first:
            first = look_ns
        if self.exits.closing is not None or self.orders.any_ending:
            for stamp in self.exits.stamps(now):
                if now < stamp < first:
                    first = stamp
        return first if first < NEVER_NS else now + NS_PER_S

    # --- the step

    def on_event(self, event: Event, now_ns: int) -> Step:
        """Process one event and return the step. A ``now_ns`` earlier than the latest one seen counts as that one."""
        now = self._now_ns = now_ns if now_ns > self._now_ns else self._now_ns
        dispatch, record, account = self.dispatch, self.record, self.account
        dispatch.now_ns = record.now_ns = now
        if now >= self._change_ns:
            self._roll(now)
        self._take_in(event, now)
        if account is not None:
            account.on_time(now)
            self._has_begun = self._has_begun or self._may_begin(account)
        if self.inventory.changes != self._checked and self._has_begun:
            self._check_limits()
        self._decide(now)
        if self.inventory.position or self.exits.closing is not None:
            self._go_on_closing(now)
        changes: Changes | None = None
        if account is not None:
            is_news = bool(dispatch.actions) or not isinstance(event, BoardSnapshot)
            if (question := account.ask(now, is_news=is_news)) is not None:
                dispatch.actions.append(question)
        if self._is_remembered:
            changes = self._changes(now)
        elif self.orders.touched:
            self.orders.touched.clear()
        if not dispatch.actions and not record.rows and changes is None:
            return NOTHING
        return Step(dispatch.take() if dispatch.actions else (), record.take(), changes)

    def _go_on_closing(self, now: int) -> None:
        """Take the closing one step further; begin one if a late fill has left a position that may not be held."""
        if self.exits.closing is None and self.inventory.position and (why := self._must_be_flat()) is not None:
            self.exits.begin(why, flatten=True)
        if (closing := self.exits.closing) is None or not self._has_begun:
            return
        is_running = self._state is _RUNNING
        is_open = is_running and self.book_status(now) is _OK
        best = (self._board.best_bid_price, self._board.best_ask_price) if is_open else None
        is_sure = not closing.is_choice or not self._is_contradicted
        self.exits.go_on(closing, now, best, is_running=is_running, is_sure=is_sure)

    def _may_begin(self, account: Account) -> bool:
        """Whether the account is reconciled and there is something to do: to trade, or to complete a halt."""
        is_known = account.was_settled and self.start_fault is None
        return is_known and (not self._stopping or self.kill_switch.halted is not None)

    def _check_limits(self) -> None:
        """Trip the kill switch if the day's result or drawdown has reached its limit.

        If a halt has left the position to the operator, the limit is only reported, once.
        """
        self._checked = self.inventory.changes
        is_left, day = self.kill_switch.keeps_position, self.shared.day or self.inventory
        reached = self.kill_switch.reached(day) if is_left else self.kill_switch.check(day)
        if reached is None or (is_left and self._is_limit_told):
            return
        risk, is_day = self.cfg.risk, reached is Reason.KILL_PNL
        what, limit = ("result", risk.daily_pnl_jpy) if is_day else ("drawdown", risk.max_dd_jpy)
        said = f"the day's {what} reached its limit of {limit:,f} {self.instrument.quote}"
        if not is_left:
            self._halt(reached, said)
            return
        self._is_limit_told = True
        self.record.note("CRITICAL", f"{said}, and nothing is closed: the position is left to the operator")
        self.record.fact("limit", detail=said)

    def _take_in(self, event: Event, now: int) -> None:
        """Apply one event to the state."""
        if isinstance(event, BoardSnapshot):  # the most frequent events are tested first
            self._board = self.dispatch.board = event
            self.record.tally.boards += 1
            if event.status is _OK:
                self.inventory.mark(event.best_bid_price, event.best_ask_price)
        elif isinstance(event, OrderEvent):
            self._apply(event)
        elif isinstance(event, Tick):
            pass
        elif isinstance(event, VenueStatus):
            self._state = event.state if event.state is not None else self._state
            self._health = event.health if event.health is not None else self._health
        elif isinstance(event, FillEvent):
            self._on_fill(event, now)
        elif isinstance(event, Control):
            self._on_control(event, now)
        elif isinstance(event, NewSettings):
            self._adopt(event)
        else:
            self._on_venue(event, now)

    def _on_fill(self, fill: FillEvent, now: int) -> None:
        """Apply a fill that the venue told, unless it is doubtful."""
        if self.account is None:
            self._apply(fill)
            return
        if doubt := self.orders.doubt(fill):
            self._on_applied(Applied(order=None, event=fill, anomaly=doubt), now)
        else:
            self._apply(fill)
        self.account.on_told(fill, now)

    def _on_venue(
        self,
        event: PrivateChannel
        | AccountReport
        | ReportFailed
        | PrintedFill
        | FundingEvent
        | VenueRefusal
        | LimitReading
        | CallsMade,
        now: int,
    ) -> None:
        """Apply what the venue reports about the account and its limits, and its funding payments."""
        if isinstance(event, PrivateChannel | AccountReport | ReportFailed | PrintedFill):
            if self.account is not None:
                self._on_account(self.account, event, now)
        elif isinstance(event, FundingEvent):
            self.inventory.apply_cash(event.amount)
            self.record.funding(event)
        elif isinstance(event, VenueRefusal):
            self._on_refusal(event, now)
        elif isinstance(event, LimitReading):
            self.budget.on_reading(event, now)
        elif isinstance(event, CallsMade):
            self.budget.spend_questions(now, event.calls)
        else:
            assert_never(event)

    def _on_account(
        self, account: Account, event: PrivateChannel | AccountReport | ReportFailed | PrintedFill, now: int
    ) -> None:
        if isinstance(event, PrivateChannel):
            account.on_channel(event, now)
            return
        if isinstance(event, PrintedFill):
            account.on_printed(event.fill, now)
            return
        self.budget.settle_questions(now, event.calls)
        if isinstance(event, ReportFailed):
            account.on_failed(event, now)
        else:
            why_halt = account.on_report(event, now)
            self.orders.changes += 1  # an order that it does not list may have ended
            if why_halt is not None:
                self._trip(why_halt)
            self._name_obstacles(account)
            if account.why_renew:
                self.dispatch.actions.append(RenewFeed(why=account.why_renew))
            if count := self.budget.cancellable(now, len(account.to_cancel)):
                self.dispatch.cancel_strangers(account.to_cancel[:count])

    def _name_obstacles(self, account: Account) -> None:
        """Report, once each, orders that are not ours and would meet a refused close: the venue forbids self-trades."""
        if self.exits.closing is None or self._refused_close is None:
            self.obstacles = ()
            return
        in_the_way = [order for order in account.strangers if order.side is self._refused_close.opposite]
        unit = self.instrument
        for order in in_the_way:
            if order.order_id not in self.obstacles:
                at = "market" if order.price is None else f"{unit.price(order.price):f}"
                text = f"order {order.order_id} ({order.side} {unit.size(order.size):f} @ {at}), which is not ours"
                self.record.note("WARNING", f"a close is refused, and {text}, may be in its way: cancel it by hand")
                self.record.fact("stranger", order_id=order.order_id, detail="in the way of a close")
        self.obstacles = tuple(order.order_id for order in in_the_way)

    def _on_refusal(self, refusal: VenueRefusal, now: int) -> None:
        """The venue refused a request for a reason that also concerns later requests."""
        self.record.fact("refusal", detail=f"{refusal.kind.value}: {refusal.detail}")
        if refusal.kind is RefusalKind.OVERLOADED:
            self.budget.block(now, max(refusal.until_ns, now + _OVERLOAD_NS), exits=False)
            return
        if refusal.kind is RefusalKind.THROTTLED:
            pause_ns, is_our_doing = self.budget.breach(now, refusal.until_ns)
            if pause_ns:
                said = f"a limit of the venue is exceeded ({refusal.detail}): no quotes for {pause_ns / NS_PER_S:.0f} s"
                self.record.note("WARNING", said)
            if is_our_doing:
                self._trip(Reason.LIMIT_BREACH, refusal.detail)
            return
        self.budget.block(now, max(refusal.until_ns, now + _OVERLOAD_NS), exits=True)
        is_restricted = refusal.kind is RefusalKind.RESTRICTED
        self._trip(Reason.LIMIT_BREACH if is_restricted else Reason.AUTH_REFUSED, refusal.detail)

    def _roll(self, now: int) -> None:
        """Update the trading day and the quiet window after a boundary of the calendar, and at the first step."""
        self.dispatch.begin_run(now)
        day = self.calendar.day(now)
        if self._day is not None and day != self._day:
            result = self.instrument.amount(self.inventory.pnl_today)
            fall = self.instrument.amount(self.inventory.max_drawdown)
            said = f"{self._day} ended with {result:+,.0f} {self.instrument.quote}, deepest drawdown {fall:,.0f}"
            self.record.note("INFO", f"trading day {said}; {day} begins")
            self.record.fact("day", detail=said)
            self.inventory.roll_day()
            if (lifted := self.kill_switch.on_day_roll()) is not None:
                self.record.note("WARNING", f"halt ({lifted.label}) lifted by the day roll")
                self.dispatch.decision("resume", Reason.DAY_ROLL)
                self.record.fact("resume", detail=Reason.DAY_ROLL.label)
            self._errors = 0
        self._day = day
        self._quiet = self.calendar.quiet(now)
        self._change_ns = self.calendar.next_change_ns(now)

    def _on_control(self, control: Control, now: int) -> None:
        match control.command:
            case Command.HALT:
                self._trip(control.reason, control.detail)
            case Command.STOP | Command.STOP_FLAT:
                self._stopping = True
                if control.command is Command.STOP_FLAT:
                    self._stop_flat = True
                    if self._must_be_flat() is not None:
                        self.exits.begin(Reason.FLATTEN, flatten=True)
            case Command.PAUSE | Command.FLATTEN:
                self._pause(control)
            case Command.CANCEL_ALL:
                self._note_operator("all quotes are taken back", control)
                if actions := self.exits.cancel_quotes(control.reason, now):
                    self.dispatch.decision("cancel", control.reason, actions)
            case Command.RESUME:
                self._resume(control)
            case Command.HOLD | Command.RELEASE:
                self._held = control.reason if control.command is Command.HOLD else None
            case _:
                assert_never(control.command)

    def _note_operator(self, what: str, control: Control) -> None:
        self.record.note("WARNING", f"{what}: {control.detail or control.reason.label}")
        self.record.fact("operator", detail=f"{control.command.value}: {control.detail}")

    def _pause(self, control: Control) -> None:
        """Pause at the operator's command; the gate takes the quotes back. A pause that closes does not become less."""
        why, shared = Reason.FLATTEN if control.command is Command.FLATTEN else Reason.PAUSED, self.shared
        if shared.paused not in (why, Reason.FLATTEN):
            shared.paused = why
            then = "no position is held" if why is Reason.FLATTEN else "exits go on"
            self._note_operator(f"paused, {then}", control)
        if why is Reason.FLATTEN and self.inventory.position and (flat := self._must_be_flat()) is not None:
            self.exits.begin(flat, flatten=True)

    def _resume(self, control: Control) -> None:
        """Lift a halt and a pause. A close that only the pause wanted ends with it."""
        self._errors = 0
        if self.shared.paused is not None:
            self.shared.paused = None
            self._note_operator("pause lifted", control)
        closing = self.exits.closing
        if closing is not None and closing.reason is Reason.FLATTEN and self._must_be_flat() is None:
            self.exits.closing = None
        if (lifted := self.kill_switch.resume(self.shared.day or self.inventory)) is not None:
            why = control.detail or control.reason.label
            self.record.note("WARNING", f"halt ({lifted.label}) lifted: {why}; limits count from here")
            self.dispatch.decision("resume", Reason.RESUMED)
            self.record.fact("resume", detail=why)

    def _adopt(self, event: NewSettings) -> None:
        """Take new settings. A limit of the day that is reached by its new figure counts in this step."""
        self.cfg = cfg = with_changes(self.cfg, event.changes, is_whole=False)
        self.inventory.set_limits(cfg.risk, self.instrument)
        self.kill_switch.retune(cfg.risk)
        self.exits.retune(cfg)
        if isinstance(self.strategy, Tunable):
            self.strategy.retune(cfg, self.instrument)
        self.quoting.retune()
        self._checked = -1
        self.record.note("WARNING", f"settings changed: {event.detail}")
        self.record.fact("operator", detail=f"reload: {event.detail}")

    def _trip(self, reason: Reason, detail: str = "") -> None:
        """Halt. Before trading has begun, most reasons make this start fail instead."""
        if self._has_begun or reason in _OF_THE_ACCOUNT:
            if self.kill_switch.trip(reason) is not None:
                self._halt(reason, detail)
        elif self.start_fault is None:
            self.start_fault, self._stopping, self.exits.closing = reason, True, None
            why = f" ({detail})" if detail else ""
            self.record.note("ERROR", f"this start fails before trading began: {reason.label}{why}")
            self.record.fact("start_failed", detail=f"{reason.label}{why}")

    def _halt(self, reason: Reason, detail: str = "") -> None:
        """The kill switch has tripped: report it, and flatten unless the position is left to the operator."""
        if (together := self.shared.day) is not None:
            day, fall = together.figures()
        else:
            state = self.inventory.state()
            day, fall = self.instrument.amount(state.pnl_today_jpy), self.instrument.amount(state.drawdown_jpy)
        why = f" ({detail})" if detail else ""
        flatten = not self.kill_switch.keeps_position
        then = "flattening" if flatten else "the position is left to the operator"
        quote = self.instrument.quote
        result = f"day {day:+,.0f} {quote}, drawdown {fall:,.0f} {quote}"
        self.record.note("CRITICAL", f"HALT {reason.label}{why}: {result}; {then}")
        self.record.fact("halt", detail=f"{reason.label}{why}")
        self.kill_switch.tell(self._now_ns, detail)
        self.dispatch.decision("halt", reason)
        self.exits.closing = None
        if flatten and self._has_begun:
            self.exits.begin(reason, flatten=True)

    def _must_be_flat(self) -> Reason | None:
        """Why no position may be held, however it arose; None if one may.

        After a restart the stored position is uncertain until the venue confirms it: if it was closed by hand
        meanwhile, a close would open the opposite position. Before trading has begun, this run has opened nothing.
        """
        if self.kill_switch.keeps_position or not self._has_begun:
            return None
        is_wanted = self._stop_flat or self.shared.paused is Reason.FLATTEN
        return self.kill_switch.halted or (Reason.FLATTEN if is_wanted else None)

    # --- deciding

    @property
    def _is_contradicted(self) -> bool:
        """Whether the venue's last reported position contradicts ours."""
        return self.account is not None and self.account.is_contradicted(self._now_ns)

    def _gate(self) -> Reason | None:
        """The first reason outside the strategy that forbids quotes."""
        account = self.account
        gate = first_gate(
            self.kill_switch.halted is not None,
            self._stopping,
            self.exits.closing is not None,
            self._held or 0 if self.shared.paused is None else Reason.PAUSED,
            account is None or (self.shared.is_whole and account.is_sure(self._now_ns)),
            self._now_ns < self._margin.until_ns,
            self._state is _RUNNING,
            self._health not in _UNHEALTHY,
            self._quiet is not None,
        )
        return _REASONS[gate] if gate else None

    def _decide(self, now: int) -> None:
        """Ask the strategy what it wants and carry it out."""
        if self._errors >= self._max_errors:
            self.exits.cancel_quotes(Reason.INTERNAL_ERROR, now)
            self.exits.retry_cancels(now)
            return
        board, gate, quoting = self._board, self._gate(), self.quoting
        status = board.status
        if status is _OK and now - board.ts_ns >= self._stale_ns:
            status = _STALE
            board = board._replace(status=status)
        if gate is None and status is not _OK:
            gate = _BOOK_GATES[status]
        may_close = self.inventory.position != 0 and status is _OK and self._may_close()
        any_ending = self.orders.any_ending
        try:
            wish = quoting.ask(board, gate, now, may_close)
        except Exception as error:  # noqa: BLE001 - whatever the error, the quotes must be cancelled
            self._on_error(error, now)
            return
        reason: Reason | None = None
        if quoting.is_true:
            reason = gate or wish.reason
        elif may_close and wish.flatten:
            self._close(wish.reason, now)
        else:
            reason = quoting.carry_out(wish, gate, now)
        if reason is not None and reason is not self.record.hold_reason:
            self._hold(reason, now)
        if any_ending:
            self.exits.retry_cancels(now)

    def _may_close(self) -> bool:
        """Whether the strategy may close the position: no halt, stop or closing is on, and no report contradicts it."""
        is_free = self.kill_switch.halted is None and not self._stopping and self.exits.closing is None
        return is_free and self._has_begun and not self._is_contradicted

    def _close(self, reason: Reason, now: int) -> None:
        """Close the position, as the strategy wishes; its quotes go first."""
        self.exits.begin(reason, flatten=False)
        self.dispatch.decision("close", reason, self.exits.cancel_quotes(reason, now))
        size = self.instrument.size(self.inventory.position)
        self.record.note("INFO", f"{self.strategy.close_word}: closing {size:+f} {self.instrument.base}")

    def _hold(self, reason: Reason, now: int) -> None:
        """Record a new reason for doing nothing; now and then also which limit is in the way, as it may come and go."""
        if reason is _BUDGET and now >= self._tell_wait_ns and (wait := self.budget.wait(now)) is not None:
            self._tell_wait_ns = now + _TELL_WAIT_NS
            self.record.note("INFO", f"no {self.strategy.word} for the budget: {wait.text(now)}")
        self.record.hold(reason, self._board)

    def _on_error(self, error: Exception, now: int) -> None:
        """The strategy raised an exception: cancel its quotes, and halt after ``max_errors`` of them."""
        self._errors += 1
        self.record.note("ERROR", f"strategy failed ({self._errors} of {self.cfg.risk.max_errors}): {error!r}")
        self.record.fact("error", detail=repr(error))
        actions = self.exits.cancel_quotes(Reason.INTERNAL_ERROR, now)
        if actions:
            self.dispatch.decision("cancel", Reason.INTERNAL_ERROR, actions)
        if self._errors >= self.cfg.risk.max_errors:
            self._trip(Reason.INTERNAL_ERROR, repr(error))

    # --- events of our orders

    def _apply(self, event: OrderEvent | FillEvent) -> bool:
        """Apply an event of an order; return whether it was news."""
        is_news = False
        for applied in self.orders.apply(event):
            is_news = is_news or applied.changed
            self._on_applied(applied, self._now_ns)
        return is_news

    def _count_failures(self, order: Order, event: OrderEvent, now: int) -> None:
        """Count refused and unsent orders: a dead connection or an account without margin must not be hammered.

        One that was never seen was not refused: its request was lost, or the news of it.
        """
        if event.kind is _REJECTED and event.is_margin:
            self._on_margin(event, now)
        elif event.kind is _REJECTED:
            if self._has_begun and (tripped := self.kill_switch.on_reject(now)) is not None:
                self._halt(tripped)
        elif event.kind is _ACCEPTED:
            self.shared.unsent = 0
        elif event.kind is _REGISTERED:
            self._margin.on_book(order)
        elif event.kind is _NOT_SENT:
            self.shared.unsent += 1
            self.budget.block(now, now + min(NS_PER_S << min(self.shared.unsent, 5), _LONGEST_PAUSE_NS), exits=False)

    def _on_margin(self, event: OrderEvent, now: int) -> None:
        """The margin does not suffice for an order: pause quoting, and cancel quotes to free the margin they bind."""
        if pause_ns := self._margin.refused(now):
            said = f"{event.detail or 'margin is insufficient'}; no quotes for {pause_ns / NS_PER_S:.0f} s"
            self.record.note("WARNING", f"the collateral does not carry an order: {said}")
            self.record.fact("margin", order_id=event.order_id, detail=said)
        if actions := self.exits.cancel_quotes(Reason.MARGIN, now):
            self.dispatch.decision("cancel", Reason.MARGIN, actions)

    def _on_applied(self, applied: Applied, now: int) -> None:
        order, event = applied.order, applied.event
        if applied.anomaly:
            self.record.anomaly(applied.anomaly)
            if self.account is not None:
                self.account.rules.alarm(applied.anomaly)
        if order is None:
            return
        if applied.new_fill is not None:
            realised = self.inventory.apply_fill(applied.new_fill)
            self.record.fill(order, applied.new_fill, realised)
            if self.account is not None:
                self.account.rules.note_fill(now, applied.new_fill, realised)
                self.account.rules.note_held(self.inventory.basis)
            if order.key:
                self._tell_strategy(partial(self.strategy.on_fill, order.key, applied.new_fill), now)
        elif isinstance(event, OrderEvent) and not applied.anomaly and not applied.is_repeat:
            self.record.order_event(order, event)
            self._count_failures(order, event, now)
        if applied.changed and not order.is_live:
            self._on_ended(order, now)

    def _on_ended(self, order: Order, now: int) -> None:
        """An order has just ended: tell the strategy, or the closing that sent it."""
        if order.key:
            self._tell_strategy(partial(self.strategy.on_ended, order.key, order.executed), now)
        elif not order.is_quote and self.exits.closing is not None:
            self.exits.closing.order_ended(now, executed=order.executed, remaining=order.remaining)
            is_refused = order.state is OrderState.REJECTED
            self._refused_close = order.side if is_refused else None
            if is_refused and self.account is not None and not self.obstacles:
                self.account.rules.alarm("a close was refused")

    def _tell_strategy(self, tell: Callable[[], None], now: int) -> None:
        self.quoting.ask_anew()
        try:
            tell()
        except Exception as error:  # noqa: BLE001 - whatever the error, the quotes must be cancelled
            self._on_error(error, now)

    # --- the journal

    def _changes(self, now: int) -> Changes | None:
        """What the journal must store of this step, or None. New marks alone are stored only now and then."""
        touched, record = self.orders.touched, self.record
        marked = self.inventory.changes != self._remembered and now - self._memo_ns >= _MEMO_NS
        if not (touched or record.booked or record.facts or marked):
            return None
        self._memo_ns, self._remembered = now, self.inventory.changes
        orders = tuple([order.memo() for order in touched.values()])
        touched.clear()
        memo = CoreMemo(
            ts_ns=now,
            day="" if self._day is None else self._day.isoformat(),
            inventory=self.inventory.memo(),
            halted=self.kill_switch.halted,
            halt_ns=self.kill_switch.since_ns,
            halt_detail=self.kill_switch.detail,
            pnl_base=self.kill_switch.pnl_base,
            cash_base=None if self.account is None else self.account.rules.cash_base,
            since=None if self.account is None else self.account.rules.since,
            paused=self.shared.paused,
        )
        return Changes(ts_ns=now, orders=orders, fills=tuple(record.booked), facts=tuple(record.facts), memo=memo)
