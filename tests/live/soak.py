"""An hour of live trading in minutes: ``make soak``, or ``python -m tests.live.soak --minutes 60 --speed 10``.

The exchange is here, in fast time; the daemon is a process of its own (`soak_daemon.py`), looked at from outside by
``/proc`` and from inside by what it counts of itself. ``Soak.problems`` says what grew, stopped or does not add up;
speed is reported and never a reason.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE
from stall_then_strike.config.loader import effective_yaml
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.infra.journal.writer import journal_path
from tests.live.rig import KEY, LiveRoom, live_room

WARM_UP_SHARE = 1 / 4
"""Of the samples: until then everything may grow."""
POOLED = 1
"""A call that is made while another waits opens one more connection, or thread, which its pool keeps."""
STOP_S = 60.0
RSS_MB_PER_HOUR = 4.0
WAL_BYTES = 16 * 1024 * 1024
"""Ceiling of the journal's log, times the speed: it is cut each half a minute of real time, whatever the speed."""
REPO = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Sample:
    """The daemon at one moment."""

    seconds: float
    """Of the exchange's time, since the start."""
    rss_kb: int
    fds: int
    sockets: int
    threads: int
    wal_bytes: int
    inside: dict[str, Any]


@dataclass(slots=True)
class Soak:
    """What a run showed."""

    speed: float
    samples: list[Sample] = field(default_factory=list)
    exit_code: int = -1
    fills: int = 0
    books: str = ""
    """What `LiveRoom.check` holds against the daemon's books; empty if nothing."""
    refused: int = 0
    """Calls that the exchange refused for its limits."""
    errors: str = ""
    """What the daemon wrote to standard error."""

    @property
    def steady(self) -> list[Sample]:
        """The samples after the warm-up."""
        return self.samples[int(len(self.samples) * WARM_UP_SHARE) :]

    def rss_slope(self) -> float:
        """Growth of memory after the warm-up, in MB for each hour of the exchange's time."""
        steady = self.steady
        slope, _ = statistics.linear_regression([s.seconds for s in steady], [float(s.rss_kb) for s in steady])
        return slope * 3_600 / 1_024

    def strikes_by_parts(self, parts: int) -> list[int]:
        """Strikes in each of so many equal stretches."""
        counts = [s.inside["strikes"] for s in self.samples]
        edges = [counts[round(number * (len(counts) - 1) / parts)] for number in range(parts + 1)]
        return [after - before for before, after in pairwise(edges)]

    def memory_by_parts(self, parts: int) -> list[float]:
        """Memory at the end of each of so many equal stretches, in MB: whether growth ends."""
        last = len(self.samples) - 1
        return [round(self.samples[round(number * last / parts)].rss_kb / 1_024, 1) for number in range(parts + 1)]

    def problems(self, *, rss_mb_per_hour: float) -> list[str]:
        """What must not be."""
        found: list[str] = []
        steady = self.steady
        half = len(steady) // 2
        for name in ("fds", "sockets", "threads", "tasks", "early", "owed"):
            values = [s.inside[name] if name in s.inside else getattr(s, name) for s in steady]
            # What comes and goes does so in both halves: its usual count is the same, and so is its least.
            before, after = values[:half], values[half:]
            slack = POOLED if name in {"fds", "sockets", "threads"} else 0
            if statistics.median(after) > statistics.median(before) + slack or min(after) > min(before) + slack:
                found.append(f"{name} grew: {min(before)}..{max(before)}, then {min(after)}..{max(after)}")
        if (slope := self.rss_slope()) > rss_mb_per_hour:
            found.append(f"memory grows by {slope:.1f} MB an hour")
        if (wal := max(s.wal_bytes for s in self.samples)) > WAL_BYTES * self.speed:
            found.append(f"the journal's log reached {wal} bytes")
        if min(self.strikes_by_parts(6)) == 0:
            found.append(f"no strikes at times: {self.strikes_by_parts(6)}")
        if self.books:
            found.append(f"books: {self.books}")
        if self.refused:
            found.append(f"{self.refused} calls over a limit")
        if self.exit_code != EXIT_DONE:
            found.append(f"exit code {self.exit_code}: {self.errors[-2_000:]}")
        return found

    def table(self) -> str:
        """The figures."""
        steady = self.steady

        def span(name: str, unit: float = 1) -> str:
            values = [(s.inside[name] if name in s.inside else getattr(s, name)) / unit for s in steady]
            edges = statistics.mean(values[:10]), statistics.mean(values[-10:])
            return f"{min(values):>10.1f}{max(values):>10.1f}{edges[0]:>10.1f}{edges[1]:>10.1f}"

        lines = [f"{'after the warm-up':<22}{'least':>10}{'most':>10}{'first':>10}{'last':>10}"]
        lines += [f"{name:<22}{span(name)}" for name in ("tasks", "fds", "sockets", "threads", "early", "in_flight")]
        lines += [f"{'memory, MB':<22}{span('rss_kb', 1_024)}", f"{'journal log, kB':<22}{span('wal_bytes', 1_024)}"]
        last = self.samples[-1]
        lines += [
            f"memory slope {self.rss_slope():+.2f} MB an hour of the exchange's time",
            f"memory by sixths {self.memory_by_parts(6)}",
            f"loop lag p99 {last.inside['lag_p99_ms']} ms",
            f"strikes {last.inside['strikes']}, by sixths {self.strikes_by_parts(6)}; fills {self.fills}",
            f"calls refused for limits {self.refused}; books: {self.books or 'equal'}; exit code {self.exit_code}",
        ]
        return "\n".join(lines)


