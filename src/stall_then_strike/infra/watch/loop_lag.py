"""How late the event loop runs: the time by which a short sleep overshoots.

Lag delays everything, including cancels, and nothing else shows it. Its causes are slow callbacks, blocking disk or DNS
calls, and an overloaded machine. It is measured in real time with the stopwatch ``perf_ns``, at any clock speed.
"""

from __future__ import annotations

import asyncio
from typing import Final

from loguru import logger

from stall_then_strike.infra.clock import perf_ns
from stall_then_strike.infra.watch.histogram import LatencyHistogram
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S

PERIOD_S: Final = 0.05
"""Pause between two measurements: twenty wake-ups a second cost little, and a 100 ms stop affects one or two."""
WARN_PAUSE_NS: Final = 60 * NS_PER_S
"""At most one warning in this time; it covers everything since the last one."""


class LoopLag:
    """Measures while its owner's task group runs ``run``."""

    def __init__(self, warn_ms: int) -> None:
        """``warn_ms`` is the least lag that is logged."""
        self.histogram: Final = LatencyHistogram()
        self._warn_ns: Final = warn_ms * NS_PER_MS
        self._warned_ns: int | None = None
        self._untold = 0
        self._worst_ns = 0

    @property
    def p99_ns(self) -> int | None:
        """The 99th percentile of the lag, exact to about 3 %; None before the first measurement."""
        return self.histogram.percentile_ns(99)

    async def run(self) -> None:
        """Measure for ever."""
        while True:
            due_ns = perf_ns() + round(PERIOD_S * NS_PER_S)
            await asyncio.sleep(PERIOD_S)
            now_ns = perf_ns()
            self.measured(now_ns - due_ns, now_ns)

    def measured(self, lag_ns: int, now_ns: int) -> None:
        """Count one measurement, made at ``now_ns`` of the stopwatch, and log a warning if one is due."""
        self.histogram.add(lag_ns)
        if lag_ns < self._warn_ns:
            return
        self._untold += 1
        self._worst_ns = max(self._worst_ns, lag_ns)
        if self._warned_ns is not None and now_ns - self._warned_ns < WARN_PAUSE_NS:
            return
        logger.warning(
            "the event loop was late {} time(s), at worst by {} ms", self._untold, round(self._worst_ns / NS_PER_MS)
        )
        self._warned_ns, self._untold, self._worst_ns = now_ns, 0, 0
