"""What commands ask of a journal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stall_then_strike.infra.file_lock import FileLock
from stall_then_strike.infra.journal.instance_lock import journal_lock
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.types.dto import OrderId
from stall_then_strike.types.errors import JournalError
from tests.infra.journal.journal_rig import ACCOUNT, TS, changes, ended, fact, fill, memo, open_in, order, path_in
from tests.other_user import reachable_folder, restricted

NAMED = OrderId("JRF-1")


def test_facts_of_an_order_are_found_by_either_of_its_names(tmp_path: Path) -> None:
    told = [
        fact("send", TS, name="k1"),
        fact("registered", TS + 1, order_id="JRF-1"),  # before the answer: only the venue's name is known
        fact("accepted", TS + 2, name="k1", order_id="JRF-1"),
    ]
    with open_in(tmp_path) as journal:
        journal.record(changes(orders=(order("k1"), order("k2")), facts=(told[0], fact(name="k2"))))
        journal.record(changes(facts=(told[1], fact(order_id="JRF-9"), fact("halt"))))
        journal.record(changes(orders=(order("k1", order_id=NAMED),), facts=(told[2],)))
    with JournalReader.open(path_in(tmp_path)) as reader:
        assert reader.facts_of("k1") == told
        assert reader.facts_of("JRF-1") == told
        assert reader.facts_of("JRF-9") == [fact(order_id="JRF-9")]
        assert reader.facts_of("nobody") == []
        assert reader.order("JRF-1") == reader.order("k1") == order("k1", order_id=NAMED)
        assert reader.order("JRF-9") is None


def test_windows_include_their_start_and_not_their_end(tmp_path: Path) -> None:
    with open_in(tmp_path) as journal:
        for n in range(5):
            journal.record(
                changes(
                    orders=(ended(f"k{n}", sent_ns=TS + n),),
                    fills=(fill(n + 1, ts_ns=TS + n),),
                    facts=(fact(ts_ns=TS + n),),
                )
            )
    with JournalReader.open(path_in(tmp_path)) as reader:
        assert [o.client_order_id for o in reader.orders(TS + 1, TS + 3)] == ["k1", "k2"]
        assert [f.exec_id for f in reader.fills(TS + 1, TS + 3)] == [2, 3]
        assert [f.ts_ns for f in reader.facts(TS + 1, TS + 3)] == [TS + 1, TS + 2]
        assert [f.exec_id for f in reader.newest_fills(2)] == [4, 5]


def test_reader_stays_at_its_moment(tmp_path: Path) -> None:
    with open_in(tmp_path) as journal:
        journal.record(changes(facts=(fact(),)))
        with JournalReader.open(path_in(tmp_path)) as reader:
            journal.record(changes(facts=(fact(),), memo=memo()))
            journal.checkpoint()
            assert len(list(reader.facts())) == 1
            assert reader.memo() is None


def test_info_tells_who_trades_on_it(tmp_path: Path) -> None:
    with open_in(tmp_path) as journal:
        journal.record(changes(orders=(order("a"), ended("b")), fills=(fill(),), facts=(fact(),) * 3))
        with JournalReader.open(path_in(tmp_path)) as reader:
            info = reader.info()
            assert reader.live_orders() == [order("a")]
    assert (info.product_code, info.account, info.version) == ("FX_BTC_JPY", ACCOUNT, 3)
    assert (info.orders, info.fills, info.facts) == (2, 1, 3)
    assert info.held_by == f"process {os.getpid()}"
    assert info.size_bytes > 4096
    with JournalReader.open(path_in(tmp_path)) as reader:
        assert reader.info().held_by is None


def test_journal_that_is_not_there_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"FX_BTC_JPY\.sqlite3: no journal yet; it is made when trading starts"):
        JournalReader.open(path_in(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_path_with_signs_of_an_address_is_just_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "a?mode=rw#%20"
    with open_in(folder) as journal:
        journal.record(changes(facts=(fact(),)))
    with JournalReader.open(path_in(folder)) as reader:
        assert list(reader.facts()) == [fact()]


@pytest.fixture
def folder() -> Iterator[Path]:
    with reachable_folder() as folder:
        yield folder


@contextmanager
def as_a_reader(folder: Path) -> Iterator[None]:
    """Inside, nothing can be written to the folder, by the superuser neither."""
    with restricted(folder, 0o555):
        with pytest.raises(PermissionError):
            (folder / "x").touch()
        yield


@pytest.mark.parametrize("has_log", [False, True], ids=["closed", "left by a crash"])
def test_journal_is_read_where_nothing_can_be_written(has_log: bool, folder: Path, tmp_path: Path) -> None:
    copy = path_in(folder)
    copy.parent.mkdir()
    with open_in(tmp_path) as journal:
        journal.record(changes(orders=(order("k1"),), facts=(fact("send", TS, name="k1"),)))
        if has_log:
            shutil.copy(path_in(tmp_path), copy)
            shutil.copy(f"{path_in(tmp_path)}-wal", f"{copy}-wal")
    if not has_log:
        shutil.copy(path_in(tmp_path), copy)
    before = {path.name: path.read_bytes() for path in copy.parent.iterdir()}
    with as_a_reader(copy.parent), JournalReader.open(copy) as reader:
        assert [o.client_order_id for o in reader.orders()] == ["k1"]
        assert len(list(reader.facts())) == 1
        assert reader.info().held_by is None
    assert {path.name: path.read_bytes() for path in copy.parent.iterdir()} == before


def test_journal_in_use_by_a_user_who_shares_nothing_is_told_to_be(folder: Path, tmp_path: Path) -> None:
    path_in(folder).parent.mkdir()
    with open_in(tmp_path):
        pass
    shutil.copy(path_in(tmp_path), path_in(folder))
    lock = FileLock(journal_lock(path_in(folder)))
    lock.take()
    try:
        with as_a_reader(path_in(folder).parent), pytest.raises(JournalError, match="in use by process"):
            JournalReader.open(path_in(folder))
    finally:
        lock.release()
