"""Runs of all modes in one log folder: `report` and `why` tell them apart, name them, and do not mix them."""

from __future__ import annotations

import codecs
import json
import re
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from stall_then_strike.infra.logs.log_runs import LogRuns
from stall_then_strike.tapes.tape_tools import generate, write_tape
from tests.e2e.commands import rows, run, running
from tests.e2e.live_process import Place, place
from tests.infra.logs.saved_csv import DIALECTS

START_NS = 1_767_571_200 * 10**9  # 2026-01-05T00:00:00Z, where the simulated market's virtual time begins
MOMENT = "2026-01-05T00:01:00Z"


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo, a backtest of the same day, a live run on the embedded exchange, and a demo that was killed."""
    folder = tmp_path_factory.mktemp("logs")
    tape = folder / "tape.jsonl"
    write_tape(tape, generate(3, START_NS, 120))
    for command in (
        ("run_paper", "--sim", "--speed", "max", "--duration", "120"),
        ("backtest", tape, "--engine", "interpreted", "--set", f"backtest.cache_dir={folder / 'cache'}"),
        ("run_live", "--yes", "--config", "configs/sim.yml", "--duration", "30", "--set", "sim.speed=10"),
    ):
        done = run(*command, "--log-dir", folder)
        assert done.returncode == 0, done.stdout + done.stderr
    before = len(rows(folder, "decisions"))
    with running("run_paper", "--sim", "--log-dir", folder) as killed:
        while len(rows(folder, "decisions")) == before:
            assert killed.poll() is None
            time.sleep(0.05)
    return folder


def test_report_lists_the_runs_and_takes_one(logs: Path, tmp_path: Path) -> None:
    listed = run("report", logs, "--runs")
    assert [re.sub(r",.*", "", line) for line in listed.stdout.splitlines()] == [
        "run 1: paper-sim", "run 2: backtest", "run 3: live-sim", "run 4: paper-sim",
    ]  # fmt: skip
    assert re.search(r"run 2: .*tape\.jsonl, started .*, end of tape$", listed.stdout, re.MULTILINE)
    assert re.search(r"run 4: .*, unfinished: it was killed", listed.stdout)
    out = tmp_path / "report.html"
    for chosen, named in (((), "run 4: paper-sim"), (("--run", "2"), "run 2: backtest")):
        told = run("report", logs, "--out", out, *chosen)
        assert (told.returncode, named in told.stderr) == (0, True), told.stderr
        assert re.search(named.capitalize(), out.read_text(), re.IGNORECASE)
    refused = run("report", logs, "--out", out, "--run", "9")
    assert refused.returncode == 2
    assert "--run 9: no such run" in refused.stderr


def test_why_refuses_a_moment_of_several_runs_and_answers_for_one(logs: Path) -> None:
    several = run("why", MOMENT, "--log-dir", logs)
    assert several.returncode == 2
    assert re.search(r"of 2 runs; .*--run .*\n  run 1: paper-sim, .*\n  run 2: backtest, ", several.stderr)
    answers = {}
    for number, mode in (("1", "paper-sim"), ("2", "backtest")):
        one = run("why", MOMENT, "--log-dir", logs, "--run", number, "--json")
        assert one.returncode == 0, one.stderr
        told = json.loads(one.stdout)
        assert [line.partition(",")[0] for line in told["runs"]] == [f"run {number}: {mode}"]
        journals = [place for place in told["searched"] if place.startswith("journal ")]
        assert journals == ([f"journal {logs / 'runs' / '0001-paper-sim.sqlite3'}"] if mode == "paper-sim" else [])
        answers[mode] = told["timeline"]
    assert answers["paper-sim"] != answers["backtest"]


def test_why_finds_the_run_of_a_live_order(logs: Path) -> None:
    place = next(row for row in rows(logs, "orders") if row["order_id"].startswith("JRF"))
    told = json.loads(run("why", place["order_id"], "--log-dir", logs, "--json").stdout)
    assert [line.partition(",")[0] for line in told["runs"]] == ["run 3: live-sim"]


def test_state_shows_what_a_run_of_the_folder_left(logs: Path) -> None:
    for number, path in (("1", "runs/0001-paper-sim.sqlite3"), ("3", "journal/FX_BTC_JPY.sqlite3")):
        shown = run("state", "--log-dir", logs, "--run", number, "--json")
        assert shown.returncode == 0, shown.stderr
        told = json.loads(shown.stdout)
        assert (told["journal"]["path"], told["live_orders"]) == (str(logs / path), [])
    assert run("state", "--log-dir", logs).returncode == 0, "the latest, which was killed"
    for arguments, words in (
        (("--run", "2"), "run 2 of .* is a backtest, which keeps no journal"),
        (("--run", "all"), "4 runs are chosen; accepted: one of those"),
        (("resume",), "resume lifts a halt of live trading"),
    ):
        refused = run("state", "--log-dir", logs, *arguments)
        assert refused.returncode == 2
        assert re.search(words, refused.stderr)


def has_more_fills(there: Place, before: int) -> bool:
    return len(there.room.venue.ledger().fills) > before


@pytest.mark.slow
async def test_live_fills_are_in_the_csv_once_whoever_has_saved_it_between_two_runs(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    async with place(tmp_path) as there:
        for second in (False, True):
            if second:
                (trades,) = (logs / "trades").glob("*.csv")
                trades.write_bytes(DIALECTS["semicolons, decimal commas"](trades.read_text()))
                (orders,) = (logs / "orders").glob("*.csv")
                orders.write_bytes(codecs.BOM_UTF8)
                (decisions,) = (logs / "decisions").glob("*.csv")
                decisions.write_bytes(b"\0" * 1_000)
            filled = partial(has_more_fills, there, len(there.room.venue.ledger().fills))
            daemon = there.start("run_live", *there.live_flags())
            await there.until("a fill", filled, daemon)
            daemon.send_signal(signal.SIGTERM)
            code, _, err = await there.ended(daemon)
            assert code == 0, err
            there.room.check()
        assert decisions.with_name(f"{decisions.name}.old").read_bytes() == b"\0" * 1_000
    for kind in ("orders", "decisions"):
        assert all(row["ts"].startswith("20") for row in rows(logs, kind))
        assert rows(logs, kind)
    assert [record.end for record in LogRuns(logs).records] == ["SIGTERM", "SIGTERM"]
