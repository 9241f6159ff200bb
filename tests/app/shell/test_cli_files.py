"""The limit of open files."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.e2e.commands import REPO

RUNS = {
    "run_paper": ["--sim", "--duration", "1"],
    "run_live": ["--config", "configs/sim.yml", "--yes", "--duration", "1"],
    "backtest": ["tape.jsonl"],
    "sweep": ["--tape", "tape.jsonl", "--grid", "strategy.ttl_ms=500"],
    "record": ["--duration", "1"],
    "watchdog": ["--alive"],
    "sim_exchange": ["--duration", "1"],
    "sim_lighter": ["--duration", "1"],
}


@pytest.mark.parametrize("command", RUNS)
def test_too_few_are_told_before_anything_begins(command: str) -> None:
    done = subprocess.run(
        ["sh", "-c", 'ulimit -n 24; exec "$0" "$@"', sys.executable, "-m", f"stall_then_strike.app.{command}"]
        + RUNS[command],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"{command}: a process may open only 24 files here; accepted: ulimit -n 128 or more"
    ]


def test_a_limit_that_may_be_raised_is() -> None:
    done = subprocess.run(
        ["sh", "-c", 'ulimit -S -n 24; exec "$0" "$@"', sys.executable, "-m", "stall_then_strike.app.sim_exchange"]
        + RUNS["sim_exchange"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
