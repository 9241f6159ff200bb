"""The command `backtest`: exit codes, messages, files, and one hash for the whole output."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from stall_then_strike.app.backtest import is_short
from stall_then_strike.tapes.tape_tools import generate, write_tape
from stall_then_strike.types.text import money
from tests.e2e.commands import REPO, SAMPLE, csv_bytes, newest
from tests.e2e.forked import forked
from tests.research.tables.random_tapes import random_tape
from tests.research.tables.test_prepare import write_tape as write_messages

pytestmark = pytest.mark.timeout(600)
FEES = ("--set", "strategy.stale_ms=5000", "--set", "session.quiet=[]")


def backtest(*args: str | Path, cache: Path | None = None) -> subprocess.CompletedProcess[str]:
    """One run to its end."""
    where = [] if cache is None else ["--set", f"backtest.cache_dir={cache}"]
    return forked("backtest", *args, *where, timeout=300)


def output(run: subprocess.CompletedProcess[str]) -> str:
    found = re.search(r"^output ([0-9a-f]{64})$", run.stdout, re.MULTILINE)
    assert found, run.stdout + run.stderr
    return found[1]


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    return write_messages(tmp_path / "tape.jsonl", random_tape(10, 3_000))


def test_same_seed_same_hash_whatever_the_engine_another_seed_another(
    tape: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")  # for the folder's name
    hashes, told = {}, {}
    for name, seed, engine in (
        ("a", "1", "compiled"),
        ("b", "1", "interpreted"),
        ("c", "2", "auto"),
        ("d", "1", "auto"),
    ):
        ended = backtest(
            tape, "--seed", seed, "--engine", engine, "--log-dir", tmp_path / name, *FEES, cache=tmp_path / "cache"
        )
        assert ended.returncode == 0, ended.stderr
        hashes[name] = output(ended)
        own = "mode|latency|logs|output|compiled|interpreted|backtest"
        table = ended.stdout[ended.stdout.index("summary") :].splitlines()
        told[name] = [line for line in table if not re.search(own, line)]
    assert csv_bytes(tmp_path / "a") == csv_bytes(tmp_path / "b")
    assert csv_bytes(tmp_path / "a")
    assert hashes["a"] == hashes["b"] == hashes["d"]
    assert hashes["a"] != hashes["c"]
    assert told["a"] == told["b"], "and the summaries tell the same"
    assert any("strikes" in line for line in told["a"])


def test_result_of_the_whole_run_is_what_its_trades_sum_to_over_a_day_roll(tmp_path: Path) -> None:
    """The compiled engine does the same: `tests.research.replay.twins` compares both."""
    tape, start_ns = tmp_path / "tape.jsonl", 1_767_595_800 * 10**9  # 2026-01-05T06:50:00Z
    write_tape(tape, generate(7, start_ns, 1_200))
    flags = ("--engine", "interpreted", "--log-dir", tmp_path / "logs", "--set", "session.day_start=16:00:00")
    ended = backtest(tape, *flags, cache=tmp_path / "cache")
    assert ended.returncode == 0, ended.stderr
    with next((newest(tmp_path / "logs") / "trades").glob("*.csv")).open() as file:
        rows = list(csv.DictReader(file))
    days = [
        sum(Decimal(row["pnl_jpy"]) for row in rows if (row["ts"] < "2026-01-05T07") is first)
        for first in (True, False)
    ]
    assert all(days), "both days have a result, or the test tells nothing"
    assert re.search(rf"realised part, open position +│ {re.escape(money(sum(days)))}, ", ended.stdout), ended.stdout
    assert "result, trading day 2026-01-05" in ended.stdout
    whole, day = (
        Decimal(found.replace(",", "")) for found in re.findall(r"result, [a-z0-9 -]+ +│ (\S+) JPY", ended.stdout)
    )
    assert abs(whole - day - days[0]) < 5, "they differ by the first day, and by how its end was marked"


def test_a_run_that_is_recorded_is_told_every_message(tape: Path, tmp_path: Path) -> None:
    """What it was told is what can be replayed, so none may be stepped over; the output is the same."""
    recorded = (*FEES, "--set", "record.enabled=true", "--set", f"record.dir={tmp_path / 'raw'}")
    told = backtest(tape, "--engine", "interpreted", "--log-dir", tmp_path / "a", *recorded, cache=tmp_path / "cache")
    plain = backtest(tape, "--engine", "interpreted", "--log-dir", tmp_path / "b", *FEES, cache=tmp_path / "cache")
    assert output(told) == output(plain)
    (events,) = (tmp_path / "raw").glob("*.events.jsonl.zst")
    assert forked("tape", "replay", events, "-o", tmp_path / "again", timeout=120).returncode == 0
    assert csv_bytes(tmp_path / "again") == csv_bytes(tmp_path / "a")


def test_recorded_latencies_change_the_outcome(tape: Path, tmp_path: Path) -> None:
    file = tmp_path / "latency.txt"
    file.write_text("5\n7\n900\n")
    default = backtest(tape, "--log-dir", tmp_path / "a", *FEES, cache=tmp_path / "cache")
    recorded = backtest(tape, "--log-dir", tmp_path / "b", "--latency-file", file, *FEES, cache=tmp_path / "cache")
    assert recorded.returncode == 0, recorded.stderr
    assert output(default) != output(recorded)


def test_what_the_compiled_engine_refuses_the_other_one_replays(tape: Path, tmp_path: Path) -> None:
    too_large = ("--set", "exchange.limits.private_per_5min=1000000")
    refused = backtest(tape, "--engine", "compiled", "--log-dir", tmp_path / "a", *too_large, cache=tmp_path / "cache")
    assert refused.returncode == 1
    assert "exchange.limits" in refused.stderr
    backtest(tape, "--engine", "compiled", "--log-dir", tmp_path / "c", cache=tmp_path / "cache")  # compiles itself
    taken = backtest(tape, "--log-dir", tmp_path / "b", *too_large, cache=tmp_path / "cache")
    assert taken.returncode == 0, taken.stderr
    assert "exchange.limits" in taken.stderr
    assert "interpreted" in taken.stdout


def test_what_is_no_tape_is_named_with_its_line(tmp_path: Path) -> None:
    ended = backtest("README.md", "--log-dir", tmp_path / "logs", cache=tmp_path / "cache")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "README.md:1" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_signal_while_compiling_ends_it_in_words(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stall_then_strike.app.backtest", SAMPLE, "--engine", "compiled"]
    where = ["--log-dir", tmp_path / "logs", "--set", f"backtest.cache_dir={tmp_path / 'cache'}"]
    fresh = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*command, *where], cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=fresh
    ) as run:
        assert run.stdout is not None
        told = next(line for line in run.stdout if "compiling first" in line)
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=60)
    once = "once for this version on this machine, about half a minute in all"
    assert told == f"preparing the tapes: compiling first, {once}\n"
    assert (run.returncode, err) == (130, "backtest: stopped by SIGINT before the end of the tapes\n")
    assert list((tmp_path / "cache").iterdir()) == []


def test_short_tape_is_not_compiled_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    ended = backtest(SAMPLE, "--log-dir", tmp_path / "logs", cache=tmp_path / "cache")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("backtest of 1 tape(s), interpreted, as the tape is short")
    assert not (tmp_path / "home").exists()


def test_how_short_depends_on_what_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tape = tmp_path / "tape.jsonl"
    for compiled in (True, False):
        monkeypatch.setattr("stall_then_strike.app.backtest.is_compiled", lambda compiled=compiled: compiled)
        tape.write_text("{}\n" * 2_000)
        assert is_short([tape])
        tape.write_text("{}\n" * 2_001)
        assert is_short([tape]) is not compiled
        assert is_short([tape, tape]) is not compiled
        assert not is_short([tape] * 30)


def test_check_shows_the_models() -> None:
    ended = backtest("--check")
    assert ended.returncode == 0
    assert "queue_model: share" in ended.stdout
    assert "after_halt: wait" in ended.stdout
