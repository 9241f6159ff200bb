"""The command `sweep`: messages, exit codes, folders, interruptions, and a cluster whose workers die."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from stall_then_strike.app.sweep import main
from tests.app.dask_cluster import cluster
from tests.e2e.commands import REPO, dead_port, wait_until
from tests.e2e.forked import Forked, forked
from tests.research.replay.replay_rig import frames
from tests.research.tables.random_tapes import random_tape
from tests.research.tables.test_prepare import write_tape

pytestmark = [pytest.mark.slow(4), pytest.mark.timeout(600)]  # the first run compiles everything
GRID = ("--grid", "strategy.stall_T_ms=50,100,150,200", "--grid", "strategy.ttl_ms=200,500,900")


STRICT = {**os.environ, "PYTHONWARNINGS": "error"}


def command(tape: Path, *args: str | Path) -> list[str]:
    """A sweep of these arguments, its cache beside the tape."""
    quick = ["--set", "strategy.stale_ms=5000", "--set", "session.quiet=[]", "--observe", "10"]
    where = ["--set", f"backtest.cache_dir={tape.parent / 'cache'}"]
    return ["sweep", "--tape", str(tape), *map(str, args), *quick, *where]


def sweep(tape: Path, *args: str | Path) -> subprocess.CompletedProcess[str]:
    """One run of the command to its end."""
    return forked(*command(tape, *args), env=STRICT, timeout=500)


@contextmanager
def sweeping(tape: Path, *args: str | Path) -> Iterator[Forked]:
    """A running command, which is ended with the block."""
    process = Forked(*command(tape, *args), env=STRICT)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=60)


def known(folder: Path) -> int:
    """Number of runs recorded in a sweep's folder."""
    journal = folder / "runs.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def runs(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "runs.parquet").drop("seconds")


def head(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "sweep.json").read_text())
    return found


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tape(tmp_path_factory.mktemp("small") / "tape.jsonl", random_tape(10, 3_000))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty minutes of the generated market."""
    path = tmp_path_factory.mktemp("long") / "tape.jsonl"
    with path.open("w") as file:
        for frame in frames(1_200):
            file.write(f'{{"recv_ns":{frame.time_ns},"msg":{frame.text}}}\n')
    return path


@pytest.fixture(scope="module", autouse=True)
def compiled(tape: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compile once, so that no test waits for its first run longer than it may."""
    ended = sweep(tape, "--grid", "strategy.ttl_ms=500", "--serial", "--out", tmp_path_factory.mktemp("compiled"))
    assert ended.returncode == 0, ended.stderr


# --- what it does


def test_a_sweep_is_the_same_serial_and_on_this_machines_cores_and_goes_on(tape: Path, tmp_path: Path) -> None:
    search = (
        *("--search", "strategy.stall_T_ms=20:600:20", "--search", "strategy.quote_mode=mid,join,inside"),
        *("--trials", "13", "--batch", "5", "--objective", "pnl,max_drawdown", "--folds", "2", "--seed", "3"),
    )
    told = {}
    for name, where in (("serial", ("--serial",)), ("local", ("--workers", "2"))):
        ended = sweep(tape, *search, *where, "--out", tmp_path / name)
        assert (ended.returncode, ended.stderr) == (0, "")
        told[name] = ended.stdout
    assert_frame_equal(runs(tmp_path / "serial"), runs(tmp_path / "local"))
    frames_ = [pl.read_parquet(tmp_path / name / "out_of_sample.parquet") for name in ("serial", "local")]
    assert_frame_equal(*frames_)
    assert len(frames_[0]) == 2
    assert len(runs(tmp_path / "serial")) == 13 * 5
    work = re.findall(r"\S+:(\d+) +(\d+) +([\d.]+) +\d+% +(\d+) *\n", told["local"])
    assert sum(int(made) for _, made, *_ in work) == 65
    lines = (tmp_path / "local" / "runs.jsonl").read_text().splitlines()
    held_by = {json.loads(line)["worker"].rpartition(":")[2] for line in lines}
    assert held_by == {process for process, *_ in work}
    for words in ("65 of 65 runs", "best of 13 parameter sets, by pnl", "out of sample", "Deflated Sharpe ratio"):
        assert words in told["local"]
    held = head(tmp_path / "local")
    assert held["keys"] == {
        "strategy.stall_T_ms": {"low": 20, "high": 600, "step": 20},
        "strategy.quote_mode": ["mid", "join", "inside"],
    }
    assert (held["format"], held["method"], held["objectives"], held["seed"]) == (1, "tpe", ["pnl", "max_drawdown"], 3)
    assert [fold["fold"] for fold in held["folds"]] == [1, 2]
    assert held["config"]["strategy"]["stale_ms"] == 5_000
    assert 0 <= held["deflated_sharpe"]["dsr"] <= 1
    assert held["deflated_sharpe"]["trials"] <= 13
    again = sweep(tape, *search, "--serial", "--out", tmp_path / "local")
    assert again.returncode == 0
    assert "of 65 runs" not in again.stdout  # nothing was left to do


