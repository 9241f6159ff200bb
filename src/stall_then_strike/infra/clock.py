"""The only module that reads a clock.

A clock gives nanoseconds since the Unix epoch and can wait for a moment of its own time. All clocks here are monotonic:
the wall clock is read once, at the start, and after that only elapsed time is added. A step of the system's clock (by
NTP or an operator) therefore cannot age a stall, end a TTL or make a feed look stale.

Elapsed time includes the time the machine sleeps, because orders expire and rate limits run on at the venue meanwhile.
On Linux this is ``CLOCK_BOOTTIME`` (clock_gettime(2)); ``CLOCK_MONOTONIC``, the time of the event loop, stands still
during a sleep. ``pauses`` detects the difference.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

LEAST_SLEEP_NS: Final = 10_000_000_000
"""On a system without a clock that counts sleep, a wall clock this far ahead of the last reading means a sleep."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The clocks of the machine, each a function that returns nanoseconds. Tests replace them to simulate a sleep."""

    wall_ns: Callable[[], int]
    """Since the Unix epoch; can be set by anyone."""
    awake_ns: Callable[[], int]
    """Stands still while the machine sleeps."""
    elapsed_ns: Callable[[], int]
    """Includes the time the machine sleeps, and is unaffected by steps of the wall clock."""


def system_sources() -> Sources:
    """This machine's clocks."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    elapsed_ns = (
        ElapsedByWall(time.time_ns, time.monotonic_ns) if boot is None else partial(time.clock_gettime_ns, boot)
    )
    return Sources(time.time_ns, time.monotonic_ns, elapsed_ns)


class ElapsedByWall:
    """Elapsed time on a system without a clock that counts sleep.

    Size tells a sleep from a clock step: if the wall clock gained :data:`LEAST_SLEEP_NS` since the last reading, the
    machine slept, because a synchronised clock is not set forward that far. Smaller and backward steps are ignored.
    """

    def __init__(self, wall_ns: Callable[[], int], awake_ns: Callable[[], int]) -> None:
        """Start with no sleep counted."""
        self._wall_ns, self._awake_ns = wall_ns, awake_ns
        self._ahead_ns = wall_ns() - awake_ns()
        self._slept_ns = 0
        self._reading = threading.Lock()

    def __call__(self) -> int:
        """Nanoseconds awake and asleep."""
        with self._reading:
            awake_ns = self._awake_ns()
            ahead_ns = self._wall_ns() - awake_ns
            gone_ns, self._ahead_ns = ahead_ns - self._ahead_ns, ahead_ns
            if gone_ns >= LEAST_SLEEP_NS:
                self._slept_ns += gone_ns
            return awake_ns + self._slept_ns


class Clock(Protocol):
    """Time as the I/O layers see it."""

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch, UTC, never going backwards."""
        ...

    async def sleep_until(self, deadline_ns: int) -> None:
        """Return when ``now_ns`` has reached the deadline; at once if it already has."""
        ...


class ScaledClock:
    """Real time, run ``speed`` times as fast: an hour of simulated market in six minutes at speed 10."""

    def __init__(self, speed: float = 1.0, start_ns: int | None = None, sources: Sources | None = None) -> None:
        """Start at ``start_ns``, by default now; ``sources`` default to the machine's. ``speed`` must be positive."""
        if not speed > 0:
            raise ValueError(f"speed must be positive, got {speed}")
        self.speed = speed
        self.sources: Final = system_sources() if sources is None else sources
        self._elapsed_ns = self.sources.elapsed_ns
        self._has_wall = start_ns is None and speed == 1.0
        self._anchor_ns = self.sources.wall_ns() if start_ns is None else start_ns
        self._started_ns = self._elapsed_ns()

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch on this clock."""
        elapsed = self._elapsed_ns() - self._started_ns
        return self._anchor_ns + (elapsed if self.speed == 1.0 else int(elapsed * self.speed))

    def behind_ns(self) -> int:
        """How far the wall clock is ahead of this one; zero for a clock that did not start from the wall."""
        return self.sources.wall_ns() - self.now_ns() if self._has_wall else 0

    def catch_up(self) -> int:
        """Jump to the wall clock's time if that is ahead; return the jump in nanoseconds.

        Call it only when no measured duration matters any more: each of them grows by the jump.
        """
        jump_ns = max(0, self.behind_ns())
        self._anchor_ns += jump_ns
        return jump_ns

    async def sleep_until(self, deadline_ns: int) -> None:
        """Sleep in real time until this clock shows the deadline."""
        # A timer may fire a little early on some platforms; then a second, tiny sleep makes up for it.
        for _ in range(3):
            if (left := deadline_ns - self.now_ns()) <= 0:
                return
            await asyncio.sleep(left / self.speed / 1e9)


class SystemClock(ScaledClock):
    """Real time at its own pace."""

    def __init__(self, sources: Sources | None = None) -> None:
        """Read the wall clock once."""
        super().__init__(sources=sources)


class VirtualClock:
    """Time that moves only on request: for replay at full speed, with every deadline met to the nanosecond."""

    def __init__(self, start_ns: int) -> None:
        """Start at ``start_ns``."""
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """The current time of this clock."""
        return self._now_ns

    def advance_to(self, now_ns: int) -> None:
        """Move forward; an earlier stamp (a tape may have equal or disordered stamps) changes nothing."""
        if now_ns > self._now_ns:
            self._now_ns = now_ns

    async def sleep_until(self, deadline_ns: int) -> None:
        """Jump to the deadline."""
        self.advance_to(deadline_ns)


perf_ns: Final = time.perf_counter_ns
"""A stopwatch in nanoseconds for latency figures; its zero is arbitrary."""

processor_ns: Final = time.process_time_ns
"""What this process has used of a processor, in nanoseconds."""
