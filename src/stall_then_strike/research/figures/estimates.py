"""Means and shares with confidence intervals. In floats: for statistics, never for booking.

Fills close in time are not independent: they share the same move of the market. A mean's interval therefore treats each
block of time as one observation (cluster-robust variance with Student's t on the number of blocks less one). With a
single block there is no interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

CONFIDENCE: Final = 0.95
_Z: Final = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
_SMALL_T: Final = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)
"""97.5 % quantiles of Student's t for 1 to 10 degrees of freedom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean or a share with its 95 % interval; ``low`` and ``high`` are None without one."""

    n: int
    value: float
    low: float | None
    high: float | None
    blocks: int
    """Number of independent observations."""

    @property
    def verdict(self) -> int:
        """-1 when the interval lies below zero, +1 when above, 0 otherwise."""
        if self.low is None or self.high is None:
            return 0
        return 1 if self.low > 0 else -1 if self.high < 0 else 0

    @property
    def error(self) -> float | None:
        """Standard error that belongs to the interval."""
        return None if self.high is None else (self.high - self.value) / t_quantile(self.blocks - 1)


def t_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t (Hill's expansion from 11 degrees on, good to 1e-4)."""
    if freedom < 1:
        return math.nan
    if freedom <= len(_SMALL_T):
        return _SMALL_T[freedom - 1]
    z, v = _Z, freedom
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + g1 / v + g2 / v**2 + g3 / v**3


def mean_of(values: Sequence[float], blocks: Iterable[int]) -> Estimate | None:
    """The mean of values, each with the block that it belongs to; None without values."""
    n = len(values)
    if not n:
        return None
    mean = math.fsum(values) / n
    sums: dict[int, float] = {}
    for value, block in zip(values, blocks, strict=True):
        sums[block] = sums.get(block, 0.0) + value - mean
    groups = len(sums)
    if groups < 2:
        return Estimate(n=n, value=mean, low=None, high=None, blocks=groups)
    variance = math.fsum(part * part for part in sums.values()) / n**2 * groups / (groups - 1)
    half = t_quantile(groups - 1) * math.sqrt(variance)
    return Estimate(n=n, value=mean, low=mean - half, high=mean + half, blocks=groups)


def share_of(hits: int, n: int) -> Estimate | None:
    """A share with Wilson's interval; None if ``n`` is zero."""
    if not n:
        return None
    p, z2 = hits / n, _Z * _Z
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return Estimate(n=n, value=p, low=max(0.0, centre - half), high=min(1.0, centre + half), blocks=n)


def difference(first: Estimate | None, second: Estimate | None) -> Estimate | None:
    """Second less first, for independent runs (Welch); None unless both have an interval."""
    if first is None or second is None or first.error is None or second.error is None:
        return None
    variance = first.error**2 + second.error**2
    parts = (first.error**4 / (first.blocks - 1), second.error**4 / (second.blocks - 1))
    freedom = max(1, int(variance**2 / sum(parts))) if sum(parts) > 0 else min(first.blocks, second.blocks) - 1
    half = t_quantile(freedom) * math.sqrt(variance)
    value = second.value - first.value
    return Estimate(n=first.n + second.n, value=value, low=value - half, high=value + half, blocks=freedom + 1)


def quantile(ranked: Sequence[float], share: float) -> float:
    """Quantile of ascending values (nearest rank)."""
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]
