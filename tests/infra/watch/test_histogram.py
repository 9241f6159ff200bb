"""The latency histogram: percentiles to about 3 %, in fixed memory."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.infra.watch.histogram import LatencyHistogram
from tests.engine.core_rig import properties

DURATIONS = st.one_of(st.integers(0, 100), st.integers(0, 10**9), st.integers(0, 2**63))


def counted(*durations: int) -> LatencyHistogram:
    histogram = LatencyHistogram()
    for duration in durations:
        histogram.add(duration)
    return histogram


def test_empty_histogram_has_no_percentile() -> None:
    histogram = LatencyHistogram()
    assert histogram.percentile_ns(50) is None
    assert (histogram.count, histogram.max_ns) == (0, 0)


@pytest.mark.parametrize("duration", [0, 1, 15, 16, 31])
def test_small_durations_are_exact(duration: int) -> None:
    assert counted(duration).percentile_ns(50) == duration


def test_negative_duration_counts_as_zero() -> None:
    """Two clocks that differ by a hair must not break the panel."""
    histogram = counted(-5)
    assert (histogram.count, histogram.max_ns, histogram.percentile_ns(99)) == (1, 0, 0)


def test_percentiles_of_a_thousand_microseconds() -> None:
    histogram = counted(*(n * 1_000 for n in range(1, 1_001)))
    for percent in (1, 10, 50, 90, 99, 99.9):
        assert histogram.percentile_ns(percent) == pytest.approx(percent * 10_000, rel=0.033)
    assert histogram.percentile_ns(100) == pytest.approx(1_000_000, rel=0.033)


def test_percentile_is_never_more_than_the_longest() -> None:
    histogram = counted(*[1_000_001] * 10)
    assert histogram.percentile_ns(99) is not None
    assert histogram.percentile_ns(99) <= histogram.max_ns == 1_000_001  # type: ignore[operator]  # not None: above


@properties(300)
@given(st.lists(DURATIONS, min_size=1, max_size=60), st.floats(0, 100))
def test_percentile_is_within_three_percent_of_a_sample_of_its_rank(durations: list[int], percent: float) -> None:
    histogram, ranked = counted(*durations), sorted(durations)
    answer = histogram.percentile_ns(percent)
    assert answer is not None
    rank = len(ranked) * percent / 100
    low, high = ranked[max(0, math.floor(rank) - 1)], ranked[min(len(ranked), max(1, math.ceil(rank))) - 1]
    assert low - low / 30 - 1 <= answer <= high + high / 30 + 1
    assert histogram.max_ns == ranked[-1]


@properties(100)
@given(st.lists(DURATIONS, max_size=50))
def test_memory_does_not_grow(durations: list[int]) -> None:
    histogram = LatencyHistogram()
    size = len(histogram._counts)
    for duration in durations:
        histogram.add(duration)
    assert len(histogram._counts) == size < 1_000
    assert sum(histogram._counts) == histogram.count == len(durations)
