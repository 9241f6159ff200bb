"""The daemon while others use its journal and its disk."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_HALTED
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.writer import journal_path
from stall_then_strike.sim.bitflyer.venue_account import ChildOrder
from stall_then_strike.types.dto import Reason
from tests.infra.journal.other_program import writing
from tests.infra.watch.small_disk import fill_up, small_disk
from tests.live.rig import LiveRoom
from tests.scenarios.at_work import PLACE, AtWork, at_work
from tests.signing import SIGNED

pytestmark = SIGNED

LOCKED_S = 4.0
LATE_S = 0.5
"""More than the journal costs the loop, with room for a busy machine; it used to be seconds for each step."""


def journal_of(room: LiveRoom) -> Path:
    return journal_path(room.cfg.journal.dir, room.cfg.exchange.product_code)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What the runtime log says from WARNING on."""
    found: list[str] = []
    number = logger.add(lambda message: found.append(message.record["message"]), level="WARNING")
    yield found
    logger.remove(number)


async def worst_lag(until: Callable[[], bool]) -> float:
    """How late the event loop came at worst, in seconds, less what a thread without work was late: the machine's."""
    worst = 0.0
    with machine_lag() as machine_s:
        while not until():
            started_s = time.monotonic()
            await asyncio.sleep(0.01)
            worst = max(worst, time.monotonic() - started_s - 0.01)
    return worst - machine_s[-1]


@contextmanager
def machine_lag() -> Iterator[list[float]]:
    """How late a thread without work came at worst, at each look so far; to be read when the block has ended."""
    worst, done = [0.0], threading.Event()

    def measure() -> None:
        while not done.is_set():
            started_s = time.monotonic()
            time.sleep(0.01)
            worst.append(max(worst[-1], time.monotonic() - started_s - 0.01))

    thread = threading.Thread(target=measure)
    thread.start()
    try:
        yield worst
    finally:
        done.set()
        thread.join()


async def locked(work: AtWork, seconds: float) -> tuple[float, list[ChildOrder]]:
    """Another program holds the journal's lock: the worst lag of the loop meanwhile, and what is live at its end.

    For so many seconds, and longer if it takes what is live longer to end.
    """
    holder = writing(journal_of(work.room))
    await asyncio.to_thread(holder.__enter__)
    end_s = time.monotonic() + seconds
    try:
        is_over = partial(_is_over, work, end_s, end_s + 10 * seconds)
        return await worst_lag(is_over), work.live
    finally:
        await asyncio.to_thread(holder.__exit__, None, None, None)


def _is_over(work: AtWork, end_s: float, latest_s: float) -> bool:
    return time.monotonic() >= (latest_s if work.live else end_s)


@pytest.mark.alone
async def test_lock_of_seconds_holds_up_neither_loop_nor_exits_and_does_not_halt(
    tmp_path: Path, lines: list[str]
) -> None:
    async with at_work(tmp_path, speed=2) as work:
        await work.new_strikes()
        lag_s, live = await locked(work, LOCKED_S)
        assert lag_s < LATE_S
        assert work.core.halted is None
        assert not live, "what was quoted has been taken back"
        await work.until("nothing owed", lambda: not work.run.trader.owed)
        await work.new_strikes()
        assert await work.stop() == EXIT_DONE
        assert any("locked by process" in line and "no quotes until it lets go" in line for line in lines)
        assert any(line.startswith("the journal can be written again, after ") for line in lines)
        assert len(work.facts("journal")) == 2
        assert any(row["reason"] == "journal_locked" for row in work.decisions("hold"))
        work.room.check()


async def test_no_quote_leaves_while_the_journal_is_locked(tmp_path: Path) -> None:
    async with at_work(tmp_path, speed=2) as work:
        await work.new_strikes()
        holder = writing(journal_of(work.room))
        await asyncio.to_thread(holder.__enter__)
        with JournalReader.open(journal_of(work.room)) as reader:
            known = {order.client_order_id for order in reader.orders()}
        sent = len(work.calls(PLACE))
        await asyncio.sleep(1)
        quotes = [call for call in work.calls(PLACE)[sent:] if '"LIMIT"' in call.body]
        assert len(quotes) <= 2, "those that were on their way when the lock came"
        live = {order.client_order_id for order in work.core.orders.live()}
        assert live <= known
        await asyncio.to_thread(holder.__exit__, None, None, None)
        await work.stop()


async def test_lock_that_does_not_end_halts_and_the_halt_is_written_when_it_does(tmp_path: Path) -> None:
    async with at_work(tmp_path, speed=2, journal={"locked_sec": 5}) as work:
        await work.new_strikes()
        holder = writing(journal_of(work.room))
        await asyncio.to_thread(holder.__enter__)
        await work.until("the halt", lambda: work.core.halted)
        assert work.core.halted is Reason.LOG_FAILURE
        await asyncio.to_thread(holder.__exit__, None, None, None)
        assert await work.ended() == EXIT_HALTED
        assert not work.live
        assert work.room.journal()[1].halted is Reason.LOG_FAILURE


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, 24) as folder:
        yield folder


async def test_full_disk_is_told_before_and_its_halt_is_remembered(
    tmp_path: Path, disk: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stall_then_strike.infra.watch.disk_watch.LOOK_S", 0.1)
    sections: dict[str, Any] = {"journal": {"dir": str(disk)}, "watch": {"min_free_disk_mb": 18}}
    async with at_work(tmp_path, **sections) as work:
        await work.new_strikes()
        (disk / "theirs").write_bytes(b"x" * 7_000_000)
        await work.until("the warning", lambda: any("MB are free for" in line for line in lines))
        assert work.core.halted is None
        fill_up(disk)
        assert await work.ended() == EXIT_HALTED
        assert work.core.halted is Reason.LOG_FAILURE
        assert work.position == 0
        assert not work.live
        memo = work.room.journal()[1]
        assert memo.halted is Reason.LOG_FAILURE
        assert "full" in memo.halt_detail or "disk I/O" in memo.halt_detail
