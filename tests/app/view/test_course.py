"""A figure's course: bounded, even, begun anew with the day; and as bars."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

from stall_then_strike.app.view.course import MOST, Course, sparkline
from stall_then_strike.types.dto import NS_PER_S


def test_weeks_stay_few_points_at_even_steps() -> None:
    course = Course()
    for second in range(20_000):
        points = course.add(Decimal(second), second * NS_PER_S, "monday")
    *kept, present = points
    assert present == 19_999
    assert MOST // 2 <= len(kept) < MOST
    assert len({after - before for before, after in pairwise(kept)}) == 1
    assert kept[0] == 0


def test_looks_within_a_step_add_nothing_but_the_present() -> None:
    course = Course()
    for look in range(10):
        points = course.add(Decimal(look), look * NS_PER_S // 10, "monday")
    assert points == (0, 9)


def test_a_new_day_begins_anew() -> None:
    course = Course()
    course.add(Decimal(5), 0, "monday")
    assert course.add(Decimal(1), NS_PER_S, "tuesday") == (1, 1)


def test_bars_span_the_lowest_to_the_highest() -> None:
    assert sparkline([Decimal(point) for point in (-3, 0, 4)], 10) == "▁▄█"
    assert sparkline([Decimal(point) for point in range(100)], 4) == "▁▃▅█"
    assert sparkline([Decimal(7)] * 3, 10) == "▁▁▁"
    assert sparkline([], 10) == ""
