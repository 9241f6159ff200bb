"""How late the event loop runs what is due: the time by which a short sleep overshoots.

Lag delays everything, cancels included, and shows in nothing else: a slow callback, a disk or DNS call that blocks, a
starved machine. It is measured on the stopwatch of ``perf_ns``, in real time, whatever the run's clock does.
"""

from __future__ import annotations

import asyncio
from typing import Final

from loguru import logger

from stall_then_strike.infra.clock import perf_ns
from stall_then_strike.infra.watch.histogram import LatencyHistogram
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S

PERIOD_S: Final = 0.05
"""Pause between two measurements: twenty wake-ups a second cost nothing, and a stop of 100 ms meets one or two."""
WARN_PAUSE_NS: Final = 60 * NS_PER_S
"""At most one warning in this time; it tells of what came since the last one."""


class LoopLag:
    """Measures while ``run`` runs, in the task group of its owner."""

    def __init__(self, warn_ms: int) -> None:
        """``warn_ms`` is the lag from which on it is warned of."""
        self.histogram: Final = LatencyHistogram()
        self.late = 0
        """How often the lag was at the limit or over it."""
        self._warn_ns: Final = warn_ms * NS_PER_MS
        self._warned_ns: int | None = None
        self._untold = 0
        self._worst_ns = 0

    @property
    def p99_ns(self) -> int | None:
        """The lag that 99 % of all measurements stay under, to about 3 %; None before the first."""
        return self.histogram.percentile_ns(99)

    async def run(self) -> None:
        """Measure for ever."""
        while True:
            due_ns = perf_ns() + round(PERIOD_S * NS_PER_S)
            await asyncio.sleep(PERIOD_S)
            now_ns = perf_ns()
            self.measured(now_ns - due_ns, now_ns)

    def measured(self, lag_ns: int, now_ns: int) -> None:
        """Count one measurement, made at ``now_ns`` of the stopwatch, and warn of it when that is due."""
        self.histogram.add(lag_ns)
        if lag_ns < self._warn_ns:
            return
        self.late += 1
        self._untold += 1
        self._worst_ns = max(self._worst_ns, lag_ns)
        if self._warned_ns is not None and now_ns - self._warned_ns < WARN_PAUSE_NS:
            return
        logger.warning(
            "the event loop was late {} time(s), at worst by {} ms", self._untold, round(self._worst_ns / NS_PER_MS)
        )
        self._warned_ns, self._untold, self._worst_ns = now_ns, 0, 0
