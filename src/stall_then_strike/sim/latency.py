"""How long a request takes until it has its effect at the venue. Latencies are drawn by number, without a generator.

The n-th order of a run always has the same latency, and so has the n-th cancel, whatever happened before: a hash of
seed and number picks a place in a table of quantiles. All values are integers, so that research can compile these
functions and get the same nanoseconds; floats are used only to make the table.

A spike is a period in which the venue is slow for everybody: every request made in it takes longer. Orders and cancels
of one run have the same spikes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Final, NamedTuple

from stall_then_strike.config.models import LatencyConfig, LatencyKind
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S
from stall_then_strike.types.errors import ConfigError

QUANTILES: Final = 4_096
"""Steps of the table. The longest latency of an unbounded distribution is its quantile half a step from the end."""
ORDERS: Final = 1
"""Number of a stream of draws; ``CANCELS``, ``SPIKES`` and ``OUTBIDS`` are others."""
CANCELS: Final = 2
SPIKES: Final = 3
OUTBIDS: Final = 1 << 16
"""Above the streams of any number of instruments."""
STREAMS: Final = 3
"""How many streams a run has; a further instrument has its own orders and cancels, this much higher."""
_WORD: Final = 0xFFFFFFFF
_NORMAL_P95: Final = 1.6448536269514722
_LONGEST_MS: Final = 600_000.0
_LONGEST_WAIT_NS: Final = 86_400 * NS_PER_S


class Spikes(NamedTuple):
    """Time in periods of ``length_ns``; a ``share`` of them (out of 2**32) delays every request by ``extra_ns``."""

    seed: int
    share: int
    length_ns: int
    extra_ns: int


def mixed(word: int) -> int:
    """A 32-bit hash; its products stay within 63 bits."""
    word = ((word >> 16) ^ word) * 0x45D9F3B & _WORD
    word = ((word >> 16) ^ word) * 0x45D9F3B & _WORD
    return (word >> 16) ^ word


def word_at(seed: int, number: int) -> int:
    """The ``number``-th 32-bit word of the stream of this seed."""
    return mixed(mixed(seed ^ mixed(number & _WORD)) ^ ((number >> 32) & _WORD))


def drawn_ns(table: Sequence[int], seed: int, number: int) -> int:
    """The ``number``-th duration, in nanoseconds, of a stream whose quantiles are ``table``."""
    scaled = word_at(seed, number) * (len(table) - 1)
    at = scaled >> 32
    return table[at] + ((table[at + 1] - table[at]) * ((scaled & _WORD) >> 16) >> 16)


def delay_ns(table: Sequence[int], seed: int, number: int, now_ns: int, spikes: Spikes) -> int:
    """Latency in nanoseconds of the ``number``-th request of a stream, made at ``now_ns``."""
    delay = drawn_ns(table, seed, number)
    if spikes.share > 0 and word_at(spikes.seed, now_ns // spikes.length_ns) < spikes.share:
        delay += spikes.extra_ns
    return delay


def stream_seed(seed: int, stream: int) -> int:
    """32-bit seed of one stream of a run."""
    word = mixed(stream)
    while seed:
        word = mixed(word ^ (seed & _WORD))
        seed >>= 32
    return word


def quantile_table(cfg: LatencyConfig) -> tuple[int, ...]:
    """The distribution's quantiles in nanoseconds, evenly spaced. Raises ConfigError when a sample cannot be read."""
    median, spread = float(cfg.median_ms), float(cfg.spread_ms)
    steps: list[float] = [median, median]
    if cfg.kind is LatencyKind.UNIFORM:
        steps = [median - spread, median + spread]
    elif cfg.kind is LatencyKind.LOGNORMAL and median > 0 and spread > 0:
        sigma, normal = math.log((median + spread) / median) / _NORMAL_P95, NormalDist()
        places = (min(max(n / QUANTILES, 0.5 / QUANTILES), 1 - 0.5 / QUANTILES) for n in range(QUANTILES + 1))
        steps = [median * math.exp(sigma * normal.inv_cdf(place)) for place in places]
    elif cfg.kind is LatencyKind.SAMPLED:
        sample = read_sample(Path(cfg.file))
        steps = [sample[(len(sample) - 1) * n // QUANTILES] for n in range(QUANTILES + 1)]
    return tuple(int(step * NS_PER_MS) for step in steps)


def waiting_table(per_s: float) -> tuple[int, ...]:
    """Quantiles, in nanoseconds, of the time until something happens that happens ``per_s`` times a second.

    Evenly spaced like those of :func:`quantile_table`; none is longer than a day.
    """
    places = (min(n / QUANTILES, 1 - 0.5 / QUANTILES) for n in range(QUANTILES + 1))
    return tuple(min(int(-math.log1p(-place) / per_s * NS_PER_S), _LONGEST_WAIT_NS) for place in places)


def read_sample(path: Path) -> list[float]:
    """Recorded latencies, sorted: a text file with one number of milliseconds a line. Raises ConfigError."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        sample = sorted(float(line) for line in lines if line.strip() and not line.lstrip().startswith("#"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"latency file {path}: {why}; accepted: one number of milliseconds a line") from None
    if not sample or not all(0 <= value <= _LONGEST_MS for value in sample):
        raise ConfigError(
            f"latency file {path}: accepted: one number of milliseconds from 0 to 600000 a line, at least one"
        )
    return sample


def spikes_of(cfg: LatencyConfig, seed: int) -> Spikes:
    """The spikes that a latency configuration and a seed give."""
    return Spikes(
        seed=stream_seed(seed, SPIKES),
        share=int(cfg.spike_share * 2**32),
        length_ns=int(cfg.spike_sec * NS_PER_S),
        extra_ns=int(cfg.spike_ms * NS_PER_MS),
    )


class Latency:
    """One stream of latencies."""

    def __init__(self, cfg: LatencyConfig, seed: int, stream: int) -> None:
        """``seed`` is the run's, ``stream`` an instrument's ORDERS or CANCELS.

        Raises ConfigError when a sample cannot be read.
        """
        self._table = quantile_table(cfg)
        self._seed = stream_seed(seed, stream)
        self._spikes = spikes_of(cfg, seed)
        self._drawn = 0

    def draw_ns(self, now_ns: int) -> int:
        """Latency of the next request, made at ``now_ns``."""
        self._drawn += 1
        return delay_ns(self._table, self._seed, self._drawn, now_ns, self._spikes)
