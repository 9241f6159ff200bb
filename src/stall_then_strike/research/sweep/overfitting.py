"""How much of the best result is luck: the deflated Sharpe ratio.

Who tries many parameter sets finds one that did well, whether or not any of them is worth something. Bailey and López
de Prado ("The Deflated Sharpe Ratio: Correcting for Selection Bias, Backtest Overfitting and Non-Normality", Journal of
Portfolio Management 40(5), 2014, pp. 94-107) give the Sharpe ratio to be expected of the luckiest of N worthless trials
(their equation 1, with a true mean of zero), V being the variance of the trials' Sharpe ratios and g Euler's constant,

    SR0 = sqrt(V) * ((1 - g) * Z^-1(1 - 1/N) + g * Z^-1(1 - 1/(N e)))

and the probability that a measured one, of T observations with skew s and kurtosis k (3 for a normal), is truly
above it (their equation 2):

    DSR = Z((SR - SR0) * sqrt(T - 1) / sqrt(1 - s SR + (k - 1)/4 SR^2))

All Sharpe ratios are per observation and not annualised. N counts every set that was tried, as if the trials were
independent: they are not, so the answer is on the strict side. The set with the highest result need not be that with
the highest Sharpe ratio, which again makes it strict. What was tried in earlier sweeps is not known here, and counts.
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
    """What is to be known of a run's results by interval."""

    observations: int
    sharpe: float
    """Mean over standard deviation (n - 1), per observation."""
    skew: float
    kurtosis: float
    """Of a normal distribution: 3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeflatedSharpe:
    """A Sharpe ratio, and what is left of it once the number of trials is known."""

    sharpe: float
    trials: int
    variance: float
    """Of the Sharpe ratios of all trials."""
    expected_max_sharpe: float
    dsr: float
    """Probability that the true Sharpe ratio is above the one expected of the luckiest worthless trial."""
    observations: int
    skew: float
    kurtosis: float


def moments(results: Sequence[int]) -> Moments | None:
    """Of whole numbers, such as money units; None if there are fewer than three or all are equal.

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
    """Sharpe ratio to be expected of the best of so many worthless trials. Raises ValueError for none."""
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
    if variance <= 0:  # only where the results have just two values; then there is no doubt left
        return float(sharpe > benchmark)
    return _NORMAL.cdf((sharpe - benchmark) * math.sqrt(found.observations - 1) / math.sqrt(variance))


def deflated_sharpe(chosen: Moments, sharpes: Sequence[float]) -> DeflatedSharpe:
    """Of the chosen trial, ``sharpes`` being those of all trials, the chosen one's included."""
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