def look(pid: int, wal: Path) -> tuple[int, int, int, int, int]:
    """Memory in kB, files, sockets and threads of a process, and the size of a file."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    links = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(os.readlink(link))
        except FileNotFoundError:
            continue
    return (
        int(status["VmRSS"].split()[0]),
        len(links),
        sum(link.startswith("socket:") for link in links),
        int(status["Threads"]),
        wal.stat().st_size if wal.exists() else 0,
    )


async def soak(folder: Path, *, minutes: float, speed: float, seed: int = 7) -> Soak:
    """Trade for so many minutes of the exchange's time."""
    result = Soak(speed)
    clock = ScaledClock(speed)  # one that the daemon's process has, too
    async with live_room(folder, clock=clock, seed=seed) as room:
        config = folder / "soak.yml"
        config.write_text(effective_yaml(room.cfg))
        told = {
            "config": str(config),
            "speed": speed,
            "venue_ns": room.clock.now_ns(),
            "monotonic_ns": time.monotonic_ns(),
            "key": KEY.key,
            "secret": KEY.secret,
            "folder": str(folder),
        }
        daemon = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.live.soak_daemon"),
            cwd=REPO,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPO / "src"), str(REPO)])},
        )
        try:
            await _watch(daemon, room, told, result, minutes * 60)
        finally:
            if daemon.returncode is None:
                daemon.kill()
                await daemon.wait()
        result.fills = len(room.venue.ledger().fills)
        result.refused = room.exchange.http_refused
        if not result.samples:
            raise AssertionError(f"the daemon did not start: {result.errors[-2_000:]}")
        try:
            room.check()
        except AssertionError as error:
            result.books = str(error).splitlines()[0]
    return result


async def _watch(
    daemon: asyncio.subprocess.Process, room: LiveRoom, told: dict[str, Any], result: Soak, seconds: float
) -> None:
    """Feed the daemon its settings, sample it until time is up, and stop it."""
    if daemon.stdin is None or daemon.stdout is None or daemon.stderr is None:
        raise AssertionError("all three are pipes")
    daemon.stdin.write(json.dumps(told).encode())
    daemon.stdin.close()
    errors = asyncio.create_task(daemon.stderr.read())
    wal = journal_path(room.cfg.journal.dir, room.cfg.exchange.product_code)
    wal = wal.with_name(wal.name + "-wal")
    began_ns = room.clock.now_ns()
    while (passed_s := (room.clock.now_ns() - began_ns) / 1e9) < seconds:
        line = await daemon.stdout.readline()
        if not line:
            break
        result.samples.append(Sample(passed_s, *look(daemon.pid, wal), inside=json.loads(line)))
    if daemon.returncode is None:
        daemon.terminate()
    async with asyncio.timeout(STOP_S):
        await daemon.stdout.read()
        result.errors = (await errors).decode()
        result.exit_code = await daemon.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.live.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="of the exchange's time (default: %(default)s)")
    parser.add_argument("--speed", type=float, default=10, help="times real time (default: %(default)s)")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=cli.loop_factory()) as runner:
        result = runner.run(soak(Path(folder), minutes=asked.minutes, speed=asked.speed))
    problems = result.problems(rss_mb_per_hour=RSS_MB_PER_HOUR)
    verdict = "\n".join(problems) or "nothing grows, nothing is lost"
    sys.stdout.write(f"{result.table()}\n{verdict}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
