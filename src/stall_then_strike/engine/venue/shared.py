"""What the instruments of one account share. Pure.

One key and one collateral serve all of them: a call for one is missing to the others, and a limit of the day counts
the account's result.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final, Protocol

from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.inventory import InventoryManager
from stall_then_strike.engine.orders import Orders
from stall_then_strike.engine.recording import Recorder
from stall_then_strike.engine.risk import Day, KillSwitch
from stall_then_strike.engine.venue.account import Account
from stall_then_strike.engine.venue.budget import Budget
from stall_then_strike.engine.venue.calendar import TradingCalendar
from stall_then_strike.engine.venue.margin import MarginPause
from stall_then_strike.engine.venue.rules import VenueRules
from stall_then_strike.types.dto import FillEvent, OrderEvent, Reason
from stall_then_strike.types.instrument import Instrument


class AccountDay(Day, Protocol):
    """The day's result of several instruments together."""

    def figures(self) -> tuple[Decimal, Decimal]:
        """Result and drawdown in the quote currency."""
        ...


class Shared:
    """The shared parts of one account, handed to the core of each of its instruments."""

    def __init__(self, cfg: AppConfig, venue: VenueRules, *, live: bool = False) -> None:
        """Start armed, with nothing spent. ``live``: there is an account at a venue, which must be reconciled."""
        self.is_live = live
        self.venue: Final = venue
        self.budget = Budget(venue.limits, venue.batch)
        self.kill_switch = KillSwitch(cfg.risk)
        self.calendar = TradingCalendar(cfg.session)
        self.margin = MarginPause()
        self.paused: Reason | None = None
        """PAUSED or FLATTEN as the operator commanded, None while trading is not paused."""
        self.day: AccountDay | None = None
        """The day's result of several instruments together; None if there is only one."""
        self.is_whole = True
        """Whether the account is reconciled for every instrument."""
        self.unsent = 0
        """Orders in a row that could not be sent."""
        self._cfg = cfg

    def account(
        self,
        instrument: Instrument,
        *,
        orders: Orders,
        inventory: InventoryManager,
        record: Recorder,
        apply: Callable[[OrderEvent | FillEvent], bool],
    ) -> Account | None:
        """The account as the core with these orders and this inventory must reconcile it; None on paper.

        ``apply`` is as in `Account`.
        """
        if not self.is_live:
            return None
        return Account(
            self._cfg.account,
            instrument,
            self.venue,
            orders=orders,
            inventory=inventory,
            budget=self.budget,
            record=record,
            apply=apply,
        )
