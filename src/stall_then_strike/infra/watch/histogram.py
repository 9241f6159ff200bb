"""A histogram of latencies in fixed memory, for percentiles over a run of any length.

Buckets grow geometrically, sixteen per power of two, so a percentile is exact to about 3 %.
"""

from __future__ import annotations

import math
from typing import Final

_SUB_BITS: Final = 4
_BUCKETS: Final = (64 - _SUB_BITS + 1) << _SUB_BITS


class LatencyHistogram:
    """Counts of durations in nanoseconds."""

    def __init__(self) -> None:
        """Start empty."""
        self._counts = [0] * _BUCKETS
        self.count = 0
        self.max_ns = 0
        self.total_ns = 0

    def add(self, duration_ns: int) -> None:
        """Count one duration; a negative one counts as zero."""
        if duration_ns < 0:
            duration_ns = 0
        elif duration_ns > self.max_ns:
            self.max_ns = duration_ns
        shift = duration_ns.bit_length() - _SUB_BITS - 1
        if shift < 0:
            shift = 0
        self._counts[(shift << _SUB_BITS) + (duration_ns >> shift)] += 1
        self.count += 1
        self.total_ns += duration_ns

    def below(self, exponents: range) -> list[int]:
        """How many durations were shorter than each power of two nanoseconds; the exponents rise and are over four."""
        counts, at, total = [], 0, 0
        for exponent in exponents:
            edge = (exponent - _SUB_BITS + 1) << _SUB_BITS
            total += sum(self._counts[at:edge])
            counts.append(total)
            at = edge
        return counts

    def percentile_ns(self, percent: float) -> int | None:
        """The middle of the bucket in which this percentile lies; None while empty."""
        if not self.count:
            return None
        wanted = max(1, math.ceil(self.count * percent / 100))
        seen = 0
        for index, count in enumerate(self._counts):
            seen += count
            if seen >= wanted:
                return min(self.max_ns, _middle(index))
        raise AssertionError("the counts add up to the count")


def _middle(index: int) -> int:
    shift = max(0, (index >> _SUB_BITS) - 1)
    low = (index - (shift << _SUB_BITS)) << shift
    return low + (1 << shift) // 2
