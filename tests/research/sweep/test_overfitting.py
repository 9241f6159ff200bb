"""The deflated Sharpe ratio: the paper's own example, textbook moments, and general properties."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.research.sweep.overfitting import (
    Moments,
    deflated_sharpe,
    expected_max_sharpe,
    moments,
    probability_above,
)

DAYS = 250
PAPER = 2.5 / math.sqrt(DAYS)
"""The example of the paper: an annualised Sharpe ratio of 2.5 in five years of days, skew -3, kurtosis 10."""
VARIANCE = 0.5 / DAYS


def of_paper(trials: int, *, skew: float = -3.0, kurtosis: float = 10.0) -> float:
    found = Moments(observations=1_250, sharpe=PAPER, skew=skew, kurtosis=kurtosis)
    return probability_above(found, expected_max_sharpe(VARIANCE, trials))


def test_the_papers_example() -> None:
    assert expected_max_sharpe(VARIANCE, 100) == pytest.approx(0.1132, abs=5e-5)
    assert of_paper(100) == pytest.approx(0.9004, abs=5e-5)
    assert of_paper(46) == pytest.approx(0.9505, abs=5e-5)
    assert of_paper(88, skew=0, kurtosis=3) == pytest.approx(0.9505, abs=5e-5)


def test_moments_by_hand() -> None:
    # 1, 2, 3, 6: mean 3, deviations -2 -1 0 3, their squares 14, cubes 18, fourth powers 98.
    found = moments([1, 2, 3, 6])
    assert found is not None
    assert found.observations == 4
    assert found.sharpe == pytest.approx(3 / math.sqrt(14 / 3))
    assert found.skew == pytest.approx((18 / 4) / (14 / 4) ** 1.5)
    assert found.kurtosis == pytest.approx((98 / 4) / (14 / 4) ** 2)


@pytest.mark.parametrize("results", [[], [5], [5, 7], [3, 3, 3, 3], [0] * 60])
def test_no_figures_where_there_is_nothing_to_tell(results: list[int]) -> None:
    assert moments(results) is None


@given(st.lists(st.integers(-(10**15), 10**15), min_size=3, max_size=50))
def test_moments_do_not_depend_on_order_and_scale(results: list[int]) -> None:
    found = moments(results)
    if found is None:
        assert len(set(results)) == 1
        return
    assert found == moments(sorted(results))
    scaled = moments([7 * result for result in results])
    assert scaled is not None
    assert scaled.sharpe == pytest.approx(found.sharpe, rel=1e-12)
    assert scaled.kurtosis == pytest.approx(found.kurtosis, rel=1e-12)
    assert found.sharpe == pytest.approx(statistics.mean(results) / statistics.stdev(results), rel=1e-9)
    # What makes the variance of a Sharpe ratio positive.
    assert found.kurtosis >= 1 + found.skew**2 - 1e-9


@given(st.lists(st.floats(-2, 2), min_size=2, max_size=40), st.integers(2, 5_000))
def test_more_trials_leave_less_and_never_outside_zero_to_one(sharpes: list[float], observations: int) -> None:
    chosen = Moments(observations=observations, sharpe=max(sharpes), skew=0.0, kurtosis=3.0)
    found = deflated_sharpe(chosen, sharpes)
    assert 0 <= found.dsr <= 1
    assert found.trials == len(sharpes)
    assert found.dsr <= probability_above(chosen, 0.0) + 1e-12
    more = probability_above(chosen, expected_max_sharpe(found.variance, 10 * found.trials))
    assert more <= found.dsr + 1e-12


def test_one_trial_deflates_nothing() -> None:
    chosen = Moments(observations=60, sharpe=0.3, skew=0.1, kurtosis=4.0)
    assert deflated_sharpe(chosen, [0.3]).expected_max_sharpe == 0
    assert deflated_sharpe(chosen, [0.3]).dsr == probability_above(chosen, 0.0)


def test_the_best_of_many_worthless_trials_is_not_believed() -> None:
    """The best of many random walks looks good alone, and is as good as expected among so many."""
    rng, deflated, alone = random.Random(11), [], []
    for _ in range(60):
        found = [moments([rng.randint(-1_000, 1_000) for _ in range(120)]) for _ in range(50)]
        trials = [trial for trial in found if trial is not None]
        best = max(trials, key=lambda trial: trial.sharpe)
        deflated.append(deflated_sharpe(best, [trial.sharpe for trial in trials]).dsr)
        alone.append(probability_above(best, 0.0))
    assert min(alone) > 0.9
    assert 0.3 < statistics.mean(deflated) < 0.7
    assert sum(dsr > 0.95 for dsr in deflated) <= 6


@pytest.mark.parametrize(("variance", "trials"), [(1.0, 0), (-0.1, 5)])
def test_impossible_questions_are_refused(variance: float, trials: int) -> None:
    with pytest.raises(ValueError, match="trials"):
        expected_max_sharpe(variance, trials)
