"""One run of a sweep, on any machine: a parameter set over a span, and its figures.

An error of one run is part of its record; an error of all runs (no tape, another program) is raised.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import perf_ns, processor_ns
from stall_then_strike.research.replay.compiled import CompiledReplay, Outcome
from stall_then_strike.research.replay.kernel_cache import sources
from stall_then_strike.research.replay.kernel_state import LOG_TRADE
from stall_then_strike.research.sweep.overfitting import moments
from stall_then_strike.research.sweep.plan import Span, Value, as_json, configured
from stall_then_strike.research.sweep.tape_fetch import Tape, columns_of
from stall_then_strike.research.tables.columns import I64, KIND_BOARD, Columns, Ints
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import StallThenStrikeError

MARKOUT_NS: Final = 1 * NS_PER_S
_SILENCE_NS: Final = 10 * NS_PER_S
"""After this time without a board message the mid is unknown (as in ``mid_path``)."""

_HERE: Final = "research/sweep/runs.py"
"""This module: it imports everything that a run's figures depend on."""

METRICS: Final = {
    "pnl": float,
    "max_drawdown": float,
    "fills": int,
    "quotes": int,
    "fill_ratio": float,
    "strikes": int,
    "volume": float,
    "sharpe": float,
    "markout_1s": float,
    "observations": int,
    "skew": float,
    "kurtosis": float,
    "output_hash": str,
}
"""Figures of a run and their types; each may be None if it is undefined.

``pnl``: realised and marked, with fees and funding; ``max_drawdown``: deepest fall of it from a peak, zero or negative;
both in JPY, over all days of the span. ``fill_ratio``: share of quotes with any fill. ``volume``: of all fills, BTC.
``sharpe``, ``skew``, ``kurtosis``: of the changes of ``pnl`` over the ``observations``, the complete intervals of
observation. ``markout_1s``: mean over fills of the mid's move in their favour after a second, JPY. ``output_hash``:
digest of every log row and of the account at the end.
"""


class OtherProgram(StallThenStrikeError):
    """This worker runs another version of the program: its results would not be comparable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What all runs of a sweep share."""

    base: dict[str, Any]
    tapes: tuple[Tape, ...]
    key: str
    """Key of the columns in the cache."""
    cache: str
    """Folder of columns; a worker that cannot use it uses its own."""
    sample_ns: int
    program: str


