"""Rows of many runs in one folder are assigned to their runs, whatever their times or other programs' changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from stall_then_strike.config.models import AppConfig, LogConfig
from stall_then_strike.infra.logging_structured import CsvLogs
from stall_then_strike.infra.logs.log_folder import LogFolder
from stall_then_strike.infra.logs.log_reader import LogReader
from stall_then_strike.infra.logs.log_runs import UNKNOWN, LogRuns
from stall_then_strike.infra.logs.run_manifest import Mode, RunManifest
from stall_then_strike.types.errors import ConfigError, LogError
from stall_then_strike.types.instrument import fx_btc_jpy
from tests.infra.journal.journal_rig import DAY_NS, TS, trade
from tests.infra.logs.saved_csv import DIALECTS

CFG = AppConfig()


@contextmanager
def a_run(root: Path, mode: Mode = "backtest", *, is_killed: bool = False) -> Iterator[CsvLogs]:
    """A run with the given fills; a killed one does not record its end."""
    manifest = RunManifest(root, CFG, mode, "somewhere")
    with nullcontext() if is_killed else manifest, CsvLogs(root, fx_btc_jpy(), LogConfig(flush_ms=10)) as logs:
        manifest.begin(logs)
        yield logs
        assert logs.flush()
        assert logs.failure is None
        manifest.why, manifest.exit_code = "end of tape", 0


def fills(logs: CsvLogs, *names: str, ts_ns: int = TS) -> None:
    for name in names:
        logs.write(trade(order_id=name, ts_ns=ts_ns))
    assert logs.flush()


def names(root: Path, *runs: int) -> list[str]:
    reader = LogReader(root, LogRuns(root).rows(runs))
    return [row.order_id for row in reader.trades(TS - DAY_NS, TS + 9 * DAY_NS).within]


def csv(root: Path) -> Path:
    (path,) = (root / "trades").glob("*.csv")
    return path


def test_runs_of_one_time_are_told_apart(tmp_path: Path) -> None:
    with CsvLogs(tmp_path, fx_btc_jpy(), LogConfig()) as logs:
        fills(logs, "old")
    for name in ("a", "b"):
        with a_run(tmp_path) as logs:
            fills(logs, name, name)
    with a_run(tmp_path, "live") as logs:
        fills(logs, "c")
        fills(logs, "next day", ts_ns=TS + DAY_NS)
    with a_run(tmp_path):
        pass
    runs = LogRuns(tmp_path)
    assert runs.with_rows == [UNKNOWN, 1, 2, 3]
    assert [names(tmp_path, run) for run in range(5)] == [["old"], ["a", "a"], ["b", "b"], ["c", "next day"], []]
    assert names(tmp_path, 1, 3) == ["a", "a", "c", "next day"]
    assert runs.chosen(()) == [3], "the latest with rows"
    assert [runs.chosen([text]) for text in ("2", "latest", "unknown", "backtest", "all")] == [
        [2], [3], [0], [1, 2, 4], [0, 1, 2, 3],
    ]  # fmt: skip
    with pytest.raises(
        ConfigError, match=r"--run paper-feed: no such run in .*accepted: latest, all, 4, 3, 2, 1, backt"
    ):
        runs.chosen(["paper-feed"])


def test_a_manifest_tells_of_the_run(tmp_path: Path) -> None:
    with a_run(tmp_path, "live") as logs, LogFolder(tmp_path):
        fills(logs, "a", ts_ns=TS + 5_000)
        fills(logs, "b")
        runs = LogRuns(tmp_path)
        assert runs.is_running(1)
        assert runs.line(1).endswith(", running")
    (record,) = LogRuns(tmp_path).records
    assert (record.mode, record.venue, record.product, record.end, record.exit_code) == (
        "live", "somewhere", "FX_BTC_JPY", "end of tape", 0,
    )  # fmt: skip
    assert (record.first_row, record.last_row) == ("2026-11-21T07:30:13.123456Z", "2026-11-21T07:30:13.123461Z")
    assert record.ended is not None
    assert record.started < record.ended


def test_a_killed_run_has_no_end_and_keeps_its_rows(tmp_path: Path) -> None:
    with a_run(tmp_path, is_killed=True) as logs:
        fills(logs, "a")
    assert LogRuns(tmp_path).line(1).endswith("unfinished: it was killed")
    with a_run(tmp_path) as logs:
        fills(logs, "b")
    assert [names(tmp_path, run) for run in (1, 2)] == [["a"], ["b"]]


def test_a_run_that_fails_says_so(tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup), a_run(tmp_path):
        raise ExceptionGroup("", [LogError("no room")])
    (record,) = LogRuns(tmp_path).records
    assert (record.end, record.exit_code) == ("failed: LogError", None)


def test_rows_behind_a_cut_line_are_the_next_runs(tmp_path: Path) -> None:
    with a_run(tmp_path, is_killed=True) as logs:
        fills(logs, "a", "b")
    os.truncate(csv(tmp_path), csv(tmp_path).stat().st_size - 3)
    with a_run(tmp_path) as logs:
        fills(logs, "c")
    assert [names(tmp_path, run) for run in (1, 2)] == [["a"], ["c"]]


def test_a_file_begun_anew_while_a_run_wrote_it_has_nothing_of_older_runs(tmp_path: Path) -> None:
    for run in range(1, 4):
        with a_run(tmp_path) as logs:
            fills(logs, f"{run}a", f"{run}b")
            if run == 2:
                os.truncate(csv(tmp_path), 0)
                fills(logs, "2c", "2d", "2e", "2f", "2g")
    assert [names(tmp_path, run) for run in range(4)] == [[], [], ["2c", "2d", "2e", "2f", "2g"], ["3a", "3b"]]


def test_a_file_truncated_between_runs_has_only_what_came_after(tmp_path: Path) -> None:
    for run in range(1, 4):
        with a_run(tmp_path) as logs:
            fills(logs, *(f"{run}{n}" for n in range(3)))
        if run == 2:
            csv(tmp_path).unlink()
    assert [names(tmp_path, run) for run in range(4)] == [[], [], [], ["30", "31", "32"]]


def test_rows_that_went_through_another_programs_hands_are_of_no_known_run(tmp_path: Path) -> None:
    for run in range(1, 3):
        with a_run(tmp_path) as logs:
            fills(logs, f"{run}")
    csv(tmp_path).write_bytes(DIALECTS["semicolons, decimal commas"](csv(tmp_path).read_text()))
    assert names(tmp_path, UNKNOWN) == ["1", "2"]
    with a_run(tmp_path) as logs:
        fills(logs, "3")
    assert [names(tmp_path, run) for run in range(4)] == [["1", "2"], [], [], ["3"]]


def test_a_manifest_that_cannot_be_written_or_read(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(LogError, match="runs cannot be used: File exists"), a_run(tmp_path):
        pass
    (tmp_path / "runs").unlink()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "0001-live.json").write_text("{")
    with a_run(tmp_path) as logs:
        fills(logs, "a")
    assert [record.mode for record in LogRuns(tmp_path).records] == ["backtest"]
