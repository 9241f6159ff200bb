"""A short version of ``make lighter``: every fault with one or two orders each, and two mixtures."""

from __future__ import annotations

import pytest
from loguru import logger

from stall_then_strike.sim.faults.lighter_catalogue import LIGHTER_RECIPES
from tests.lighter.__main__ import plans
from tests.lighter.fault_trial import duration_s, trial, trial_in_turn

SEEDS = range(3, 5)
ON_SENDS = {name for name, recipe in LIGHTER_RECIPES.items() if "send" in name and recipe.get("path")}
"""Faults that the first send of a group cannot miss."""


@pytest.mark.slow(25)
@pytest.mark.timeout(300)
async def test_nothing_is_lost_doubled_or_left_behind_under_each_fault_in_turn() -> None:
    logger.remove()
    outcome, struck = await trial_in_turn(list(LIGHTER_RECIPES), orders_each=2, speed=20.0)
    assert outcome.is_good, outcome
    assert outcome.orders > len(LIGHTER_RECIPES)
    assert struck >= ON_SENDS
    assert len(struck) > len(LIGHTER_RECIPES) / 2, struck


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_is_lost_doubled_or_left_behind_under_a_mixture(seed: int) -> None:
    logger.remove()
    plan = plans([], SEEDS, duration_s(30))[f"mixture {seed}"]
    outcome = await trial(f"mixture {seed}", plan, orders=30, speed=10.0)
    assert outcome.is_good, outcome
    assert outcome.orders == 30
