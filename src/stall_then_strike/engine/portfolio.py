"""One account: the cores of its instruments, and what they share. Pure.

An event goes to the core of its instrument; the portfolio then looks whether it changed anything that concerns all:

- *One kill switch.* The day's result and drawdown are those of all instruments together. A halt of one core halts all,
  and each closes its own position.
- *One truth.* No instrument quotes unless the venue has confirmed every instrument. When one core queries the account,
  all do.
- *One collateral.* Only the first instrument compares it, after what the others brought is taken out of it. Funding
  and carry of all instruments are therefore booked to the first.
- *One end.* A start that fails for one instrument fails for all.

An account with one instrument is that instrument's core: its steps pass unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final, NamedTuple

from stall_then_strike.config.changes import of_instrument, with_changes
from stall_then_strike.config.models import RiskConfig
from stall_then_strike.engine.core import Core
from stall_then_strike.engine.inventory import InventoryManager, peak_and_fall
from stall_then_strike.types.dto import (
    NOTHING,
    AccountReport,
    Action,
    Changes,
    Command,
    Control,
    CoreMemo,
    Event,
    InventoryMemo,
    NewSettings,
    Reason,
    Reconcile,
    Step,
    Tick,
)
from stall_then_strike.types.instrument import Instrument, Money

MONEY_PER_ONE: Final = 10**10
"""Units of the account's money in one of the quote currency: fine enough for prices of 0.01 and sizes of 1e-8."""


class Taken(NamedTuple):
    """A step of the core of one instrument."""

    number: int
    step: Step


class DayResult:
    """The day's result of all instruments together, in the account's money. It has what the kill switch reads."""

    def __init__(self, risk: RiskConfig, held: Sequence[tuple[Instrument, InventoryManager]]) -> None:
        """Start a day at zero. Raises ValueError for an instrument whose money is finer than the account's."""
        self._parts = [(_scale(unit), inventory) for unit, inventory in held]
        self.set_limits(risk)
        self._peak = 0
        self._max_drawdown = 0
        self.is_rolling = False
        """Whether the instruments go over to a new day one after the other: until then their sum means nothing."""

    def set_limits(self, risk: RiskConfig) -> None:
        """Count by these limits of the day from now on."""
        self.daily_limit = Money(int(risk.daily_pnl_jpy * MONEY_PER_ONE))
        self.drawdown_limit = Money(int(risk.max_dd_jpy * MONEY_PER_ONE))

    @property
    def is_marked(self) -> bool:
        """Whether every position can be valued: its instrument had a mid in this run."""
        return not self.is_rolling and all(held.is_marked or not held.position for _, held in self._parts)

    @property
    def pnl_today(self) -> Money:
        """Realised and unrealised result since the day began."""
        return Money(sum(scale * inventory.pnl_today for scale, inventory in self._parts))

    @property
    def realised_today(self) -> Money:
        """Realised in this trading day."""
        return Money(sum(scale * inventory.realised_today for scale, inventory in self._parts))

    @property
    def drawdown(self) -> Money:
        """Fall from the day's peak, zero or negative."""
        self.track()
        return Money(self.pnl_today - self._peak)

    @property
    def max_drawdown(self) -> Money:
        """Deepest fall of the day."""
        self.track()
        return Money(self._max_drawdown)

    def figures(self) -> tuple[Decimal, Decimal]:
        """Result and drawdown in the quote currency."""
        return Decimal(self.pnl_today) / MONEY_PER_ONE, Decimal(self.drawdown) / MONEY_PER_ONE

    def track(self) -> None:
        """Follow the result to its peak and to its deepest fall."""
        if self.is_marked:
            self._peak, self._max_drawdown = peak_and_fall(self._peak, self._max_drawdown, self.pnl_today)

    def roll_day(self) -> None:
        """Begin a new day."""
        self._peak = self._max_drawdown = 0

    def restart_peak(self) -> None:
        """Count the drawdown from the current result, after an operator's resume."""
        self._peak = self.pnl_today

    def memo(self) -> InventoryMemo:
        """The account as the memo of an inventory: flat, with the day's result as if all of it were realised."""
        self.track()
        result = self.pnl_today
        return InventoryMemo(
            position=0,
            basis=0,
            realised=result,
            realised_at_roll=result - self.realised_today,
            equity_at_roll=0,
            peak=self._peak,
            max_drawdown=self._max_drawdown,
            mid2=0,
        )

    def restore(self, memo: InventoryMemo | None) -> None:
        """Restore an earlier run's day; without a memo of the account, from those of its instruments."""
        if memo is not None:
            self._peak, self._max_drawdown = memo.peak, memo.max_drawdown
            return
        memos = [(scale, inventory.memo()) for scale, inventory in self._parts]
        self._peak = sum(scale * one.peak for scale, one in memos)
        self._max_drawdown = sum(scale * one.max_drawdown for scale, one in memos)


