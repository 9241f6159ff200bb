"""A run in brief: one line a minute while it runs, one table at its end. Money in quote currency, times in UTC."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table

from stall_then_strike.app.view.panel import UNKNOWN, jpy, micros, price, span
from stall_then_strike.app.view.status import Latency, Status, Summary
from stall_then_strike.types.dto import Reason
from stall_then_strike.types.instrument import base_of, quote_of
from stall_then_strike.types.text import plain, utc_iso

REASONS_SHOWN = 6


def minute_line(status: Status) -> str:
    """The state of a run on one line without colours, for logs and pipes."""
    counts = status.counts
    age = UNKNOWN if status.message_age_ms is None else f"{status.message_age_ms} ms"
    feed = "connected" if status.connected else "NOT CONNECTED"
    doing = f"HALTED {status.halted}" if status.halted is not None else status.reason or "starting"
    if status.halted is None and status.reason == Reason.BUDGET.label and status.budget_wait:
        doing = f"{doing} ({status.budget_wait})"
    spread = UNKNOWN if status.spread_ticks is None else f"{status.spread_ticks:,}"
    return " | ".join(
        (
            f"{utc_iso(status.ts_ns)[:19]}Z up {span(status.uptime_s)}",
            f"{doing}",
            f"{feed} book {status.book.name.lower()} {age}",
            f"{price(status.best_bid)}/{price(status.best_ask)} spread {spread}",
            f"position {plain(status.position)} {base_of(status.product)}",
            f"day's PnL {jpy(status.pnl_today_jpy)} {quote_of(status.product)} drawdown {jpy(status.drawdown_jpy)}",
            f"strikes {counts.strikes:,} fills {counts.fills:,} cancels {counts.cancels:,} closes {counts.closes:,}",
            f"reconnects {counts.reconnects:,} garbage {counts.garbage:,}",
            f"p99 {micros(status.latency.p99_us)}",
        )
    )


def summary_table(summary: Summary) -> RenderableType:
    """A run as a table of names and values."""
    counts = summary.counts
    base = base_of(summary.product)
    ratio = UNKNOWN if summary.fill_ratio is None else f"{summary.fill_ratio:.1%}"
    checks = UNKNOWN if not summary.mid_checks else f"{summary.mid_agreed:,} of {summary.mid_checks:,}"
    rows = [
        ("mode", summary.mode),
        ("ended", summary.ended or UNKNOWN),
        ("duration", span(summary.duration_s)),
        ("board messages", f"{counts.messages:,}"),
        ("mid checks agreed", checks),
        ("reconnects, garbage", f"{counts.reconnects:,}, {counts.garbage:,}"),
        ("", ""),
        ("strikes", f"{counts.strikes:,}"),
        ("orders placed", f"{counts.placed:,}"),
        ("filled, partly filled", f"{counts.filled:,}, {counts.partly_filled:,} ({ratio} of placed)"),
        ("fills, volume", f"{counts.fills:,}, {plain(summary.volume)} {base}"),
        ("cancels, closes, rejects", f"{counts.cancels:,}, {counts.closes:,}, {counts.rejects:,}"),
        ("", ""),
        *_results(summary),
        ("position at the end", f"{plain(summary.position)} {base}"),
        ("", ""),
        *((("decision latency", _latency(summary.latency)),) if summary.latency.samples else ()),
        *_reasons(summary),
        ("logs", summary.log_dir or UNKNOWN),
    ]
    table = Table(title="summary", show_header=False, title_justify="left", title_style="bold", border_style="blue")
    table.add_column(style="bright_black", no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _results(summary: Summary) -> list[tuple[str, str]]:
    """One scope per line. The limits apply to the trading day's result."""
    total, quote = summary.realised_jpy + summary.marked_jpy, quote_of(summary.product)
    rows = [
        ("result, whole run", f"{jpy(total)} {quote}"),
        ("realised part, open position", f"{jpy(summary.realised_jpy)}, {jpy(summary.marked_jpy)} {quote}"),
        ("deepest drawdown, whole run", f"{jpy(summary.max_drawdown_jpy)} {quote}"),
    ]
    if summary.day:
        rows += [
            (f"result, trading day {summary.day}", f"{jpy(summary.day_jpy)} {quote}"),
            ("deepest drawdown, that day", f"{jpy(summary.day_max_drawdown_jpy)} {quote}"),
        ]
    return rows


def _latency(latency: Latency) -> str:
    return f"p50 {micros(latency.p50_us)}, p99 {micros(latency.p99_us)} of {latency.samples:,}"


def _reasons(summary: Summary) -> list[tuple[str, str]]:
    """The reasons that held longest, or the most frequent ones if time was not measured."""
    ranked = sorted(summary.reasons, key=lambda r: (-(r.seconds or 0.0), -r.count, r.reason))
    total = sum(r.seconds or 0.0 for r in ranked)
    rows = []
    for place, item in enumerate(ranked[:REASONS_SHOWN]):
        share = f" {item.seconds / total:.1%} of the time," if item.seconds is not None and total else ""
        rows.append(("reasons" if place == 0 else "", f"{item.reason}:{share} {item.count:,} x"))
    if len(ranked) > REASONS_SHOWN:
        rows.append(("", f"and {len(ranked) - REASONS_SHOWN} more"))
    return rows
