"""The journal: what is recorded reads back, in whole steps, and nothing else is taken for one. Real files."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.infra.journal.journal_rows import DETAIL_CHARS
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.schema import MIGRATIONS
from stall_then_strike.infra.journal.writer import RECENT_FILLS, RECENT_ORDERS, Journal, LastRun
from stall_then_strike.types.dto import Changes, Fact, OrderMemo, Reason
from stall_then_strike.types.errors import ConfigError, JournalError
from tests.infra.journal.journal_rig import (
    CHANGES,
    DAY_NS,
    PRODUCT,
    TS,
    changes,
    ended,
    fact,
    fill,
    inventory,
    memo,
    open_in,
    order,
    path_in,
    trade,
)


def stored_rows(folder: Path) -> tuple[int, int, int]:
    with JournalReader.open(path_in(folder)) as reader:
        info = reader.info()
    return info.orders, info.fills, info.facts


# --- What goes in comes out -------------------------------------------------------------------------------------------


@given(st.lists(CHANGES, max_size=8), st.integers(0, 8))
def test_whatever_was_recorded_is_there_after_reopening(steps: list[Changes], reopen_at: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        journal = open_in(folder)
        for number, step in enumerate(steps):
            if number == reopen_at:
                journal.close()
                journal = open_in(folder)
            journal.record(step)
        journal.close()
        with open_in(folder) as journal:
            restored = journal.load()
        with JournalReader.open(path_in(folder)) as reader:
            fills, facts = list(reader.fills()), list(reader.facts())
    orders: dict[str, OrderMemo] = {}
    booked: dict[int, Any] = {}
    remembered = None
    for step in steps:
        orders.update((o.client_order_id, o) for o in step.orders)
        for new in step.fills:
            booked.setdefault(new.exec_id, new)
        remembered = step.memo or remembered
    assert restored.memo == remembered
    assert restored.orders == tuple(orders.values())
    assert list(restored.exec_ids) == list(booked)
    assert max(restored.exec_ids, default=0) == max(booked, default=0)
    last = 2**63 - 1  # a window ends before its end, and no stamp in life is there
    assert {f.exec_id: f for f in fills} == {k: f for k, f in booked.items() if f.row.ts_ns < last}
    assert facts == sorted((f for step in steps for f in step.facts if f.ts_ns < last), key=lambda f: f.ts_ns)


def test_new_journal_knows_nothing_and_says_so(tmp_path: Path) -> None:
    with open_in(tmp_path) as journal:
        assert journal.is_new
        restored = journal.load()
    assert (restored.memo, restored.orders, restored.exec_ids) == (None, (), ())
    assert not restored.exec_ids
    with open_in(tmp_path) as journal:
        assert not journal.is_new


def test_fill_told_again_changes_nothing(tmp_path: Path) -> None:
    with open_in(tmp_path) as journal:
        journal.record(changes(fills=(fill(7), fill(8))))
        journal.record(changes(fills=(fill(8, tag="other"), fill(9))))
        assert [one.row.tag for one in journal.load().fills] == ["stall"] * 3
        assert max(journal.load().exec_ids) == 9


def test_memory_stays_when_a_step_says_nothing_of_it(tmp_path: Path) -> None:
    with open_in(tmp_path) as journal:
        journal.record(changes(memo=memo(halted=Reason.KILL_PNL, halt_ns=TS, halt_detail="the day's loss")))
        journal.record(changes(facts=(fact(),)))
        assert journal.load().memo == memo(halted=Reason.KILL_PNL, halt_ns=TS, halt_detail="the day's loss")


def test_load_gives_the_newest_of_the_past(tmp_path: Path) -> None:
    with open_in(tmp_path) as journal:
        journal.record(changes(orders=(order("live"),)))
        journal.record(changes(orders=tuple(ended(f"k{n}") for n in range(RECENT_ORDERS + 5))))
        journal.record(changes(fills=(*(fill(n) for n in range(1, RECENT_FILLS + 6)), fill(-7))))
        restored = journal.load()
    assert [o.client_order_id for o in restored.orders] == ["live", *(f"k{n}" for n in range(5, RECENT_ORDERS + 5))]
    assert restored.exec_ids == (*range(7, RECENT_FILLS + 6), -7), "a fill that was taken back has its id, negative"
    assert max(restored.exec_ids) == RECENT_FILLS + 5


@pytest.mark.parametrize(
    ("given_text", "kept"),
    [("x" * 3_000, "x" * DETAIL_CHARS), ("a\ud800b", "a?b"), ("nul \0 and 静止", "nul \0 and 静止")],
)
def test_text_from_outside_never_stops_a_record(tmp_path: Path, given_text: str, kept: str) -> None:
    with open_in(tmp_path) as journal:
        told = Fact(ts_ns=TS, what="event", detail=given_text)
        journal.record(changes(facts=(told,), memo=memo(halt_detail=given_text)))
        restored = journal.load().memo
    assert restored is not None
    assert restored.halt_detail == kept
    with JournalReader.open(path_in(tmp_path)) as reader:
        assert [f.detail for f in reader.facts()] == [kept]


def test_fills_since_a_moment_come_oldest_first(tmp_path: Path) -> None:
    rows = [trade(ts_ns=TS + n) for n in (0, 2, 1)]
    with open_in(tmp_path) as journal:
        for number, row in enumerate(rows, 1):
            journal.record(changes(fills=(fill(number, ts_ns=row.ts_ns),)))
    with JournalReader.open(path_in(tmp_path)) as reader:
        assert [one.row for one in reader.fills(TS + 1)] == [rows[2], rows[1]]


def test_log_folder_of_the_last_run_is_remembered(tmp_path: Path) -> None:
    with open_in(tmp_path) as journal:
        assert journal.swap_log_dir(tmp_path / "one") is None
        journal.record(changes(fills=(fill(1),)))
    with open_in(tmp_path) as journal:
        assert journal.swap_log_dir(tmp_path / "two") == LastRun(tmp_path / "one", 0)
        assert journal.swap_log_dir(tmp_path / "three") == LastRun(tmp_path / "two", 1)


# --- All or nothing ---------------------------------------------------------------------------------------------------


def test_step_that_cannot_be_stored_whole_is_not_stored_at_all(tmp_path: Path) -> None:
    with open_in(tmp_path) as journal:
        beyond = 2**63  # an integer that SQLite has no room for, last in the step
        with pytest.raises(JournalError, match=r"FX_BTC_JPY\.sqlite3 cannot be written: OverflowError"):
            journal.record(changes(orders=(order(),), fills=(fill(),), facts=(fact(),), memo=memo(pnl_base=beyond)))
        assert stored_rows(tmp_path) == (0, 0, 0)
        journal.record(changes(orders=(order(),)))
        assert stored_rows(tmp_path) == (1, 0, 0)


def test_full_disk_is_an_error_by_name_and_the_same_step_can_be_recorded_later(tmp_path: Path) -> None:
    with open_in(tmp_path) as journal:
        pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
        journal._db.execute(f"PRAGMA max_page_count = {pages + 4}")
        step = changes(facts=tuple(fact() for _ in range(20)), orders=(order(),))
        recorded = 0
        failure: JournalError | None = None
        while failure is None:
            try:
                journal.record(step)
                recorded += 1
            except JournalError as error:
                failure = error
        assert "FX_BTC_JPY.sqlite3 cannot be written: database or disk is full" in str(failure)
        assert recorded > 0
        assert stored_rows(tmp_path) == (1, 0, 20 * recorded)
        journal._db.execute("PRAGMA max_page_count = 100000")
        journal.record(step)
    assert stored_rows(tmp_path) == (1, 0, 20 * (recorded + 1))


def test_record_after_close_is_a_journal_error(tmp_path: Path) -> None:
    journal = open_in(tmp_path)
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="cannot be written"):
        journal.record(changes(facts=(fact(),)))


def test_reader_sees_whole_steps_while_the_writer_writes(tmp_path: Path) -> None:
    seen: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            with JournalReader.open(path_in(tmp_path)) as reader:
                told = reader.memo()
                count = 0 if told is None else told.pnl_base
                assert len(list(reader.fills())) == count
                assert len(list(reader.orders())) == count
                assert len(list(reader.facts())) == 2 * count
                seen.append(count)

    with ThreadPoolExecutor(1) as threads, open_in(tmp_path) as journal:
        reading = threads.submit(read)
        number = 0
        while (len(seen) < 20 or len(set(seen)) <= 5) and not reading.done():
            number += 1
            journal.record(
                changes(
                    orders=(order(f"k{number}"),),
                    fills=(fill(number),),
                    facts=(fact(), fact()),
                    memo=memo(pnl_base=number),
                )
            )
            if number % 200 == 0:
                journal.checkpoint()
        done.set()
        reading.result(30)
    assert seen == sorted(seen)
    assert len(set(seen)) > 5


# --- The write-ahead log ----------------------------------------------------------------------------------------------


def log_size(folder: Path) -> int:
    return path_in(folder).with_name("FX_BTC_JPY.sqlite3-wal").stat().st_size


def test_records_are_in_the_log_until_a_checkpoint_and_the_log_is_used_again_after_it(tmp_path: Path) -> None:
    def fill_up(journal: Journal) -> None:
        for _ in range(100):
            journal.record(changes(facts=tuple(fact() for _ in range(50))))

    with open_in(tmp_path) as journal:
        size = path_in(tmp_path).stat().st_size
        fill_up(journal)
        assert path_in(tmp_path).stat().st_size == size, "nobody checkpoints on the event loop"
        first = log_size(tmp_path)
        assert first > 100 * 4096
        thread = threading.Thread(target=journal.checkpoint)
        thread.start()
        thread.join(30)
        assert path_in(tmp_path).stat().st_size > size
        for _ in range(5):
            fill_up(journal)
            journal.checkpoint()
        assert log_size(tmp_path) < 2 * first, "without it, six times as long"


def test_checkpoint_beside_a_writer_that_never_rests_is_no_failure(tmp_path: Path) -> None:
    def checkpoints() -> None:
        for _ in range(20):
            journal.checkpoint()

    with ThreadPoolExecutor(1) as threads, open_in(tmp_path) as journal:
        checkpointing = threads.submit(checkpoints)
        recorded = 0
        while not checkpointing.done():
            journal.record(changes(facts=(fact(),)))
            recorded += 1
        checkpointing.result()
    assert stored_rows(tmp_path) == (0, 0, recorded)


def log_generation(folder: Path) -> int:
    """How often the write-ahead log began anew (its header, SQLite's file format documentation, section 4.1)."""
    return int.from_bytes(path_in(folder).with_name("FX_BTC_JPY.sqlite3-wal").read_bytes()[12:16])


def test_log_begins_anew_in_the_checkpoint_and_not_in_the_next_record(tmp_path: Path) -> None:
    with open_in(tmp_path) as journal:
        journal.record(changes(facts=(fact(),)))
        before = log_generation(tmp_path)
        journal.checkpoint()
        assert log_generation(tmp_path) == before + 1
        journal.record(changes(facts=(fact(),)))
        assert log_generation(tmp_path) == before + 1


def test_checkpoint_in_the_midst_of_a_record_leaves_the_log_to_it(tmp_path: Path) -> None:
    with open_in(tmp_path) as journal, ThreadPoolExecutor(1) as threads:
        journal.record(changes(facts=(fact(),)))
        before = log_generation(tmp_path)
        with closing(sqlite3.connect(path_in(tmp_path), isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")  # as a record does, and holds the writer's lock until it commits
            threads.submit(journal.checkpoint).result(30)
            writer.execute("ROLLBACK")
        assert log_generation(tmp_path) == before
        journal.record(changes(facts=(fact(),)))
        assert log_generation(tmp_path) == before + 1
    assert stored_rows(tmp_path) == (0, 0, 2)


def test_power_cut_cannot_damage_the_file(tmp_path: Path) -> None:
    # Only a machine without power could show it; SQLite promises it of this mode, and not of OFF (0).
    with open_in(tmp_path) as journal:
        assert journal._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert journal._db.execute("PRAGMA synchronous").fetchone() == (1,)


def test_checkpoint_of_nothing_new_touches_nothing(tmp_path: Path) -> None:
    with open_in(tmp_path) as journal:
        journal.record(changes(facts=(fact(),)))
        journal.checkpoint()
        shutil.rmtree(tmp_path / "journal")  # it would be an error to look
        journal.checkpoint()


# --- Forgetting -------------------------------------------------------------------------------------------------------


def test_pruning_forgets_what_is_old_but_never_live_orders_nor_the_recent_past(tmp_path: Path) -> None:
    old, new = TS - 31 * DAY_NS, TS - 29 * DAY_NS
    with open_in(tmp_path) as journal:
        journal.record(
            changes(
                orders=(
                    order("live", sent_ns=old),
                    *(ended(f"old{n}", sent_ns=old) for n in range(1_200)),
                    *(ended(f"new{n}", sent_ns=new) for n in range(RECENT_ORDERS - 100)),
                ),
                fills=(
                    *(fill(n, ts_ns=old) for n in range(1, 701)),
                    *(fill(n, ts_ns=new) for n in range(701, 701 + RECENT_FILLS - 100)),
                ),
                facts=tuple(fact(ts_ns=stamp) for stamp in [old] * 1_300 + [new] * 7),
                memo=memo(halted=Reason.OPERATOR),
            )
        )
    with open_in(tmp_path, keep_days=30) as journal:
        restored = journal.load()
    assert stored_rows(tmp_path) == (1 + RECENT_ORDERS, RECENT_FILLS, 7)
    assert [o.client_order_id for o in restored.orders if o.is_live] == ["live"]
    assert len(restored.orders) == 1 + RECENT_ORDERS
    assert restored.exec_ids[0] == 601
    assert restored.memo == memo(halted=Reason.OPERATOR)


def test_pruning_goes_in_batches_and_ends(tmp_path: Path) -> None:
    with open_in(tmp_path) as journal:
        journal.record(changes(facts=tuple(fact(ts_ns=TS - 3 * DAY_NS) for _ in range(120))))
        assert [journal.prune(2, TS) for _ in range(4)] == [50, 50, 20, 0]


# --- What is no journal of ours ---------------------------------------------------------------------------------------


def made(folder: Path) -> Path:
    with open_in(folder) as journal:
        journal.record(changes(orders=tuple(order(f"k{n}") for n in range(200)), memo=memo()))
    return path_in(folder)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (
            {"product_code": "BTC_JPY"},
            "is the journal of FX_BTC_JPY, not of BTC_JPY; set journal.dir to another folder",
        ),
        ({"account": "other"}, "is the journal of another account, or of another API key; set journal.dir"),
    ],
)
def test_journal_of_something_else_is_refused_and_left_alone(tmp_path: Path, asked: dict[str, str], told: str) -> None:
    path = made(tmp_path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=told) as refusal:
        open_in(tmp_path, **asked)
    assert str(path) in str(refusal.value)
    assert path.read_bytes() == before
    open_in(tmp_path).close()


def test_account_that_is_no_fingerprint_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fingerprint"):
        open_in(tmp_path, account="../../etc/passwd")


def test_journal_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = made(tmp_path)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    for opened in (lambda: open_in(tmp_path), lambda: JournalReader.open(path)):
        with pytest.raises(JournalError, match=r"sqlite3 was written by a newer version of this program.*use that"):
            opened()


def test_database_of_others_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = path_in(tmp_path)
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    for opened in (lambda: open_in(tmp_path), lambda: JournalReader.open(path)):
        with pytest.raises(JournalError, match="is a database, but no journal; move it away"):
            opened()
    assert path.read_bytes() == before


def damage_header(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to look into: " * 100)


def damage_cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 3 * 4096)


def damage_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    page = content.rfind(b"k199") // 4096 * 4096
    content[page : page + 4096] = b"\xa5" * 4096
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [damage_header, damage_cut, damage_page])
def test_damaged_journal_is_refused_with_what_to_do(tmp_path: Path, damage: Any) -> None:
    path = made(tmp_path)
    damage(path)
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"sqlite3 is damaged \(.*\); move it away together with its -wal file"):
        open_in(tmp_path)
    assert path.read_bytes() == before
    path.unlink()
    open_in(tmp_path).close()