@dataclass(frozen=True, slots=True)
class Run:
    """One run."""

    number: int
    span: Span
    values: dict[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The outcome of a run."""

    number: int
    span: str
    values: dict[str, Any]
    """Values of the keys, for JSON."""
    error: str | None
    metrics: dict[str, Any]
    seconds: float
    processor_s: float = 0.0
    worker: str = ""
    """Machine and process."""
    peak_mb: int | None = None
    """The most memory that the worker has had in use; None where the system does not say it."""

    @property
    def done(self) -> bool:
        """Whether it succeeded and has figures."""
        return self.error is None


def program() -> str:
    """Digest of the code that a run's figures depend on."""
    return sources((_HERE,))


def run_batch(job: Job, runs: Sequence[Run]) -> list[Record]:
    """Execute several runs on a worker. Raises OtherProgram, TapeUnavailable, FeedError, OSError."""
    if program() != job.program:
        raise OtherProgram("it has another version of stall-then-strike than the one that started the sweep")
    columns = columns_of(job.tapes, job.key, configured(job.base, {}, ""), worker_cache(job.cache))
    return [execute(job, run, columns) for run in runs]


def worker_cache(wanted: str) -> Path:
    """The wanted cache folder, if this machine can write to it; else one in the user's cache folder."""
    folder = Path(wanted)
    if folder.is_dir() and os.access(folder, os.W_OK):
        return folder
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "stall_then_strike" / "columns"


def execute(job: Job, run: Run, columns: Columns) -> Record:
    """Execute one run. Its record has any error."""
    started, worked, error, metrics = perf_ns(), processor_ns(), None, dict.fromkeys(METRICS)
    try:
        cfg = configured(job.base, run.values, "this set")
        metrics = measured(cfg, columns, run.span, job.sample_ns)
    except StallThenStrikeError as failure:
        error = str(failure)
    except Exception as failure:  # noqa: BLE001 - no error of one run may end the sweep
        error = f"{type(failure).__name__}: {failure}"
    return Record(
        number=run.number,
        span=run.span.name,
        values=as_json(run.values),
        error=error,
        metrics=metrics,
        seconds=(perf_ns() - started) / NS_PER_S,
        processor_s=(processor_ns() - worked) / NS_PER_S,
        worker=f"{platform.node()}:{os.getpid()}",
        peak_mb=_peak_mb(),
    )


def _peak_mb() -> int | None:
    """Of this process itself: ``getrusage`` would also tell of the one that started it."""
    try:
        told = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    return int(told.partition("VmHWM:")[2].split()[0]) // 1024


def failed(run: Run, error: str) -> Record:
    """The record of a run without a result."""
    return Record(
        number=run.number,
        span=run.span.name,
        values=as_json(run.values),
        error=error,
        metrics=dict.fromkeys(METRICS),
        seconds=0.0,
    )


def measured(cfg: AppConfig, columns: Columns, span: Span, sample_ns: int) -> dict[str, Any]:
    """The figures of one replay. Raises CannotCompile, ConfigError (a latency file)."""
    # Of the digests that processors have instructions for: a fourth of a run's time went into a slower one.
    digest, trades = hashlib.sha256(), list[I64]()

    def read(log: Ints, *_: int) -> None:
        digest.update(log.view(np.int64).data)
        at, fill = np.flatnonzero(log["kind"] == LOG_TRADE), log["trade"]
        trades.append(np.stack((log["ts_ns"][at], fill["side"][at], fill["price"][at]), axis=1))

    replay = CompiledReplay(cfg, columns, span=(span.from_ns, span.to_ns), sample_ns=sample_ns)
    outcome = replay.run(read)
    digest.update(repr((outcome.started_ns, outcome.first_order_ns, outcome.inventory, outcome.halted)).encode())
    unit, tally = cfg.exchange.instrument(), outcome.tally
    found = moments(np.diff(outcome.samples, prepend=0).tolist())
    markout = _markout(np.concatenate(trades) if trades else np.zeros((0, 3), np.int64), columns, span)
    return {
        "pnl": float(unit.amount(outcome.total)),
        "max_drawdown": float(unit.amount(outcome.max_fall)),
        "fills": tally["fills"],
        "quotes": tally["quotes"],
        "fill_ratio": _ratio(outcome),
        "strikes": tally["strikes"],
        "volume": float(unit.size(tally["volume"])),
        "sharpe": found.sharpe if found else None,
        "markout_1s": None if markout is None else markout / 2 / unit.ticks_per_one,
        "observations": len(outcome.samples),
        "skew": found.skew if found else None,
        "kurtosis": found.kurtosis if found else None,
        "output_hash": digest.hexdigest()[:32],
    }


def _ratio(outcome: Outcome) -> float | None:
    quotes = outcome.tally["quotes"]
    return outcome.tally["touched"] / quotes if quotes else None


def _markout(trades: I64, columns: Columns, span: Span) -> float | None:
    """Mean markout of fills (stamp, side, price) in half ticks, over fills with a known mid a second later."""
    order = np.argsort(trades[:, 0], kind="stable")
    stamps, sides, prices = trades[order].T
    later = stamps + MARKOUT_NS
    doubled = mids_at(columns, later)
    known = (doubled > 0) & (later < span.to_ns)
    if not known.any():
        return None
    return int((sides[known] * (doubled[known] - 2 * prices[known])).sum()) / int(known.sum())


def mids_at(columns: Columns, stamps: I64) -> I64:
    """The doubled mid at each of these ascending stamps, after all messages up to it; zero if unknown."""
    found = np.zeros(len(stamps), np.int64)
    at, heard_ns, last = 0, 0, 0
    for chunk in columns.chunks():
        if at == len(stamps):
            break
        boards = np.flatnonzero(chunk.kind == KIND_BOARD)
        if not len(boards):
            continue
        times = chunk.recv[boards]
        times[0] = max(times[0], heard_ns)
        np.maximum.accumulate(times, out=times)
        end = at + int(np.searchsorted(stamps[at:], times[-1], "left"))
        place = np.searchsorted(times, stamps[at:end], "right")  # one too far; 0: before this chunk
        message = boards[place - 1]
        doubled = np.where(
            chunk.status[message] == 0, np.add(chunk.bid[message], chunk.ask[message], dtype=np.int64), 0
        )
        known = np.where(place > 0, doubled, last)
        since_ns = np.where(place > 0, times[place - 1], heard_ns)
        found[at:end] = np.where(stamps[at:end] - since_ns <= _SILENCE_NS, known, 0)
        final = boards[-1]
        last = int(chunk.bid[final]) + int(chunk.ask[final]) if chunk.status[final] == 0 else 0
        at, heard_ns = end, int(times[-1])
    found[at:] = np.where(stamps[at:] - heard_ns <= _SILENCE_NS, last, 0)
    return found
