"""The writing thread: in order, bounded, with losses counted and errors reported."""

from __future__ import annotations

import threading

import pytest

from stall_then_strike.tapes import stream_thread
from stall_then_strike.tapes.stream_thread import Lost, StreamThread
from stall_then_strike.types.errors import LogError


class Paper:
    """A sink that keeps its items, and can be blocked or broken."""

    def __init__(self) -> None:
        self.items: list[int | Lost] = []
        self.flushed: list[int] = []
        self.ends: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None

    def take(self, stamp_ns: int, item: int) -> None:
        self.gate.wait(10)
        if self.error is not None:
            raise self.error
        self.items.append(item)

    def on_lost(self, lost: Lost) -> None:
        self.items.append(lost)

    def flush(self, now_ns: int | None) -> None:
        self.flushed.append(len(self.items))

    def close(self, why: str) -> None:
        self.ends.append(why)

    def abandon(self) -> None:
        self.ends.append("abandoned")


def test_a_kill_costs_less_than_a_second() -> None:
    assert stream_thread.FLUSH_S < 0.5


def test_items_come_in_order_and_closing_loses_none() -> None:
    paper = Paper()
    thread = StreamThread(paper, name="paper", bound=10_000)
    assert all(thread.put(n, n) for n in range(5_000))
    thread.close("done")
    assert paper.items == list(range(5_000))
    assert paper.ends == ["done"]
    assert not thread.put(1, 1)


def test_items_are_flushed_without_being_asked() -> None:
    paper = Paper()
    done = threading.Event()
    paper.flush = lambda now_ns: done.set() if paper.items else None  # type: ignore[method-assign]
    thread = StreamThread(paper, name="paper", bound=10)
    thread.put(1, 1)
    assert done.wait(10)
    thread.close("done")


def test_full_queue_loses_the_newest_and_says_where() -> None:
    paper = Paper()
    paper.gate.clear()
    thread = StreamThread(paper, name="paper", bound=4)
    thread.put(0, 0)
    while thread._items:  # until the thread has taken it and hangs
        thread._hurry = True
        with thread._changed:
            thread._changed.notify_all()
    accepted = [thread.put(n, n) for n in range(1, 10)]
    assert accepted == [True] * 4 + [False] * 5
    paper.gate.set()
    assert thread.drain()
    assert thread.put(20, 20)
    thread.close("done")
    assert paper.items == [0, 1, 2, 3, 4, Lost(5, 5, 9), 20]
    assert thread.lost == 5


def test_loss_at_the_very_end_is_told_too() -> None:
    paper = Paper()
    paper.gate.clear()
    thread = StreamThread(paper, name="paper", bound=1)
    while thread.put(1, 1):
        pass
    paper.gate.set()
    thread.close("done")
    assert isinstance(paper.items[-1], Lost)
    assert paper.items[-1].count == thread.lost


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("a bug")])
def test_failure_is_told_once_and_nothing_waits_for_it(error: Exception) -> None:
    paper, told = Paper(), list[LogError]()
    paper.error = error
    heard = threading.Event()

    def on_failure(error: LogError) -> None:
        told.append(error)
        heard.set()

    thread = StreamThread(paper, name="tape of X", bound=10, on_failure=on_failure)
    thread.put(1, 1)
    assert heard.wait(10)
    assert not thread.put(2, 2)
    assert not thread.drain()
    thread.close("done")
    assert len(told) == 1
    assert "tape of X" in str(told[0])
    assert paper.ends == ["abandoned"]
    assert thread.lost == 2
