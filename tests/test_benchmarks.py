"""The benchmarks run to their end: their own settings do not stand in their way."""

from __future__ import annotations

import pytest

from benchmarks import loopback_latency
from benchmarks.limits import MANY, WIDE
from stall_then_strike.config.models import LimitsConfig

ORDERS = 20
CALLS = LimitsConfig().address_per_5min


def test_no_limit_is_left_narrow() -> None:
    limits = LimitsConfig(**WIDE)
    assert {getattr(limits, name) for name in LimitsConfig.model_fields if name.endswith("min")} == {MANY}


def test_loopback_takes_more_samples_than_the_venue_allows_calls() -> None:
    strikes = CALLS // 3  # two orders each, and the cancels of the one before
    assert loopback_latency.measure(strikes).strikes == strikes


def test_orders_on_lighter_are_all_accepted_and_their_time_is_told_apart() -> None:
    pytest.importorskip("lighter")
    from benchmarks import lighter_orders

    rates = lighter_orders.measure(ORDERS)
    assert min(rates.batched, rates.single, rates.sdk) > 0
    assert 0 < rates.own_share < 1
