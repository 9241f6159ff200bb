"""The rules that fill paper orders, as tables and as inequalities: doubts count against us."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.sim.fill_rules import (
    SHARE_SCALE,
    Match,
    Queue,
    after_level,
    fee,
    join,
    match_behind,
    share_ahead,
)
from tests.engine.core_rig import properties

HALF = SHARE_SCALE // 2
LOTS = st.integers(0, 10**9)


def test_joining_is_behind_all_that_is_displayed() -> None:
    assert join(70) == Queue(ahead=70, level=70, unseen=0)
    assert join(0) == Queue(ahead=0, level=0, unseen=0), "inside the spread nobody is ahead"


@pytest.mark.parametrize(
    ("ahead", "remaining", "traded", "match"),
    [
        pytest.param(100, 50, 80, Match(80, 0), id="all of it goes to those ahead"),
        pytest.param(20, 50, 30, Match(20, 10), id="the rest of it comes to us"),
        pytest.param(0, 40, 50, Match(0, 40), id="no more than we want"),
        pytest.param(0, 40, 10, Match(0, 10), id="a part"),
        pytest.param(100, 50, 100, Match(100, 0), id="exactly those ahead"),
        pytest.param(0, 0, 10, Match(0, 0), id="nothing wanted"),
    ],
)
def test_print_at_our_price(ahead: int, remaining: int, traded: int, match: Match) -> None:
    assert match_behind(ahead, remaining, traded) == match


@pytest.mark.parametrize(
    ("queue", "displayed", "share", "after"),
    [
        pytest.param(Queue(60, 100, 0), 80, HALF, Queue(50, 80, 0), id="half of the cancels were ahead"),
        pytest.param(Queue(60, 100, 0), 80, 0, Queue(60, 80, 0), id="none, by configuration"),
        pytest.param(Queue(60, 100, 0), 80, SHARE_SCALE, Queue(40, 80, 0), id="all, by configuration"),
        pytest.param(Queue(60, 100, 0), 99, HALF, Queue(60, 99, 0), id="shares are rounded down"),
        pytest.param(Queue(60, 100, 0), 30, 0, Queue(30, 30, 0), id="nobody is ahead who is not displayed"),
        pytest.param(Queue(60, 100, 0), 0, 0, Queue(0, 0, 0), id="level deleted"),
        pytest.param(Queue(60, 100, 0), 150, HALF, Queue(60, 150, 0), id="newcomers stand behind"),
        pytest.param(Queue(20, 100, 40), 60, HALF, Queue(20, 60, 0), id="a decrease by what traded is no cancel"),
        pytest.param(Queue(20, 100, 40), 80, HALF, Queue(20, 80, 20), id="part of what traded is shown"),
        pytest.param(Queue(20, 100, 40), 40, HALF, Queue(10, 40, 0), id="traded and cancelled at once"),
        pytest.param(Queue(20, 100, 40), 120, HALF, Queue(20, 120, 40), id="growth explains no trade"),
    ],
)
def test_level_that_changes(queue: Queue, displayed: int, share: int, after: Queue) -> None:
    assert after_level(queue, displayed, share) == after


@pytest.mark.parametrize(
    ("price", "size", "rate", "units"),
    [
        (10_000, 100, "0", 0),
        (10_000, 100, "0.001", 1_000),
        (10_001, 100, "0.001", 1_001),
        (3, 3, "0.1", 1),
        (3, 3, "-0.1", 0),
        (10_001, 100, "-0.001", -1_000),
        (10_000, 100, "-0.001", -1_000),
    ],
)
def test_fee_is_rounded_against_us(price: int, size: int, rate: str, units: int) -> None:
    assert fee(price, size, Decimal(rate).as_integer_ratio()) == units


@properties(300)
@given(LOTS, LOTS, LOTS)
def test_a_print_gives_out_no_more_than_it_is(ahead: int, remaining: int, traded: int) -> None:
    match = match_behind(ahead, remaining, traded)
    assert 0 <= match.passed <= ahead
    assert 0 <= match.filled <= remaining
    assert match.passed + match.filled <= traded
    assert not match.filled or match.passed == ahead, "never before those ahead"


@properties(300)
@given(LOTS, LOTS, LOTS, LOTS, st.integers(0, SHARE_SCALE))
def test_a_level_moves_us_forward_only_and_never_past_what_it_lost(
    ahead: int, level: int, unseen: int, displayed: int, share: int
) -> None:
    queue = Queue(min(ahead, level), level, unseen)
    after = after_level(queue, displayed, share)
    lost = max(0, level - displayed)
    assert max(0, queue.ahead - lost) <= after.ahead <= min(queue.ahead, displayed)
    assert 0 <= after.unseen <= unseen
    assert after.level == displayed


@properties(300)
@given(st.lists(st.integers(0, 1000), max_size=20), LOTS, LOTS)
def test_one_print_or_many_of_the_same_sum_are_alike(prints: list[int], ahead: int, remaining: int) -> None:
    left_ahead, got = ahead, 0
    for traded in prints:
        match = match_behind(left_ahead, remaining - got, traded)
        left_ahead -= match.passed
        got += match.filled
    assert (ahead - left_ahead, got) == match_behind(ahead, remaining, sum(prints))


@properties(300)
@given(st.integers(1, 10**8), st.integers(1, 10**10), st.decimals(Decimal("-0.01"), Decimal("0.01"), places=7))
def test_fee_is_never_less_than_exact_and_by_less_than_a_unit_more(price: int, size: int, rate: Decimal) -> None:
    exact = Fraction(rate) * price * size
    assert exact <= fee(price, size, rate.as_integer_ratio()) < exact + 1


@pytest.mark.parametrize(
    ("ahead", "level", "power", "share"),
    [
        pytest.param(50, 100, 0, HALF, id="no power: the fixed share"),
        pytest.param(50, 100, 1, HALF, id="in the middle as many ahead as behind"),
        pytest.param(25, 100, 1, SHARE_SCALE // 4, id="power one is our place"),
        pytest.param(25, 100, 2, SHARE_SCALE // 10, id="1 / (1 + 9)"),
        pytest.param(0, 100, 3, 0, id="nobody is ahead"),
        pytest.param(100, 100, 3, SHARE_SCALE, id="nobody is behind"),
        pytest.param(0, 0, 2, 0, id="no level"),
    ],
)
def test_share_of_those_ahead(ahead: int, level: int, power: int, share: int) -> None:
    assert share_ahead(Queue(ahead, level, 0), HALF, power) == share
