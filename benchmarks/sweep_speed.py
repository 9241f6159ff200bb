"""A sweep beside hftbacktest, in turns in one run: ``python -m benchmarks.sweep_speed``, after ``make crosscheck``.

*sweep* is the command itself: it prepares the tape once, starts its processes, replays each set, writes its results.
*hftbacktest* runs a stall strategy (:mod:`benchmarks.replay_speed`) with ROIVectorMarketDepth in two processes on the
same market, which was prepared for it outside of the time. It runs ``--theirs`` sets, and its time is scaled to all.

The sweep is repeated with other numbers of processes. A machine with fewer cores cannot make them faster; what counts
is that a set costs as much processor time and memory with eight processes as with one.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from hftbacktest import ROIVectorMarketDepthBacktest

from benchmarks import replay_speed
from stall_then_strike.config.loader import load_app_config
from stall_then_strike.research.tables.columns import Columns
from stall_then_strike.research.tables.prepare import write_columns
from stall_then_strike.sim.exchange.source import iter_frames
from stall_then_strike.sim.market import Market
from stall_then_strike.types.instrument import fx_btc_jpy

NS_PER_HOUR = 3_600 * 10**9
THEIR_PROCESSES = 2
STALLS = 10


def generate(path: Path, hours: float) -> None:
    """A tape of the embedded market."""
    market = Market(seed=7, start_ns=replay_speed.START_NS, instrument=fx_btc_jpy())
    until_ns = replay_speed.START_NS + int(hours * NS_PER_HOUR)
    with path.open("w") as file:
        for frame in iter_frames(market):
            if frame.time_ns > until_ns:
                return
            file.write(f'{{"recv_ns":{frame.time_ns},"msg":{frame.text}}}\n')


def grids(sets: int) -> tuple[str, str]:
    """Two grids with so many sets together, a multiple of ``STALLS``."""
    stalls = ",".join(str(200 + 50 * n) for n in range(STALLS))
    ttls = ",".join(str(300 + 50 * n) for n in range(sets // STALLS))
    return f"strategy.stall_T_ms={stalls}", f"strategy.ttl_ms={ttls}"


def ours(tape: Path, folder: Path, sets: int, workers: int) -> tuple[float, float, float]:
    """Seconds, processor seconds and the largest process's megabytes of a sweep with nothing prepared."""
    stall, ttl = grids(sets)
    command = [Path(sys.executable).parent / "sweep", "--tape", tape, "--grid", stall, "--grid", ttl]
    command += ["--workers", str(workers), "--out", folder / f"sweep-{workers}"]
    command += ["--set", f"backtest.cache_dir={folder / f'cache-{workers}'}"]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(list(map(str, command)), stdout=subprocess.DEVNULL, check=True)  # noqa: S603 - our own words
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, used, after.ru_maxrss / 1024


def _theirs(events: Path, low: float, high: float, sets: int) -> float:
    """In a process of its own: seconds for so many sets, after one that compiles."""
    data = np.load(events)

    def run() -> None:
        replay_speed.hft(data, ROIVectorMarketDepthBacktest, low, high, per_feed=False, gap_ns=500 * replay_speed.MS)

    run()
    return replay_speed.timed(lambda: [run() for _ in range(sets)])


def theirs(tape: Path, folder: Path, sets: int) -> float:
    """Seconds for so many sets in two processes."""
    cfg = load_app_config(Path("configs/base.yml"), Path("configs/sim.yml"), [])
    (columns := folder / "columns").mkdir()
    write_columns([tape], cfg, columns)
    data = replay_speed.events(Columns(columns))
    middle = float(np.median(data["px"]))
    np.save(events := folder / "events.npy", data)
    each = max(1, sets // THEIR_PROCESSES)
    with ProcessPoolExecutor(THEIR_PROCESSES, get_context("spawn")) as pool:
        parts = [pool.submit(_theirs, events, middle * 0.9, middle * 1.1, each) for _ in range(THEIR_PROCESSES)]
        return max(part.result() for part in parts) * sets / (each * THEIR_PROCESSES)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep_speed", description=__doc__)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--theirs", type=int, default=4, help="sets that hftbacktest really runs (default: 4)")
    parser.add_argument("--workers", type=int, nargs="+", default=[2], metavar="N", help="processes of a sweep each")
    args = parser.parse_args(arguments)
    sets = -(-args.sets // STALLS) * STALLS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tape = folder / "generated.jsonl"
        generate(tape, args.hours)
        print(f"{args.hours:g} hours of generated market, {sets} sets, {os.cpu_count()} cores")
        ours(tape, folder / "warm", 10, 1)  # compiles
        for workers in args.workers:
            seconds, used, megabytes = ours(tape, folder, sets, workers)
            print(
                f"  sweep, {workers} processes: {seconds:7.1f} s, {used / sets:6.2f} s of processor a set with all "
                f"preparation, largest process {megabytes:,.0f} MB"
            )
            if workers == THEIR_PROCESSES:
                other = theirs(tape, folder, args.theirs) * sets / args.theirs
                print(f"  hftbacktest, {THEIR_PROCESSES} processes: {other:.1f} s, {other / seconds:.1f} times as long")


if __name__ == "__main__":
    main()
