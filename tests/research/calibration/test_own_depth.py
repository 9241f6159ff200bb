"""Our part of a level, when others change it in the same messages."""

from __future__ import annotations

import pytest

from stall_then_strike.research.calibration.own_depth import DisplayLag, LevelLog, OwnPart, Step, display_lag
from stall_then_strike.types.dto import NS_PER_MS

MS = NS_PER_MS
LAG = DisplayLag(least_ns=50 * MS, usual_ns=100 * MS)
CAME, FILLED = Step(1_000 * MS, 20, 60 * MS), Step(2_000 * MS, -20, 0)


def log(*sizes: tuple[int, int]) -> LevelLog:
    """Stamps in ms and sizes; the first is where it begins."""
    made = LevelLog(sizes[0][0] * MS, sizes[0][1])
    for ms, size in sizes:
        made.see(ms * MS, size)
    return made


@pytest.mark.parametrize(
    ("sizes", "shown_ms"),
    [
        ([(0, 100), (1_080, 120)], 1_080),
        ([(0, 100), (1_060, 140), (1_180, 160)], 1_180),  # exactly our size comes before more than our size
        ([(0, 100), (1_060, 90), (1_180, 115)], 1_180),  # another order left in the same message: grown by more
        ([(0, 170), (1_090, 20)], 1_090),  # all others left when we arrived: nothing grew
        ([(0, 170), (1_080, 150), (1_200, 140)], 1_080),  # nearest to the usual lag
        ([(0, 100), (900, 120), (1_090, 121)], 1_090),  # a change of our size before our arrival is not ours
        ([(0, 100)], 1_300),  # completely hidden: an order of our size left when we arrived
        ([(0, 100), (5_000, 120)], 1_300),
    ],
)
def test_our_coming_is_found_in_the_level(sizes: list[tuple[int, int]], shown_ms: int) -> None:
    part = OwnPart(log(*sizes), [CAME], LAG)
    assert part.at(shown_ms * MS - 1) == 0
    assert part.at(shown_ms * MS) == 20
    assert part.at(9_000 * MS) == 20


def test_fill_goes_with_the_message_that_shows_it() -> None:
    level = log((0, 100), (1_080, 120), (2_030, 110), (2_100, 85))
    part = OwnPart(level, [CAME, FILLED], LAG)
    assert [part.at(ms * MS) for ms in (1_079, 1_080, 2_099, 2_100)] == [0, 20, 20, 0]


def test_order_that_was_filled_before_it_was_displayed_never_was() -> None:
    part = OwnPart(log((0, 100), (1_150, 101)), [CAME, Step(1_050 * MS, -20, 0)], LAG)
    assert {part.at(ms * MS) for ms in range(900, 1_500, 10)} == {0}


def test_lag_is_measured_where_a_change_is_exactly_ours() -> None:
    shown = [(log((0, 120), (2_000 + lag, 100)), FILLED) for lag in range(50, 150)]
    hidden = (log((0, 120), (2_060, 117)), FILLED)
    assert display_lag([*shown, hidden]) == DisplayLag(least_ns=55 * MS, usual_ns=int(99.5 * MS))
    assert display_lag([hidden]) == DisplayLag()
