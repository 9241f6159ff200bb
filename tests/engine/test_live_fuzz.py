"""Some seeds of `live_fuzz.py`; the module runs thousands by itself."""

from __future__ import annotations

import pytest

from tests.engine.live_fuzz import run
from tests.engine.venue.other_rules import OTHER_RULES

EACH = 15


@pytest.mark.parametrize("first", range(0, 90, EACH))
@pytest.mark.slow
def test_no_halt_is_false_and_all_books_are_equal(first: int) -> None:
    wrong = {seed: found for seed in range(first, first + EACH) if (found := run(seed))}
    assert not wrong


@pytest.mark.parametrize("first", [0])
@pytest.mark.slow
def test_nor_are_they_at_a_venue_with_other_rules(first: int) -> None:
    wrong = {seed: found for seed in range(first, first + EACH) if (found := run(seed, OTHER_RULES))}
    assert not wrong
