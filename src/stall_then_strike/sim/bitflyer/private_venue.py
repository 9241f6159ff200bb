"""The private side of the exchange: accounts in a market, without a socket.

A venue with several products has a :class:`PrivateVenue` for each. All but the first are made ``beside`` the first,
which holds what the products share: keys, cash and the limits on calls. Each product has its own orders, position,
calendar and board state. The collateral is the first product's; a result is booked to the product that made it.

It joins keys, accounts, desk and calendar. It acts in the market's time as its
:class:`~stall_then_strike.sim.market.Outsider`, so that the same requests at the same times have the same effects at
any speed and in virtual time. A request arrives at a time that the market has reached: over HTTP through
`private_rest.py`, in tests without sockets through :attr:`PrivateVenue.desk`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any, Final

from stall_then_strike.sim.bitflyer.desk import Delays, OrderDesk
from stall_then_strike.sim.bitflyer.keys import ApiKey, KeyRefused, Keyring
from stall_then_strike.sim.bitflyer.ledger import Ledger, LedgerState, Rounding, Yen
from stall_then_strike.sim.bitflyer.limits import AccountCalls, Limits
from stall_then_strike.sim.bitflyer.rpc import INVALID_PARAMS, RpcError
from stall_then_strike.sim.bitflyer.venue_account import Account, Margin
from stall_then_strike.sim.bitflyer.venue_hours import Breaker, Calendar, Phase, next_daily_ns
from stall_then_strike.sim.exchange.agenda import Agenda
from stall_then_strike.sim.exchange.book_side import Order
from stall_then_strike.sim.exchange.flow import FLOW
from stall_then_strike.sim.exchange.matching import Trade
from stall_then_strike.sim.exchange.source import CLOSE_SOCKETS, Execution, Frame
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import NS_PER_S, BoardState
from stall_then_strike.types.instrument import Ticks

MAINTENANCE_REASON: Final = "scheduled maintenance"
_MARKS: Final = 10_000
"""Mids that are kept, one per trade in the market: more than ten minutes of a busy day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateSettings:
    """Settings of the private side; the defaults are bitFlyer's on a quiet day."""

    seed: int = 1
    """Seed of the delays and the ids."""
    collateral_jpy: Decimal = Decimal(1_000_000)
    """Every account's collateral at the start."""
    delays: Delays = field(default_factory=Delays)
    limits: Limits = field(default_factory=Limits)
    calendar: Calendar = field(default_factory=Calendar)
    max_skew_ns: int | None = None
    """How far a request's timestamp may be off; None for any."""
    shown_yen: Rounding | None = None
    """How amounts are rounded to whole yen in answers; None shows all decimals. The ledger is not affected."""
    settled_yen: Rounding | None = None
    """How each result, funding and carry is rounded to whole yen when it is booked; None books exactly."""


