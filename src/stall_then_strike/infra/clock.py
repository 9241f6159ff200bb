"""The only module that reads a clock.

A clock tells nanoseconds since the Unix epoch and waits for a moment of its own time. All clocks here are monotonic:
the wall is read once, at the start, and after that only elapsed time is added. A step of the system's clock (NTP, an
operator) therefore cannot age a stall, end a TTL or make a feed look stale.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the shells know of time."""

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch, UTC, never going backwards."""
        ...

    async def sleep_until(self, deadline_ns: int) -> None:
        """Return when ``now_ns`` has reached the deadline; at once if it already has."""
        ...


class ScaledClock:
    """Real time, run ``speed`` times as fast: an hour of simulated market in six minutes at speed 10."""

    def __init__(self, speed: float = 1.0, start_ns: int | None = None) -> None:
        """Start at ``start_ns``, by default now. ``speed`` must be positive."""
        if not speed > 0:
            raise ValueError(f"speed must be positive, got {speed}")
        self.speed = speed
        self._anchor_ns = time.time_ns() if start_ns is None else start_ns
        self._started_ns = time.monotonic_ns()

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch on this clock."""
        elapsed = time.monotonic_ns() - self._started_ns
        return self._anchor_ns + (elapsed if self.speed == 1.0 else int(elapsed * self.speed))

    async def sleep_until(self, deadline_ns: int) -> None:
        """Sleep in real time until this clock shows the deadline."""
        # A timer may fire a little early on some platforms; then a second, tiny sleep makes up for it.
        for _ in range(3):
            if (left := deadline_ns - self.now_ns()) <= 0:
                return
            await asyncio.sleep(left / self.speed / 1e9)


class SystemClock(ScaledClock):
    """Real time at its own pace."""

    def __init__(self) -> None:
        """Take the wall's word once."""
        super().__init__()


class VirtualClock:
    """Time that moves only when it is told to: replay at maximal speed, with every deadline met to the nanosecond."""

    def __init__(self, start_ns: int) -> None:
        """Start at ``start_ns``."""
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """Where time stands."""
        return self._now_ns

    def advance_to(self, now_ns: int) -> None:
        """Move forward; a stamp of the past (a tape with equal or disordered stamps) leaves time where it is."""
        self._now_ns = max(self._now_ns, now_ns)

    async def sleep_until(self, deadline_ns: int) -> None:
        """Jump to the deadline."""
        self.advance_to(deadline_ns)


def perf_ns() -> int:
    """A stopwatch for latency figures; its zero means nothing."""
    return time.perf_counter_ns()
