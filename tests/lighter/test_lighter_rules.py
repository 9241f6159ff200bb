"""Lighter's rules fit what the adapter counts and what the exchange on loopback allows."""

from __future__ import annotations

from typing import get_args

import pytest

from stall_then_strike.config.models import AccountConfig
from stall_then_strike.config.venue import ExchangeConfig
from stall_then_strike.engine.venue.budget import Budget
from stall_then_strike.lighter.lighter_rules import REPORT_CALLS, lighter_limits, lighter_rules
from stall_then_strike.lighter.limiter import PLANS
from stall_then_strike.lighter.markets import Markets
from stall_then_strike.sim.lighter import call_limits
from stall_then_strike.sim.lighter.admission import MINUTE_MS
from stall_then_strike.sim.lighter.clearing.contracts import Plan
from stall_then_strike.sim.lighter.realtime.stream import LARGEST_BATCH
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S
from stall_then_strike.types.instrument import Lots

ETH = Markets().named("ETH").instrument
_START_NS = 1_800_000_000 * NS_PER_S


def test_orders_and_batches_are_such_as_the_venue_takes() -> None:
    rules = lighter_rules(AccountConfig(), ETH, PLANS["standard"])
    assert rules.batch == LARGEST_BATCH
    assert rules.expiry_ns > 5 * MINUTE_MS * NS_PER_MS
    assert rules.small_payment == ETH.to_money(1)


def test_settings_adapter_and_exchange_on_loopback_know_the_same_plans() -> None:
    named = get_args(ExchangeConfig.model_fields["plan"].annotation)
    assert list(named) == list(PLANS) == [plan.value for plan in Plan]
    assert [PLANS[plan.value].most for plan in Plan] == list(call_limits.TOTALS.values())


@pytest.mark.parametrize("plan", Plan)
def test_what_the_budget_allows_the_venue_allows(plan: Plan) -> None:
    """Strikes and reports as fast as the budget lets them, for two minutes, never exceed a limit of the venue."""
    budget = Budget(lighter_limits(PLANS[plan.value]), batch=15)
    is_standard = plan is Plan.STANDARD
    venue, now_ns, strikes = call_limits.Budget(call_limits.TOTALS[plan]), _START_NS, 0

    def call(name: str) -> None:
        weight = 1 if is_standard else call_limits.WEIGHTS.get(name, call_limits.OTHER_WEIGHT)
        assert venue.allows(weight, now_ns)
        venue.spend(weight, now_ns)

    report = ("accountActiveOrders", "accountInactiveOrders", "trades", "account")
    for step in range(2_500):
        now_ns += 50 * NS_PER_MS
        if step % 100 == 0 and budget.may_ask(now_ns, REPORT_CALLS, urgent=False):
            budget.reserve_questions(now_ns, REPORT_CALLS)
            for name in report:
                call(name)
            budget.settle_questions(now_ns, len(report))
        if budget.strike_at_ns(now_ns, 2, Lots(100)) <= now_ns:
            strikes += 1
            budget.spend_strike(now_ns, 2, Lots(100))
            budget.spend_cancel(now_ns, 2)
            call("sendTxBatch")
            call("sendTxBatch")
    assert strikes > (20 if is_standard else 500)
