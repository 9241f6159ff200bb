"""Several instruments of one account on paper: traded, recorded, replayed, and reported as one run."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.logs.run_manifest import FOLDER, read_records
from stall_then_strike.tapes.event_replay import open_run, read_inputs
from stall_then_strike.tapes.tape_files import product_of
from tests.e2e.commands import csv_bytes, rows, run

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


class Room:
    """A folder with settings, and what one recorded run in virtual time has left in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.settings = folder, folder / "two.yml"
        self.logs, self.raw = folder / "logs", folder / "raw"
        self.settings.write_text(SETTINGS)
        ended = self.do(
            "run_paper", "--sim", "--speed", "max", "--duration", "90", "--set", "record.enabled=true",
            "--set", f"record.dir={self.raw}", "--log-dir", self.logs,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        self.said = ended.stdout

    def do(self, command: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return run(command, *words, "--config", self.settings)

    @property
    def event_log(self) -> Path:
        (path,) = self.raw.glob("*.events.jsonl.zst")
        return path

    @property
    def tapes(self) -> list[Path]:
        return sorted(path for path in self.raw.glob("*.zst") if path != self.event_log)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return Room(tmp_path_factory.mktemp("two"))


def every_csv(logs: Path) -> list[dict[str, bytes]]:
    return [csv_bytes(folder) for folder in (logs, logs / PRODUCTS[1])]


def test_each_instrument_trades_and_has_logs_of_its_own(room: Room) -> None:
    for folder in (room.logs, room.logs / PRODUCTS[1]):
        assert rows(folder, "trades")
        assert {record.run for record in read_records(folder / FOLDER)} == {1}
    (first,), (other,) = (read_records(folder / FOLDER) for folder in (room.logs, room.logs / PRODUCTS[1]))
    assert (first.product, other.product) == PRODUCTS
    assert "XRP_JPY" in room.said


def test_names_and_ids_of_orders_are_one_series(room: Room) -> None:
    names = defaultdict[str, set[str]](set)
    for product, folder in zip(PRODUCTS, (room.logs, room.logs / PRODUCTS[1]), strict=True):
        for row in rows(folder, "orders"):
            names[product].add(row["order_id"])
    assert all(names[product] for product in PRODUCTS)
    assert not names[PRODUCTS[0]] & names[PRODUCTS[1]]


def test_journal_of_the_account_tells_the_instruments_apart(room: Room) -> None:
    (path,) = (room.logs / FOLDER).glob("*.sqlite3")
    with JournalReader.open(path) as reader:
        assert reader.info().products == PRODUCTS
        together = reader.account_memo()
        assert together is not None
        for product, folder in zip(PRODUCTS, (room.logs, room.logs / PRODUCTS[1]), strict=True):
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
