"""F1, F5: what trips the kill switch, and what lifts it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from stall_then_strike.config.models import RiskConfig
from stall_then_strike.engine.inventory import InventoryManager
from stall_then_strike.engine.risk import KillSwitch
from stall_then_strike.types.dto import NS_PER_S, Reason, Side
from stall_then_strike.types.instrument import Money, Ticks, fx_btc_jpy
from tests.engine.core_rig import BTC, BUY, SELL, fill

JPY = 10**8
"""Money units of one yen."""


def armed(daily: int = -100, drawdown: int = -60, rejects: int = 3) -> tuple[KillSwitch, InventoryManager]:
    risk = RiskConfig(daily_pnl_jpy=Decimal(daily), max_dd_jpy=Decimal(drawdown), max_rejects=rejects)
    return KillSwitch(risk), InventoryManager(risk, fx_btc_jpy())


def test_loss_by_fills_trips_at_the_limit() -> None:
    switch, inventory = armed(drawdown=-1000)
    inventory.apply_fill(fill(BUY, 1000, BTC))
    inventory.apply_fill(fill(SELL, 900, BTC - 1))
    assert switch.check(inventory) is None, "a unit short of it"
    inventory.apply_fill(fill(SELL, 900, 1))
    assert switch.check(inventory) is Reason.KILL_PNL


@pytest.mark.parametrize(("side", "mid"), [(BUY, 900), (SELL, 1100)])
def test_loss_by_mark_trips(side: Side, mid: int) -> None:
    switch, inventory = armed(drawdown=-1000)
    inventory.apply_fill(fill(side, 1000, BTC))
    inventory.mark(Ticks(mid), Ticks(mid))
    assert switch.check(inventory) is Reason.KILL_PNL


def test_loss_by_fees_trips() -> None:
    switch, inventory = armed(drawdown=-1000)
    inventory.apply_fill(fill(BUY, 1000, BTC, fee=100 * JPY))
    assert switch.check(inventory) is Reason.KILL_PNL


def test_loss_by_funding_trips() -> None:
    switch, inventory = armed(drawdown=-1000)
    inventory.apply_cash(Money(-100 * JPY))
    assert switch.check(inventory) is Reason.KILL_PNL


def test_drawdown_trips_on_a_day_that_is_still_winning() -> None:
    switch, inventory = armed()
    inventory.apply_fill(fill(BUY, 1000, BTC))
    inventory.mark(Ticks(1200), Ticks(1200))
    inventory.mark(Ticks(1141), Ticks(1141))
    assert switch.check(inventory) is None
    inventory.mark(Ticks(1140), Ticks(1140))
    assert inventory.pnl_today > 0
    assert switch.check(inventory) is Reason.KILL_DRAWDOWN


def test_days_loss_is_named_before_the_drawdown() -> None:
    switch, inventory = armed(daily=-60)
    inventory.apply_cash(Money(-60 * JPY))
    assert switch.check(inventory) is Reason.KILL_PNL


def test_first_reason_stays() -> None:
    switch, inventory = armed()
    assert switch.trip(Reason.OPERATOR) is Reason.OPERATOR
    inventory.apply_cash(Money(-1000 * JPY))
    assert switch.check(inventory) is None
    assert switch.trip(Reason.LOG_FAILURE) is None
    assert switch.halted is Reason.OPERATOR


# --- Refusals ---------------------------------------------------------------------------------------------------------


def test_refusals_within_a_minute_trip() -> None:
    switch, _ = armed(rejects=3)
    assert [switch.on_reject(second * NS_PER_S) for second in (0, 30, 59)] == [None, None, Reason.REJECTS]


def test_refusals_spread_over_more_than_a_minute_do_not() -> None:
    switch, _ = armed(rejects=3)
    assert [switch.on_reject(second * NS_PER_S) for second in range(0, 600, 30)] == [None] * 20


def test_refusals_of_before_the_resume_are_forgotten() -> None:
    switch, inventory = armed(rejects=3)
    for _ in range(5):
        switch.on_reject(0)
    switch.resume(inventory)
    assert [switch.on_reject(NS_PER_S) for _ in range(3)] == [None, None, Reason.REJECTS]


def test_refusals_remembered_are_those_of_a_minute() -> None:
    switch, _ = armed(rejects=10**6)
    for second in range(1000):
        switch.on_reject(second * NS_PER_S)
    assert len(switch._rejects) == 60


# --- Lifting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [Reason.KILL_PNL, Reason.KILL_DRAWDOWN])
def test_day_roll_lifts_a_limit_of_the_day(reason: Reason) -> None:
    switch, _ = armed()
    switch.trip(reason)
    assert switch.on_day_roll() is reason
    assert switch.halted is None


@pytest.mark.parametrize("reason", [Reason.OPERATOR, Reason.LOG_FAILURE, Reason.REJECTS, Reason.INTERNAL_ERROR])
def test_day_roll_lifts_nothing_else(reason: Reason) -> None:
    switch, _ = armed()
    switch.trip(reason)
    assert switch.on_day_roll() is None
    assert switch.halted is reason


def test_operator_lifts_anything_and_the_limits_count_from_there() -> None:
    switch, inventory = armed()
    inventory.apply_fill(fill(BUY, 1000, BTC))
    inventory.mark(Ticks(900), Ticks(900))
    switch.check(inventory)
    assert switch.resume(inventory) is Reason.KILL_PNL
    assert switch.check(inventory) is None, "or the next mark would halt again at once"
    inventory.mark(Ticks(841), Ticks(841))
    assert switch.check(inventory) is None
    inventory.mark(Ticks(840), Ticks(840))
    assert switch.check(inventory) is Reason.KILL_DRAWDOWN, "60 more than where it was resumed"


def test_day_roll_ends_what_the_resume_allowed() -> None:
    switch, inventory = armed(drawdown=-1000)
    inventory.apply_cash(Money(-100 * JPY))
    switch.check(inventory)
    switch.resume(inventory)
    inventory.roll_day()
    switch.on_day_roll()
    inventory.apply_cash(Money(-100 * JPY))
    assert switch.check(inventory) is Reason.KILL_PNL, "the new day's 100 count from zero again"


def test_resume_without_a_halt_moves_no_limit() -> None:
    switch, inventory = armed(drawdown=-1000)
    inventory.apply_cash(Money(-90 * JPY))
    assert switch.resume(inventory) is None
    inventory.apply_cash(Money(-10 * JPY))
    assert switch.check(inventory) is Reason.KILL_PNL


@pytest.mark.parametrize("reason", [Reason.KILL_PNL, Reason.OPERATOR, Reason.POSITION_MISMATCH, Reason.AUTH_REFUSED])
def test_a_halt_survives_a_restart(reason: Reason) -> None:
    """C9, F5: also under a new configuration, and only the operator or the day lifts it."""
    switch, inventory = armed()
    switch.restore(reason, -40)
    assert switch.halted is reason
    assert switch.check(inventory) is None
    lifted = switch.on_day_roll()
    assert lifted is (reason if reason is Reason.KILL_PNL else None)
    assert switch.pnl_base == 0
