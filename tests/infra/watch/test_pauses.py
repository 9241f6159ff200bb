"""Sleep, standstill, a clock step and a busy machine are distinguished."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.infra.clock import Sources
from stall_then_strike.infra.watch.pauses import Pause, PauseKind, PauseWatch
from stall_then_strike.types.dto import NS_PER_S

LATE_NS = NS_PER_S // 2
POLL_NS = NS_PER_S // 50


class Clocks:
    """Three clocks set by hand. ``between`` is how long the machine is busy before each reading."""

    def __init__(self) -> None:
        self.wall, self.awake, self.elapsed = 10**18, 0, 10**12
        self.between: Iterator[int] = iter(())
        self.sources = Sources(lambda: self._read("wall"), lambda: self._read("awake"), lambda: self._read("elapsed"))

    def run(self, ns: int) -> None:
        self.wall += ns
        self.awake += ns
        self.elapsed += ns

    def sleep(self, ns: int) -> None:
        self.wall += ns
        self.elapsed += ns

    def _read(self, name: str) -> int:
        self.run(next(self.between, 0))
        value: int = getattr(self, name)
        return value


def watch(clocks: Clocks) -> PauseWatch:
    return PauseWatch(clocks.sources, LATE_NS)


def test_nothing_is_told_of_time_that_passes() -> None:
    clocks = Clocks()
    looking = watch(clocks)
    for _ in range(100):
        clocks.run(POLL_NS)
        assert looking.look() == []
        assert not looking.is_behind
    assert not looking.is_late()


@pytest.mark.parametrize("slept_ns", [NS_PER_S // 5, 3_600 * NS_PER_S])
def test_sleep_is_told_once_with_its_length(slept_ns: int) -> None:
    clocks = Clocks()
    looking = watch(clocks)
    clocks.sleep(slept_ns)
    assert looking.look() == [Pause(PauseKind.SLEPT, slept_ns)]
    assert looking.look() == []
    clocks.sleep(slept_ns)
    assert looking.look() == [Pause(PauseKind.SLEPT, slept_ns)]


def test_standstill_is_told_and_a_short_one_only_makes_what_comes_old() -> None:
    clocks = Clocks()
    looking = watch(clocks)
    clocks.run(180 * NS_PER_S)
    assert looking.is_late()
    assert looking.look() == [Pause(PauseKind.STOOD, 180 * NS_PER_S)]
    assert looking.is_behind
    clocks.run(LATE_NS)
    assert looking.look() == []
    for expected in (True, False):
        assert looking.is_behind
        clocks.run(POLL_NS)
        looking.look()
        assert looking.is_behind is expected


@pytest.mark.parametrize("step_ns", [-3_600 * NS_PER_S, -NS_PER_S, NS_PER_S, 3_600 * NS_PER_S])
def test_wall_that_was_set_is_told_as_that(step_ns: int) -> None:
    clocks = Clocks()
    looking = watch(clocks)
    clocks.wall += step_ns
    assert looking.look() == [Pause(PauseKind.SET, step_ns)]
    assert looking.look() == []


def test_wall_that_is_set_at_the_waking_is_told_besides() -> None:
    clocks = Clocks()
    looking = watch(clocks)
    clocks.sleep(60 * NS_PER_S)
    clocks.wall += 7 * NS_PER_S
    assert looking.look() == [Pause(PauseKind.SLEPT, 60 * NS_PER_S), Pause(PauseKind.SET, 7 * NS_PER_S)]


@given(st.lists(st.integers(0, 5 * NS_PER_S), max_size=40))
def test_busy_machine_never_looks_like_one_that_slept_or_was_set(between: list[int]) -> None:
    clocks = Clocks()
    clocks.between = iter(between)
    looking = watch(clocks)
    for _ in range(10):
        assert {pause.kind for pause in looking.look()} <= {PauseKind.STOOD}


def test_words() -> None:
    assert str(Pause(PauseKind.SLEPT, 3_600 * NS_PER_S)) == "this machine slept for 3,600.0 s"
    assert str(Pause(PauseKind.SET, -2 * NS_PER_S)).startswith("this machine's clock was set by -2.0 s;")
