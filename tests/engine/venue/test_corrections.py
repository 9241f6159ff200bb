"""Numbers of corrections: each fill can be taken back and reinstated, once each, and no number means two things."""

import pytest

from stall_then_strike.engine.venue.corrections import (
    MAX_EXEC_ID,
    is_taken_back,
    reinstated_id,
    taken_back_id,
    taken_over_id,
)
from stall_then_strike.types.dto import ExecId

LEAST, MOST = ExecId(1), ExecId(MAX_EXEC_ID)
NOW_NS = 1_790_000_000 * 10**9


@pytest.mark.parametrize(
    ("booked", "expected"),
    [
        ([LEAST], False),
        ([LEAST, taken_back_id(LEAST)], True),
        ([LEAST, taken_back_id(LEAST), reinstated_id(LEAST)], False),
        ([LEAST, taken_back_id(MOST), reinstated_id(MOST)], False),
    ],
)
def test_what_counts_is_the_last_word_on_a_fill(booked: list[ExecId], expected: bool) -> None:
    assert is_taken_back(LEAST, booked.__contains__) is expected


def test_numbers_are_of_one_meaning_and_fit_into_a_database() -> None:
    ends = [f(exec_id) for exec_id in (LEAST, MOST) for f in (taken_back_id, reinstated_id)]
    assert len({*ends, LEAST, MOST}) == 6
    assert max(reinstated_id(LEAST), reinstated_id(MOST)) < min(taken_back_id(LEAST), taken_back_id(MOST))
    assert taken_back_id(MOST) < taken_over_id(NOW_NS) < taken_back_id(ExecId(10**11))
    assert all(-(2**63) <= number < 2**63 for number in ends)
