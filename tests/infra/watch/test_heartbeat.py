"""The heartbeat: what is written, and which silences count."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.watch.heartbeat import Beat, Heartbeat, Pulse, Vigil, age_sec, heartbeat_path, read_beat
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import JournalError
from tests.waiting import until

LIMIT_S = 15


def beat(number: int, *, state: str = "running", run: int = 1) -> Beat:
    return Beat.model_validate({"run_ns": run, "pid": 7, "beat": number, "time_ns": number, "state": state})


def vigil() -> Vigil:
    return Vigil(limit_ns=LIMIT_S * NS_PER_S, max_gap_ns=2 * NS_PER_S)


def look_each_second(watch: Vigil, seen: Beat | None, start_s: int, seconds: int) -> list[Pulse]:
    return [watch.look(seen, (start_s + n) * NS_PER_S) for n in range(seconds)]


async def beaten(heart: Heartbeat, path: Path, wanted: int) -> asyncio.Task[None]:
    task = asyncio.create_task(heart.run())
    async with asyncio.timeout(20):
        while (read := read_beat(path)) is None or read.beat < wanted:  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.005)
    return task


async def test_heartbeat_counts_on_and_ends_with_stopped(tmp_path: Path) -> None:
    path = tmp_path / "journal" / "P.heartbeat"
    heart = Heartbeat(path, SystemClock(), period_sec=0.01)
    task = await beaten(heart, path, 3)
    task.cancel()
    await asyncio.wait((task,))
    await asyncio.get_running_loop().shutdown_default_executor()  # a beat may be on its way to the disk
    running = read_beat(path)
    heart.stopped()
    stopped = read_beat(path)
    assert running is not None
    assert stopped is not None
    assert (running.state, running.pid) == ("running", os.getpid())
    assert (stopped.state, stopped.run_ns, stopped.beat) == ("stopped", running.run_ns, running.beat + 1)
    assert [file.name for file in path.parent.iterdir()] == ["P.heartbeat"]


async def test_first_heartbeat_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match=r"the heartbeat .*P\.heartbeat cannot be written: "):
        await Heartbeat(tmp_path / "file" / "P.heartbeat", SystemClock(), period_sec=1).run()


async def test_later_failure_is_logged_once_and_does_not_end_the_run(tmp_path: Path) -> None:
    path = tmp_path / "P.heartbeat"
    told: list[str] = []
    sink = logger.add(told.append, level="ERROR", format="{message}")
    heart = Heartbeat(path, SystemClock(), period_sec=0.005)
    task = await beaten(heart, path, 1)
    (tmp_path / "P.heartbeat.new").mkdir()  # in the way of the next one
    await until(lambda: told)
    failed = heart._beat
    await until(lambda: heart._beat >= failed + 3)
    assert len(told) == 1
    (tmp_path / "P.heartbeat.new").rmdir()
    frozen = read_beat(path)
    assert frozen is not None
    await until(lambda: read_beat(path) != frozen)
    task.cancel()
    logger.remove(sink)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"beat": 1}', b"\xff", b'{"run_ns":1,"pid":"x"}'])
def test_unreadable_file_is_no_heartbeat(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "P.heartbeat"
    path.write_bytes(content)
    assert read_beat(path) is None
    assert read_beat(tmp_path / "none") is None


def test_age_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "P.heartbeat"
    assert age_sec(path, 0) is None
    path.touch()
    os.utime(path, ns=(0, 5 * NS_PER_S))
    assert age_sec(path, 12 * NS_PER_S) == 7.0


def test_path_is_of_the_journal_and_the_product() -> None:
    assert heartbeat_path(AppConfig()) == Path("data/journal/FX_BTC_JPY.heartbeat")


def test_silence_of_a_live_run_is_a_loss_at_the_limit_and_not_before() -> None:
    watch = vigil()
    assert watch.look(beat(1), 0) is Pulse.UNSEEN
    assert watch.look(beat(2), NS_PER_S) is Pulse.ALIVE
    seen = look_each_second(watch, beat(2), 2, LIMIT_S)
    assert seen == [Pulse.ALIVE] * (LIMIT_S - 1) + [Pulse.LOST]


def test_heartbeat_of_a_run_that_ended_before_is_never_lost() -> None:
    assert set(look_each_second(vigil(), beat(9), 0, 100)) == {Pulse.UNSEEN}


def test_run_that_begins_after_us_is_watched_from_its_first_beat() -> None:
    watch = vigil()
    assert watch.look(None, 0) is Pulse.UNSEEN
    assert watch.look(beat(1), NS_PER_S) is Pulse.ALIVE
    assert look_each_second(watch, beat(1), 2, LIMIT_S)[-1] is Pulse.LOST


def test_clean_end_is_never_lost_and_the_next_run_is_watched() -> None:
    watch = vigil()
    watch.look(beat(1), 0)
    watch.look(beat(2), NS_PER_S)
    assert set(look_each_second(watch, beat(3, state="stopped"), 2, 100)) == {Pulse.STOPPED}
    assert watch.look(beat(1, run=2), 200 * NS_PER_S) is Pulse.ALIVE


def test_lost_run_that_beats_again_is_alive() -> None:
    watch = vigil()
    watch.look(None, 0)
    watch.look(beat(1), NS_PER_S)
    assert set(look_each_second(watch, beat(1), 2 + LIMIT_S, 50)) >= {Pulse.LOST}
    assert watch.look(beat(2), 100 * NS_PER_S) is Pulse.ALIVE


@pytest.mark.parametrize("missing", [True, False])
def test_vanished_file_is_silence(missing: bool) -> None:
    watch = vigil()
    watch.look(None, 0)
    watch.look(beat(1), NS_PER_S)
    assert look_each_second(watch, None if missing else beat(1), 2, LIMIT_S)[-1] is Pulse.LOST


def test_freeze_of_the_whole_machine_is_no_silence() -> None:
    watch = vigil()
    watch.look(None, 0)
    watch.look(beat(1), NS_PER_S)
    assert watch.look(beat(1), 3_600 * NS_PER_S) is Pulse.ALIVE
    assert watch.look(beat(2), 3_601 * NS_PER_S) is Pulse.ALIVE


LOOKS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["same", "next", "stopped", "gone"])), max_size=60)


@given(LOOKS)
def test_loss_is_declared_exactly_after_a_limit_of_silence(looks: list[tuple[int, str]]) -> None:
    watch = vigil()
    watch.look(beat(0), 0)
    now_s, number, state, is_seen, silent_s = 0, 0, "running", False, 0
    for gap_s, what in looks:
        now_s += gap_s
        if what in ("next", "stopped"):
            number, state, is_seen, silent_s = number + 1, "stopped" if what == "stopped" else "running", True, 0
        else:
            silent_s += min(gap_s, 2)
        pulse = watch.look(None if what == "gone" else beat(number, state=state), now_s * NS_PER_S)
        expected = (
            Pulse.UNSEEN
            if not is_seen
            else Pulse.STOPPED
            if state == "stopped"
            else Pulse.LOST
            if silent_s >= LIMIT_S
            else Pulse.ALIVE
        )
        assert pulse is expected


async def test_disk_that_hangs_holds_up_nobody_on_the_loop(tmp_path: Path) -> None:
    path = tmp_path / "P.heartbeat"
    task = await beaten(Heartbeat(path, SystemClock(), period_sec=0.01), path, 1)
    slow = tmp_path / "pipe"
    os.mkfifo(slow)
    slow.replace(tmp_path / "P.heartbeat.new")  # who writes to it waits for a reader
    rescued = threading.Event()
    reader = asyncio.create_task(asyncio.to_thread(_read_late, tmp_path / "P.heartbeat.new", rescued))
    for _ in range(50):
        await asyncio.sleep(0.01)
    assert not rescued.is_set()
    rescued.set()
    assert orjson.loads(await reader)["beat"] > 1
    task.cancel()


def _read_late(pipe: Path, wanted: threading.Event) -> bytes:
    """Read after a delay, outside the event loop."""
    wanted.wait(5)
    wanted.set()
    return pipe.read_bytes()


async def test_nothing_is_written_after_stopped(tmp_path: Path) -> None:
    path = tmp_path / "P.heartbeat"
    heart = Heartbeat(path, SystemClock(), period_sec=0.005)
    for _ in range(20):
        task = await beaten(heart, path, 1)
        task.cancel()  # perhaps in the middle of a beat
    heart.stopped()
    last = read_beat(path)
    await asyncio.get_running_loop().shutdown_default_executor()
    assert last is not None
    assert last.state == "stopped"
    assert read_beat(path) == last


def test_heartbeat_whose_folder_was_taken_away_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal" / "FX_BTC_JPY.heartbeat"
    Heartbeat(path, SystemClock(), period_sec=1.0).stopped()
    beat = read_beat(path)
    assert beat is not None
    assert beat.state == "stopped"
