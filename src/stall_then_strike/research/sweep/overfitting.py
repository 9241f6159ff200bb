"""How much of the best result is luck: the deflated Sharpe ratio.

Among many parameter sets one does well even if all of them are worthless. Bailey and López de Prado ("The Deflated
Sharpe Ratio: Correcting for Selection Bias, Backtest Overfitting and Non-Normality", Journal of Portfolio Management
40(5), 2014, pp. 94-107) give the expected Sharpe ratio of the luckiest of N worthless trials (their equation 1, with a
true mean of zero), where V is the variance of the trials' Sharpe ratios and g Euler's constant,

    SR0 = sqrt(V) * ((1 - g) * Z^-1(1 - 1/N) + g * Z^-1(1 - 1/(N e)))

and the probability that the true value of a measured Sharpe ratio, from T observations with skew s and kurtosis k (3
for a normal distribution), is above it (their equation 2):

    DSR = Z((SR - SR0) * sqrt(T - 1) / sqrt(1 - s SR + (k - 1)/4 SR^2))

All Sharpe ratios are per observation, not annualised. N counts every set that was tried as if the trials were
independent. They are not, so the answer is conservative. The set with the best result need not have the highest Sharpe
ratio, which makes it more conservative. Trials of earlier sweeps are not known here, although they should count.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

_NORMAL: Final = NormalDist()
_EULER: Final = 0.577_215_664_901_532_9


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of a run's results by interval."""

    observations: int
    sharpe: float
    """Mean over standard deviation (n - 1), per observation."""
    skew: float
    kurtosis: float
    """3 for a normal distribution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeflatedSharpe:
    """A Sharpe ratio, deflated by the number of trials."""

    sharpe: float
    trials: int
    variance: float
    """Variance of the Sharpe ratios of all trials."""
    expected_max_sharpe: float
    dsr: float
    """Probability that the true Sharpe ratio is above ``expected_max_sharpe``."""
    observations: int
    skew: float
    kurtosis: float


def moments(results: Sequence[int]) -> Moments | None:
    """Moments of integers, such as money units; None if there are fewer than three or all are equal.

    Sums are exact, so that the figures are the same on every machine and in every order.
    """
    n, total = len(results), sum(results)
    spread = [(n * result - total, count) for result, count in Counter(results).items()]
    squares = sum(count * d**2 for d, count in spread)
    if n < 3 or not squares:
        return None
    return Moments(
        observations=n,
        sharpe=total / math.sqrt(squares / (n - 1)),
        skew=sum(count * d**3 for d, count in spread) / squares * math.sqrt(n / squares),
        kurtosis=n * sum(count * d**4 for d, count in spread) / squares**2,
    )


def expected_max_sharpe(variance: float, trials: int) -> float:
    """Expected Sharpe ratio of the best of ``trials`` worthless trials. Raises ValueError for none."""
    if trials < 1 or variance < 0:
        raise ValueError(f"{trials} trials with a variance of {variance}")
    if trials == 1:
        return 0.0
    highest = (1 - _EULER) * _NORMAL.inv_cdf(1 - 1 / trials) + _EULER * _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * highest


def probability_above(found: Moments, benchmark: float) -> float:
    """Probability that the true Sharpe ratio is above a benchmark: the probabilistic Sharpe ratio."""
    sharpe = found.sharpe
    variance = 1 - found.skew * sharpe + (found.kurtosis - 1) / 4 * sharpe * sharpe
    if variance <= 0:  # only if the results have just two values; then nothing is uncertain
        return float(sharpe > benchmark)
    return _NORMAL.cdf((sharpe - benchmark) * math.sqrt(found.observations - 1) / math.sqrt(variance))


def deflated_sharpe(chosen: Moments, sharpes: Sequence[float]) -> DeflatedSharpe:
    """Deflated Sharpe ratio of the chosen trial; ``sharpes`` are those of all trials, including the chosen one."""
    trials = len(sharpes)
    mean = math.fsum(sharpes) / trials
    variance = math.fsum((sharpe - mean) ** 2 for sharpe in sharpes) / (trials - 1) if trials > 1 else 0.0
    benchmark = expected_max_sharpe(variance, trials)
    return DeflatedSharpe(
        sharpe=chosen.sharpe,
        trials=trials,
        variance=variance,
        expected_max_sharpe=benchmark,
        dsr=probability_above(chosen, benchmark),
        observations=chosen.observations,
        skew=chosen.skew,
        kurtosis=chosen.kurtosis,
    )
