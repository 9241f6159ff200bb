"""A sweep on more and more processes: ``python -m benchmarks.sweep_work``.

A machine with two cores cannot make eight processes faster than two. What can be shown there is that the work is as
much with eight as with one, that it is divided evenly, and that no process needs more memory: then eight cores are
eight times as fast. Each run of the command prepares its tape and starts its processes anew.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import messages

STALLS = 10
_PR_SET_CHILD_SUBREAPER = 36
COUNTS = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Worker:
    """What one process did."""

    sets: tuple[int, ...]
    processor_s: float
    waited: float
    """Share of the time from the first run's start to the last one's end in which it had no run."""
    peak_mb: int


@dataclass(frozen=True, slots=True)
class Work:
    """One sweep."""

    asked: int
    """Processes asked for."""
    wall_s: float
    processor_s: float
    """Of all processes, with their start and the preparation."""
    workers: tuple[Worker, ...]
    strikes: dict[int, int]
    """By set."""

    @property
    def runs_s(self) -> float:
        """Processor seconds of the runs alone."""
        return sum(worker.processor_s for worker in self.workers)

    @property
    def shares(self) -> tuple[float, float]:
        """The least and the most of the runs' processor time that one process had."""
        each = [worker.processor_s / self.runs_s for worker in self.workers]
        return min(each), max(each)

    @property
    def peak_mb(self) -> int:
        """Of the process that needed the most memory."""
        return max(worker.peak_mb for worker in self.workers)


def grids(sets: int) -> list[str]:
    """Two grids with so many sets together, a multiple of ``STALLS``."""
    stalls = ",".join(str(200 + 50 * n) for n in range(STALLS))
    ttls = ",".join(str(300 + 50 * n) for n in range(sets // STALLS))
    return ["--grid", f"strategy.stall_T_ms={stalls}", "--grid", f"strategy.ttl_ms={ttls}"]


def _adopt_orphans() -> None:
    """Become the parent of descendants whose own one has ended, so that their time counts. The one from which a sweep's
    processes are forked ends after the sweep. Only Linux can do this; elsewhere their time is missing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def measure(tape: Path, folder: Path, sets: Sequence[str], workers: int, *settings: str) -> Work:
    """A sweep with nothing prepared. ``sets`` and ``settings`` are arguments of the command."""
    out = folder / f"sweep-{workers}"
    command = [Path(sys.executable).parent / "sweep", "--tape", tape, *sets, *settings]
    command += ["--workers", workers, "--out", out, "--set", f"backtest.cache_dir={folder / f'cache-{workers}'}"]
    _adopt_orphans()
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True, process_group=0) as sweep:  # noqa: S603 - our own
        told = sweep.communicate()[0]
        wall_s = time.perf_counter() - started
    if sweep.returncode:
        raise SystemExit(f"sweep ended with {sweep.returncode}")
    with suppress(ChildProcessError):
        while True:  # the processes that it left behind, as they end
            os.waitpid(-sweep.pid, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    running_s = float(next(iter(re.findall(r" runs, [\d,]+ in ([\d.]+) s", told)[::-1]), wall_s))
    runs = [json.loads(line) for line in (out / "runs.jsonl").read_text().splitlines()]
    by_worker: dict[str, list[Any]] = {}
    for run in runs:
        by_worker.setdefault(run["worker"], []).append(run)
    did = tuple(
        Worker(
            sets=tuple(sorted(run["number"] for run in made)),
            processor_s=sum(run["processor_s"] for run in made),
            waited=max(0.0, 1 - sum(run["seconds"] for run in made) / running_s),
            peak_mb=max(run["peak_mb"] or 0 for run in made),
        )
        for made in by_worker.values()
    )
    return Work(workers, wall_s, used, did, {run["number"]: run["metrics"]["strikes"] for run in runs})


def compare(hours: float = 0.5, sets: int = 40, counts: Sequence[int] = COUNTS) -> list[Work]:
    """The same sweep with each number of processes, after a small one that compiles."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        messages.generated(tape := folder / "generated.jsonl", hours=hours)
        (folder / "warm").mkdir()
        measure(tape, folder / "warm", grids(STALLS), 1)
        return [measure(tape, folder, grids(sets), count) for count in counts]


def show(found: Sequence[Work]) -> None:
    """Print a table, and below it what each process of the last sweep did."""
    heads = ("processes", "wall s", "all cpu s", "runs cpu s", "least", "most", "even", "waited", "MB each")
    print("".join(f"{head:>11}" for head in heads))
    for work in found:
        least, most = work.shares
        peaks = [worker.peak_mb for worker in work.workers]
        cells = [f"{len(work.workers)}", f"{work.wall_s:.1f}", f"{work.processor_s:.1f}", f"{work.runs_s:.1f}"]
        cells += [f"{least:.1%}", f"{most:.1%}", f"{1 / work.asked:.1%}"]
        cells += [f"{max(worker.waited for worker in work.workers):.0%}", f"{min(peaks)}-{max(peaks)}"]
        print("".join(f"{cell:>11}" for cell in cells))
    print(f"\nthe last one, process by process ({', '.join(('cpu s', 'waited', 'MB', 'sets'))}):")
    for worker in found[-1].workers:
        sets = " ".join(map(str, worker.sets))
        print(f"  {worker.processor_s:6.2f} {worker.waited:6.0%} {worker.peak_mb:5}   {sets}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep_work", description=__doc__)
    parser.add_argument("--hours", type=float, default=8)
    parser.add_argument("--sets", type=int, default=80)
    parser.add_argument("--workers", type=int, nargs="+", default=COUNTS, metavar="N", help="processes of a sweep each")
    args = parser.parse_args(arguments)
    sets = -(-args.sets // STALLS) * STALLS
    print(f"{args.hours:g} hours of generated market, {sets} sets, {os.cpu_count()} cores")
    show(compare(args.hours, sets, args.workers))


if __name__ == "__main__":
    main()
