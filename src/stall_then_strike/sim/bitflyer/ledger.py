"""An account's ledger: cash and a netted position in first-in-first-out lots, exact to 1e-8 JPY. Pure.

Money is counted in ticks x lots (`types/instrument.py`), so fills and re-basing are exact. Only funding and carry are
rounded, down to the unit, against the account. Optionally each result settles in whole yen; the roundings are then
summed separately. Invariants, checked by a hypothesis machine in the tests:

- all lots are of one side, and their sum is the position;
- cash + lots at any mark = first cash + what every fill was worth at that mark + funding + roundings, to the unit.

The ledger keeps its states of the last ten minutes, for the stale-list fault.

Venue facts: one direction at a time, an opposite fill closes first and its excess opens; fees are zero (product rules);
lots close in the order of opening (likely, two independent clients); funding at 05, 13 and 21 UTC on the position; at
18:00 JST open lots are settled and re-based on the reference price: their prices and the cash change by the same
amount, the account's worth does not (product rules; the details are likely). Whether results settle in whole yen, and
which way they are rounded, is not published; the documentation's samples show whole amounts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, replace
from enum import StrEnum, unique
from typing import Final

from stall_then_strike.types.dto import NS_PER_S, ExecId, OrderId, Side
from stall_then_strike.types.instrument import Lots, Money, Ticks

RATE_ONE: Final = 100_000_000
"""The integer that stands for a rate of one: 0.0001 is 10,000."""


KEPT_S: Final = 600
"""How far back the ledger's states are kept, seconds."""


