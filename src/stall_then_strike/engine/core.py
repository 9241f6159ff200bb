"""One step of the daemon: an event and the present moment in, actions and log rows out.

``Core`` is fed every event with ``now_ns`` and returns what is to be done and written; ``next_deadline_ns`` says when
it wants to be woken although nothing happens. It is the same object in live trading, on paper and in replay: only the
clock, the source of events and the gateway differ. The same events at the same stamps give the same steps.

The order of a step: roll the trading day (what comes after its last moment belongs to the next one), take the event in,
trip the kill switch, let the strategy decide, drive a closing. The owner of every piece of state is here or in one of
the objects that this one owns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Final, assert_never

from stall_then_strike.config.models import AfterHalt, AppConfig
from stall_then_strike.engine.dispatch import Dispatch
from stall_then_strike.engine.exits import Exits
from stall_then_strike.engine.inventory import InventoryManager
from stall_then_strike.engine.orders import Applied, Order, Orders, OrderState
from stall_then_strike.engine.recording import Recorder
from stall_then_strike.engine.risk import KillSwitch
from stall_then_strike.engine.strategy_stall import (
    CANCEL,
    CLOSE,
    HOLD,
    STALL_TAG,
    STRIKE,
    StallThenStrikeStrategy,
    Verdict,
)
from stall_then_strike.engine.venue.account import Account
from stall_then_strike.engine.venue.budget import NEVER_NS, Budget
from stall_then_strike.engine.venue.calendar import TradingCalendar
from stall_then_strike.engine.venue.margin import MarginPause
from stall_then_strike.types.dto import (
    NOTHING,
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
    TimeInForce,
    VenueRefusal,
    VenueStatus,
)
from stall_then_strike.types.instrument import Lots, Ticks

# Enum members resolved once: in Python 3.11, reading one off its class costs as much as a call.
_OK: Final = BookStatus.OK
_RUNNING: Final = BoardState.RUNNING
_BUDGET: Final = Reason.BUDGET
_ACCEPTED: Final = OrderEventKind.ACCEPTED
_REGISTERED: Final = OrderEventKind.REGISTERED
_REJECTED: Final = OrderEventKind.REJECTED
_PROVEN_ABSENT: Final = OrderEventKind.PROVEN_ABSENT
_NOT_SENT: Final = OrderEventKind.NOT_SENT

_UNHEALTHY: Final = frozenset({Health.SUPER_BUSY, Health.NO_ORDER, Health.STOP})
_OVERLOAD_NS: Final = 5 * NS_PER_S
"""Pause after an answer that the venue is overloaded, or that we went too far without a word of when to come back."""
_LONGEST_PAUSE_NS: Final = 30 * NS_PER_S
_MEMO_NS: Final = 5 * NS_PER_S
"""How old the remembered peak and drawdown of an open position may be."""
_TELL_WAIT_NS: Final = 10 * NS_PER_S
_OF_THE_ACCOUNT: Final = frozenset({Reason.POSITION_MISMATCH, Reason.OPERATOR})
"""Halts that count also before trading has begun. All others are then faults of this start: it fails."""
_REASONS: Final = {int(reason): reason for reason in Reason}

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
    """The daemon's state machine. Feed it every event; do what it returns; wake it at its deadline."""

    def __init__(self, cfg: AppConfig, *, live: bool = False, is_remembered: bool = False) -> None:
        """Start flat, with no book, armed.

        ``live``: there is an account at a venue, which has to be reconciled. ``is_remembered``: steps say what of them
        is for the journal; they always do where there is an account.
        """
        self.instrument = cfg.exchange.instrument()
        self.inventory = InventoryManager(cfg.risk, self.instrument)
        self.orders = Orders()
        self.budget = Budget(cfg.exchange.limits, self.instrument)
        self.kill_switch = KillSwitch(cfg.risk)
        self.calendar = TradingCalendar(cfg.session)
        self.record = Recorder(self.instrument, self.inventory, is_remembered=live or is_remembered)
        self.dispatch = Dispatch(self.instrument, self.orders, self.budget, self.record)
        self.dispatch.board = _NO_BOARD
        self.account = (
            Account(
                cfg.account,
                self.instrument,
                orders=self.orders,
                inventory=self.inventory,
                budget=self.budget,
                record=self.record,
                apply=self._apply,
            )
            if live
            else None
        )
        is_ghost = None if self.account is None else self.account.is_ghost
        self.strategy = StallThenStrikeStrategy(
            cfg.strategy,
            self.instrument,
            inventory=self.inventory,
            orders=self.orders,
            budget=self.budget,
            is_ghost=is_ghost,
        )
        self.exits = Exits(
            cfg,
            self.instrument,
            orders=self.orders,
            inventory=self.inventory,
            budget=self.budget,
            record=self.record,
            dispatch=self.dispatch,
            is_ghost=is_ghost,
        )
        self._cfg = cfg
        self._board = _NO_BOARD
        self._state = BoardState.UNKNOWN
        self._health = Health.UNKNOWN
        self._refused_close: Side | None = None
        """The side of the last close, if the venue refused it."""
        self.obstacles: tuple[OrderId, ...] = ()
        """Orders of others that it would meet."""
        self._margin = MarginPause()
        self._stopping = False
        self._stop_flat = False
        self._held: Reason | None = None
        self.start_fault: Reason | None = None
        """Why this start failed before trading began; None if it did not. Nothing of it outlives the run."""
        self._has_begun = not live
        """Whether the account was settled in this run and trading began, or a halt's end. Nothing is closed before."""
        self._now_ns = 0
        self._checked = -1
        self._day: date | None = None
        self._change_ns = 0
        self._quiet: str | None = None
        self._errors = 0
        self._failures = 0
        self._halt_ns = 0
        self._halt_detail = ""
        self._is_limit_told = False
        """Whether a limit of the day was reached, and told of, while the position is left to the operator."""
        self._tell_wait_ns = 0
        self._is_remembered = live or is_remembered
        self._memo_ns = 0
        self._remembered = -1

    def restore(
        self,
        memo: CoreMemo | None,
        orders: Iterable[OrderMemo],
        exec_ids: Iterable[ExecId],
        fills: Iterable[BookedFill] = (),
    ) -> None:
        """Go on from where an earlier run was left, before the first event. Its live orders are to be cancelled.

        ``orders`` in the order of sending, the last ended ones among them; ``exec_ids`` of fills counted, oldest first;
        ``fills`` the last of these.
        """
        memos = tuple(orders)
        self.orders.restore(memos, exec_ids)
        self.budget.restore(memos)
        for order in self.orders.live():
            order.cancel_reason = Reason.ORPHAN
        if memo is None:
            return
        self.inventory.restore(memo.inventory)
        self.kill_switch.restore(memo.halted, memo.pnl_base)
        self._halt_ns, self._halt_detail = memo.halt_ns, memo.halt_detail
        self._day = date.fromisoformat(memo.day) if memo.day else None
        if self.account is not None:
            self.account.restore(memo, fills)

    # --- what the shells may ask

    @property
    def now_ns(self) -> int:
        """The moment of the last event."""
        return self._now_ns

    @property
    def board(self) -> BoardSnapshot:
        """The last snapshot."""
        return self._board

    @property
    def venue(self) -> tuple[BoardState, Health]:
        """What the venue last said of itself."""
        return self._state, self._health

    @property
    def halted(self) -> Reason | None:
        """Why trading is halted, or None."""
        return self.kill_switch.halted

    @property
    def hold_reason(self) -> Reason | None:
        """Why nothing is being done now."""
        return self.record.hold_reason

    @property
    def is_done(self) -> bool:
        """Whether a stop, or a halt that ends the process, has left nothing live behind."""
        if not self._stopping:
            if self.kill_switch.halted is None or self._cfg.risk.after_halt is not AfterHalt.EXIT:
                return False
            if self.account is not None and not self.account.was_settled:
                return False  # a halt may be an earlier run's
        return self.exits.closing is None and not self.orders.any_live

    def book_status(self, now_ns: int) -> BookStatus:
        """The book's status with its age taken into account."""
        status = self._board.status
        stale = now_ns - self._board.ts_ns >= self.strategy.params.stale_ns
        return BookStatus.STALE if status is _OK and stale else status

    def own_orders(self) -> Iterator[Order]:
        """Orders that may stand in the venue's book: the view takes them out of it."""
        return (order for order in self.orders.live() if order.time_in_force is TimeInForce.GTC)

    @property
    def next_deadline_ns(self) -> int:
        """When to send a ``Tick`` if nothing else happens before. Always later than the last event."""
        now = self._now_ns
        first = self.strategy.next_deadline_ns(now)
        if now < self._change_ns < first:
            first = self._change_ns
        if now < self._margin.until_ns < first:
            first = self._margin.until_ns
        if self.account is not None and now < (look_ns := self.account.next_look_ns(now)) < first:
            first = look_ns
        if self.exits.closing is not None or self.orders.any_live:
            for stamp in self.exits.stamps(now):
                if now < stamp < first:
                    first = stamp
        return first if first < NEVER_NS else now + NS_PER_S

    # --- the step

    def on_event(self, event: Event, now_ns: int) -> Step:
        """Take one event in and answer it. A ``now_ns`` of the past counts as the latest one seen."""
        now = self._now_ns = now_ns if now_ns > self._now_ns else self._now_ns
        dispatch, record, account = self.dispatch, self.record, self.account
        dispatch.begin(now)
        record.begin(now)
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
        return Step(tuple(dispatch.actions), tuple(record.rows), changes)

    def _go_on_closing(self, now: int) -> None:
        """Take the closing under way one step further; begin one where a fill came after all was closed."""
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
        """Whether the account is known, and there is something to do with it: to trade, or to see a halt through."""
        is_known = account.was_settled and self.start_fault is None
        return is_known and (not self._stopping or self.kill_switch.halted is not None)

    def _check_limits(self) -> None:
        """Trip the kill switch where the day's result or drawdown has reached its limit."""
        self._checked = self.inventory.changes
        is_left = self.kill_switch.keeps_position
        reached = self.kill_switch.reached(self.inventory) if is_left else self.kill_switch.check(self.inventory)
        if reached is None or (is_left and self._is_limit_told):
            return
        risk, is_day = self._cfg.risk, reached is Reason.KILL_PNL
        what, limit = ("result", risk.daily_pnl_jpy) if is_day else ("drawdown", risk.max_dd_jpy)
        said = f"the day's {what} reached its limit of {limit:,f} {self.instrument.quote}"
        if not is_left:
            self._halt(reached, said)
            return
        self._is_limit_told = True
        self.record.note("CRITICAL", f"{said}, and nothing is closed: the position is left to the operator")
        self.record.fact("limit", detail=said)

    def _take_in(self, event: Event, now: int) -> None:
        """Fold one event into the state."""
        if isinstance(event, BoardSnapshot):  # in order of their number
            self._board = self.dispatch.board = event
            self.record.tally.boards += 1
            if event.status is _OK:
                self.inventory.mark(event.best_bid_price, event.best_ask_price)
        elif isinstance(event, OrderEvent):
            self._apply(event)
        elif isinstance(event, Tick):
            pass
        elif isinstance(event, FillEvent):
            self._apply(event)
            if self.account is not None:
                self.account.on_told(event, now)
        elif isinstance(event, Control):
            self._on_control(event, now)
        elif isinstance(event, PrivateChannel | AccountReport | ReportFailed | PrintedFill):
            if self.account is not None:
                self._on_account(self.account, event, now)
        else:
            self._on_venue(event, now)

    def _on_venue(self, event: VenueStatus | FundingEvent | VenueRefusal | LimitReading | CallsMade, now: int) -> None:
        """Fold in what the venue says of itself and of its limits, and what it pays."""
        if isinstance(event, VenueStatus):
            self._state = event.state if event.state is not None else self._state
            self._health = event.health if event.health is not None else self._health
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
            if why_halt is not None:
                self._trip(why_halt)
            self._name_obstacles(account)
            if account.why_renew:
                self.dispatch.actions.append(RenewFeed(why=account.why_renew))
            if account.to_cancel and self.budget.may_cancel(now, len(account.to_cancel)):
                self.dispatch.cancel_strangers(account.to_cancel)

    def _name_obstacles(self, account: Account) -> None:
        """Say, once of each, which orders of others a refused close would meet: the venue forbids such a trade."""
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
        """The venue refused for a reason that concerns what comes next."""
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
        """Pass a boundary of the calendar: the day's, or a quiet window's."""
        day = self.calendar.day(now)
        if self._day is not None and day != self._day:
            result = self.instrument.amount(self.inventory.pnl_today)
            said = f"{self._day} ended with {result:+,.0f} {self.instrument.quote}"
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
            case Command.RESUME:
                self._errors = 0
                if (lifted := self.kill_switch.resume(self.inventory)) is not None:
                    why = control.detail or control.reason.label
                    self.record.note("WARNING", f"halt ({lifted.label}) lifted: {why}; limits count from here")
                    self.dispatch.decision("resume", Reason.RESUMED)
                    self.record.fact("resume", detail=why)
            case Command.HOLD:
                self._held = control.reason
            case Command.RELEASE:
                self._held = None
            case _:
                assert_never(control.command)

    def _trip(self, reason: Reason, detail: str = "") -> None:
        """Halt; before trading has begun, give this start up instead."""
        if self._has_begun or reason in _OF_THE_ACCOUNT:
            if self.kill_switch.trip(reason) is not None:
                self._halt(reason, detail)
        elif self.start_fault is None:
            self.start_fault, self._stopping, self.exits.closing = reason, True, None
            why = f" ({detail})" if detail else ""
            self.record.note("ERROR", f"this start fails before trading began: {reason.label}{why}")
            self.record.fact("start_failed", detail=f"{reason.label}{why}")

    def _halt(self, reason: Reason, detail: str = "") -> None:
        """The kill switch has tripped: from here on only exits."""
        state = self.inventory.state()
        day, fall = self.instrument.amount(state.pnl_today_jpy), self.instrument.amount(state.drawdown_jpy)
        why = f" ({detail})" if detail else ""
        flatten = not self.kill_switch.keeps_position
        then = "flattening" if flatten else "the position is left to the operator"
        quote = self.instrument.quote
        result = f"day {day:+,.0f} {quote}, drawdown {fall:,.0f} {quote}"
        self.record.note("CRITICAL", f"HALT {reason.label}{why}: {result}; {then}")
        self.record.fact("halt", detail=f"{reason.label}{why}")
        self._halt_ns, self._halt_detail = self._now_ns, detail
        self.dispatch.decision("halt", reason)
        self.exits.closing = None
        if flatten and self._has_begun:
            self.exits.begin(reason, flatten=True)

    def _must_be_flat(self) -> Reason | None:
        """Why there may be no position at all, whenever and however it came; None if there may.

        After a restart the position is hearsay until the venue says it, for what was closed by hand meanwhile would be
        opened the other way; and where trading never began, nothing of this run is open.
        """
        if self.kill_switch.keeps_position or not self._has_begun:
            return None
        return self.kill_switch.halted or (Reason.FLATTEN if self._stop_flat else None)

    # --- deciding

    @property
    def _is_contradicted(self) -> bool:
        """Whether the venue's last word is another position than ours."""
        return self.account is not None and self.account.is_contradicted(self._now_ns)

    def _gate(self) -> Reason | None:
        """Reasons outside the strategy, in the order in which they are asked."""
        if self.kill_switch.halted is not None:
            return Reason.HALTED
        if self._stopping:
            return Reason.STOPPING
        if self.exits.closing is not None:
            return Reason.CLOSING
        if self._held is not None:
            return self._held
        if self.account is not None and (not self.account.is_settled or self.account.is_failing(self._now_ns)):
            return Reason.ACCOUNT_UNKNOWN
        if self._now_ns < self._margin.until_ns:
            return Reason.MARGIN
        if self._state is not _RUNNING:
            return Reason.VENUE_NOT_RUNNING
        if self._health in _UNHEALTHY:
            return Reason.VENUE_UNHEALTHY
        if self._quiet is not None:
            return Reason.QUIET_TIME
        return None

    def _decide(self, now: int) -> None:
        """Ask the strategy, and do what it says."""
        if self._errors >= self._cfg.risk.max_errors:
            self.exits.cancel_quotes(Reason.INTERNAL_ERROR, now)
            self.exits.retry_cancels(now)
            return
        may_close = self.inventory.position != 0 and self._may_close()
        try:
            verdict = self.strategy.on_board(self._board, now, self._gate(), may_close=may_close)
        except Exception as error:  # noqa: BLE001 - whatever it is, working orders must not be left alone with it
            self._on_error(error, now)
            return
        reason = _REASONS[verdict.reason]
        if verdict.move != HOLD:
            self._act(verdict, reason, now)
        elif reason is not self.record.hold_reason:
            if reason is _BUDGET:
                self._tell_wait(now)
            self.record.hold(reason, self._board)
        if self.orders.any_live:
            self.exits.retry_cancels(now)

    def _may_close(self) -> bool:
        """Whether the strategy may close what is held: nothing else is on its way out, and no report denies it."""
        is_free = self.kill_switch.halted is None and not self._stopping and self.exits.closing is None
        return is_free and self._has_begun and not self._is_contradicted

    def _act(self, verdict: Verdict, reason: Reason, now: int) -> None:
        """Do what the strategy decided on."""
        if verdict.move == STRIKE:
            self._strike(verdict, now)
        elif verdict.move == CANCEL:
            actions = self.exits.cancel_quotes(reason, now)
            self.dispatch.decision("cancel", reason, actions)
        elif verdict.move == CLOSE:
            self.exits.begin(Reason.REVERSE, flatten=False)
            actions = self.exits.cancel_quotes(Reason.REVERSE, now)
            self.dispatch.decision("close", Reason.REVERSE, actions)
            size = self.instrument.size(self.inventory.position)
            self.record.note("INFO", f"reverse move: closing {size:+f} {self.instrument.base}")

    def _tell_wait(self, now: int) -> None:
        """Say now and then which limit holds strikes up; the reason may come and go each second."""
        if now >= self._tell_wait_ns and (wait := self.budget.wait(now)) is not None:
            self._tell_wait_ns = now + _TELL_WAIT_NS
            self.record.note("INFO", f"no strike for the budget: {wait.text(now)}")

    def _on_error(self, error: Exception, now: int) -> None:
        """The strategy has failed: take its quotes back, and halt if it does so again and again."""
        self._errors += 1
        self.record.note("ERROR", f"strategy failed ({self._errors} of {self._cfg.risk.max_errors}): {error!r}")
        self.record.fact("error", detail=repr(error))
        actions = self.exits.cancel_quotes(Reason.INTERNAL_ERROR, now)
        if actions:
            self.dispatch.decision("cancel", Reason.INTERNAL_ERROR, actions)
        if self._errors >= self._cfg.risk.max_errors:
            self._trip(Reason.INTERNAL_ERROR, repr(error))

    def _strike(self, verdict: Verdict, now: int) -> None:
        quotes = self.strategy.strike(verdict, now, (self.dispatch.name(), self.dispatch.name()))
        self.dispatch.strike(quotes, Ticks(verdict.bid), Ticks(verdict.ask))

    # --- what became of our orders

    def _apply(self, event: OrderEvent | FillEvent) -> bool:
        """Apply a fact on an order; whether it was news."""
        results = self.orders.apply(event)
        for applied in results:
            self._on_applied(applied, self._now_ns)
        return any(applied.changed for applied in results)

    def _count_failures(self, order: Order, event: OrderEvent, now: int) -> None:
        """Orders that are refused, or do not even leave: a dead line is not to be hammered, nor an empty account."""
        if event.kind is _REJECTED and event.is_margin:
            self._on_margin(event, now)
        elif event.kind in (_REJECTED, _PROVEN_ABSENT):
            if self._has_begun and (tripped := self.kill_switch.on_reject(now)) is not None:
                self._halt(tripped)
        elif event.kind is _ACCEPTED:
            self._failures = 0
        elif event.kind is _REGISTERED:
            self._margin.on_book(order)
        elif event.kind is _NOT_SENT:
            self._failures += 1
            self.budget.block(now, now + min(NS_PER_S << min(self._failures, 5), _LONGEST_PAUSE_NS), exits=False)

    def _on_margin(self, event: OrderEvent, now: int) -> None:
        """The collateral does not carry an order: no quotes for a while, and those on the book free what they bind."""
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
        elif isinstance(event, OrderEvent) and not applied.anomaly and not applied.is_repeat:
            self.record.order_event(order, event)
            self._count_failures(order, event, now)
        if not order.is_live and applied.changed and order.tag != STALL_TAG and self.exits.closing is not None:
            self.exits.closing.order_ended(now, executed=order.executed, remaining=order.remaining)
            is_refused = order.state is OrderState.REJECTED
            self._refused_close = order.side if is_refused else None
            if is_refused and self.account is not None and not self.obstacles:
                self.account.rules.alarm("a close was refused")

    # --- the account

    def _changes(self, now: int) -> Changes | None:
        """What this step leaves to be remembered. Marks alone are, now and then."""
        touched, record = self.orders.touched, self.record
        marked = self.inventory.changes != self._remembered and now - self._memo_ns >= _MEMO_NS
        if not (touched or record.booked or record.facts or marked):
            return None
        self._memo_ns, self._remembered = now, self.inventory.changes
        orders = tuple(order.memo() for order in touched.values())
        touched.clear()
        memo = CoreMemo(
            ts_ns=now,
            day="" if self._day is None else self._day.isoformat(),
            inventory=self.inventory.memo(),
            halted=self.halted,
            halt_ns=self._halt_ns,
            halt_detail=self._halt_detail,
            pnl_base=self.kill_switch.pnl_base,
            cash_base=None if self.account is None else self.account.rules.cash_base,
            since=None if self.account is None else self.account.rules.since,
        )
        return Changes(ts_ns=now, orders=orders, fills=tuple(record.booked), facts=tuple(record.facts), memo=memo)
