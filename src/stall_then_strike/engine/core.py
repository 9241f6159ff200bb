"""One step of the daemon: an event and the present moment in, actions and log rows out.

``Core`` is fed every event with ``now_ns`` and returns what is to be done and written; ``next_deadline_ns`` says when
it wants to be woken although nothing happens. It is the same object in live trading, on paper and in replay: only the
clock, the source of events and the gateway differ. The same events at the same stamps give the same steps.

The order of a step: roll the trading day (what comes after its last moment belongs to the next one), take the event in,
trip the kill switch, let the strategy decide, drive a closing. The owner of every piece of state is here or in one of
the objects that this one owns.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final, assert_never

from stall_then_strike.config.models import AfterHalt, AppConfig
from stall_then_strike.engine.budget import Budget
from stall_then_strike.engine.calendar import TradingCalendar
from stall_then_strike.engine.closing import CloseOrder, Closing, Done, Wait
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
from stall_then_strike.types.dto import (
    NOTHING,
    NS_PER_S,
    AccountReport,
    Action,
    BoardSnapshot,
    BoardState,
    BookStatus,
    CancelAllStall,
    ClientOrderId,
    CloseMarket,
    Command,
    Control,
    DecisionMeta,
    Event,
    FillEvent,
    FundingEvent,
    Health,
    LimitReading,
    OrderEvent,
    OrderEventKind,
    OrderId,
    PlaceLimit,
    PrivateChannel,
    Reason,
    ReportFailed,
    Step,
    Tick,
    TimeInForce,
    VenueRefusal,
    VenueStatus,
)
from stall_then_strike.types.instrument import NO_PRICE, Lots, Ticks

_UNHEALTHY: Final = frozenset({Health.SUPER_BUSY, Health.NO_ORDER, Health.STOP})
_RETRY_NS: Final = 1 * NS_PER_S
"""Pause before a cancel that failed, or a request for which there was no budget, is tried again."""
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

    def __init__(self, cfg: AppConfig) -> None:
        """Start flat, with no book, armed."""
        self.instrument = cfg.exchange.instrument()
        self.inventory = InventoryManager(cfg.risk, self.instrument)
        self.orders = Orders()
        self.budget = Budget(cfg.exchange.limits, self.instrument)
        self.kill_switch = KillSwitch(cfg.risk)
        self.calendar = TradingCalendar(cfg.session)
        self.strategy = StallThenStrikeStrategy(
            cfg.strategy, self.instrument, inventory=self.inventory, orders=self.orders, budget=self.budget
        )
        self.record = Recorder(self.instrument, self.inventory)
        self._cfg = cfg
        self._board = _NO_BOARD
        self._state = BoardState.UNKNOWN
        self._health = Health.UNKNOWN
        self._stopping = False
        self._stop_flat = False
        self._closing: Closing | None = None
        self._now_ns = 0
        self._checked = -1
        self._day: date | None = None
        self._change_ns = 0
        self._quiet: str | None = None
        self._sent = 0
        self._run_name = ""
        self._actions: list[Action] = []

    # --- what the shells may ask

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
        ending = self._stopping or (self.halted is not None and self._cfg.risk.after_halt is AfterHalt.EXIT)
        return ending and self._closing is None and not self.orders.any_live

    def book_status(self, now_ns: int) -> BookStatus:
        """The book's status with its age taken into account."""
        status = self._board.status
        stale = now_ns - self._board.ts_ns >= self.strategy.params.stale_ns
        return BookStatus.STALE if status is BookStatus.OK and stale else status

    def own_orders(self) -> Iterator[Order]:
        """Orders that may stand in the venue's book: the view takes them out of it."""
        return (order for order in self.orders.live() if order.time_in_force is TimeInForce.GTC)

    @property
    def next_deadline_ns(self) -> int:
        """When to send a ``Tick`` if nothing else happens before. Always later than the last event."""
        now = self._now_ns
        stamps = [self._change_ns]
        strategy = self.strategy.next_deadline_ns(now)
        if strategy is not None:
            stamps.append(strategy)
        if self._closing is not None:
            stamps.append(self._closing.retry_at_ns)
        # A cancel that is due but did not go out had no budget: no event need ever come of that, so look again.
        stamps.extend(at if at > now else now + _RETRY_NS for _, _, at in self._unsent_cancels())
        later = [stamp for stamp in stamps if stamp > now]
        return min(later) if later else now + NS_PER_S

    # --- the step

    def on_event(self, event: Event, now_ns: int) -> Step:
        """Take one event in and answer it. A ``now_ns`` of the past counts as the latest one seen."""
        now = self._now_ns = max(now_ns, self._now_ns)
        self._actions = []
        self.record.begin(now)
        if now >= self._change_ns:
            self._roll(now)
        self._take_in(event, now)
        if self.inventory.changes != self._checked:
            self._checked = self.inventory.changes
            if (tripped := self.kill_switch.check(self.inventory)) is not None:
                self._halt(tripped)
        self._decide(now)
        if self._closing is None and self.inventory.position and (why := self._must_be_flat()) is not None:
            self._closing = self._new_closing(why, flatten=True)  # a fill came after all was closed
        if self._closing is not None:
            self._close(self._closing, now)
        if not self._actions and not self.record.rows:
            return NOTHING
        return Step(tuple(self._actions), tuple(self.record.rows))

    def _take_in(self, event: Event, now: int) -> None:
        """Fold one event into the state."""
        if isinstance(event, BoardSnapshot):
            self._on_board(event)
        elif isinstance(event, FillEvent | OrderEvent):
            for applied in self.orders.apply(event):
                self._on_applied(applied, now)
        elif isinstance(event, VenueStatus):
            self._state = event.state if event.state is not None else self._state
            self._health = event.health if event.health is not None else self._health
        elif isinstance(event, FundingEvent):
            self.inventory.apply_cash(event.amount)
            self.record.funding(event)
        elif isinstance(event, Control):
            self._on_control(event, now)
        elif not isinstance(event, Tick | VenueRefusal | LimitReading | PrivateChannel | AccountReport | ReportFailed):
            assert_never(event)

    def _on_board(self, board: BoardSnapshot) -> None:
        self._board = board
        self.record.tally.boards += 1
        if board.status is BookStatus.OK:
            self.inventory.mark(board.best_bid_price, board.best_ask_price)

    def _roll(self, now: int) -> None:
        """Pass a boundary of the calendar: the day's, or a quiet window's."""
        day = self.calendar.day(now)
        if self._day is None:
            self._run_name = f"{now // 1_000_000:x}"
        elif day != self._day:
            result = self.instrument.amount(self.inventory.pnl_today)
            self.record.note("INFO", f"trading day {self._day} ended with {result:+,.0f} JPY; {day} begins")
            self.inventory.roll_day()
            if (lifted := self.kill_switch.on_day_roll()) is not None:
                self.record.note("WARNING", f"halt ({lifted.label}) lifted by the day roll")
                self._decision("resume", Reason.DAY_ROLL)
        self._day = day
        self._quiet = self.calendar.quiet(now)
        self._change_ns = self.calendar.next_change_ns(now)

    def _on_control(self, control: Control, now: int) -> None:
        match control.command:
            case Command.HALT:
                if self.kill_switch.trip(control.reason) is not None:
                    self._halt(control.reason, control.detail)
            case Command.STOP | Command.STOP_FLAT:
                self._stopping = True
                if control.command is Command.STOP_FLAT:
                    self._stop_flat = True
                    self._closing = self._new_closing(Reason.FLATTEN, flatten=True)
            case Command.RESUME:
                if (lifted := self.kill_switch.resume(self.inventory)) is not None:
                    why = control.detail or control.reason.label
                    self.record.note("WARNING", f"halt ({lifted.label}) lifted: {why}; limits count from here")
                    self._decision("resume", Reason.RESUMED)
            case _:
                assert_never(control.command)

    def _halt(self, reason: Reason, detail: str = "") -> None:
        """The kill switch has tripped: from here on only exits."""
        state = self.inventory.state()
        day, fall = self.instrument.amount(state.pnl_today_jpy), self.instrument.amount(state.drawdown_jpy)
        why = f" ({detail})" if detail else ""
        self.record.note(
            "CRITICAL", f"HALT {reason.label}{why}: day {day:+,.0f} JPY, drawdown {fall:,.0f} JPY; flattening"
        )
        self._decision("halt", reason)
        self._closing = self._new_closing(reason, flatten=True)

    # --- deciding

    def _gate(self) -> Reason | None:
        """Reasons outside the strategy, in the order in which they are asked."""
        if self.halted is not None:
            return Reason.HALTED
        if self._stopping:
            return Reason.STOPPING
        if self._closing is not None:
            return Reason.CLOSING
        if self._state is not BoardState.RUNNING:
            return Reason.VENUE_NOT_RUNNING
        if self._health in _UNHEALTHY:
            return Reason.VENUE_UNHEALTHY
        if self._quiet is not None:
            return Reason.QUIET_TIME
        return None

    def _decide(self, now: int) -> None:
        may_close = self.halted is None and not self._stopping and self._closing is None
        verdict = self.strategy.on_board(self._board, now, self._gate(), may_close=may_close)
        if verdict.move == HOLD:
            self.record.hold(_REASONS[verdict.reason], self._board)
        elif verdict.move == STRIKE:
            self._strike(verdict, now)
        elif verdict.move == CANCEL:
            reason = _REASONS[verdict.reason]
            actions = self._cancel_quotes(reason, now)
            self._decision("cancel", reason, actions)
        elif verdict.move == CLOSE:
            self._closing = self._new_closing(Reason.REVERSE, flatten=False)
            actions = self._cancel_quotes(Reason.REVERSE, now)
            self._decision("close", Reason.REVERSE, actions)
            size = self.instrument.size(self.inventory.position)
            self.record.note("INFO", f"reverse move: closing {size:+f} BTC")
        if self.orders.any_live:
            self._retry_cancels(now)

    def _strike(self, verdict: Verdict, now: int) -> None:
        quotes = self.strategy.strike(verdict, now, (self._name(), self._name()))
        for quote in quotes:
            self._track(quote, now)
        self.budget.spend_strike(now, len(quotes), self.strategy.size)
        self.record.tally.strikes += 1
        self._actions.extend(quotes)
        self._decision("strike", Reason.STRIKE, tuple(quotes), Ticks(verdict.bid), Ticks(verdict.ask))
        sides = " / ".join(f"{q.side} {self.instrument.price(q.price)}" for q in quotes)
        self.record.note("INFO", f"strike {self.instrument.size(self.strategy.size)} BTC: {sides}")

    # --- leaving

    def _cancel_quotes(self, reason: Reason, now: int) -> tuple[Action, ...]:
        """Want every live quote cancelled; send the cancels of those that the venue has named."""
        for order in self.orders.live(STALL_TAG):
            if order.cancel_reason is None:
                order.cancel_reason = reason
        return self._send_cancels(now)

    def _send_cancels(self, now: int) -> tuple[Action, ...]:
        due = [(order, name) for order, name, at_ns in self._unsent_cancels() if now >= at_ns]
        if not due or not self.budget.may_cancel(now, len(due)):
            return ()
        reason = due[0][0].cancel_reason
        if reason is None:
            raise AssertionError("only orders with a cancel reason are due")
        self.budget.spend_cancel(now, len(due))
        for order, _ in due:
            self.orders.cancel_sent(order, now)
        action = CancelAllStall(order_ids=tuple(name for _, name in due), reason=reason)
        self._actions.append(action)
        return (action,)

    def _unsent_cancels(self) -> Iterator[tuple[Order, OrderId, int]]:
        """Named quotes whose cancel is wanted but not under way, and when it may be sent."""
        for order in self.orders.live(STALL_TAG):
            if order.cancel_reason is None or order.order_id is None or order.state is OrderState.PENDING_CANCEL:
                continue
            yield order, order.order_id, 0 if order.cancel_sent_ns is None else order.cancel_sent_ns + _RETRY_NS

    def _retry_cancels(self, now: int) -> None:
        """Send cancels that could not go out when they were decided: no name yet, no budget, or refused."""
        for order in self.orders.live(STALL_TAG):
            if order.cancel_reason is not None and order.state is not OrderState.PENDING_CANCEL:
                if actions := self._send_cancels(now):
                    self._decision("cancel", order.cancel_reason, actions)
                return

    def _must_be_flat(self) -> Reason | None:
        """Why there may be no position at all, whenever and however it came; None if there may."""
        return Reason.FLATTEN if self.halted is None and self._stop_flat else self.halted

    def _new_closing(self, reason: Reason, *, flatten: bool) -> Closing:
        return Closing(reason, self._cfg.strategy, self.instrument, flatten=flatten)

    def _close(self, closing: Closing, now: int) -> None:
        """Take the closing one step further."""
        open_now = self.book_status(now) is BookStatus.OK and self._state is BoardState.RUNNING
        board = self._board
        step = closing.next(
            now,
            position=self.inventory.position,
            quotes_live=any(True for _ in self.orders.live(STALL_TAG)),
            order_live=any(order.tag != STALL_TAG for order in self.orders.live()),
            best=(board.best_bid_price, board.best_ask_price) if open_now else None,
        )
        if isinstance(step, Done):
            self._closing = None
            if step is Done.DUST:
                self._decision("hold", Reason.DUST)
            self.record.note("INFO", f"closed ({closing.reason.label}): {step.value}")
        elif isinstance(step, CloseOrder):
            if self.budget.may_send(now, step.size):
                self._send_close(closing, step, now)
            else:
                closing.retry_at_ns = now + _RETRY_NS
        elif not isinstance(step, Wait):
            assert_never(step)

    def _send_close(self, closing: Closing, step: CloseOrder, now: int) -> None:
        action = CloseMarket(
            client_order_id=self._name(),
            side=step.side,
            price=step.price,
            size=step.size,
            tag=step.tag,
            reason=closing.reason,
        )
        self._track(action, now)
        self.budget.spend_order(now, step.size)
        self.record.tally.closes += 1
        self._actions.append(action)
        self._decision("close", closing.reason, (action,))
        at = "market" if step.price is None else f"{self.instrument.price(step.price)} or better"
        self.record.note("INFO", f"{step.tag} {step.side} {self.instrument.size(step.size)} BTC at {at}")

    # --- what became of our orders

    def _on_applied(self, applied: Applied, now: int) -> None:
        order, event = applied.order, applied.event
        if applied.anomaly:
            self.record.anomaly(applied.anomaly)
        if order is None:
            return
        if applied.new_fill is not None:
            self.record.fill(order, applied.new_fill, self.inventory.apply_fill(applied.new_fill))
        elif isinstance(event, OrderEvent) and not applied.anomaly:
            self.record.order_event(order, event)
            refused = event.kind in (OrderEventKind.REJECTED, OrderEventKind.PROVEN_ABSENT)
            if refused and (tripped := self.kill_switch.on_reject(now)) is not None:
                self._halt(tripped)
        if not order.is_live and applied.changed and order.tag != STALL_TAG and self._closing is not None:
            self._closing.order_ended(now, executed=order.executed, remaining=order.remaining)

    # --- small parts

    def _track(self, action: PlaceLimit | CloseMarket, now: int) -> None:
        """Know an order before it is sent."""
        self.orders.add(
            Order(
                client_order_id=action.client_order_id,
                side=action.side,
                price=action.price,
                size=action.size,
                time_in_force=TimeInForce.GTC if isinstance(action, PlaceLimit) else TimeInForce.IOC,
                ttl_ms=action.ttl_ms if isinstance(action, PlaceLimit) else 0,
                tag=action.tag,
                reason=action.reason,
                sent_ns=now,
            )
        )

    def _decision(
        self,
        decision_type: str,
        reason: Reason,
        actions: tuple[Action, ...] = (),
        entry_bid: Ticks = NO_PRICE,
        entry_ask: Ticks = NO_PRICE,
    ) -> None:
        meta = DecisionMeta(decision_type=decision_type, reason=reason, entry_bid=entry_bid, entry_ask=entry_ask)
        self.record.decision(meta, self._board, actions)

    def _name(self) -> ClientOrderId:
        self._sent += 1
        return ClientOrderId(f"{self._run_name}-{self._sent}")
