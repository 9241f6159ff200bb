"""Position, average price, and the results and drawdowns of the trading day and of the run, in exact integers.

Average-price accounting: a fill that adds to the position adds its notional to the *basis*. A fill that reduces the
position removes the proportional share of the basis and books the difference as realised. The share is rounded down to
one money unit and the remainder stays in the basis, so nothing is ever lost: once flat, realised equals the cash that
moved, to the unit.

All money is signed, in units of one tick times one lot. The basis has the position's sign: ``position * mid - basis``
is the unrealised result, long or short.
"""

from __future__ import annotations

from typing import NamedTuple

from stall_then_strike.config.models import RiskConfig
from stall_then_strike.types.dto import FillEvent, InventoryMemo, InventoryState, Side
from stall_then_strike.types.instrument import Instrument, Lots, Money, Ticks


class Booked(NamedTuple):
    """Position and basis after a fill, and the result that it realised."""

    position: int
    basis: int
    realised: int


def book_fill(position: int, basis: int, signed: int, price: int, fee: int) -> Booked:
    """Book a fill of ``signed`` lots (positive: bought). Pure: research compiles it, with 64-bit integers."""
    realised, opening, held = -fee, signed, abs(position)
    if held != 0 and (signed > 0) != (position > 0):
        closing = min(abs(signed), held)
        # basis * closing // held, computed without that product because it may need more than 64 bits.
        whole = basis // held
        released = whole * closing + (basis - whole * held) * closing // held
        realised += (price * closing if position > 0 else -price * closing) - released
        basis -= released
        step = closing if signed > 0 else -closing
        position += step
        opening -= step
    return Booked(position + opening, basis + price * opening, realised)


def worth(realised: int, position: int, basis: int, mid2: int) -> int:
    """Realised and unrealised result at half of ``mid2``. Without a mark (0) a position counts at its cost. Pure."""
    if position == 0 or mid2 == 0:
        return realised
    return realised + position * mid2 // 2 - basis


def peak_and_fall(peak: int, deepest: int, result: int) -> tuple[int, int]:
    """The new peak of a result that has moved, and its deepest fall from its peak or from zero. Pure."""
    peak = max(peak, result)
    return peak, min(deepest, result - max(0, peak))