class PrivateVenue:
    """Accounts that trade in a market. It joins the market, which nobody else may have joined."""

    def __init__(
        self,
        market: Market,
        keys: Iterable[ApiKey] = (),
        settings: PrivateSettings | None = None,
        *,
        beside: PrivateVenue | None = None,
    ) -> None:
        """Open an account for every account name in ``keys``. Raises ValueError for the name of the flow.

        ``beside``: this is another product of that venue, with its keys, accounts and, by default, its settings.
        """
        if settings is None:
            settings = PrivateSettings() if beside is None else beside.settings
        self.settings: PrivateSettings = settings
        self.market = market
        code = market.instrument.product_code
        self.products: dict[str, PrivateVenue] = {} if beside is None else beside.products
        """The venue's products by their codes, the first one first; shared between them."""
        if code in self.products:
            raise ValueError(f"the venue has {code} already")
        self.keyring: Keyring = (
            Keyring(list(keys), max_skew_ns=settings.max_skew_ns) if beside is None else beside.keyring
        )
        names = self.keyring.accounts
        if FLOW in names:
            raise ValueError(f"an account cannot be called {FLOW!r}")
        self.accounts = {name: self._open(name, beside) for name in names}
        self.products[code] = self
        self._marks: deque[tuple[int, Ticks]] = deque([(market.now_ns, market.mid())], maxlen=_MARKS)
        self._answers = Random(f"answers {self.settings.seed}")
        self._agenda = Agenda()
        self.desk = OrderDesk(
            market,
            self.accounts,
            self._agenda,
            rng=Random(f"desk {self.settings.seed}" + ("" if beside is None else f" {code}")),
            delays=self.settings.delays,
        )
        self._calendar = self.settings.calendar
        self._breaker = None if self._calendar.breaker is None else Breaker(self._calendar.breaker)
        self._is_halted = False
        self._series = 0
        self._is_stepping = False
        self._plan(market.now_ns)
        market.join(self)

    # --- reading ----------------------------------------------------------------------------------------------------

    def ledger(self, account: str = "main") -> LedgerState:
        """An account's complete state, as a frozen copy."""
        return self.accounts[account].ledger.state()

    def mark(self, time_ns: int) -> Ticks:
        """The price at which positions are valued: the mid now; for a past time, the mid at the last trade before
        it."""
        if time_ns >= self.market.now_ns:
            return self.market.mid()
        return self._marks[max(0, bisect_right(self._marks, time_ns, key=lambda mark: mark[0]) - 1)][1]

    @property
    def live_orders(self) -> int:
        """Live orders of all accounts."""
        return sum(len(account.live) for account in self.accounts.values())

    @property
    def limit_breaches(self) -> int:
        """Calls and orders of all accounts that were refused over a limit."""
        return sum(account.calls.breaches for account in self.accounts.values())

    @property
    def finest(self) -> PrivateVenue:
        """The product with the finest units of money, in which a margin over all products is exact."""
        return max(self.products.values(), key=lambda one: one.market.instrument.to_money(1))

    # --- for the server ---------------------------------------------------------------------------------------------

    def log_in(self, params: Any, now_ns: int) -> str:
        """Handle `auth` on a socket; return the account's name. Raises RpcError."""
        try:
            return self.keyring.check_realtime(params, now_ns).account
        except ValueError as error:
            raise RpcError(INVALID_PARAMS, f"Invalid params: {error}") from error
        except KeyRefused as error:
            raise RpcError(error.status, error.message) from error

    def answer_delay_ns(self) -> int:
        """How long the next HTTP answer takes."""
        return self._answers.randint(*self.desk.delays.answer)

    # --- board states -----------------------------------------------------------------------------------------------

    def begin_phases(self, now_ns: int, phases: Sequence[Phase]) -> None:
        """Lead the board through states from now on, then to RUNNING. Replaces a series that was begun before."""
        self._is_halted = True
        self._series += 1
        for phase in phases:
            self._agenda.at(now_ns, partial(self._enter, state=phase.state, series=self._series))
            now_ns += phase.seconds * NS_PER_S
        self._agenda.at(now_ns, partial(self._enter, state=BoardState.RUNNING, series=self._series))

    # --- Outsider ---------------------------------------------------------------------------------------------------

    def next_ns(self) -> int | None:
        """When the next action is due; None when nothing is planned."""
        return self._agenda.next_ns()

    def step(self) -> None:
        """Do what is due first."""
        self._is_stepping = True
        now_ns = self._agenda.step()
        self._is_stepping = False
        self._tell(now_ns)

    def on_trades(self, now_ns: int, trades: Sequence[Trade], executions: Sequence[Execution]) -> None:
        """Book the fills; check the price against the circuit breaker."""
        self._marks.append((now_ns, self.market.mid()))
        self.desk.on_trades(trades, executions)
        self._tell(now_ns)
        rule = self._calendar.breaker
        if self._breaker is not None and rule is not None and not self._is_halted:
            far = [trade for trade in trades if self._breaker.trips(now_ns, trade.price)]
            if far:
                self._breaker.reset()
                self.begin_phases(now_ns, rule.phases)

    def on_expired(self, now_ns: int, orders: Sequence[Order]) -> None:
        """End the accounts' expired orders."""
        self.desk.on_expired(now_ns, orders)
        self._tell(now_ns)

    def _open(self, name: str, beside: PrivateVenue | None) -> Account:
        """An account in this product; the first product holds its cash."""
        unit, rounding = self.market.instrument, self.settings.settled_yen
        yen = None if rounding is None else Yen(one=unit.to_money(1), rounding=rounding)
        cash = unit.to_money(self.settings.collateral_jpy if beside is None else 0)
        calls = AccountCalls(self.settings.limits) if beside is None else beside.accounts[name].calls
        return Account(name, Ledger(cash, settled=yen), calls, with_others=partial(self._with_others, name))

    def _with_others(self, name: str, here: Margin, time_ns: int | None) -> Margin:
        """An account's margin in this product and in the venue's others."""
        unit = int(self.market.instrument.to_money(1))
        for other in self.products.values():
            if other is not self:
                account = other.accounts[name] if time_ns is None else other.accounts[name].at(time_ns)
                mark = other.mark(other.market.now_ns if time_ns is None else time_ns)
                here = here.plus(account.margin_here(mark), unit, int(other.market.instrument.to_money(1)))
        return here

    def _tell(self, now_ns: int) -> None:
        """Send the events; those of one step share a message."""
        if not self._is_stepping:
            self.desk.tell(now_ns)

    # --- daily ------------------------------------------------------------------------------------------------------

    def _plan(self, now_ns: int) -> None:
        calendar, agenda = self._calendar, self._agenda
        if calendar.funding_at_s:
            agenda.at(next_daily_ns(now_ns, calendar.funding_at_s), self._fund)
        if calendar.rollover_at_s is not None:
            agenda.at(next_daily_ns(now_ns, (calendar.rollover_at_s,)), self._roll_over)
        if calendar.maintenance is not None:
            agenda.at(next_daily_ns(now_ns, (calendar.maintenance.start_s,)), self._maintain)

    def _fund(self, now_ns: int) -> None:
        mark = self.market.mid()
        for account in self.accounts.values():
            account.ledger.fund(now_ns, mark, self._calendar.funding_rate)
        self._agenda.at(next_daily_ns(now_ns, self._calendar.funding_at_s), self._fund)

    def _roll_over(self, now_ns: int) -> None:
        if self._calendar.rollover_at_s is None:
            raise AssertionError("a roll-over was planned without a time")
        mark = self.market.mid()
        for account in self.accounts.values():
            account.ledger.carry(now_ns, mark, self._calendar.carry_rate)
            account.ledger.rebase(now_ns, mark)
        self._agenda.at(next_daily_ns(now_ns, (self._calendar.rollover_at_s,)), self._roll_over)

    def _maintain(self, now_ns: int) -> None:
        maintenance = self._calendar.maintenance
        if maintenance is None:
            raise AssertionError("a maintenance was planned without a plan")
        self.begin_phases(now_ns, maintenance.phases)
        if maintenance.sockets_close_s is not None:
            self._agenda.at(now_ns + maintenance.sockets_close_s * NS_PER_S, self._close_sockets)
        self._agenda.at(next_daily_ns(now_ns, (maintenance.start_s,)), self._maintain)

    def _close_sockets(self, now_ns: int) -> None:
        self.market.send(Frame(time_ns=now_ns, channel=CLOSE_SOCKETS, text=MAINTENANCE_REASON))

    def _enter(self, _now_ns: int, *, state: BoardState, series: int) -> None:
        if series != self._series:
            return
        self._is_halted = state is not BoardState.RUNNING
        self.market.set_condition(state=state)
