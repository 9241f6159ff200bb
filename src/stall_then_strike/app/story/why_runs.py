"""Finds the run of a log folder that a question is about: the one that has rows of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stall_then_strike.app.story.why_moment import Asked
from stall_then_strike.infra.logs.log_reader import LogReader, stamp_ns
from stall_then_strike.infra.logs.log_runs import REAL_TIME, LogRuns
from stall_then_strike.infra.logs.run_manifest import RunRecord
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import ConfigError

_LISTED: Final = 10


def runs_for(asked: Asked, known: LogRuns, texts: Sequence[str], reach_s: float) -> list[int]:
    """The runs named by ``texts``; otherwise the runs that have rows of it.

    Several such runs must be restarts in real time on one venue; a backtest of the same day does not belong to them.
    Empty if no run has rows of it, or the folder has no manifests. Raises ConfigError for an unknown run, and if runs
    that do not belong together have rows of it.
    """
    if texts:
        return known.chosen(texts)
    if not known.records:
        return []
    found = [run for run in known.with_rows if _knows(known, run, asked, int(reach_s * NS_PER_S))]
    if len({_story(known.record(run), run) for run in found}) > 1:
        lines = "".join(f"\n  {known.line(run)}" for run in found[-_LISTED:])
        raise ConfigError(f"{asked.text} is in {len(found)} runs; accepted: --run with the number of one:{lines}")
    return found


def _story(record: RunRecord | None, run: int) -> tuple[object, ...]:
    if record is None or record.mode not in REAL_TIME:
        return (run,)
    return record.mode, record.venue, record.product


def _knows(known: LogRuns, run: int, asked: Asked, reach_ns: int) -> bool:
    """Whether a run has rows of an order, has rows around a moment, or was running then."""
    reader = LogReader(known.folder, known.rows([run]))
    if asked.moment_ns is None:
        return bool(reader.orders_named(asked.name) or reader.trades_of(asked.name))
    from_ns, until_ns = max(0, asked.moment_ns - reach_ns), asked.moment_ns + asked.slack_ns + reach_ns + 1
    if _is_elsewhere(known.record(run), from_ns, until_ns):
        return False
    decisions = reader.decisions(from_ns, until_ns)
    if decisions.within or reader.orders(from_ns, until_ns).within or reader.trades(from_ns, until_ns).within:
        return True
    return decisions.before is not None and (decisions.after is not None or known.is_running(run))


def _is_elsewhere(record: RunRecord | None, from_ns: int, until_ns: int) -> bool:
    """Whether the manifest says that all rows are of another time."""
    if record is None or record.first_row is None or record.last_row is None:
        return False
    try:
        return stamp_ns(record.last_row) < from_ns or until_ns <= stamp_ns(record.first_row)
    except ValueError:
        return False