def test_killed_in_the_middle_it_goes_on_where_it_was(tape: Path, tmp_path: Path) -> None:
    many = (*GRID, "--grid", "strategy.max_reverse_ticks=1,2,3,4,5,6,7,8", "--serial")
    assert sweep(tape, *many, "--out", tmp_path / "whole").returncode == 0
    folder = tmp_path / "killed"
    with sweeping(tape, *many, "--out", folder) as process:
        wait_until("some runs", lambda: known(folder) >= 3)
        process.kill()
        process.communicate(timeout=60)
    before = known(folder)
    assert before < 96
    with (folder / "runs.jsonl").open("ab") as file:
        file.write(b'{"number":17,"span":"al')
    ended = sweep(tape, *many, "--out", folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"{before} of 96 runs" in ended.stdout
    assert_frame_equal(runs(folder), runs(tmp_path / "whole"))
    other = sweep(tape, *GRID, "--serial", "--out", folder)
    assert other.returncode == 2
    assert "has another sweep (other keys)" in other.stderr


@pytest.mark.parametrize("where", [("--serial",), ("--workers", "1")])
def test_a_signal_stops_it_in_good_order(where: tuple[str, ...], tape: Path, tmp_path: Path) -> None:
    stalls = ",".join(map(str, range(1, 1_001)))
    with sweeping(tape, "--grid", f"strategy.stall_T_ms={stalls}", *where, "--out", tmp_path) as process:
        wait_until("a run", lambda: known(tmp_path))
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert f"stopped by SIGTERM after {known(tmp_path):,} of 1,000 runs; the same command continues" in out


def test_single_failures_are_told_and_the_rest_is_done(tape: Path, tmp_path: Path) -> None:
    some = ("--grid", "strategy.size_min=0.001,0.02", "--grid", "strategy.max_inventory_btc=0.01,0.1", "--serial")
    ended = sweep(tape, *some, "--out", tmp_path)
    assert ended.returncode == 1
    assert "1 of 4 runs failed" in ended.stderr
    assert "set 2, all: this set: strategy.max_inventory_btc: 0.01 is under strategy.size_min" in ended.stderr
    assert runs(tmp_path)["state"].to_list() == ["done", "done", "failed", "done"]
    assert "best of 3 parameter sets" in ended.stdout
    again = sweep(tape, *some, "--out", tmp_path, "--retry-failed")
    assert again.returncode == 1
    assert "3 of 4 runs" in again.stdout


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ((), 2, "--grid for each key"),
        (("--grid", "strategy.stal_T_ms=1"), 2, "did you mean strategy.stall_T_ms?"),
        (("--grid", "strategy.ttl_ms=0"), 2, "strategy.ttl_ms: 0 is not accepted; accepted: a whole number, 1 or more"),
        (("--search", "strategy.ttl_ms=1:9"), 2, "--trials N"),
        (("--search", "strategy.ttl_ms=1:9", "--grid", "strategy.ttl_ms=5", "--trials", "3"), 2, "--grid for each key"),
        (("--grid", "strategy.ttl_ms=500", "--trials", "3"), 2, "--trials"),
        (("--grid", "strategy.ttl_ms=500", "--objective", "profit"), 2, "pnl, max_drawdown, sharpe"),
        (("--grid", "strategy.ttl_ms=500", "--folds", "999999"), 2, "--folds 999999: a span would be"),
        (("--grid", "strategy.ttl_ms=500", "--serial", "--workers", "2"), 2, "not allowed with"),
        (("--grid", "strategy.ttl_ms=500", "--train-share", "1"), 2, "0.01 to 0.99"),
        (("--grid", "strategy.ttl_ms=500", "--tape", "nowhere.jsonl"), 2, "nowhere.jsonl: not a file"),
        (("--grid", "strategy.ttl_ms=500", "--tape", "README.md"), 1, "README.md:1"),
    ],
)
def test_refusals(
    args: tuple[str, ...], code: int, words: str, tape: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        ended: object = main(command(tape, *args, "--out", tmp_path / "out")[1:])
    except SystemExit as end:
        ended = end.code
    told = capsys.readouterr()
    assert ended == code, told
    assert words in told.err
    assert "Traceback" not in told.err
    assert not (tmp_path / "out" / "runs.parquet").exists()


def test_an_address_that_is_none_is_refused(tape: Path, tmp_path: Path) -> None:
    ended = sweep(tape, "--grid", "strategy.ttl_ms=500", "--scheduler", "carrier-pigeon://coop", "--out", tmp_path)
    assert ended.returncode == 2
    assert "carrier-pigeon://coop" in ended.stderr
    assert "Traceback" not in ended.stderr


# --- on a cluster


def test_a_worker_that_is_killed_in_the_middle_changes_nothing(long: Path, tmp_path: Path) -> None:
    """100 sets over minutes of generated market on two workers, one of which dies while it has runs."""
    sets = (
        *("--grid", "strategy.stall_T_ms=100,200,300,500,1000"),
        *("--grid", "strategy.ttl_ms=200,400,800,1500", "--grid", "strategy.max_reverse_ticks=2,20,100,500,1500"),
    )
    assert sweep(long, *sets, "--serial", "--out", tmp_path / "serial").returncode == 0
    folder = tmp_path / "cluster"
    with (
        cluster(tmp_path, workers=2) as dask,
        sweeping(long, *sets, "--scheduler", dask.address, "--out", folder) as process,
    ):
        wait_until("some runs", lambda: known(folder))
        dask.send(1, signal.SIGSTOP)  # its runs, and those it gets later, do not finish

        def all_but_its_own() -> bool:
            tasks = dask.processing()
            return tasks["worker-0"] == 0 and tasks["worker-1"] > 0

        wait_until("the other worker's end", all_but_its_own)
        before = known(folder)
        assert 0 < before < 100
        assert process.poll() is None
        dask.send(1, signal.SIGKILL)
        out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert "100 of 100 runs" in out
    found = runs(folder)
    assert len(found) == 100
    assert found["state"].unique().to_list() == ["done"]
    assert_frame_equal(found, runs(tmp_path / "serial"))
    assert head(folder)["deflated_sharpe"] == head(tmp_path / "serial")["deflated_sharpe"]


def test_without_workers_it_says_so_and_ends_and_can_go_on(tape: Path, tmp_path: Path) -> None:
    stalls = ",".join(map(str, range(1, 151)))
    grid = ("--grid", f"strategy.stall_T_ms={stalls}", "--out", tmp_path / "out")
    with (
        cluster(tmp_path, workers=1) as dask,
        sweeping(tape, *grid, "--scheduler", dask.address, "--patience", "3") as process,
    ):
        wait_until("a run", lambda: known(tmp_path / "out"))
        dask.send(0, signal.SIGKILL)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 1
        assert "the cluster has no worker; waiting up to 3 s for one" in out
        assert "the cluster has had no worker for 3 s" in err
        before = known(tmp_path / "out")
        assert 0 < before < 150
        dask.start_worker()
        ended = sweep(tape, *grid, "--scheduler", dask.address)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"{before} of 150 runs" in ended.stdout
    assert len(runs(tmp_path / "out")) == 150


def test_a_scheduler_that_dies_ends_it(tape: Path, tmp_path: Path) -> None:
    stalls = ",".join(map(str, range(1, 1_001)))
    grid = ("--grid", f"strategy.stall_T_ms={stalls}", "--out", tmp_path / "out")
    with (
        cluster(tmp_path, workers=1) as dask,
        sweeping(tape, *grid, "--scheduler", dask.address, "--patience", "3") as process,
    ):
        wait_until("a run", lambda: known(tmp_path / "out"))
        dask.scheduler.kill()
        _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert f"the scheduler at {dask.address} was lost" in err
    assert err.count("\n") == 1


def test_a_worker_without_the_package_is_told(tape: Path, tmp_path: Path) -> None:
    (tmp_path / "bare" / "stall_then_strike").mkdir(parents=True)
    (tmp_path / "bare" / "stall_then_strike" / "__init__.py").touch()
    with cluster(tmp_path, workers=0) as dask:
        dask.start_worker(PYTHONPATH=os.pathsep.join([str(tmp_path / "bare"), str(REPO / "src")]))
        ended = sweep(tape, *GRID, "--scheduler", dask.address, "--out", tmp_path / "out")
    assert ended.returncode == 1
    assert "a worker cannot take part: it lacks stall_then_strike" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_scheduler_that_is_not_there_is_told(tape: Path, tmp_path: Path) -> None:
    address = f"tcp://127.0.0.1:{dead_port()}"
    ended = sweep(tape, *GRID, "--scheduler", address, "--patience", "1", "--out", tmp_path / "out")
    assert ended.returncode == 1
    assert f"no scheduler at {address} within 1 s" in ended.stderr
    assert "Traceback" not in ended.stderr
