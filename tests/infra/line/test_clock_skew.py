"""The venue's clock skew, from dates with a resolution of one second."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.infra.line.clock_skew import KEPT_ANSWERS, KEPT_NS, ClockSkew, read_date
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S

S, MS = NS_PER_S, NS_PER_MS
T = 1_790_000_000 * S


def answered(skew: ClockSkew, offset_ns: int, sent_ns: int, out_ns: int = 0, back_ns: int = 0) -> None:
    """An answer of a venue whose clock is ahead by the offset."""
    stamped_ns = sent_ns + out_ns + offset_ns
    skew.add(date_ns=stamped_ns // S * S, sent_ns=sent_ns, received_ns=sent_ns + out_ns + back_ns)


def test_nothing_is_known_before_an_answer() -> None:
    assert ClockSkew().skew_ns() is None
    assert ClockSkew().bounds_ns() is None


def test_one_answer_leaves_a_second_and_the_way() -> None:
    skew = ClockSkew()
    answered(skew, 0, T + 300 * MS, out_ns=20 * MS, back_ns=30 * MS)
    assert skew.bounds_ns() == (-350 * MS, 700 * MS)
    assert skew.skew_ns() == 0


def test_answers_in_different_parts_of_a_second_leave_little() -> None:
    skew = ClockSkew()
    for part in (0, 250, 500, 750, 990):
        answered(skew, 4_000 * MS, T + part * MS, out_ns=5 * MS, back_ns=5 * MS)
    assert skew.bounds_ns() == (3_990 * MS, 4_010 * MS)
    assert skew.skew_ns() == 3_990 * MS


def test_venue_behind_us_is_a_negative_difference() -> None:
    skew = ClockSkew()
    answered(skew, -10 * S, T)
    assert skew.skew_ns() == -9 * S


def test_clock_that_was_set_is_believed_at_once() -> None:
    skew = ClockSkew()
    for n in range(5):
        answered(skew, 0, T + n * 1_300 * MS)
    answered(skew, 60 * S, T + 10 * S)
    bounds = skew.bounds_ns()
    assert bounds is not None
    assert bounds[0] <= 60 * S <= bounds[1]


def test_old_answers_are_forgotten() -> None:
    skew = ClockSkew()
    answered(skew, 999 * MS, T + 1)
    answered(skew, 0, T + KEPT_NS + 2)
    assert skew.bounds_ns() == (-2, S - 2)


def test_answer_before_its_request_is_a_bug() -> None:
    with pytest.raises(ValueError, match="before its request"):
        ClockSkew().add(date_ns=T, sent_ns=T + 1, received_ns=T)


@given(
    offset=st.integers(-100 * S, 100 * S),
    calls=st.lists(
        st.tuples(st.integers(0, 10 * S), st.integers(0, 3 * S), st.integers(0, 3 * S)), min_size=1, max_size=60
    ),
)
def test_true_difference_is_always_within_the_bounds_and_never_overstated(
    offset: int, calls: list[tuple[int, int, int]]
) -> None:
    skew, now = ClockSkew(), T
    width = None
    for number, (pause, out, back) in enumerate(calls):
        now += pause
        answered(skew, offset, now, out, back)
        now += out + back
        bounds, least = skew.bounds_ns(), skew.skew_ns()
        assert bounds is not None
        assert least is not None
        assert bounds[0] <= offset < bounds[1] or bounds[0] == bounds[1] == offset
        assert abs(least) <= abs(offset)
        assert least * offset >= 0
        if number < KEPT_ANSWERS and now - T < KEPT_NS:
            assert width is None or bounds[1] - bounds[0] <= width
            width = bounds[1] - bounds[0]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Sat, 21 Nov 2026 10:29:23 GMT", 1_795_256_963),
        ("Sat, 21 Nov 2026 10:29:23 +0900", 1_795_256_963 - 32_400),
        ("Sat, 21 Nov 2026 10:29:23", None),
        ("yesterday", None),
        ("Sat, 99 Nov 2026 10:29:23 GMT", None),
        ("Sat, 21 Nov 99999999999999999999 10:29:23 GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_http_date_is_read_or_ignored(text: str | None, seconds: int | None) -> None:
    assert read_date(text) == (None if seconds is None else seconds * S)
