"""Versions of the journal: made anew, brought up to date with a copy kept, or left as it was."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from stall_then_strike.infra.journal.journal_rows import FACTS, FILLS, MEMO, ORDERS
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.schema import MIGRATIONS
from stall_then_strike.types.errors import JournalError
from tests.infra.journal.journal_rig import changes, memo, open_in, order, path_in

SECOND = ("ALTER TABLE orders ADD COLUMN colour TEXT", "UPDATE orders SET colour = 'none'")
THIRD = ("CREATE TABLE extra (x INTEGER)",)
BROKEN = ("CREATE TABLE half (x INTEGER)", "THIS IS NOT SQL")


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as db:
        return {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def made(folder: Path) -> Path:
    with open_in(folder) as journal:
        journal.record(changes(orders=(order(),), memo=memo()))
    return path_in(folder)


@pytest.mark.parametrize("name", ["memo", "orders", "fills", "facts"])
def test_columns_are_those_of_what_is_kept(name: str, tmp_path: Path) -> None:
    """A field more needs a migration."""
    kept = {"memo": MEMO, "orders": ORDERS, "fills": FILLS, "facts": FACTS}[name]
    with closing(sqlite3.connect(made(tmp_path))) as db:
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({name})")]
    assert columns[1:] == list(kept.columns), "the first is the row's own number"


def test_new_journal_has_the_present_version_and_no_copy(tmp_path: Path) -> None:
    with open_in(tmp_path) as journal:
        assert journal.backup is None
    assert version(path_in(tmp_path)) == len(MIGRATIONS)
    assert sorted(path.name for path in path_in(tmp_path).parent.iterdir()) == [
        "FX_BTC_JPY.sqlite3",
        "FX_BTC_JPY.sqlite3.lock",
    ]


def test_empty_file_becomes_a_journal(tmp_path: Path) -> None:
    path_in(tmp_path).parent.mkdir()
    path_in(tmp_path).touch()
    with pytest.raises(JournalError, match="no journal yet"):
        JournalReader.open(path_in(tmp_path))
    with open_in(tmp_path) as journal:
        assert journal.is_new
    assert version(path_in(tmp_path)) == len(MIGRATIONS)


def test_older_journal_is_brought_up_to_date_and_a_copy_kept(tmp_path: Path) -> None:
    path = made(tmp_path)
    with open_in(tmp_path, migrations=(*MIGRATIONS, SECOND, THIRD)) as journal:
        kept = journal.backup
        restored = journal.load()
        assert not journal.is_new
    assert restored.orders == (order(),)
    assert restored.memo == memo()
    assert version(path) == len(MIGRATIONS) + 2
    assert "extra" in tables(path)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT colour FROM orders").fetchall() == [("none",)]
    assert kept is not None
    assert kept.name == f"FX_BTC_JPY.sqlite3.v{len(MIGRATIONS)}.bak"
    assert version(kept) == len(MIGRATIONS)
    with JournalReader.open(kept) as reader:
        assert reader.live_orders() == [order()]


def test_copy_holds_what_was_only_in_the_log_of_a_killed_process(tmp_path: Path) -> None:
    crashed, left = open_in(tmp_path / "crashed"), tmp_path / "left"
    crashed.record(changes(orders=(order(),)))
    path_in(left).parent.mkdir(parents=True)
    for name in ("FX_BTC_JPY.sqlite3", "FX_BTC_JPY.sqlite3-wal"):
        (left / "journal" / name).write_bytes((tmp_path / "crashed" / "journal" / name).read_bytes())
    crashed.close()
    with open_in(left, migrations=(*MIGRATIONS, SECOND)) as journal:
        assert journal.backup is not None
        with JournalReader.open(journal.backup) as reader:
            assert reader.live_orders() == [order()]


def test_migration_that_fails_leaves_the_version_before_it_whole(tmp_path: Path) -> None:
    path = made(tmp_path)
    for _ in range(2):  # also a second time, when the copy is there already
        with pytest.raises(JournalError, match=r"FX_BTC_JPY\.sqlite3 cannot be opened: .*syntax error"):
            open_in(tmp_path, migrations=(*MIGRATIONS, BROKEN))
        assert version(path) == len(MIGRATIONS)
        assert "half" not in tables(path)
    with open_in(tmp_path) as journal:
        assert journal.load().orders == (order(),)


def test_reader_leaves_an_older_journal_to_the_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path)
    monkeypatch.setattr("stall_then_strike.infra.journal.reader.MIGRATIONS", (*MIGRATIONS, SECOND))
    with pytest.raises(JournalError, match=r"is of journal version 1, not 2; it is renewed when trading starts"):
        JournalReader.open(path)
    assert version(path) == len(MIGRATIONS)


def test_released_tables_are_never_changed_but_by_a_new_migration() -> None:
    # The number of statements of each migration that was released; a change of one of them needs a new one instead.
    assert [len(migration) for migration in MIGRATIONS] == [13]