class InventoryManager:
    """Owner of the position and of the results. Knows the day's limits, but leaves checking them to the caller."""

    def __init__(self, risk: RiskConfig, instrument: Instrument) -> None:
        """Start flat, at the beginning of a day, with no mark."""
        self.daily_limit = self.drawdown_limit = Money(0)
        self.set_limits(risk, instrument)
        # Plain attributes, changed only here: they are read at every step, and a property would cost a call.
        self.position = Lots(0)
        """Signed position: positive is long."""
        self.basis = Money(0)
        """What the position cost, with the position's sign."""
        self._realised = 0
        self._realised_at_roll = 0
        self._equity_at_roll = 0
        self._peak = 0
        self._max_drawdown = 0
        self._realised_at_start = 0
        self._equity_at_start = 0
        self._run_peak = 0
        self._run_max_drawdown = 0
        self.mid2 = 0
        """Twice the mid at which the position is valued."""
        self._is_unmarked = False
        """A position was taken over before the first mark: its result up to that mark is not this day's."""
        self.is_marked = True
        """False from a restart until this run's first mid. Until then the position is valued at an old mid, so limits
        and drawdown must not be judged."""
        self.changes = 0
        """Counts what may have moved the day's result, so that the limits are checked only then."""
        self.last_pnl: Money = Money(0)
        """Realised by the last fill, after its fee."""

    def set_limits(self, risk: RiskConfig, instrument: Instrument) -> None:
        """Count by these limits of the day from now on."""
        self.daily_limit = instrument.to_money(risk.daily_pnl_jpy)
        self.drawdown_limit = instrument.to_money(risk.max_dd_jpy)

    @property
    def realised_today(self) -> Money:
        """Realised in this trading day, including fees and funding."""
        return Money(self._realised - self._realised_at_roll)

    @property
    def pnl_today(self) -> Money:
        """Realised and unrealised result since the day began."""
        return Money(self._equity() - self._equity_at_roll)

    @property
    def drawdown(self) -> Money:
        """Fall from the day's peak, zero or negative. The peak starts at the day's beginning, at zero."""
        return Money(self.pnl_today - self._peak)

    @property
    def max_drawdown(self) -> Money:
        """Deepest fall of the day, from its peak or from its beginning: a resume may restart the peak below zero."""
        return Money(self._max_drawdown)

    @property
    def run_realised(self) -> Money:
        """Realised since this run began, over all its days."""
        return Money(self._realised - self._realised_at_start)

    @property
    def run_pnl(self) -> Money:
        """Realised and unrealised result since this run began. A position it began with counts from its first mark."""
        return Money(self._equity() - self._equity_at_start)

    @property
    def run_max_drawdown(self) -> Money:
        """Deepest fall of `run_pnl` from its peak, which starts at zero."""
        return Money(self._run_max_drawdown)

    def apply_fill(self, fill: FillEvent) -> Money:
        """Book one fill and return what it realised after its fee. The caller must have removed duplicates."""
        signed = fill.size if fill.side is Side.BUY else -fill.size
        booked = book_fill(self.position, self.basis, signed, fill.price, fill.fee)
        self.position, self.basis = Lots(booked.position), Money(booked.basis)
        self._realised += booked.realised
        self.last_pnl = Money(booked.realised)
        self._track()
        return self.last_pnl

    def apply_cash(self, amount: Money) -> None:
        """Book a payment without a fill, such as funding."""
        self._realised += amount
        self._track()

    @property
    def cash(self) -> Money:
        """All that was ever realised, less the basis. Each fill moves it by its notional and its fee."""
        return Money(self._realised - self.basis)

    def take_over(self, position: Lots, basis: Money) -> None:
        """Replace the position and its cost by these. The day's result stays."""
        before = self._equity()
        self.position, self.basis = position, basis
        self._count_from(self._equity() - before)
        self._is_unmarked = not self.mid2
        self._track()

    def memo(self) -> InventoryMemo:
        """The part that the journal keeps."""
        return InventoryMemo(
            position=self.position,
            basis=self.basis,
            realised=self._realised,
            realised_at_roll=self._realised_at_roll,
            equity_at_roll=self._equity_at_roll,
            peak=self._peak,
            max_drawdown=self._max_drawdown,
            mid2=self.mid2,
        )

    def restore(self, memo: InventoryMemo) -> None:
        """Restore an earlier run's state."""
        self.position, self.basis = Lots(memo.position), Money(memo.basis)
        self._realised, self._realised_at_roll = memo.realised, memo.realised_at_roll
        self._equity_at_roll, self._peak = memo.equity_at_roll, memo.peak
        self._max_drawdown, self.mid2 = memo.max_drawdown, memo.mid2
        self._realised_at_start, self._equity_at_start = self._realised, self._equity()
        self._run_peak = self._run_max_drawdown = 0
        self.is_marked = False
        self.changes += 1

    def mark(self, best_bid: Ticks, best_ask: Ticks) -> None:
        """Value the position at the mid of these prices. Half a money unit is rounded against us."""
        mid2 = best_bid + best_ask
        if mid2 != self.mid2 or not self.is_marked:
            if self._is_unmarked or not self.is_marked:
                self._mark_first(mid2)
            self.mid2 = mid2
            if self.position:
                self._track()

    def _mark_first(self, mid2: int) -> None:
        """Process the first mark after a take-over without one, or after a restart."""
        before, self.mid2 = self._equity(), mid2
        if self._is_unmarked:
            self._count_from(self._equity() - self._realised)  # until now it counted at its cost
        else:
            self._equity_at_start += self._equity() - before  # a price move between the runs is not this run's
        self._is_unmarked, self.is_marked = False, True

    def roll_day(self) -> None:
        """Begin a new day: its result starts at zero, from the equity at the current mark."""
        self.changes += 1
        self._realised_at_roll = self._realised
        self._equity_at_roll = self._equity()
        self._peak = 0
        self._max_drawdown = 0

    def restart_peak(self) -> None:
        """Count the drawdown from the current result, after an operator's resume."""
        self.changes += 1
        self._peak = self.pnl_today

    def state(self) -> InventoryState:
        """A frozen view for the log and the panel."""
        size = abs(self.position)
        return InventoryState(
            side="flat" if not size else "long" if self.position > 0 else "short",
            size=Lots(size),
            avg_price=Ticks((2 * abs(self.basis) + size) // (2 * size) if size else 0),
            pnl_today_jpy=self.pnl_today,
            realised_today_jpy=self.realised_today,
            max_drawdown_jpy=self.max_drawdown,
            drawdown_jpy=self.drawdown,
        )

    def _equity(self) -> int:
        return worth(self._realised, self.position, self.basis, self.mid2)

    def _count_from(self, amount: int) -> None:
        """Exclude an amount by which the equity moved from the results of the day and of the run."""
        self._equity_at_roll += amount
        self._equity_at_start += amount

    def _track(self) -> None:
        self.changes += 1
        if not self.is_marked:
            return
        equity = self._equity()
        of_day, of_run = equity - self._equity_at_roll, equity - self._equity_at_start
        self._peak, self._max_drawdown = peak_and_fall(self._peak, self._max_drawdown, of_day)
        self._run_peak, self._run_max_drawdown = peak_and_fall(self._run_peak, self._run_max_drawdown, of_run)
