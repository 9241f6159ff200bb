"""A journal that others open, that grows for weeks, whose disk is full. Real files, other processes, a small disk."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from stall_then_strike.infra.journal import writer as journal_module
from stall_then_strike.infra.journal.care import JournalCare
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.writer import BATCH, Journal
from stall_then_strike.types.dto import Reason
from stall_then_strike.types.errors import JournalBusy, JournalError
from tests.infra.journal.journal_rig import DAY_NS, TS, changes, ended, fact, memo, open_in, order, path_in
from tests.infra.journal.other_program import reading, writing
from tests.infra.watch.small_disk import fill_up, small_disk

MB = 1_000_000


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with open_in(tmp_path) as opened:
        opened.set_patience(0)
        yield opened


def log_bytes(journal: Journal) -> int:
    return journal.path.with_name(f"{journal.path.name}-wal").stat().st_size


# --- A lock -----------------------------------------------------------------------------------------------------------


def test_record_does_not_wait_for_another_program_and_says_which_it_is(journal: Journal) -> None:
    with writing(journal.path) as pid:
        started_s = time.monotonic()
        with pytest.raises(JournalBusy, match="cannot be written: locked by") as refusal:
            journal.record(changes(facts=(fact(),)))
        assert time.monotonic() - started_s < 3  # SQLite would wait for 5
        if Path("/proc/locks").exists():
            assert f"locked by process {pid} (python" in str(refusal.value)
    journal.record(changes(facts=(fact(),)))


def test_program_that_only_reads_hinders_no_record(journal: Journal) -> None:
    with reading(journal.path):
        journal.record(changes(facts=(fact(),)))


def test_start_waits_for_a_lock(tmp_path: Path) -> None:
    def start() -> None:
        with open_in(tmp_path) as journal:
            journal.swap_log_dir(tmp_path)

    start()
    with ThreadPoolExecutor(1) as threads:
        with writing(path_in(tmp_path)):
            opening = threads.submit(start)
            time.sleep(0.3)
            assert not opening.done()
        opening.result(10)


# --- The log ----------------------------------------------------------------------------------------------------------


def told_by(journal: Journal) -> JournalCare:
    return JournalCare(journal, 30, lambda: TS, lambda words: None)


def grow(journal: Journal, megabytes: int) -> None:
    size = log_bytes(journal) + megabytes * MB
    while log_bytes(journal) < size:
        journal.record(changes(facts=tuple(fact() for _ in range(500))))


def test_log_that_a_reader_keeps_from_beginning_anew_is_told_with_its_size_and_reader(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stall_then_strike.infra.journal.care._LONG_LOG_BYTES", 2 * MB)
    monkeypatch.setattr("stall_then_strike.infra.journal.care.CHECKPOINT_RECORDS", 1)
    care = told_by(journal)
    with reading(journal.path) as pid:
        grow(journal, 3)
        (words,) = care.look()
        assert "sqlite3 has grown to 3 MB and cannot be reset" in words
        if Path("/proc/locks").exists():
            assert f"process {pid} (python" in words
        assert list(care.look()) == [], "told once"
        grow(journal, 4)
        assert len(list(care.look())) == 1, "and again when it is twice as long"
    assert journal.checkpoint()
    journal.record(changes(facts=(fact(),)))
    assert list(care.look()) == []


def test_log_that_grew_is_cut_when_its_reader_has_gone(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_LOG_BYTES", MB)
    with reading(journal.path):
        grow(journal, 3)
        assert not journal.checkpoint()
    assert journal.checkpoint()
    assert log_bytes(journal) <= MB


def test_log_stays_short_beside_a_writer_that_hardly_rests(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_LOG_BYTES", MB)
    done = threading.Event()
    sizes: list[int] = []

    def checkpoints() -> None:
        while not done.wait(0.05):
            journal.checkpoint()
            sizes.append(log_bytes(journal))

    recorded = 0
    with ThreadPoolExecutor(1) as threads:
        tidying = threads.submit(checkpoints)
        while recorded < 3_000 and not tidying.done():
            with suppress(JournalBusy):
                journal.record(changes(facts=(fact(),), memo=memo()))
                recorded += 1
            time.sleep(0.001)
        done.set()
        tidying.result()
    assert recorded == 3_000
    assert max(sizes) < 8 * MB, f"{max(sizes)}; 36 MB without it"


# --- Forgetting while it runs -----------------------------------------------------------------------------------------


def test_what_is_old_is_forgotten_while_it_runs(tmp_path: Path) -> None:
    now = [TS]
    with open_in(tmp_path) as journal:
        journal.record(changes(facts=tuple(fact(ts_ns=TS + n) for n in range(5_000)), orders=(order("live"),)))
        care = JournalCare(journal, 30, lambda: now[0], lambda words: None)
        list(care.look())
        assert facts(tmp_path) == 5_000
        now[0] += 31 * DAY_NS
        care._pruned_ns -= 10**12  # a minute has passed
        list(care.look())
        assert 0 < facts(tmp_path) < 5_000, "not all at once"
        while facts(tmp_path):
            list(care.look())
        list(care.look())
        assert not care._is_old_left, "nothing more to do for a while"


def facts(folder: Path) -> int:
    with JournalReader.open(path_in(folder)) as reader:
        return reader.info().facts


def test_pruning_keeps_no_record_waiting(journal: Journal) -> None:
    old = tuple(fact(ts_ns=TS - 40 * DAY_NS, name=f"k{n}", order_id=f"JRF{n}") for n in range(20_000))
    journal.record(changes(facts=old, orders=tuple(ended(f"k{n}", sent_ns=TS - 40 * DAY_NS) for n in range(5_000))))
    waits: list[float] = []
    with ThreadPoolExecutor(1) as threads:
        pruning = threads.submit(lambda: [journal.prune(30, TS) for _ in range(200)])
        while not pruning.done():
            started_s = time.perf_counter()
            while True:
                with suppress(JournalBusy):
                    journal.record(changes(facts=(fact(),)))
                    break
                time.sleep(0.0005)
            waits.append(time.perf_counter() - started_s)
            time.sleep(0.001)
    assert sum(pruning.result()) >= 100 * BATCH
    assert max(pruning.result()) <= 3 * BATCH, "facts, fills and orders: no transaction of more than a batch"
    assert sorted(waits)[len(waits) // 2] < 0.05  # a fiftieth of that, if nothing else is done on this machine
    assert sorted(waits)[len(waits) * 99 // 100] < 0.5


def test_open_checks_the_story_only_as_far_as_time_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_in(tmp_path) as journal:
        for _ in range(60):
            journal.record(changes(facts=tuple(fact(name=f"k{n}") for n in range(1_000))))
    monkeypatch.setattr(journal_module, "_CHECK_S", 0.0)
    open_in(tmp_path).close()


# --- A full disk ------------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, 4) as folder:
        yield folder


def test_halt_by_a_full_disk_is_remembered(disk: Path) -> None:
    with open_in(disk) as journal:
        assert journal.reserve.keep()
        journal.record(changes(memo=memo()))
        theirs = fill_up(disk)
        recorded, failure = 0, None
        while failure is None:  # what its log still has of its own pages is used up first
            try:
                journal.record(changes(facts=(fact(),)))
                recorded += 1
            except JournalError as error:
                failure = error
        assert "full" in str(failure) or "disk I/O" in str(failure)
        assert not journal.reserve.is_kept
        halted = memo(halted=Reason.LOG_FAILURE, halt_ns=TS, halt_detail="the disk is full")
        journal.record(changes(facts=(fact("halt"),), memo=halted))
    theirs.unlink()
    with open_in(disk) as journal:
        assert journal.load().memo == halted
        assert journal.reserve.keep(), "made anew"
    with JournalReader.open(path_in(disk)) as reader:
        assert len(list(reader.facts())) == recorded + 1


def test_halt_by_a_limit_on_files_is_remembered(tmp_path: Path) -> None:
    """Without root: a quota's refusal is no "disk full" for SQLite, but an I/O error."""
    program = f"""
import resource, sys
sys.path.insert(0, {os.getcwd()!r})
from pathlib import Path
from stall_then_strike.types.dto import Reason
from stall_then_strike.types.errors import JournalError
from tests.infra.journal.journal_rig import changes, fact, memo, open_in
folder = Path({str(tmp_path)!r})
with open_in(folder) as journal:
    assert journal.reserve.keep()
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, -1))
    try:
        while True:
            journal.record(changes(facts=(fact(),)))
    except JournalError as error:
        print(error)
    assert not journal.reserve.is_kept
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_100_000, -1))
    journal.record(changes(memo=memo(halted=Reason.LOG_FAILURE)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "cannot be written" in done.stdout
    with open_in(tmp_path) as journal:
        restored = journal.load().memo
        assert restored is not None
        assert restored.halted is Reason.LOG_FAILURE


def test_reserve_goes_with_an_unused_journal(tmp_path: Path) -> None:
    journal = open_in(tmp_path)
    assert journal.reserve.keep()
    journal.discard()
    assert sorted(path.name for path in path_in(tmp_path).parent.iterdir()) == ["FX_BTC_JPY.sqlite3.lock"]
