"""The event loop's lag: what is measured, and how often it is logged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from loguru import logger

from stall_then_strike.infra.watch.loop_lag import WARN_PAUSE_NS, LoopLag
from stall_then_strike.types.dto import NS_PER_MS


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    found: list[str] = []
    sink = logger.add(found.append, level="WARNING", format="{message}")
    yield found
    logger.remove(sink)


class Heard(LoopLag):
    """Signals when it has found the loop late."""

    def __init__(self, warn_ms: int) -> None:
        super().__init__(warn_ms)
        self.found_late = asyncio.Event()

    def measured(self, lag_ns: int, now_ns: int) -> None:
        super().measured(lag_ns, now_ns)
        if lag_ns >= 100 * NS_PER_MS:
            self.found_late.set()


async def test_blocked_loop_is_measured_and_warned_of(warnings: list[str]) -> None:
    lag = Heard(warn_ms=100)
    task = asyncio.create_task(lag.run())
    await asyncio.sleep(0)  # let it fall asleep
    time.sleep(0.3)  # noqa: ASYNC251 - the fault that this test makes
    async with asyncio.timeout(20):
        await lag.found_late.wait()
    task.cancel()
    assert lag.histogram.max_ns >= 100 * NS_PER_MS
    assert lag.p99_ns is not None
    assert len(warnings) == 1


def test_lag_under_the_limit_is_counted_in_silence(warnings: list[str]) -> None:
    lag = LoopLag(warn_ms=100)
    for _ in range(100):
        lag.measured(99 * NS_PER_MS, 0)
    assert (lag.histogram.count, warnings) == (100, [])


def test_warnings_are_rare_and_tell_of_all_since_the_last(warnings: list[str]) -> None:
    lag = LoopLag(warn_ms=100)
    for now_ns, lag_ms in (
        (0, 100),
        (1, 900),
        (WARN_PAUSE_NS - 1, 300),
        (WARN_PAUSE_NS, 200),
        (WARN_PAUSE_NS + 1, 150),
    ):
        lag.measured(lag_ms * NS_PER_MS, now_ns)
    assert [line.strip() for line in warnings] == [
        "the event loop was late 1 time(s), at worst by 100 ms",
        "the event loop was late 3 time(s), at worst by 900 ms",
    ]


def test_nothing_measured_has_no_percentile() -> None:
    assert LoopLag(warn_ms=100).p99_ns is None
