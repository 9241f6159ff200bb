"""Fast time that neither a busy machine nor a constant of real seconds distorts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from stall_then_strike.infra import pyb_session
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.infra.line import connection_rules

NOON_NS = 1_767_582_000 * 10**9
"""2026-01-05, noon in Tokyo: no day turns while a test lasts, whenever it runs."""
TICK_S = 0.002
LONGEST_TICK_S = 0.006
"""So much real time at most passes between two looks at the loop: the rest was the machine's, not the market's."""


class SteadyClock(ScaledClock):
    """``speed`` times as fast as real time, or slower where the event loop does not keep up.

    Daemon and exchange share it. On a machine that others use, too, a plain fast clock runs away from both: answers
    come seconds of venue time late for no reason that is in the plan.
    """

    def __init__(self, speed: float, start_ns: int | None = None) -> None:
        super().__init__(speed, start_ns)
        self._shown_ns = super().now_ns()

    def now_ns(self) -> int:
        return self._shown_ns

    async def sleep_until(self, deadline_ns: int) -> None:
        while True:
            left_ns = deadline_ns - self._shown_ns
            if left_ns <= 0:
                return
            await asyncio.sleep(max(left_ns / self.speed / 1e9, TICK_S / 2))

    async def run(self) -> None:
        last_s = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            now_s = time.monotonic()
            self._shown_ns += round(min(now_s - last_s, LONGEST_TICK_S) * self.speed * 1e9)
            last_s = now_s


@asynccontextmanager
async def steady_clock(speed: float, start_ns: int | None = None) -> AsyncIterator[SteadyClock]:
    """A clock that runs within the block, by default from one noon on."""
    clock = SteadyClock(speed, NOON_NS if start_ns is None else start_ns)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(clock.run())
        try:
            yield clock
        finally:
            running.cancel()


@contextmanager
def scaled_constants(speed: float) -> Iterator[None]:
    """What the daemon counts in real seconds and no setting changes, as long in venue time as it is in real life."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection_rules, "SILENCE_MIN_S", connection_rules.SILENCE_MIN_S / speed)
        patch.setattr(pyb_session, "ACK_LIMIT_S", pyb_session.ACK_LIMIT_S / speed)
        yield
