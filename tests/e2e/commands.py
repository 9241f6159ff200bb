"""The real commands as a user would start them: separate processes in the repository's folder."""

from __future__ import annotations

import csv
import functools
import os
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stall_then_strike.infra.logs.run_list import RunList
from tests.e2e.forked import COMMANDS, REPO, Forked

Process = subprocess.Popen[str] | Forked
SAMPLE = REPO / "data/sample/FX_BTC_JPY-20260105T00Z-seed7-180s.jsonl.zst"
"""Three minutes of generated market."""
TIMEOUT_S = 60.0
UNLAGGING = ("--set", "watch.lag_warn_ms=10000")
"""A run that is to say nothing to standard error does not say either that its machine was busy."""


def start(command: str, *args: str | Path, stdout: int = subprocess.PIPE) -> Process:
    """Start one of the project's commands, or another one, with the interpreter that runs the tests."""
    env = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "120"}
    if command in COMMANDS:
        return Forked(command, *args, stdout=stdout, env=env)
    script = Path(sys.executable).parent / command
    program = [script] if script.exists() else [sys.executable, "-m", f"stall_then_strike.app.{command}"]
    return subprocess.Popen(
        [*program, *map(str, args)],
        cwd=REPO,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )


def run(command: str, *args: str | Path) -> subprocess.CompletedProcess[str]:
    """Run one to its end."""
    process = start(command, *args)
    try:
        out, err = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.wait(), out, err)


@contextmanager
def running(command: str, *args: str | Path) -> Iterator[Process]:
    """One that is ended with the block, however the block ends."""
    process = start(command, *args)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=TIMEOUT_S)


def read_line(process: Process, pattern: str) -> re.Match[str]:
    """The first line of standard output that matches, within the time limit."""
    if process.stdout is None:
        raise AssertionError("its output is not captured")
    end_s = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end_s:
        if not select.select([process.stdout], [], [], 1.0)[0]:
            continue
        line = process.stdout.readline()
        if found := re.search(pattern, line):
            return found
        if not line and process.poll() is not None:
            break
    raise AssertionError(f"no line {pattern!r} from {process.args}; exit code {process.poll()}")


def wait_until(what: str, condition: Callable[[], object]) -> None:
    """Wait for something in the world outside, looking often; fail at the time limit."""
    end_s = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > end_s:
            raise AssertionError(f"{what} did not happen within {TIMEOUT_S:g} s")
        time.sleep(0.02)


def full_pipe() -> tuple[int, int]:
    """Both ends of a pipe into which nothing fits any more."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    return reader, writer


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def dead_port() -> int:
    """A port that nobody listens on, nor can while these tests run: it is taken and does not listen."""
    return int(_nobody().getsockname()[1])


@functools.cache
def _nobody() -> socket.socket:
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    return holder


def newest(log_dir: Path) -> Path:
    """The folder of the run that began last; one that is no log folder of runs itself."""
    runs = RunList(log_dir).all
    return runs[-1].files.folder if runs else log_dir


def app_log(log_dir: Path) -> str:
    """The runtime log of the run that began last; empty before there is one."""
    path = newest(log_dir) / "runtime" / "app.log"
    return path.read_text() if path.is_file() else ""


def rows(log_dir: Path, kind: str) -> list[dict[str, str]]:
    """All rows of one kind, over all runs and days. A last line without end is still being written and is left out."""
    found: list[dict[str, str]] = []
    folders = [run.files.folder for run in RunList(log_dir).all] or [log_dir]
    for path in (path for folder in folders for path in sorted((folder / kind).glob("*.csv"))):
        text = path.read_text()
        found.extend(csv.DictReader(text[: text.rfind("\n") + 1].splitlines()))
    return found


def csv_bytes(log_dir: Path) -> dict[str, bytes]:
    """All CSV files of the newest run by name."""
    kinds = ("trades", "orders", "decisions")
    return {path.name: path.read_bytes() for kind in kinds for path in sorted((newest(log_dir) / kind).glob("*.csv"))}