def test_damage_that_shows_later_is_told_as_damage(tmp_path: Path) -> None:
    path = made(tmp_path)
    with open_in(tmp_path) as journal:
        damage_page(path)
        journal._db.execute("PRAGMA shrink_memory")
        with pytest.raises(JournalError, match="damaged"):
            journal.load()


def test_word_that_no_version_knows_is_an_error_not_a_guess(tmp_path: Path) -> None:
    path = made(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE memo SET halted = 'a reason of the future'")
    with open_in(tmp_path) as journal, pytest.raises(JournalError, match="cannot be read: KeyError"):
        journal.load()


def test_folder_that_cannot_be_made_is_an_error_by_name(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file is in the way")
    with pytest.raises(JournalError, match=r"/journal cannot be made: File exists"):
        open_in(tmp_path)


def test_folder_in_place_of_the_file_is_an_error_by_name(tmp_path: Path) -> None:
    path_in(tmp_path).mkdir(parents=True)
    with pytest.raises(JournalError, match=r"FX_BTC_JPY\.sqlite3 cannot be opened"):
        open_in(tmp_path)


def test_log_cut_by_a_crash_keeps_the_whole_steps_before_the_cut(tmp_path: Path) -> None:
    whole, left = tmp_path / "whole", tmp_path / "left"
    with open_in(whole) as journal:
        for number in range(1, 21):
            journal.record(changes(fills=(fill(number),), memo=memo(inventory=inventory(realised=number))))
        shutil.copytree(whole / "journal", left / "journal", ignore=shutil.ignore_patterns("*-shm"))
    log = path_in(left).with_name(f"{PRODUCT}.sqlite3-wal")
    os.truncate(log, log.stat().st_size // 2 + 1_234)
    with open_in(left) as journal:
        restored = journal.load()
        assert restored.memo is not None
        assert restored.memo.inventory.realised == max(restored.exec_ids)
        assert 3 < max(restored.exec_ids) < 18
        journal.record(changes(fills=(fill(100),)))


def test_refusals_leave_no_lock_and_no_descriptor(tmp_path: Path) -> None:
    made(tmp_path)
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else None
    for asked in ({"product_code": "BTC_JPY"}, {"account": "other"}):
        with pytest.raises(ConfigError):
            open_in(tmp_path, **asked)
    made(tmp_path)
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before


def test_an_empty_new_journal_can_be_taken_away_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    journal = Journal.open(path, product_code="FX_BTC_JPY", account="typo", now_ns=1, locks=tmp_path)
    journal.discard()
    assert not list(tmp_path.glob("j.sqlite3")) + list(tmp_path.glob("j.sqlite3-*"))
    with Journal.open(path, product_code="FX_BTC_JPY", account="right", now_ns=1, locks=tmp_path) as used:
        used.record(Changes(ts_ns=1, facts=(Fact(ts_ns=1, what="start"),)))
        with pytest.raises(ValueError, match="only an empty journal"):
            used.discard()
    assert path.exists()
