"""The journal of a run with nothing at stake: many steps in one transaction, and no halt by what goes wrong."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from loguru import logger

from stall_then_strike.infra.journal.batch import ACCOUNT, BatchedJournal
from stall_then_strike.infra.journal.reader import JournalReader
from tests.infra.journal.journal_rig import PRODUCT, TS, changes, ended, fact, fill, memo, order

OTHER = "ETH_JPY"
STEPS = [
    changes(orders=(order("a"), order("b")), facts=(fact(what="send"),), memo=memo(ts_ns=TS)),
    changes(fills=(fill(1),), facts=(fact(what="fill"),)),
    changes(orders=(ended("a"),), memo=memo(ts_ns=TS + 1)),
    changes(facts=(fact(what="stop"),)),
]


def opened(folder: Path, *others: str) -> BatchedJournal:
    return BatchedJournal.open(folder / "0001-paper-sim.sqlite3", product_code=PRODUCT, now_ns=TS, others=others)


@pytest.mark.parametrize("writes_each", [True, False])
def test_steps_written_together_leave_what_they_leave_one_by_one(writes_each: bool, tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        for step in STEPS:
            journal.record(step)
            if writes_each:
                journal.write()
        path = journal.journal.path
    with JournalReader.open(path) as reader:
        assert list(reader.orders()) == [ended("a"), order("b")]
        assert [booked.exec_id for booked in reader.fills()] == [1]
        assert [found.what for found in reader.facts()] == ["send", "fill", "stop"]
        assert reader.memo() == memo(ts_ns=TS + 1)
        assert (reader.info().account, reader.info().held_by) == (ACCOUNT, None)
    assert [left.name for left in tmp_path.iterdir()] == [path.name], "no locks, no log"


@pytest.mark.parametrize("products", [(PRODUCT, OTHER, PRODUCT), (OTHER, PRODUCT, PRODUCT), (PRODUCT, PRODUCT, OTHER)])
def test_newest_memo_of_the_account_stays_whichever_instrument_brought_it(
    products: tuple[str, ...], tmp_path: Path
) -> None:
    with opened(tmp_path, OTHER) as journal:
        for number, product in enumerate(products):
            each = memo(ts_ns=TS + number)
            journal.record(changes(orders=(order(f"{number}"),), memo=each, product=product, account=each))
        journal.record(changes(facts=(fact(what="stop"),), product=products[0]))
        path = journal.journal.path
    with JournalReader.open(path) as reader:
        assert reader.account_memo() == memo(ts_ns=TS + 2)


def test_run_in_which_nothing_happened_leaves_nothing(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_steps_wait_while_another_program_writes(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        with closing(sqlite3.connect(journal.journal.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            journal.record(STEPS[0])
            journal.write()
            other.execute("ROLLBACK")
        assert not journal.journal.load().orders
        journal.write()
        assert len(journal.journal.load().orders) == 2


def test_journal_that_cannot_be_written_is_told_of_once(tmp_path: Path) -> None:
    told: list[str] = []
    sink = logger.add(told.append, level="ERROR", format="{message}")
    try:
        with opened(tmp_path) as journal:
            journal.record(STEPS[0])
            journal.write()
            journal.journal._db.close()
            for step in STEPS[1:]:
                journal.record(step)
                journal.write_and_tidy()
    finally:
        logger.remove(sink)
    (line,) = told
    assert "the journal of this run ends here, its CSVs do not" in line
