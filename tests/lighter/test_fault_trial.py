"""A short version of ``make lighter``."""

from __future__ import annotations

import pytest
from loguru import logger

from tests.lighter.__main__ import plans
from tests.lighter.fault_trial import duration_s, trial

SHORT = ("lose_answer_to_send", "error_after_send", "cut_in_send", "silent_cancel")
SEEDS = range(3, 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SHORT, *(f"mixture {seed}" for seed in SEEDS)])
async def test_nothing_is_lost_doubled_or_left_behind(name: str) -> None:
    logger.remove()
    outcome = await trial(name, plans(SHORT, SEEDS, duration_s(30))[name], orders=30, speed=10.0)
    assert outcome.is_good, outcome
    assert outcome.orders == 30
