"""Runs of all modes in one log folder: commands tell them apart, name them, and do not mix them."""

from __future__ import annotations

import json
import re
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from stall_then_strike.infra.logs.run_list import RunList
from stall_then_strike.tapes.tape_tools import generate, write_tape
from tests.e2e.commands import newest, rows, run, running
from tests.e2e.live_process import place
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


def names(logs: Path) -> list[str]:
    return [each.name for each in RunList(logs).all]


def test_report_takes_the_newest_run_or_a_named_one_and_says_which(logs: Path, tmp_path: Path) -> None:
    assert [re.sub(r".*Z-", "", name) for name in names(logs)] == [
        "paper-sim-bitflyer", "backtest-bitflyer", "live-sim-bitflyer", "paper-sim-bitflyer",
    ]  # fmt: skip
    assert [each.how_it_ended for each in RunList(logs).all] == [
        "duration over", "end of tape", "duration over", "killed",
    ]  # fmt: skip
    out = tmp_path / "report.html"
    last, backtest = names(logs)[3], names(logs)[1]
    for chosen, named in (((), last), (("--run", backtest), backtest)):
        told = run("report", logs, "--out", out, *chosen)
        assert (told.returncode, f"run {named}: " in told.stderr) == (0, True), told.stderr
        assert f"Run {named}: " in out.read_text()
    together = run("report", logs, "--out", out, "--all")
    assert together.returncode == 0, together.stderr
    assert "2 runs of another mode or venue, or without rows, are left out" in together.stderr
    refused = run("report", logs, "--out", out, "--run", "9")
    assert refused.returncode == 2
    assert "--run 9: no such run" in refused.stderr


def test_why_refuses_a_moment_of_several_runs_and_answers_for_one(logs: Path) -> None:
    several = run("why", MOMENT, "--log-dir", logs)
    assert several.returncode == 2
    assert re.search(r"in 2 runs; .*--run .*\n  run \S+-paper-sim-.*\n  run \S+-backtest-", several.stderr)
    answers = {}
    for name, mode in zip(names(logs), ("paper-sim", "backtest"), strict=False):
        one = run("why", MOMENT, "--log-dir", logs, "--run", name, "--json")
        assert one.returncode == 0, one.stderr
        told = json.loads(one.stdout)
        assert [line.partition(",")[0] for line in told["runs"]] == [f"run {name}: {mode}"]
        journals = [place for place in told["searched"] if place.startswith("journal ")]
        own = [f"journal {logs / name / 'journal' / 'FX_BTC_JPY.sqlite3'}"]
        assert journals == (own if mode == "paper-sim" else [])
        answers[mode] = told["timeline"]
    assert answers["paper-sim"] != answers["backtest"]


def test_why_finds_the_run_of_a_live_order(logs: Path) -> None:
    place = next(row for row in rows(logs, "orders") if row["order_id"].startswith("JRF"))
    told = json.loads(run("why", place["order_id"], "--log-dir", logs, "--json").stdout)
    assert [line.partition(",")[0] for line in told["runs"]] == [f"run {names(logs)[2]}: live-sim"]


def test_state_shows_what_a_run_of_the_folder_left(logs: Path) -> None:
    for name in (names(logs)[0], names(logs)[2]):
        shown = run("state", "--log-dir", logs, "--run", name, "--json")
        assert shown.returncode == 0, shown.stderr
        told = json.loads(shown.stdout)
        path = logs / name / "journal" / "FX_BTC_JPY.sqlite3"
        assert (told["journal"]["path"], told["live_orders"]) == (str(path), [])
    newest = run("state", "--log-dir", logs)
    assert (newest.returncode, f"run {names(logs)[3]}: " in newest.stdout.replace("\n", "")) == (0, True)
    for arguments, words in (
        (("--run", names(logs)[1]), "run .* is a backtest, which keeps no journal"),
        (("--run", names(logs)[0], "--run", names(logs)[2]), "state takes one --run"),
        (("resume",), "resume lifts a halt of live trading"),
    ):
        refused = run("state", "--log-dir", logs, *arguments)
        assert refused.returncode == 2
        assert re.search(words, refused.stderr)


def has_filled(logs: Path, number: int) -> bool:
    """Whether the run with this number has a fill in its CSV."""
    return any(rows(run.files.folder, "trades") for run in RunList(logs).all[number:])


@pytest.mark.slow
async def test_live_fills_are_in_the_csv_once_whatever_a_kill_or_a_spreadsheet_did_to_the_last_runs(
    tmp_path: Path,
) -> None:
    logs = tmp_path / "logs"
    async with place(tmp_path) as there:
        for number in range(3):
            daemon = there.start("run_live", *there.live_flags())
            await there.until("a fill", partial(has_filled, logs, number), daemon)
            if number == 0:  # killed, and its fills are not in the CSV
                daemon.send_signal(signal.SIGKILL)
                await there.ended(daemon)
                for trades in (newest(logs) / "trades").glob("*.csv"):  # two, if the day has just turned
                    text = trades.read_text()
                    trades.write_text(text[: text.index("\n") + 1])
                continue
            daemon.send_signal(signal.SIGTERM)
            code, _, err = await there.ended(daemon)
            assert code == 0, err
            if number == 1:
                there.room.check()
                assert "were not in its trades CSV: added" in there.app_log()
                for path in (path for run in RunList(logs).all for path in run.files.folder.glob("trades/*.csv")):
                    path.write_bytes(DIALECTS["semicolons, decimal commas"](path.read_text()))
        assert "were not in its trades CSV" not in there.app_log()
    assert [each.how_it_ended for each in RunList(logs).all] == ["killed", "SIGTERM", "SIGTERM"]
