"""Lighter on paper: three markets of the embedded exchange traded in virtual time, recorded, replayed and reported."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stall_then_strike.infra.logs.run_files import RunFiles
from stall_then_strike.tapes.event_replay import open_run
from stall_then_strike.tapes.tape_files import product_of
from tests.app.trader.recorded_run import RecordedRun
from tests.e2e.commands import csv_bytes, newest, rows, run

MARKETS = ("ETH", "BTC", "SOL")
SETTINGS = ("--config", "configs/lighter-sim.yml")


class Room(RecordedRun):
    """What one recorded run has left."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "--venue", "lighter", "--duration", "30")

    def folders(self, logs: Path) -> list[Path]:
        return RunFiles(newest(logs), MARKETS).each


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return Room(tmp_path_factory.mktemp("lighter"))


def done(*words: str | Path) -> subprocess.CompletedProcess[str]:
    ended = run(str(words[0]), *words[1:])
    assert ended.returncode == 0, ended.stderr
    return ended


def test_every_market_trades_and_money_is_in_usdc(room: Room) -> None:
    for folder in room.folders(room.logs):
        assert rows(folder, "orders")
    assert any(rows(folder, "trades") for folder in room.folders(room.logs))
    assert "USDC" in room.said
    assert "JPY" not in room.said
    shown = done("state", "--log-dir", room.logs, *SETTINGS).stdout
    assert ("USDC" in shown, "JPY" in shown) == (True, False)


def test_recorded_run_is_replayed_row_for_row(room: Room, tmp_path: Path) -> None:
    assert open_run(room.event_log).cfg.products == MARKETS
    done("tape", "replay", room.event_log, "-o", tmp_path / "again")
    for ours, theirs in zip(room.folders(room.logs), room.folders(tmp_path / "again"), strict=True):
        assert csv_bytes(ours) == csv_bytes(theirs)


def test_tapes_are_good_and_a_backtest_of_them_is_the_run(room: Room, tmp_path: Path) -> None:
    assert {product_of(path) for path in room.tapes} == set(MARKETS)
    assert done("tape", "check", *room.tapes).stdout.count(": good, ") == 3
    assert "snapshots 1, deltas" in done("tape", "info", *room.tapes).stdout
    done("backtest", room.raw, *SETTINGS, "--duration", "30", "--log-dir", tmp_path)
    for ours, theirs in zip(room.folders(room.logs), room.folders(tmp_path), strict=True):
        assert csv_bytes(ours) == csv_bytes(theirs)


def test_report_is_in_usdc_and_counts_the_venues_limits(room: Room, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    done("report", room.logs, *SETTINGS, "--tape", room.raw, "--out", out)
    text = out.read_text().split("<script", 1)[0]
    assert "sends in 1 min" in text
    assert ("USDC" in text, "JPY" in text, "BTC per" in text) == (True, False, False)
    assert all(f'<section id="{market}-price"' in text for market in MARKETS)


def test_why_tells_of_a_market(room: Room) -> None:
    order = rows(newest(room.logs) / "BTC", "orders")[0]["order_id"]
    told = done("why", order, "--product", "BTC", "--log-dir", room.logs, *SETTINGS).stdout
    assert "on the book" in told


def test_tape_of_another_venue_says_what_to_set(room: Room, tmp_path: Path) -> None:
    eth = next(path for path in room.tapes if path.name.startswith("ETH"))
    sample = "data/sample/FX_BTC_JPY-20260105T00Z-seed7-180s.jsonl.zst"
    only_sol = ("--set", "exchange.name=lighter", "--set", "env=sim", "--set", "exchange.product_code=SOL")
    for words, said in (
        (("backtest", eth), "a tape of lighter, and exchange.name is bitflyer"),
        (("backtest", sample, *SETTINGS), "a tape of bitflyer, and exchange.name is lighter"),
        (("run_paper", "--tape", eth), "a tape of lighter"),
        (("backtest", eth, *SETTINGS, "--engine", "compiled"), "compiled replays tapes of bitflyer, not of lighter"),
        (("backtest", eth, *only_sol), "a tape of ETH, which is no instrument"),
    ):
        refused = run(*words, "--log-dir", tmp_path / "none")
        assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr
    assert not (tmp_path / "none").exists()