@unique
class Rounding(StrEnum):
    """How an amount is rounded to whole yen."""

    DOWN = "down"
    """Against the account."""
    TO_ZERO = "to zero"

    def whole(self, amount: int, one: int) -> int:
        """The amount rounded to a multiple of ``one``."""
        if self is Rounding.TO_ZERO and amount < 0:
            return -(-amount // one * one)
        return amount // one * one


@dataclass(frozen=True, slots=True, kw_only=True)
class Yen:
    """How results settle in whole yen."""

    one: Money
    """One yen in units of money."""
    rounding: Rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution of one of the account's orders."""

    exec_id: ExecId
    time_ns: int
    side: Side
    price: Ticks
    size: Lots
    order_id: OrderId
    """The acceptance id."""
    registered_id: str
    """The id that the order got at registration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """An open part of the position. ``size`` is unsigned; the side is the position's."""

    price: Ticks
    size: Lots
    opened_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """Cash that moved without a fill; positive is income."""

    time_ns: int
    what: str
    """``funding``, ``carry`` or ``rollover``."""
    amount: Money


@dataclass(frozen=True, slots=True)
class _Page:
    """The ledger's state from a time on."""

    time_ns: int
    cash: int
    position: int
    lots: tuple[Lot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerState:
    """An account's complete state, for tests to compare with."""

    cash: Money
    position: Lots
    """Signed."""
    lots: tuple[Lot, ...]
    realised: Money
    """Profit and loss of closed lots and of re-basing since the start, without funding and carry."""
    funding: Money
    """Funding and carry since the start; positive is income."""
    rounded: Money
    """Sum of the roundings to whole yen since the start; zero when settlement is exact."""
    fills: tuple[Fill, ...]
    payments: tuple[Payment, ...]

    def worth(self, mark: Ticks) -> Money:
        """Cash plus the open lots' profit at a mark."""
        sign = 1 if self.position > 0 else -1
        return Money(self.cash + sum(sign * (mark - lot.price) * lot.size for lot in self.lots))


class Ledger:
    """The ledger of one account."""

    def __init__(self, cash: Money, *, settled: Yen | None = None) -> None:
        """Start flat with ``cash`` as collateral; results settle exactly unless ``settled`` is given."""
        self._cash = int(cash)
        self._yen = settled
        self._rounded = 0
        self._position = 0
        self._lots: deque[Lot] = deque()
        self._realised = 0
        self._funding = 0
        self._fills: list[Fill] = []
        self._payments: list[Payment] = []
        self._pages = deque([_Page(0, self._cash, 0, ())])

    @property
    def cash(self) -> Money:
        """Collateral, without open profit."""
        return Money(self._cash)

    @property
    def position(self) -> Lots:
        """Signed."""
        return Lots(self._position)

    @property
    def lots(self) -> tuple[Lot, ...]:
        """Open lots, oldest first."""
        return tuple(self._lots)

    @property
    def fills(self) -> list[Fill]:
        """All fills, oldest first; read only."""
        return self._fills

    def open_profit(self, mark: Ticks) -> Money:
        """Profit of closing everything at the mark."""
        sign = 1 if self._position > 0 else -1
        return Money(sum(sign * (mark - lot.price) * lot.size for lot in self._lots))

    def at(self, time_ns: int) -> Ledger:
        """The ledger as it was at a time within the last ten minutes; read only."""
        page = self._pages[max(0, bisect_right(self._pages, time_ns, key=lambda page: page.time_ns) - 1)]
        past = Ledger(Money(page.cash))
        past._position, past._lots = page.position, deque(page.lots)
        past._fills = self._fills[: bisect_right(self._fills, time_ns, key=lambda fill: fill.time_ns)]
        return past

    def state(self) -> LedgerState:
        """A frozen copy."""
        return LedgerState(
            cash=self.cash,
            position=self.position,
            lots=self.lots,
            realised=Money(self._realised),
            funding=Money(self._funding),
            rounded=Money(self._rounded),
            fills=tuple(self._fills),
            payments=tuple(self._payments),
        )

    def fill(self, fill: Fill) -> Money:
        """Book a fill: close the oldest lots of the other side, open with the rest. Returns the realised profit."""
        left = int(fill.size)
        realised = 0
        sign = 1 if self._position > 0 else -1
        while left and self._lots and self._position * fill.side.sign < 0:
            lot = self._lots[0]
            closed = min(left, lot.size)
            realised += sign * (fill.price - lot.price) * closed
            self._position -= sign * closed
            left -= closed
            if closed == lot.size:
                self._lots.popleft()
            else:
                self._lots[0] = replace(lot, size=Lots(lot.size - closed))
        if left:
            self._lots.append(Lot(price=fill.price, size=Lots(left), opened_ns=fill.time_ns))
            self._position += fill.side.sign * left
        self._cash += self._settled(realised)
        self._realised += realised
        self._fills.append(fill)
        self._turn(fill.time_ns)
        return Money(realised)

    def fund(self, now_ns: int, mark: Ticks, rate: int) -> Money:
        """Pay ``rate`` (in 1e-8) of the position's worth if long, receive it if short. Returns the income."""
        amount = -self._position * mark * rate // RATE_ONE
        self._funding += amount
        self._pay(now_ns, "funding", amount)
        return Money(amount)

    def carry(self, now_ns: int, mark: Ticks, rate: int) -> Money:
        """Pay ``rate`` (in 1e-8) of the position's worth, long or short. Returns the income, never positive."""
        amount = -abs(self._position) * mark * rate // RATE_ONE
        self._funding += amount
        self._pay(now_ns, "carry", amount)
        return Money(amount)

    def rebase(self, now_ns: int, mark: Ticks) -> Money:
        """Settle all lots at the mark and reopen them there. Returns the settled profit."""
        settled = self.open_profit(mark)
        self._lots = deque(replace(lot, price=mark) for lot in self._lots)
        self._realised += settled
        self._pay(now_ns, "rollover", settled)
        return settled

    def _pay(self, now_ns: int, what: str, amount: int) -> None:
        settled = self._settled(amount)
        self._cash += settled
        if settled:
            self._payments.append(Payment(time_ns=now_ns, what=what, amount=Money(settled)))
        self._turn(now_ns)

    def _settled(self, amount: int) -> int:
        """The amount as booked to cash: exact, or rounded to whole yen."""
        if self._yen is None:
            return amount
        whole = self._yen.rounding.whole(amount, self._yen.one)
        self._rounded += whole - amount
        return whole

    def _turn(self, now_ns: int) -> None:
        """Record the state from now on."""
        self._pages.append(_Page(now_ns, self._cash, self._position, tuple(self._lots)))
        while len(self._pages) > 1 and self._pages[1].time_ns <= now_ns - KEPT_S * NS_PER_S:
            self._pages.popleft()
