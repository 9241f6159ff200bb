"""`sts runs` lists runs, packs the CSVs of old ones, and deletes what it said."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stall_then_strike.app.archive.runs_verb import main
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.logs.log_reader import LogReader
from stall_then_strike.infra.logs.run_files import day_files
from stall_then_strike.infra.logs.run_folder import RunFolder
from stall_then_strike.infra.logs.run_list import Run, RunList
from stall_then_strike.infra.logs.run_logs import RunLogs
from stall_then_strike.infra.logs.run_record import Mode
from stall_then_strike.research.report.run_data import read_run
from tests.infra.journal.journal_rig import TS, trade

CFG = AppConfig()
ALWAYS = ["--older-than", "0"]


def a_run(root: Path, mode: Mode, *fills: str) -> Run:
    with RunFolder(root, CFG, mode, "https://v") as run, RunLogs(run, CFG) as logs:
        for name in fills:
            logs.first.write(trade(order_id=name))
        run.why, run.exit_code = "SIGTERM", 0
    return RunList(root).all[-1]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two runs that ended, one with fills, and a newer one."""
    a_run(tmp_path, "live", "a", "b")
    a_run(tmp_path, "backtest", "c")
    a_run(tmp_path, "paper", "d")
    return tmp_path


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    def text() -> str:
        heard = capsys.readouterr()
        return heard.out + heard.err

    return text


def fills_of(run: Run) -> list[str]:
    return [row.order_id for row in LogReader(run.files.each).trades(0, TS * 2).within]


def test_prune_keeps_the_newest_and_the_one_that_traded_last(root: Path, said: Callable[[], str]) -> None:
    with RunFolder(root, CFG, "live", "https://v") as failed:
        failed.why = "not started"
    names = [run.name for run in RunList(root).all]
    assert main(["prune", *ALWAYS, "--yes", "--log-dir", str(root)]) == 0
    assert [run.name for run in RunList(root).all] == names[2:]


def test_runs_are_listed_with_their_fills_result_and_end(root: Path, said: Callable[[], str]) -> None:
    with RunFolder(root, CFG, "paper-sim", "the embedded exchange"):
        assert main(["--log-dir", str(root), "--json"]) == 0
        told = json.loads(said())
    assert [(one["mode"], one["fills"], one["end"], one["running"]) for one in told] == [
        ("live", 2, "SIGTERM", False),
        ("backtest", 1, "SIGTERM", False),
        ("paper", 1, "SIGTERM", False),
        ("paper-sim", 0, "running", True),
    ]
    assert {(one["venue"], one["quote"], tuple(one["instruments"])) for one in told} == {
        ("bitflyer", "JPY", ("FX_BTC_JPY",))
    }
    assert float(told[0]["realised"]) == 2 * float(told[1]["realised"])
    assert main(["--log-dir", str(root)]) == 0
    text = said()
    assert all(run.name in text for run in RunList(root).all)
    assert max(map(len, text.splitlines())) <= 80


def test_packed_runs_are_read_as_before(root: Path, said: Callable[[], str]) -> None:
    before = [fills_of(run) for run in RunList(root).all]
    whole = read_run(root, CFG, chosen=RunList(root).all[:1]).books.realised
    assert main(["pack", *ALWAYS, "--log-dir", str(root)]) == 0
    assert "3 runs packed" in said()
    runs = RunList(root).all
    assert not list(root.glob("2*/*/*.csv"))
    assert {path.suffix for run in runs for _, path in day_files(run.files.folder, "trades")} == {".zst"}
    assert [fills_of(run) for run in runs] == before
    assert read_run(root, CFG, chosen=runs[:1]).books.realised == whole
    assert main(["pack", *ALWAYS, "--log-dir", str(root)]) == 0
    assert "0 runs packed" in said()


