"""Clocks: stamps are right after a sleep, and no step of the wall clock moves them."""

from __future__ import annotations

import time

import pytest

from stall_then_strike.infra.clock import ElapsedByWall, ScaledClock, Sources, SystemClock, system_sources
from stall_then_strike.types.dto import NS_PER_S
from tests.machine import Machine

HOUR_NS = 3_600 * NS_PER_S
SLACK_NS = 10 * NS_PER_S
"""What a busy machine may take between two lines."""


def test_clock_shows_the_wall_again_after_a_sleep() -> None:
    machine = Machine()
    clock = SystemClock(machine.sources)
    before_ns = clock.now_ns()
    machine.sleep(3_600)
    assert HOUR_NS <= clock.now_ns() - before_ns < HOUR_NS + SLACK_NS
    assert abs(clock.behind_ns()) < SLACK_NS


def test_fast_clock_sleeps_as_fast() -> None:
    machine = Machine()
    clock = ScaledClock(10, 0, machine.sources)
    machine.sleep(60)
    assert 600 * NS_PER_S <= clock.now_ns() < 600 * NS_PER_S + 10 * SLACK_NS
    assert clock.behind_ns() == 0, "it never was the wall's time"
    assert clock.catch_up() == 0


@pytest.mark.parametrize("step_s", [-3_600, -1, 1, 3_600])
def test_step_of_the_wall_moves_no_clock(step_s: int) -> None:
    machine = Machine()
    clock = SystemClock(machine.sources)
    before_ns = clock.now_ns()
    machine.set_wall(step_s)
    assert 0 <= clock.now_ns() - before_ns < SLACK_NS
    assert abs(clock.behind_ns() - step_s * NS_PER_S) < SLACK_NS


def test_catching_up_goes_forward_only() -> None:
    machine = Machine()
    clock = SystemClock(machine.sources)
    machine.set_wall(5)
    before_ns = clock.now_ns()
    assert abs(clock.catch_up() - 5 * NS_PER_S) < SLACK_NS
    assert clock.now_ns() - before_ns >= 5 * NS_PER_S
    machine.set_wall(-60)
    shown_ns = clock.now_ns()
    assert clock.catch_up() == 0
    assert clock.now_ns() >= shown_ns


async def test_deadline_that_was_slept_through_has_come() -> None:
    machine = Machine()
    clock = SystemClock(machine.sources)
    deadline_ns = clock.now_ns() + 3_000 * NS_PER_S
    machine.sleep(3_600)
    started_s = time.monotonic()
    await clock.sleep_until(deadline_ns)
    assert time.monotonic() - started_s < 30


def test_the_machines_own_clocks_agree() -> None:
    sources = system_sources()
    first = sources.elapsed_ns()
    assert abs(sources.wall_ns() - time.time_ns()) < SLACK_NS
    assert sources.elapsed_ns() >= first


class Readings:
    """Clocks set by the test."""

    def __init__(self) -> None:
        self.wall_ns, self.awake_ns = 10**18, 5 * NS_PER_S


@pytest.mark.parametrize(
    ("wall_s", "awake_s", "elapsed_s"),
    [
        (1, 1, 1),  # nothing
        (3_600, 1, 3_600),  # asleep for nearly an hour
        (10, 0, 10),  # the least that counts
        (9, 1, 1),  # NTP
        (-3_600, 1, 1),  # set back
    ],
)
def test_without_a_clock_that_counts_sleep_the_walls_lead_tells(wall_s: int, awake_s: int, elapsed_s: int) -> None:
    told = Readings()
    elapsed_ns = ElapsedByWall(lambda: told.wall_ns, lambda: told.awake_ns)
    clock = SystemClock(Sources(lambda: told.wall_ns, lambda: told.awake_ns, elapsed_ns))
    before_ns = clock.now_ns()
    told.wall_ns += wall_s * NS_PER_S
    told.awake_ns += awake_s * NS_PER_S
    for _ in range(2):
        assert clock.now_ns() - before_ns == elapsed_s * NS_PER_S
