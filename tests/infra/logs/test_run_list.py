"""Each run has a folder of its own, which says what it was and how it ended, whatever other runs do meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stall_then_strike.config.models import AppConfig, LogConfig
from stall_then_strike.infra.logging_structured import CsvLogs
from stall_then_strike.infra.logs.log_reader import LogReader
from stall_then_strike.infra.logs.run_files import RunFiles
from stall_then_strike.infra.logs.run_folder import RunFolder
from stall_then_strike.infra.logs.run_list import Run, RunList
from stall_then_strike.infra.logs.run_logs import RunLogs
from stall_then_strike.infra.logs.run_record import Mode
from stall_then_strike.types.errors import ConfigError, LogError
from stall_then_strike.types.instrument import fx_btc_jpy
from tests.infra.journal.journal_rig import DAY_NS, TS, trade

CFG = AppConfig()
HOLD = """
import sys
from pathlib import Path
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.logs.run_folder import RunFolder
with RunFolder(Path(sys.argv[1]), AppConfig(), "live", "https://v", journal=Path("j.sqlite3")):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def a_run(root: Path, mode: Mode = "backtest", *names: str) -> Iterator[RunLogs]:
    """A run with fills of these orders."""
    with RunFolder(root, CFG, mode, "https://v") as run, RunLogs(run, CFG) as logs:
        run.begin()
        fills(logs, *names)
        yield logs
        run.why, run.exit_code = "end of tape", 0


def fills(logs: RunLogs, *names: str, ts_ns: int = TS) -> None:
    for name in names:
        logs.first.write(trade(order_id=name, ts_ns=ts_ns))
    logs.flush()


def names_in(runs: list[Run]) -> list[str]:
    reader = LogReader([run.files.of("FX_BTC_JPY") for run in runs])
    return [row.order_id for row in reader.trades(TS - DAY_NS, TS + 9 * DAY_NS).within]


def test_runs_of_one_time_are_told_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with a_run(tmp_path, "backtest", name, name):
            pass
    with a_run(tmp_path, "live", "c") as logs:
        fills(logs, "next day", ts_ns=TS + DAY_NS)
    with a_run(tmp_path, "live"):
        pass
    known = RunList(tmp_path)
    assert [names_in([run]) for run in known.all] == [["a", "a"], ["b", "b"], ["c", "next day"], []]
    assert names_in(known.all[:3:2]) == ["a", "a", "c", "next day"]
    assert known.chosen(()) == [known.all[2]], "the newest with rows"
    assert known.chosen(["latest"]) == [known.all[3]]
    assert known.all[0].kind == known.all[1].kind != known.all[2].kind
    assert known.all[0].story != known.all[1].story
    assert known.all[2].story == known.all[3].story, "restarts in real time"
    name = known.all[2].name
    assert known.named(name) == known.all[2]
    with pytest.raises(ConfigError, match=rf"--run paper: no such run in .*accepted: {known.all[3].name}, "):
        known.chosen(["paper"])
    with pytest.raises(ConfigError, match="--run 2: begins the names of 4 runs; accepted: "):
        known.chosen(["2"])


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    made = []
    for _ in range(3):
        with RunFolder(tmp_path, CFG, "paper-sim", "the embedded exchange") as run:
            made.append(run)
    assert [run.name for run in made] == [each.name for each in RunList(tmp_path).all]
    assert len({run.name for run in made}) == 3
    assert all("Z-paper-sim-bitflyer" in run.name for run in made)


def test_a_run_that_does_not_begin_leaves_the_link_where_it_was(tmp_path: Path) -> None:
    for rows in (("a",), ("b",)):
        with a_run(tmp_path, "live", *rows):
            pass
    with RunFolder(tmp_path, CFG, "live", "https://v") as run:
        run.why = "not started"
    known = RunList(tmp_path)
    assert (tmp_path / "latest").readlink() == Path(known.all[1].name)
    assert known.chosen(["latest"]) == known.chosen(()) == [known.all[1]]
    (tmp_path / "latest").unlink()
    assert known.chosen(["latest"]) == [known.all[1]], "without a link, the newest with rows"


def test_empty_folders_of_csvs_are_no_run(tmp_path: Path) -> None:
    for kind in ("trades", "orders", "decisions"):
        (tmp_path / kind).mkdir()
    assert RunList(tmp_path).all == []


def test_a_record_tells_of_the_run_and_the_link_leads_to_it(tmp_path: Path) -> None:
    with a_run(tmp_path, "live") as logs:
        fills(logs, "a", ts_ns=TS + 5_000)
        fills(logs, "b")
        (run,) = RunList(tmp_path).all
        assert run.is_running
        assert run.line().endswith(", running")
        assert (tmp_path / "latest").readlink() == Path(run.name)
        assert [each.name for each in RunList(tmp_path / "latest").all] == [run.name]
    (run,) = RunList(tmp_path).all
    assert (record := run.record) is not None
    assert (record.mode, record.venue, record.source, record.instruments, record.end, record.exit_code) == (
        "live", "bitflyer", "https://v", ("FX_BTC_JPY",), "end of tape", 0,
    )  # fmt: skip
    assert (record.first_row, record.last_row) == ("2026-11-21T07:30:13.123456Z", "2026-11-21T07:30:13.123461Z")
    assert record.ended is not None
    assert record.started < record.ended
    assert not run.is_running


def test_a_killed_run_has_no_end_and_keeps_its_rows(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    (run,) = RunList(tmp_path).running
    with CsvLogs(run.files.folder, fx_btc_jpy(), LogConfig()) as logs:
        logs.write(trade(order_id="a"))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    (run,) = RunList(tmp_path).all
    assert (run.is_running, run.how_it_ended, names_in([run])) == (False, "killed", ["a"])
    assert RunList(tmp_path).newest == run


def test_a_run_that_fails_says_so(tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup), a_run(tmp_path):
        raise ExceptionGroup("", [LogError("no room")])
    (run,) = RunList(tmp_path).all
    assert run.record is not None
    assert (run.how_it_ended, run.record.exit_code) == ("failed: LogError", None)


def test_rows_of_an_older_version_are_one_unknown_run(tmp_path: Path) -> None:
    with CsvLogs(tmp_path, fx_btc_jpy(), LogConfig()) as logs:
        logs.write(trade(order_id="old"))
    with a_run(tmp_path, "backtest", "new"):
        pass
    known = RunList(tmp_path)
    assert [run.name[-8:] for run in known.all] == ["unknown", "bitflyer"]
    assert names_in(known.chosen(["unknown"])) == ["old"]
    assert (known.all[0].record, known.all[0].journal, known.all[0].kind) == (None, None, ("unknown",))


def test_a_log_folder_that_cannot_be_used_and_a_record_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    with pytest.raises(LogError, match="logs cannot be written to: File exists"), a_run(tmp_path / "logs"):
        pass
    with a_run(tmp_path, "backtest", "a"):
        pass
    (run,) = RunList(tmp_path).all
    with (
        pytest.raises(LogError, match="is the folder of a run; give the log folder by --log-dir"),
        a_run(tmp_path / "latest"),
    ):
        pass
    RunFiles(run.files.folder).record.write_text("{")
    assert RunList(tmp_path).all == []


def test_a_folder_in_the_place_of_the_link_does_not_keep_a_run_from_starting(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    with a_run(tmp_path, "backtest", "a"):
        pass
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert len(RunList(tmp_path).all) == 1
