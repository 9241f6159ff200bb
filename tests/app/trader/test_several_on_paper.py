"""Several instruments of one account on paper: traded, recorded, replayed, and reported as one run."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from decimal import Decimal
from operator import attrgetter
from pathlib import Path

import pytest

from stall_then_strike.config.loader import load_app_config
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.logs.run_files import RunFiles
from stall_then_strike.infra.logs.run_list import RunList
from stall_then_strike.research.report.run_data import read_account
from stall_then_strike.tapes.event_replay import open_run, read_inputs
from stall_then_strike.tapes.tape_files import product_of
from tests.app.trader.recorded_run import RecordedRun
from tests.e2e.commands import csv_bytes, newest, rows, run

PRODUCTS = ("FX_BTC_JPY", "XRP_JPY")
SETTINGS = """
env: sim
instruments:
  - product_code: FX_BTC_JPY
  - product_code: XRP_JPY
    tick_size: 0.01
    size_step: 0.000001
    size_min: 0.1
    strategy: {size_min: 1, max_inventory_btc: 5, min_spread_tick: 10}
strategy: {stall_T_ms: 100, ttl_ms: 2000}
"""


class Room(RecordedRun):
    """A folder with settings, and what one recorded run in virtual time has left in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.settings = folder, folder / "two.yml"
        self.settings.write_text(SETTINGS)
        super().__init__(folder, "--duration", "90", "--config", self.settings)

    def do(self, command: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return run(command, *words, "--config", self.settings)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return Room(tmp_path_factory.mktemp("two"))


def every_csv(logs: Path) -> list[dict[str, bytes]]:
    return [csv_bytes(folder) for folder in folders_of(logs)]


def folders_of(logs: Path) -> list[Path]:
    return RunFiles(newest(logs), PRODUCTS).each


def test_each_instrument_trades_and_has_logs_of_its_own(room: Room) -> None:
    for folder in folders_of(room.logs):
        assert rows(folder, "trades")
    record = RunList(room.logs).all[-1].record
    assert record is not None
    assert record.instruments == PRODUCTS
    assert "XRP_JPY" in room.said


def test_names_and_ids_of_orders_are_one_series(room: Room) -> None:
    names = defaultdict[str, set[str]](set)
    for product, folder in zip(PRODUCTS, folders_of(room.logs), strict=True):
        for row in rows(folder, "orders"):
            names[product].add(row["order_id"])
    assert all(names[product] for product in PRODUCTS)
    assert not names[PRODUCTS[0]] & names[PRODUCTS[1]]


def test_journal_of_the_account_tells_the_instruments_apart(room: Room) -> None:
    (path,) = (newest(room.logs) / "journal").glob("*.sqlite3")
    with JournalReader.open(path) as reader:
        assert reader.info().products == PRODUCTS
        together = reader.account_memo()
        assert together is not None
        for product, folder in zip(PRODUCTS, folders_of(room.logs), strict=True):
            of, trades = reader.of(product), rows(folder, "trades")
            assert len(list(of.fills())) == len(trades)
            memo, lots_per_one = of.memo(), 10**8 if product == PRODUCTS[0] else 10**6
            assert memo is not None
            assert memo.inventory.position == Decimal(trades[-1]["inventory_after"]) * lots_per_one


def test_recorded_run_is_replayed_row_for_row(room: Room, tmp_path: Path) -> None:
    recorded = open_run(room.event_log)
    assert (recorded.cfg.products, len(recorded.beginnings.others)) == (PRODUCTS, 1)
    assert {number for *_, number in read_inputs(room.event_log)} == {0, 1}
    ended = run("tape", "replay", room.event_log, "-o", tmp_path / "again")
    assert ended.returncode == 0, ended.stderr
    assert every_csv(tmp_path / "again") == every_csv(room.logs)


def test_backtest_of_the_recorded_tapes_is_the_run(room: Room, tmp_path: Path) -> None:
    """Each tape is of one instrument; so is it if a tape holds several, or if they are named one by one."""
    assert [product_of(path) for path in room.tapes] == list(PRODUCTS)
    both = tmp_path / "both.jsonl.zst"
    assert run("tape", "merge", *room.tapes, "-o", both).returncode == 0
    for name, given in (("folder", [room.raw]), ("files", room.tapes[::-1]), ("both", [both])):
        ended = room.do("backtest", *given, "--duration", "90", "--log-dir", tmp_path / name)
        assert ended.returncode == 0, ended.stderr
        assert every_csv(tmp_path / name) == every_csv(room.logs), name


def test_compiled_engine_takes_one_instrument(room: Room, tmp_path: Path) -> None:
    refused = room.do("backtest", room.raw, "--engine", "compiled", "--log-dir", tmp_path / "logs")
    assert refused.returncode == 2
    assert "backtest.engine: compiled takes one instrument, not FX_BTC_JPY, XRP_JPY; accepted" in refused.stderr
    assert not (tmp_path / "logs").exists()


def test_instrument_without_a_board_is_named(room: Room, tmp_path: Path) -> None:
    ended = room.do("backtest", room.tapes[0], "--log-dir", tmp_path / "logs")
    assert ended.returncode == 1
    assert "no board snapshot of XRP_JPY" in ended.stderr


# --- the report


@pytest.fixture(scope="module")
def page(room: Room) -> str:
    out = room.folder / "report.html"
    made = room.do("report", room.logs, "--tape", room.raw, "--out", out)
    assert made.returncode == 0, made.stderr
    return out.read_text()


def test_report_tells_of_the_account_first_and_then_of_each_instrument(page: str) -> None:
    places = [
        page.index(words) for words in ("The account made", '<article id="FX_BTC_JPY">', '<article id="XRP_JPY">')
    ]
    assert places == sorted(places)
    for product in PRODUCTS:
        assert f'<a href="#{product}">' in page
        assert f'<section id="{product}-split"' in page, "the tape of each is read"
    assert page.count('<section id="limits"') == 1, "limits are the account's"
    assert page.count("Sources: ") == 3


def test_account_in_the_report_is_the_sum_of_its_instruments(room: Room) -> None:
    cfg = load_app_config(Path("configs/base.yml"), room.settings)
    account = read_account(room.logs, cfg, tapes={})
    made = [run.jpy(run.books.total) for run in account.runs]
    assert account.together(attrgetter("total")) == sum(made)
    assert account.equity[-1][1] == sum(made)
    assert all(run.has_journal for run in account.runs)
    each = [run.units.amount(run.books.max_drawdown) / 2 for run in account.runs]
    assert sum(each) <= account.max_drawdown <= 0
    (own,) = (use for use in account.limits if use.name == "orders")
    parts = [use for run in account.runs for use in run.limits if use.name == "orders"]
    assert len(own.stamps) > max(len(use.stamps) for use in parts)
    assert own.peak == sum(use.peak for use in parts), "the run is shorter than the window"


def test_report_of_one_instrument_of_several(room: Room, tmp_path: Path) -> None:
    out = tmp_path / "one.html"
    made = room.do("report", room.logs, "--product", "XRP_JPY", "--out", out)
    assert made.returncode == 0, made.stderr
    text = out.read_text()
    assert "FX_BTC_JPY + XRP_JPY of bitflyer" in text
    assert '<article id="FX_BTC_JPY">' not in text
    refused = room.do("report", room.logs, "--product", "ETH_JPY", "--out", out)
    assert (refused.returncode, "accepted: FX_BTC_JPY, XRP_JPY" in refused.stderr) == (2, True)
    compared = room.do("report", room.logs, "--compare", room.logs, "--out", out)
    assert (compared.returncode, "--compare takes one instrument" in compared.stderr) == (2, True)


def test_why_reads_the_journal_of_the_account(room: Room) -> None:
    order = next(row for row in rows(folders_of(room.logs)[1], "trades") if row["tag"] == "stall")["order_id"]
    told = room.do("why", order, "--product", PRODUCTS[1], "--log-dir", room.logs)
    assert told.returncode == 0, told.stderr
    assert "on the book" in told.stdout, "only the journal has that"
