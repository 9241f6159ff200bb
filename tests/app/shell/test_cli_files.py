"""The limit of open files."""

from __future__ import annotations

import json
import subprocess
import sys

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


ALL = """
import importlib, json, sys
for name, flags in json.loads(sys.argv[1]).items():
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # as they are where a process begins
    code = importlib.import_module(f"stall_then_strike.app.{name}").main(flags)
    assert code == 2, (name, code)
"""


def limited(limit: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Python under ``ulimit`` with these flags."""
    return subprocess.run(
        ["sh", "-c", f'ulimit {limit}; exec "$0" "$@"', sys.executable, *words],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_too_few_are_told_before_anything_begins() -> None:
    """All in one process, as each would be by itself."""
    done = limited("-n 24", "-c", ALL, json.dumps(RUNS))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        f"{command}: a process may open only 24 files here; accepted: ulimit -n 128 or more" for command in RUNS
    ]


def test_a_limit_that_may_be_raised_is() -> None:
    done = limited("-S -n 24", "-m", "stall_then_strike.app.sim_exchange", *RUNS["sim_exchange"])
    assert (done.returncode, done.stderr) == (0, "")
