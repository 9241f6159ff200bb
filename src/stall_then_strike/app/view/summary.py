"""A run in brief: one line a minute while it runs, one table at its end. Money in quote currency, times in UTC."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table

from stall_then_strike.app.view.amounts import UNKNOWN, micros, price, span
from stall_then_strike.app.view.snapshot import (
    ZERO,
    Counts,
    DayFigures,
    InstrumentSnapshot,
    Latency,
    ReasonCount,
    Snapshot,
)
from stall_then_strike.types.dto import Reason
from stall_then_strike.types.text import money, plain, utc_iso

REASONS_SHOWN = 6
_Rows = list[tuple[str, str]]
_GAP = ("", "")


def minute_line(seen: Snapshot) -> str:
    """The state of a run on one line without colours, for logs and pipes."""
    counts, alone = seen.counts, seen.alone
    feed = "connected" if seen.connected else "NOT CONNECTED"
    if alone is None:
        own = [f"{one.product} {one.reason or 'starting'}, {', '.join(_standing(one))}" for one in seen.instruments]
        places = [feed, *own]
    else:
        book, *rest = _standing(alone)
        places = [f"{feed} {book}", *rest]
    return " | ".join(
        (
            f"{utc_iso(seen.ts_ns)[:19]}Z up {span(seen.uptime_s)}",
            _doing(seen),
            *places,
            f"day's {_of_day(seen)}",
            f"run: {seen.strikes} {counts.strikes:,} {_traded(counts)}",
            f"reconnects {seen.reconnects:,} garbage {counts.garbage:,}",
            f"p99 {micros(seen.latency.p99_us)}",
        )
    )


def _of_day(seen: Snapshot) -> str:
    day = seen.day
    return f"PnL {money(day.pnl)} {seen.quote} drawdown {money(day.drawdown)} fills {day.fills:,}"


def _traded(counts: Counts) -> str:
    return f"fills {counts.fills:,} cancels {counts.cancels:,} closes {counts.closes:,}"


def _doing(seen: Snapshot) -> str:
    if seen.halt is not None:
        return f"HALTED {seen.halt.reason}"
    waits = not seen.awaited and any(one.reason == Reason.BUDGET.label for one in seen.instruments)
    return f"{seen.doing} ({seen.budget_wait})" if waits and seen.budget_wait else seen.doing


def _standing(one: InstrumentSnapshot) -> tuple[str, str, str]:
    """Book, market and position of an instrument."""
    age = UNKNOWN if one.message_age_ms is None else f"{one.message_age_ms} ms"
    spread = UNKNOWN if one.spread_ticks is None else f"{one.spread_ticks:,}"
    return (
        f"book {one.book.name.lower()} {age}",
        f"{price(one.best_bid)}/{price(one.best_ask)} spread {spread}",
        f"position {plain(one.position)} {one.base}",
    )


def summary_table(last: Snapshot, *, folder: str = "", ended: str = "") -> RenderableType:
    """A run as a table of names and values, from its last snapshot; of several instruments also a table for each.

    ``ended`` says why it ended: ``duration over``, ``SIGINT``, ``halted: kill_pnl`` ...
    """
    head = [("mode", last.mode), ("ended", ended or UNKNOWN), ("duration", span(last.uptime_s))]
    latency, logs = _latency(last.latency), ("logs", folder or UNKNOWN)
    if (one := last.alone) is not None:
        lost = ("reconnects, garbage", f"{last.reconnects:,}, {one.counts.garbage:,}")
        return _table("summary", [*head, *_own(one, lost, last.date), *latency, *_reasons(one.run.reasons), logs])
    total = sum((one.run.realised + one.run.marked for one in last.instruments), ZERO)
    account = [
        *head,
        ("reconnects", f"{last.reconnects:,}"),
        ("result, this run", f"{money(total)} {last.quote}"),
        ("fills, this run", f"{last.counts.fills:,}"),
        *_day(last.day, last.quote, last.date),
        *latency,
        logs,
    ]
    return Group(
        _table("summary", account),
        *(
            _table(
                one.product,
                [*_own(one, ("garbage", f"{one.counts.garbage:,}"), last.date), *_reasons(one.run.reasons)],
            )
            for one in last.instruments
        ),
    )


def _table(title: str, rows: Iterable[tuple[str, str]]) -> Table:
    table = Table(title=title, show_header=False, title_justify="left", title_style="bold", border_style="blue")
    table.add_column(style="bright_black", no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _own(one: InstrumentSnapshot, lost: tuple[str, str], date: str) -> _Rows:
    """An instrument's run; ``lost`` is the row of what the connection lost. One scope of results per line."""
    counts, run = one.counts, one.run
    ratio = UNKNOWN if counts.fill_ratio is None else f"{counts.fill_ratio:.1%}"
    checks = UNKNOWN if not run.mid_checks else f"{run.mid_agreed:,} of {run.mid_checks:,}"
    return [
        ("board messages", f"{counts.messages:,}"),
        ("mid checks agreed", checks),
        lost,
        _GAP,
        (f"{one.word}s", f"{counts.strikes:,}"),
        ("orders placed", f"{counts.placed:,}"),
        ("filled, partly filled", f"{counts.filled:,}, {counts.partly_filled:,} ({ratio} of placed)"),
        ("cancels, closes, rejects", f"{counts.cancels:,}, {counts.closes:,}, {counts.rejects:,}"),
        _GAP,
        ("result, this run", f"{money(run.realised + run.marked)} {one.quote}"),
        ("realised part, open position", f"{money(run.realised)}, {money(run.marked)} {one.quote}"),
        ("deepest drawdown, this run", f"{money(run.max_drawdown)} {one.quote}"),
        ("fills, volume, this run", f"{counts.fills:,}, {plain(run.volume)} {one.base}"),
        *_day(one.day, one.quote, date),
        ("position at the end", f"{plain(one.position)} {one.base}"),
        _GAP,
    ]


def _day(day: DayFigures, quote: str, date: str) -> _Rows:
    """The trading day's result. The account's limits apply to that of all instruments together."""
    if not date:
        return []
    return [
        (f"result, trading day {date}", f"{money(day.pnl)} {quote}"),
        ("deepest drawdown, that day", f"{money(day.max_drawdown)} {quote}"),
        ("fills, that day", f"{day.fills:,}"),
    ]


def _latency(latency: Latency) -> _Rows:
    if not latency.samples:
        return []
    text = f"p50 {micros(latency.p50_us)}, p99 {micros(latency.p99_us)} of {latency.samples:,}"
    return [("decision latency", text)]


def _reasons(reasons: Iterable[ReasonCount]) -> _Rows:
    """The reasons that held longest, or the most frequent ones if time was not measured."""
    ranked = sorted(reasons, key=lambda r: (-(r.seconds or 0.0), -r.count, r.reason))
    total = sum(r.seconds or 0.0 for r in ranked)
    rows = []
    for place, item in enumerate(ranked[:REASONS_SHOWN]):
        share = f" {item.seconds / total:.1%} of the time," if item.seconds is not None and total else ""
        rows.append(("reasons" if place == 0 else "", f"{item.reason}:{share} {item.count:,} x"))
    if len(ranked) > REASONS_SHOWN:
        rows.append(("", f"and {len(ranked) - REASONS_SHOWN} more"))
    return rows
