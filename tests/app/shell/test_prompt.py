"""Interpreter settings for low latency."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest

from stall_then_strike.app.shell.prompt import TURN_S, answer_promptly


@pytest.fixture
def _as_found() -> Iterator[None]:
    turn_s = sys.getswitchinterval()
    yield
    sys.setswitchinterval(turn_s)
    gc.unfreeze()


@pytest.mark.usefixtures("_as_found")
def test_what_is_there_is_out_of_the_collectors_sight() -> None:
    before = len(gc.get_objects())
    answer_promptly()
    assert gc.get_freeze_count() > before / 2
    assert len(gc.get_objects()) < before / 10
    assert sys.getswitchinterval() == pytest.approx(TURN_S)


@pytest.mark.usefixtures("_as_found")
def test_garbage_of_later_is_still_collected() -> None:
    answer_promptly()
    ring: list[object] = []
    ring.append(ring)
    del ring
    assert gc.collect() >= 1
