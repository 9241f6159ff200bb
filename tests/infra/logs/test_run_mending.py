"""What a killed run's trade CSV lacks is added to it by the next start, in its folder, and once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from loguru import logger

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.journal.writer import Journal, LastRun, journal_path
from stall_then_strike.infra.logs.log_reader import LogReader
from stall_then_strike.infra.logs.run_folder import RunFolder
from stall_then_strike.infra.logs.run_list import Run, RunList
from stall_then_strike.infra.logs.run_logs import RunLogs
from stall_then_strike.infra.logs.run_mending import mend_killed, mend_last
from stall_then_strike.infra.logs.run_record import Mode
from stall_then_strike.types.dto import NS_PER_S, BookedFill, Changes, ExecId
from tests.infra.journal.journal_rig import TS, trade

CFG = AppConfig()


def killed(
    root: Path, mode: Mode, journal: Path | None, names: Sequence[str], written: Sequence[str], ts_ns: int = TS
) -> Run:
    """A run with fills in its journal, fewer of them in its CSV, and no end."""
    rows = {name: trade(order_id=name, ts_ns=ts_ns + at) for at, name in enumerate(names)}
    with RunFolder(root, CFG, mode, "https://v", journal=journal) as run:
        path = journal or run.files.journal
        with Journal.open(path, product_code="FX_BTC_JPY", account="one", now_ns=TS, locks=path.parent) as opened:
            fills = tuple(
                BookedFill(exec_id=ExecId((ts_ns - TS) // NS_PER_S * 100 + at + 1), client_order_id=None, row=row)
                for at, row in enumerate(rows.values())
            )
            opened.swap_log_dir(run.folder)
            opened.record(Changes(ts_ns=TS, fills=fills))
        with RunLogs(run, CFG) as logs:
            for name in written:
                logs.first.write(rows[name])
    made = RunList(root).all[-1]
    assert made.record is not None
    started = f"2026-11-21T07:30:{13 + (ts_ns - TS) // NS_PER_S:02d}.000000Z"
    made.record.model_copy(update={"ended": None, "started": started}).write(made.files.record)
    return RunList(made.files.folder).all[0]


def last_of(journal: Path) -> LastRun:
    """The last run on a journal, as the next start is told of it."""
    with Journal.open(journal, product_code="FX_BTC_JPY", account="one", now_ns=TS, locks=journal.parent) as opened:
        last = opened.swap_log_dir(journal.parent / "next")
    assert last is not None
    return last


def fills_of(run: Run) -> list[str]:
    return [row.order_id for row in LogReader([run.files.folder]).trades(0, TS * 2).within]


@pytest.fixture
def told() -> list[str]:
    """What was logged."""
    lines: list[str] = []
    logger.add(lambda line: lines.append(str(line)), format="{message}")
    return lines


def test_a_run_with_a_journal_of_its_own_is_mended_once(tmp_path: Path, told: list[str]) -> None:
    run = killed(tmp_path, "paper", None, ["a", "b", "c"], ["a"])
    mend_killed(tmp_path)
    assert fills_of(run) == ["a", "b", "c"]
    assert told == [f"2 fills of run {run.name} were not in its trades CSV: added\n"]
    again = RunList(tmp_path).all[0]
    assert again.record is not None
    assert (again.record.mended is not None, again.how_it_ended) == (True, "killed")
    (run.files.folder / "trades" / "trades-20261121.csv").unlink()
    mend_killed(tmp_path)
    assert fills_of(run) == [], "what was deleted later is left alone"


def test_a_running_run_and_one_that_ended_are_left_alone(tmp_path: Path, told: list[str]) -> None:
    run = killed(tmp_path, "live-sim", None, ["a", "b"], ["a"])
    assert run.record is not None
    run.record.model_copy(update={"ended": "2026-11-21T08:00:00.000000Z"}).write(run.files.record)
    with RunFolder(tmp_path, CFG, "paper", "https://v"):
        mend_killed(tmp_path)
    assert (fills_of(run), told) == (["a"], [])


def test_a_journal_that_is_gone_is_told_of_and_stops_nothing(tmp_path: Path, told: list[str]) -> None:
    run = killed(tmp_path, "paper", None, ["a", "b"], ["a"])
    assert run.journal is not None
    run.journal.unlink()
    mend_killed(tmp_path)
    assert fills_of(run) == ["a"]
    assert f"the trades CSV of the killed run {run.name} was not looked over" in told[0]


def test_of_a_shared_journal_each_run_gets_its_own_fills_only(tmp_path: Path) -> None:
    """The second run has booked a fill of the time in which nothing ran; it is no fill of the first."""
    root, journal = tmp_path / "logs", journal_path(tmp_path, "FX_BTC_JPY")
    first = killed(root, "live", journal, ["a", "b"], ["a", "b"])
    second = killed(root, "live", journal, ["between", "c", "d"], [], ts_ns=TS + 5 * NS_PER_S)
    assert second.record is not None
    second.record.model_copy(update={"started": "2026-11-21T07:30:19.000000Z"}).write(second.files.record)
    last = last_of(journal)
    mend_last(last, journal, CFG)
    assert (fills_of(first), fills_of(second)) == (["a", "b"], ["between", "c", "d"])
    mend_last(last, journal, CFG)
    assert fills_of(second) == ["between", "c", "d"]


def test_a_start_that_was_refused_gives_no_run_the_fills_of_another(tmp_path: Path, told: list[str]) -> None:
    """It began while the first run traded, and the journal never was its own."""
    root, journal = tmp_path / "logs", journal_path(tmp_path, "FX_BTC_JPY")
    first = killed(root, "live", journal, ["a", "b"], ["a", "b"])
    with RunFolder(root, CFG, "live", "https://v", journal=journal):
        pass
    refused = RunList(root).all[-1]
    assert refused.record is not None
    refused.record.model_copy(update={"started": "2026-11-21T07:30:13.123456Z"}).write(refused.files.record)
    second = killed(root, "live", journal, ["c"], ["c"], ts_ns=TS + 5 * NS_PER_S)
    mend_last(last_of(journal), journal, CFG)
    assert (fills_of(first), fills_of(second), told) == (["a", "b"], ["c"], [])


def test_fills_of_a_run_in_another_log_folder_stay_there(tmp_path: Path, told: list[str]) -> None:
    """As those of a rehearsal between two runs."""
    root, journal = tmp_path / "logs", journal_path(tmp_path, "FX_BTC_JPY")
    killed(root, "live", journal, ["a"], ["a"])
    killed(root / "rehearsal", "live", journal, ["b", "c"], ["b", "c"], ts_ns=TS + 5 * NS_PER_S)
    third = killed(root, "live", journal, ["d"], ["d"], ts_ns=TS + 10 * NS_PER_S)
    mend_last(last_of(journal), journal, CFG)
    assert (fills_of(third), told) == (["d"], [])


def test_runs_that_were_moved_away_are_not_written_anew(tmp_path: Path) -> None:
    root, journal = tmp_path / "logs", journal_path(tmp_path, "FX_BTC_JPY")
    first = killed(root, "live", journal, ["a", "b"], ["a", "b"])
    second = killed(root, "live", journal, ["c", "d"], ["c"], ts_ns=TS + 5 * NS_PER_S)
    first.files.folder.rename(tmp_path / "archive")
    mend_last(last_of(journal), journal, CFG)
    assert fills_of(second) == ["c", "d"]
    mend_last(LastRun(tmp_path / "gone", 0), journal, CFG)


@pytest.mark.parametrize("settings", [None, "strategy: {gone_since: 1}\n"])
def test_settings_of_the_last_run_that_cannot_be_read_stop_no_start(
    tmp_path: Path, told: list[str], settings: str | None
) -> None:
    """Its files were cleaned away while it wrote them, or another version wrote them."""
    journal = journal_path(tmp_path, "FX_BTC_JPY")
    run = killed(tmp_path / "logs", "live", journal, ["a", "b"], ["a"])
    run.files.settings.unlink()
    if settings is not None:
        run.files.settings.write_text(settings)
    mend_last(last_of(journal), journal, CFG)
    assert fills_of(run) == ["a"]
    assert f"the trades CSV of the last run {run.name} was not looked over: {run.files.settings}" in told[0]


def test_a_folder_of_an_older_version_is_mended_where_its_files_are(tmp_path: Path) -> None:
    journal = journal_path(tmp_path, "FX_BTC_JPY")
    run = killed(tmp_path / "logs", "live", journal, ["a", "b"], ["a"])
    old = tmp_path / "old"
    run.files.folder.rename(old)
    run = replace(run, files=replace(run.files, folder=old))
    run.files.record.unlink()
    mend_last(LastRun(old, None), journal, CFG)
    assert fills_of(run) == ["a", "b"]
