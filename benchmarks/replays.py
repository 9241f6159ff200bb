"""Replays in short: the first compilation, compiled and interpreted replay of one generated tape.

``python -m benchmarks.replay_speed``, ``replay_kinds`` and ``sweep_speed`` are the long forms, with tables of their
own. *hftbacktest* runs a simpler strategy over the same events (:mod:`benchmarks.replay_speed`), polled, which is its
faster way, with ROIVectorMarketDepth. A set of a sweep is a run of the same strategy in both
(:mod:`benchmarks.sweep_speed`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

import numpy as np

from benchmarks import messages, preparation, replay_kinds
from stall_then_strike.config.loader import load_app_config
from stall_then_strike.research.replay.compiled import CompiledReplay
from stall_then_strike.research.tables.column_feed import ColumnFeed
from stall_then_strike.research.tables.columns import Columns
from stall_then_strike.research.tables.prepare import write_columns

HOURS: Final = 2.0
SETS: Final = 100
THEIRS: Final = 4
"""Sets that hftbacktest really runs."""
_ROUNDS: Final = 5
_COLD_S: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Replays:
    """Of one tape. Rates are level changes a second."""

    first_s: float
    """From the start of a process to the end of its replay, with nothing compiled."""
    later_s: float
    """The same when all is compiled."""
    compiled: float
    interpreted: float
    """By the medians of its messages' kinds, which a busy machine hardly moves."""
    interpreted_by_time: float
    preparation: preparation.Result


def measure(hours: float) -> Replays:
    """Replay a tape of so many hours of the embedded market."""
    cfg = load_app_config(replay_kinds.BASE, Path("configs/sim.yml"), [])
    with TemporaryDirectory() as name:
        messages.generated(tape := Path(name) / "tape.jsonl", hours=hours)
        (folder := Path(name) / "columns").mkdir()
        levels = write_columns([tape], cfg, folder).level_changes
        columns = Columns(folder)
        spent = []
        for _ in range(_ROUNDS):
            started = perf_counter()
            CompiledReplay(cfg, columns, logging=False).run()
            spent.append(perf_counter() - started)
        feed, again = ColumnFeed(columns), ColumnFeed(columns)
        kinds, _ = replay_kinds.replay(cfg, feed, feed.messages(), is_stamped=True)
        _, by_time_s = replay_kinds.replay(cfg, again, again.messages(), is_stamped=False)
        return Replays(
            first_s=_cold(folder, Path(name) / "cache"),
            later_s=_cold(folder, Path(name) / "cache"),
            compiled=levels / min(spent),
            interpreted=levels / sum(median(times) * len(times) for times in kinds.times.values()) * 1e9,
            interpreted_by_time=levels / by_time_s,
            preparation=preparation.compare(f"{hours:g} h", tape),
        )


def _cold(columns: Path, cache: Path) -> float:
    """Seconds of a process of its own, with this cache of compiled code."""
    started = perf_counter()
    subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-m", "benchmarks.replays", str(columns)],
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        check=True,
        timeout=_COLD_S,
    )
    return perf_counter() - started


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """hftbacktest and we."""

    roi: float
    """Its level changes a second."""
    set_s: float
    """Our processor seconds for a set of a sweep, without the preparation."""
    their_set_s: float


def beside(hours: float) -> Beside:
    """The same tape in hftbacktest. Raises ModuleNotFoundError if that is not installed."""
    from hftbacktest import ROIVectorMarketDepthBacktest

    from benchmarks import replay_speed, sweep_speed
    from benchmarks.sweep_work import grids
    from benchmarks.sweep_work import measure as swept

    with TemporaryDirectory() as name:
        messages.generated(tape := Path(name) / "tape.jsonl", hours=hours)
        for part in ("warm", "columns"):
            (Path(name) / part).mkdir()
        prepared = sweep_speed.prepare(tape, Path(name) / "columns")
        data = np.load(prepared / "events.npy")
        middle, spent = float(np.median(data["px"])), []
        for _ in range(_ROUNDS):
            started = perf_counter()
            replay_speed.hft(
                data, ROIVectorMarketDepthBacktest, middle * 0.9, middle * 1.1, per_feed=False, gap_ns=500_000_000
            )
            spent.append(perf_counter() - started)
        config = sweep_speed.written(sweep_speed.terms(), Path(name) / "terms.yml")
        ours = swept(tape, Path(name), grids(SETS), sweep_speed.PROCESSES, *config)
        theirs = sweep_speed.theirs(prepared, sweep_speed.some(SETS, THEIRS))
        return Beside(
            roi=Columns(prepared).manifest.level_changes / min(spent),
            set_s=ours.runs_s / SETS,
            their_set_s=theirs.processor_s / theirs.sets,
        )


if __name__ == "__main__":
    CompiledReplay(
        load_app_config(replay_kinds.BASE, Path("configs/sim.yml"), []), Columns(Path(sys.argv[1])), logging=False
    ).run()
