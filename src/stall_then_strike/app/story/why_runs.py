"""Finds the runs of a log folder that a question is about: those that have rows of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stall_then_strike.app.story.why_moment import Asked
from stall_then_strike.infra.logs.log_reader import LogReader
from stall_then_strike.infra.logs.run_list import Run, RunList
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import ConfigError
from stall_then_strike.types.text import iso_ns

_LISTED: Final = 10


def runs_for(asked: Asked, known: RunList, texts: Sequence[str], reach_s: float, product: str | None) -> list[Run]:
    """The runs named by ``texts``; otherwise the runs that have rows of it, of an instrument or of their first.

    Several such runs must be restarts in real time on one venue; a backtest of the same day does not belong to them.
    Empty if no run has rows of it. Raises ConfigError for an unknown run, and if runs that do not belong together have
    rows of it.
    """
    if texts:
        return known.chosen(texts)
    found = [run for run in known.all if _knows(run, asked, int(reach_s * NS_PER_S), product)]
    if len({run.story for run in found}) > 1:
        lines = "".join(f"\n  {run.line()}" for run in found[-_LISTED:])
        raise ConfigError(f"{asked.text} is in {len(found)} runs; accepted: --run with the name of one:{lines}")
    return found


def _knows(run: Run, asked: Asked, reach_ns: int, product: str | None) -> bool:
    """Whether a run has rows of an order, has rows around a moment, or was running then."""
    reader = LogReader([run.files.folder if product is None else run.files.of(product)])
    if asked.moment_ns is None:
        return bool(reader.orders_named(asked.name) or reader.trades_of(asked.name))
    from_ns, until_ns = max(0, asked.moment_ns - reach_ns), asked.moment_ns + asked.slack_ns + reach_ns + 1
    if _is_elsewhere(run, from_ns, until_ns):
        return False
    decisions = reader.decisions(from_ns, until_ns)
    if decisions.within or reader.orders(from_ns, until_ns).within or reader.trades(from_ns, until_ns).within:
        return True
    return decisions.before is not None and (decisions.after is not None or run.is_running)


def _is_elsewhere(run: Run, from_ns: int, until_ns: int) -> bool:
    """Whether the record says that all rows are of another time."""
    record = run.record
    if record is None or record.first_row is None or record.last_row is None:
        return False
    try:
        return iso_ns(record.last_row) < from_ns or until_ns <= iso_ns(record.first_row)
    except ValueError:
        return False