class Portfolio:
    """The cores of one account. Feed it every event, do what it returns, and wake it at its deadline."""

    def __init__(self, risk: RiskConfig, cores: Sequence[Core]) -> None:
        """The cores must have been made with one `Shared`, in the order of the instruments."""
        self.cores: Final = tuple(cores)
        self.first: Final = self.cores[0]
        self._shared = self.first.shared
        if any(core.shared is not self._shared for core in self.cores):
            raise ValueError("the cores of an account share what is the account's")
        self.alone: Final = self.first if len(self.cores) == 1 else None
        """The core of an account's only instrument: it may be fed directly, for its steps are the account's."""
        self.day: Final = (
            None if self.alone is not None else DayResult(risk, [(c.instrument, c.inventory) for c in self.cores])
        )
        self._shared.day = self.day
        for number, core in enumerate(self.cores):
            core.dispatch.number, core.dispatch.instruments = number, len(self.cores)
            if core.account is not None:
                core.account.shares_collateral = self.alone is None
        self._shown: dict[int, tuple[AccountReport, Money]] = {}
        """The newest report of each instrument, and our cash after it."""
        self._is_compared = True
        """Whether the first instrument's newest report was compared with the account's cash."""
        self._now_ns = 0
        self._change_ns = 0
        self._date = ""
        self._standing = self._stand()

    def restore(self, account: CoreMemo | None) -> None:
        """Restore what is the account's, once all cores are restored from their own memos.

        ``account`` is the memo of the account as a whole, None if it never had several instruments. The newest memo
        knows of the halt.
        """
        memos = [core.restored for core in self.cores if core.restored is not None]
        newest = max(memos, key=lambda memo: memo.ts_ns, default=None)
        if account is not None and (newest is None or account.ts_ns >= newest.ts_ns):
            newest = account
        if newest is None:
            return
        base = newest.pnl_base
        if newest is account:
            base = 0 if self.alone is not None else base  # of more instruments than this one: count the whole day
        elif self.alone is None:
            base *= _scale(next(core.instrument for core in self.cores if core.restored is newest))
        switch = self._shared.kill_switch
        switch.restore(newest.halted, base)
        switch.tell(newest.halt_ns, newest.halt_detail)
        self._shared.paused = newest.paused
        if self.day is not None:
            is_today = account is not None and account.day == newest.day
            self.day.restore(account.inventory if account is not None and is_today else None)
            self._date = newest.day
        self._standing = self._stand()

    # --- queries

    @property
    def halted(self) -> Reason | None:
        """Why trading is halted, or None."""
        return self._shared.kill_switch.halted

    @property
    def start_fault(self) -> Reason | None:
        """Why this start failed before trading began, or None."""
        return next((core.start_fault for core in self.cores if core.start_fault is not None), None)

    @property
    def is_done(self) -> bool:
        """Whether a stop, or a halt that ends the process, is complete for every instrument."""
        return all(core.is_done for core in self.cores)

    @property
    def any_live(self) -> bool:
        """Whether any order may still be filled."""
        return any(core.orders.any_live for core in self.cores)

    @property
    def next_deadline_ns(self) -> int:
        """When to call :meth:`on_time` if no event comes before."""
        return min(core.next_deadline_ns for core in self.cores)

    # --- the step

    def on_event(self, event: Event, now_ns: int, number: int = 0) -> Sequence[Taken]:
        """Take an event of the instrument with this number; return the steps that are not empty.

        Commands go to every instrument. What the venue says of the account (refusals, limits) may come with any number.
        """
        if self.alone is not None:
            step = self.alone.on_event(event, now_ns)
            return () if step is NOTHING else (Taken(0, step),)
        now = self._now_ns = max(now_ns, self._now_ns)
        if not self._change_ns:
            for core in self.cores:
                core.dispatch.begin_run(now)  # one run: its orders have one series of names
        taken = self._roll(now)
        if isinstance(event, Control) and event.command is not Command.HALT:
            for each in range(len(self.cores)):
                self._take(each, event, now, taken)
        elif isinstance(event, NewSettings):
            self._adopt(event, now, taken)
        elif isinstance(event, Tick):
            due = [each for each, core in enumerate(self.cores) if core.next_deadline_ns <= now]
            for each in due or range(len(self.cores)):
                self._take(each, event, now, taken)
        else:
            self._take(number, event, now, taken)
            if isinstance(event, AccountReport):
                self._compare_cash(event, number, now, taken)
        self._tell_all(now, taken)
        return taken

    def _adopt(self, event: NewSettings, now: int, taken: list[Taken]) -> None:
        """New settings: to each core its own, and the day's limits to all together."""
        if self.day is not None:
            self.day.set_limits(with_changes(self.first.cfg, of_instrument(event.changes, 0), is_whole=False).risk)
        for number in range(len(self.cores)):
            self._take(number, replace(event, changes=of_instrument(event.changes, number)), now, taken)

    def _take(self, number: int, event: Event, now: int, taken: list[Taken]) -> None:
        """One step of one core."""
        core, first = self.cores[number], self.first.account
        cash = core.inventory.cash + core.inventory.basis
        step = core.on_event(event, now)
        if number and first is not None and (won := core.inventory.cash + core.inventory.basis - cash):
            first.rules.note_result(now, self._in_first(core, won))
        if step is NOTHING:
            return
        if step.changes is not None:
            step = step._replace(changes=self._with_account(step.changes, core))
        taken.append(Taken(number, step))
        for question in [action for action in step.actions if isinstance(action, Reconcile)]:
            self._ask_along(number, question, now, taken)

    def _tell_all(self, now: int, taken: list[Taken]) -> None:
        """Let every core react to a halt, a failed start, or an account that is in doubt, of whichever core."""
        while (standing := self._stand()) != self._standing:
            self._standing = standing
            halted, fault, self._shared.is_whole = standing
            for number, core in enumerate(self.cores):
                if halted is not None and self._shared.kill_switch.keeps_position:
                    core.exits.closing = None
                if fault is not None and core.start_fault is None:
                    stop = Control(ts_ns=now, command=Command.STOP, reason=Reason.STOPPING)
                    self._take(number, stop, now, taken)
                else:
                    self._take(number, Tick(ts_ns=now), now, taken)

    def _stand(self) -> tuple[Reason | None, Reason | None, bool]:
        accounts = [core.account for core in self.cores]
        is_whole = all(account is None or account.is_settled for account in accounts)
        return self.halted, self.start_fault, is_whole

    def _roll(self, now: int) -> list[Taken]:
        """At a boundary of the calendar all cores go over it together, before anything of the new day happens."""
        taken: list[Taken] = []
        if now < self._change_ns:
            return taken
        calendar = self._shared.calendar
        date, day = calendar.day(now).isoformat(), self.day
        is_new = day is not None and self._date not in ("", date)
        self._date, self._change_ns = date, calendar.next_change_ns(now)
        if day is not None and is_new:
            day.is_rolling = True
            for number in range(len(self.cores)):
                self._take(number, Tick(ts_ns=now), now, taken)
            day.is_rolling = False
            day.roll_day()
        return taken

    # --- the account

    def _ask_along(self, number: int, question: Reconcile, now: int, taken: list[Taken]) -> None:
        """Query every other instrument, too: one look at the account shows all of it."""
        for other, core in enumerate(self.cores):
            if other != number and core.account is not None:
                along = core.account.ask_along(now, question.why)
                if along is not None:
                    actions: tuple[Action, ...] = (along,)
                    taken.append(Taken(other, Step(actions, (), None)))

    def _compare_cash(self, report: AccountReport, number: int, now: int, taken: list[Taken]) -> None:
        """Once the reports of all instruments are there, have the first compare its own without the others' results.

        What an instrument has brought to the collateral is our cash plus what the venue says that its position cost:
        venues close positions in different orders, so our own average would be another number. Reports come one after
        the other, and an instrument with a fill after its report has to be shown again.
        """
        core = self.cores[number]
        self._shown[number] = (report, core.inventory.cash)
        self._is_compared = self._is_compared and bool(number)
        first = self.first.account
        if self._is_compared or first is None or not all(map(self._is_current, range(len(self.cores)))):
            return
        self._is_compared = True
        realised = held = 0
        for other in range(1, len(self.cores)):
            shown, cash = self._shown[other]
            realised += self._in_first(self.cores[other], cash + shown.basis)
            held += self._in_first(self.cores[other], abs(shown.basis))
        own, _ = self._shown[0]
        first.rules.note_held(abs(own.basis) + held)
        first.compare_cash(replace(own, collateral=Money(own.collateral - realised)))
        self._take(0, Tick(ts_ns=now), now, taken)

    def _is_current(self, number: int) -> bool:
        """Whether an instrument's newest report and we agree, and nothing was booked after it."""
        core, (report, cash) = self.cores[number], self._shown.get(number, (None, None))
        account, inventory = core.account, core.inventory
        if report is None or account is None or not account.is_settled or not account.rules.is_listed:
            return False
        return inventory.cash == cash and inventory.position == report.position

    def _in_first(self, core: Core, amount: int) -> int:
        """An amount of an instrument's money in the first one's, rounded down."""
        return amount * _scale(core.instrument) // _scale(self.first.instrument)

    def _with_account(self, changes: Changes, core: Core) -> Changes:
        """A step's changes with their instrument and, if they have a memo, the account's."""
        memo = changes.memo
        if memo is not None and self.day is not None:
            memo = memo._replace(inventory=self.day.memo(), cash_base=None, since=None)
        return changes._replace(product=core.instrument.product_code, account=memo)


def _scale(unit: Instrument) -> int:
    """How many units of the account's money are one of the instrument's."""
    scale, rest = divmod(MONEY_PER_ONE, unit.ticks_per_one * unit.lots_per_one)
    if rest:
        raise ValueError(f"{unit.product_code} counts money finer than an account of several instruments can")
    return scale
