"""Fills and result of a run, from its trade CSVs, and how long it took."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from stall_then_strike.engine.venue.account import TAKEN_TAG
from stall_then_strike.infra.logs.log_reader import LogReader
from stall_then_strike.infra.logs.run_files import KINDS, day_files
from stall_then_strike.infra.logs.run_list import Run
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.text import iso_ns, plain

_FOREVER_NS: Final = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSums:
    """Of one run."""

    run: Run
    fills: int
    """A position that was taken over is none."""
    realised: Decimal
    """What the fills realised, after their fees."""
    seconds: float
    """From its start to its end; of a killed run to its last line in the log, of one that goes on to now."""


def sums_of(run: Run, now_ns: int) -> RunSums:
    """Read a run's trade CSVs. What cannot be read counts as nothing."""
    folders = run.files.each
    rows = [row for row in LogReader(folders).trades(0, _FOREVER_NS).within if row.tag != TAKEN_TAG]
    record = run.record
    begun_ns = last_ns(run) if record is None else iso_ns(record.started)
    end_ns = now_ns if run.is_running else last_ns(run)
    return RunSums(
        run=run,
        fills=len(rows),
        realised=sum((row.pnl for row in rows), Decimal(0)),
        seconds=max(0, end_ns - begun_ns) / NS_PER_S,
    )


def last_ns(run: Run) -> int:
    """When a run ended; of one without a recorded end, when its last line was logged. Zero if nothing tells."""
    if run.record is not None and run.record.ended is not None:
        return iso_ns(run.record.ended)
    written = list(run.files.runtime.glob("*.log"))  # the CSVs are mended later
    if not written:
        written = [path for folder in run.files.each for kind in KINDS for _, path in day_files(folder, kind)]
    return max((path.stat().st_mtime_ns for path in written), default=0)


def as_json(sums: RunSums) -> dict[str, Any]:
    """For programs: stamps and decimals as in the CSVs, null for what is not known."""
    run, record = sums.run, sums.run.record
    known = {} if record is None else record.model_dump()
    names = ("mode", "venue", "source", "market", "instruments", "configuration", "version", "started", "ended")
    return {
        "run": run.name,
        "folder": str(run.files.folder),
        **{name: known.get(name) for name in names},
        "duration_s": round(sums.seconds, 3),
        "fills": sums.fills,
        "realised": plain(sums.realised),
        "quote": known.get("quote"),
        "end": run.how_it_ended,
        "exit_code": known.get("exit_code"),
        "running": run.is_running,
    }
