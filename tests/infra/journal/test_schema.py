"""Versions of the journal: made anew, brought up to date with a copy kept, or left as it was."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.journal.halt import remembered
from stall_then_strike.infra.journal.journal_rows import FACTS, FILLS, MEMO, ORDERS
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.schema import MIGRATIONS, migrate
from stall_then_strike.infra.journal.writer import Journal
from stall_then_strike.types.dto import ExecId, Reason
from stall_then_strike.types.errors import ConfigError, JournalError
from tests.infra.journal.journal_rig import (
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
)

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
    assert [column for column in columns if column not in {"seq", "product"}] == list(kept.columns)
    assert "product" in columns


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


def test_reader_leaves_an_older_journal_as_it_is(tmp_path: Path) -> None:
    path = of_version_1(tmp_path)
    before = path.read_bytes()
    with JournalReader.open(path) as reader:
        assert (reader.info().version, reader.info().products) == (1, ("FX_BTC_JPY",))
        held = reader.memo()
        assert held is not None
        assert (held.inventory.position, held.halted) == (POSITION, Reason.OPERATOR)
        assert len(list(reader.fills())) == FILLED
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


# --- A journal as version 1 wrote it ----------------------------------------------------------------------------------

VERSION_1 = Path(__file__).with_name("journal_of_version_1.sql")
"""What a run on the embedded exchange left: killed with a position, and halted by hand afterwards."""
POSITION, FILLED, SENT, FACTS_TOLD = -400_000, 12, 46, 233


def of_version_1(folder: Path) -> Path:
    path = path_in(folder)
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(VERSION_1.read_text())
    return path


def everything(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """The rows of a journal, without what version 1 did not have."""
    with closing(sqlite3.connect(path)) as db:
        found = {}
        for name in ("memo", "orders", "fills", "facts"):
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({name})")]
            kept = ", ".join(column for column in columns if column not in {"id", "product", "paused"})
            found[name] = db.execute(f"SELECT {kept} FROM {name} ORDER BY 1").fetchall()  # noqa: S608 - names of the schema
        return found


def test_journal_of_version_1_is_renewed_with_position_result_and_halt(tmp_path: Path) -> None:
    path = of_version_1(tmp_path)
    before = everything(path)
    with open_in(tmp_path, account="embedded") as journal:
        restored, kept = journal.load(), journal.backup
    assert kept == path.with_name(f"{path.name}.v1.bak")
    assert everything(path) == before == everything(kept)
    assert (version(path), version(kept)) == (len(MIGRATIONS), 1)
    assert restored.memo is not None
    state = remembered(AppConfig(), restored.memo)
    assert (state.side, state.size, state.pnl_today_jpy) == ("short", -POSITION, -288_300_000)
    assert (restored.memo.halted, restored.memo.halt_detail) == (Reason.OPERATOR, "by hand, for the test")
    assert (len(restored.orders), len(restored.fills), len(restored.exec_ids)) == (SENT, FILLED, FILLED)
    with JournalReader.open(path) as reader:
        info = reader.info()
        assert (info.orders, info.fills, info.facts) == (SENT, FILLED, FACTS_TOLD)
        assert info.products == ("FX_BTC_JPY",)
        fx = reader.of("FX_BTC_JPY")
        assert (len(list(fx.orders())), len(list(fx.fills())), len(list(fx.facts()))) == (SENT, FILLED, FACTS_TOLD)


def test_journal_of_version_1_of_another_product_or_account_is_refused_unchanged(tmp_path: Path) -> None:
    path = of_version_1(tmp_path)
    with pytest.raises(ConfigError, match="journal of another account"):
        open_in(tmp_path)
    with pytest.raises(ConfigError, match="journal of FX_BTC_JPY, not of ETH_JPY"):
        Journal.open(path, product_code="ETH_JPY", account="embedded", now_ns=TS, locks=tmp_path)
    assert version(path) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is killed")
@pytest.mark.parametrize("cut", range(len(MIGRATIONS[1]) + 1))
def test_kill_in_the_middle_of_the_renewal_loses_nothing(tmp_path: Path, cut: int) -> None:
    """Killed before each of its statements, and before it is committed."""
    path = of_version_1(tmp_path)
    before = everything(path)
    if (pid := os.fork()) == 0:
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.create_function("die", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
        statements = MIGRATIONS[1]
        migrate(db, path, (MIGRATIONS[0], (*statements[:cut], "SELECT die()", *statements[cut:])))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert version(path) == 1
    with open_in(tmp_path, account="embedded") as journal:
        assert journal.backup is not None
        assert everything(journal.backup) == before
    assert everything(path) == before


# --- Several instruments ----------------------------------------------------------------------------------------------


def test_each_instrument_has_its_rows_and_the_account_its_memo(tmp_path: Path) -> None:
    with open_in(tmp_path, others=("ETH_JPY",)) as journal:
        journal.record(changes(orders=(order("a"),), fills=(fill(7, "a"),), facts=(fact(name="a"),), memo=memo()))
        mine = memo(inventory=inventory(position=5), since=ExecId(3))
        journal.record(
            changes(product="ETH_JPY", orders=(order("b"),), fills=(fill(7, "b"),), facts=(fact(name="b"),), memo=mine)
        )
        journal.record(changes(account=memo(halted=Reason.KILL_PNL)))
        first, second = journal.load(), journal.load("ETH_JPY")
        assert ([o.client_order_id for o in first.orders], first.memo) == (["a"], memo())
        assert ([o.client_order_id for o in second.orders], second.memo) == (["b"], mine)
        assert [len(one.fills) for one in (first, second)] == [1, 1], "execution ids are of one product"
        assert journal.account() == memo(halted=Reason.KILL_PNL)
    with JournalReader.open(path_in(tmp_path)) as reader:
        assert reader.info().products == ("FX_BTC_JPY", "ETH_JPY")
        assert [o.client_order_id for o in reader.live_orders()] == ["a", "b"]
        assert [o.client_order_id for o in reader.of("ETH_JPY").live_orders()] == ["b"]
        assert [f.client_order_id for f in reader.of("ETH_JPY").newest_fills(5)] == ["b"]
        assert [f.client_order_id for f in reader.of("FX_BTC_JPY").facts()] == ["a"]
        assert (reader.memo(), reader.of("ETH_JPY").memo()) == (memo(), mine)
        assert (reader.product_of("b"), reader.product_of("x")) == ("ETH_JPY", None)


@pytest.mark.parametrize("left", ["position", "order"])
def test_an_instrument_with_a_position_or_an_order_cannot_be_left_out(tmp_path: Path, left: str) -> None:
    with open_in(tmp_path, others=("ETH_JPY",)) as journal:
        held = inventory(position=5 if left == "position" else 0)
        orders = (order("b"),) if left == "order" else ()
        journal.record(changes(product="ETH_JPY", orders=orders, memo=memo(inventory=held)))
    with pytest.raises(ConfigError, match="a position or an order of ETH_JPY, which this run does not trade"):
        open_in(tmp_path)
    with open_in(tmp_path, others=("ETH_JPY",)) as journal:
        gone = (ended("b"),) if left == "order" else ()
        journal.record(changes(product="ETH_JPY", orders=gone, memo=memo(inventory=inventory(position=0))))
    open_in(tmp_path).close()


def test_a_journal_of_its_own_of_another_instrument_is_in_the_way(tmp_path: Path) -> None:
    path_in(tmp_path).parent.mkdir()
    (path_in(tmp_path).parent / "ETH_JPY.sqlite3").touch()
    with pytest.raises(ConfigError, match="is a journal of ETH_JPY alone; give ETH_JPY first, or move it away"):
        open_in(tmp_path, others=("ETH_JPY",))


def test_released_tables_are_never_changed_but_by_a_new_migration() -> None:
    # The number of statements of each migration that was released; a change of one of them needs a new one instead.
    assert [len(migration) for migration in MIGRATIONS] == [13, 15, 1]