def test_what_an_interrupted_packing_left_is_no_second_copy(root: Path) -> None:
    run = RunList(root).all[0]
    ((_, path),) = day_files(run.files.folder, "trades")
    raw = path.read_bytes()
    assert main(["pack", *ALWAYS, "--log-dir", str(root)]) == 0
    path.write_bytes(raw)
    assert fills_of(run) == ["a", "b"]


def test_a_run_that_goes_on_or_was_killed_and_not_mended_is_not_packed(root: Path) -> None:
    with RunFolder(root, CFG, "live", "https://v") as run, RunLogs(run, CFG) as logs:
        logs.first.write(trade())
        logs.flush()
        assert main(["pack", *ALWAYS, "--log-dir", str(root)]) == 0
        assert list(run.folder.glob("trades/*.csv"))
    record = RunList(root).all[-1].record
    assert record is not None
    record.model_copy(update={"ended": None}).write(run.files.record)
    assert main(["pack", *ALWAYS, "--log-dir", str(root)]) == 0
    assert list(run.folder.glob("trades/*.csv")), "its last fills may still be added"


def test_prune_says_what_goes_and_asks(root: Path, said: Callable[[], str]) -> None:
    names = [run.name for run in RunList(root).all]
    assert main(["prune", *ALWAYS, "--log-dir", str(root)]) == 2
    text = said()
    assert f"{names[0]}: the whole run, with 2 fills, 0.0 MB" in text
    assert "Trade CSVs may be needed for taxes: --keep-trades keeps them." in text
    assert names[2] not in text, "the newest stays"
    assert "prune asks before, and there is no terminal; accepted: --yes" in text
    assert [run.name for run in RunList(root).all] == names
    assert main(["prune", *ALWAYS, "--yes", "--log-dir", str(root)]) == 0
    assert [run.name for run in RunList(root).all] == names[2:]
    assert not (root / names[0]).exists()


def test_prune_can_keep_trades(root: Path, said: Callable[[], str]) -> None:
    assert main(["prune", *ALWAYS, "--yes", "--keep-trades", "--log-dir", str(root)]) == 0
    assert "all but its trades" in said()
    runs = RunList(root).all
    assert [fills_of(run) for run in runs] == [["a", "b"], ["c"], ["d"]]
    assert sorted(path.name for path in runs[0].files.folder.iterdir()) == ["config.yml", "run.json", "trades"]
    assert (runs[2].files.folder / "orders").is_dir()
    assert main(["prune", *ALWAYS, "--yes", "--keep-trades", "--log-dir", str(root)]) == 0
    assert "nothing is older than 0 days" in said()


def test_a_running_run_is_not_pruned_whatever_its_age(root: Path) -> None:
    with RunFolder(root, CFG, "live", "https://v") as going:
        os.utime(going.files.settings, (0, 0))
        a_run(root, "paper", "e")
        assert main(["prune", *ALWAYS, "--yes", "--log-dir", str(root)]) == 0
        assert going.files.record.exists()
    assert len(RunList(root).all) == 2


def test_a_folder_without_runs_is_named(tmp_path: Path, said: Callable[[], str]) -> None:
    assert main(["--log-dir", str(tmp_path)]) == 0
    assert "no runs" in said()
    assert main(["--log-dir", str(tmp_path / "absent")]) == 2
    assert "absent: no such folder" in said()


@pytest.mark.parametrize("name", ["../precious", "{precious}", "link"])
def test_a_run_folder_of_somebody_else_leads_nowhere_else(
    root: Path, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    run, precious = RunList(root).all[0], tmp_path_factory.mktemp("home") / "precious"
    for folder in (precious, root / "precious"):
        folder.mkdir()
        (folder / "letters").touch()
    (run.files.folder / "link").symlink_to(precious)
    assert run.record is not None
    named = name.format(precious=precious)
    run.record.model_copy(update={"instruments": ("FX_BTC_JPY", named)}).write(run.files.record)
    main(["prune", *ALWAYS, "--keep-trades", "--yes", "--log-dir", str(root)])
    assert [(folder / "letters").exists() for folder in (precious, root / "precious")] == [True, True]
