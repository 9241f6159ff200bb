"""The live panel: one moment of a run, drawn to the size of the terminal.

Drawing is a function of a :class:`Status` and the size alone: every part is always there and has its fixed place, so
nothing jumps from frame to frame. Wide terminals (140 columns and more) get two columns of figures, others one; the
lists at the bottom share the lines that are left. A colour says how bad a figure is; the words say it as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stall_then_strike.app.status import AccountLine, Status, WorkingOrder
from stall_then_strike.types.dto import BoardState, BookStatus, Health, Side
from stall_then_strike.types.instrument import base_of, quote_of
from stall_then_strike.types.text import plain, utc_clock

UNKNOWN = "-"
_WIDE = 140
_LABEL_STYLE = "bright_black"
_GOOD, _WARN, _BAD = "green", "yellow", "bold red"
_SIDE_STYLE = {Side.BUY: "green", Side.SELL: "magenta"}
_BOOK_STYLE = {BookStatus.OK: _GOOD, BookStatus.UNKNOWN: _WARN, BookStatus.SUSPECT: _BAD, BookStatus.STALE: _BAD}


def render(status: Status) -> RenderableType:
    """Draw a status; the size is taken when it is printed."""
    return _Dashboard(status)


def jpy(amount: Decimal, *, signed: bool = True) -> str:
    """Yen with thousands separators, ``+1,234``; under a thousand with sen, ``-3.41``: small orders earn no more."""
    shown = round(amount, 0 if abs(amount) >= 1000 or amount == amount.to_integral_value() else 2)
    if not shown:
        return f"{abs(shown):f}"  # never -0
    return f"{shown:+,f}" if signed else f"{shown:,f}"


def price(value: Decimal | None) -> str:
    """A price with thousands separators."""
    return UNKNOWN if value is None else f"{value:,f}"


def span(seconds: float) -> str:
    """A length of time as ``1:02:03``; days are hours."""
    whole = max(0, int(seconds))
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def micros(value: float | None) -> str:
    """Microseconds, or milliseconds from ten of them on."""
    if value is None:
        return UNKNOWN
    return f"{value / 1000:,.1f} ms" if value >= 10_000 else f"{value:,.0f} µs"


def _millis(value: int | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value / 1000:,.1f} s" if value >= 10_000 else f"{value:,} ms"


def _share(value: Decimal, limit: Decimal | None) -> float | None:
    return None if not limit else float(value / limit)


def _graded(share: float | None) -> str:
    """The style of a figure by how much of its limit it uses up."""
    if share is None or share < 0.5:
        return ""
    return _WARN if share < 0.8 else _BAD


def _percent(share: float | None) -> str:
    return "" if share is None else f" ({max(0.0, share):.0%})"


@dataclass(frozen=True, slots=True)
class _Dashboard:
    status: Status

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.height or max(10, console.size.height - 1)
        parts: list[RenderableType] = [_headline(self.status, options.max_width)]
        figures = _figures(self.status)
        if options.max_width >= _WIDE:
            half = (len(figures) + 1) // 2
            grid = Table.grid(expand=True, padding=(0, 1))
            grid.add_column(ratio=1)
            grid.add_column(ratio=1)
            grid.add_row(_pairs(figures[:half]), _pairs(figures[half:]))
            parts.append(Panel(grid, border_style="blue", padding=(0, 1)))
            used = 1 + half + 2
        else:
            parts.append(Panel(_pairs(figures), border_style="blue", padding=(0, 1)))
            used = 1 + len(figures) + 2
        # Two orders are the usual strike; the rest of the lines goes to what happened.
        left = max(0, height - used)
        order_lines = min(max(2, left // 3 - 2), max(2, len(self.status.orders)), max(0, left - 2))
        if left >= 3:
            parts.append(_listing("working orders", [_order(o) for o in self.status.orders], order_lines, latest=False))
        event_lines = left - order_lines - 2 - 2
        if event_lines >= 1:
            bottom = Table.grid(expand=True)
            bottom.add_column(ratio=1)
            bottom.add_column(ratio=1)
            bottom.add_row(
                _listing("decisions", _decisions(self.status), event_lines),
                _listing("fills", _fills(self.status), event_lines),
            )
            parts.append(bottom)
        yield Group(*parts)


def _headline(status: Status, width: int) -> RenderableType:
    if status.halted is not None:
        state = Text(f" HALTED: {status.halted} ", style="bold white on red")
    else:
        state = Text(f" {status.reason or 'starting'} ", style="black on cyan")
    line = Table.grid(expand=True)
    line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    line.add_column(justify="right", no_wrap=True)
    # The state comes first: it is the one part that a narrow terminal may not cut off.
    name = Text.assemble(state, "  ", (status.product, "bold"), "  ", (status.mode, "cyan"))
    clock = f"{utc_clock(status.ts_ns)[:8]}Z"
    line.add_row(name, f"{clock}  up {span(status.uptime_s)}" if width >= 70 else clock)
    return line


def _pairs(figures: Sequence[tuple[str, Text]]) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style=_LABEL_STYLE, no_wrap=True, min_width=9)
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for label, value in figures:
        grid.add_row(label, value)
    return grid


def _figures(status: Status) -> list[tuple[str, Text]]:
    counts, latency = status.counts, status.latency
    return [
        ("best", _best(status)),
        ("still", _still(status)),
        ("book", _book(status)),
        ("venue", _venue(status)),
        ("position", _position(status)),
        ("PnL today", _pnl(status)),
        ("drawdown", _drawdown(status)),
        *([] if status.account is None else [("account", _account(status.account))]),
        ("budget", _budget(status)),
        (
            "done",
            Text(
                f"{counts.strikes:,} strikes  {counts.fills:,} fills  {counts.cancels:,} cancels  "
                f"{counts.closes:,} closes  {counts.rejects:,} rejects"
            ),
        ),
        (
            "decision",
            Text(f"p50 {micros(latency.p50_us)}  p99 {micros(latency.p99_us)}  of {latency.samples:,} board messages"),
        ),
    ]


def _best(status: Status) -> Text:
    spread = UNKNOWN if status.spread_ticks is None else f"{status.spread_ticks:,}"
    return Text.assemble(
        (price(status.best_bid), "green"), " / ", (price(status.best_ask), "magenta"), f"  spread {spread} ticks"
    )


def _still(status: Status) -> Text:
    age, needed = status.best_age_ms, status.stall_ms
    is_stall = age is not None and needed is not None and age >= needed
    text = Text(f"best for {_millis(age)}", style=_GOOD if is_stall else "")
    return text.append(f"  (a stall from {_millis(needed)})", style=_LABEL_STYLE)


def _book(status: Status) -> Text:
    age, stale = status.message_age_ms, status.stale_ms
    is_old = age is not None and stale is not None and age >= stale
    return Text.assemble(
        (status.book.name.lower(), _BOOK_STYLE[status.book]),
        "  last message ",
        (_millis(age), _BAD if is_old else ""),
        (f" ago  (stale from {_millis(stale)})", _LABEL_STYLE),
    )


def _venue(status: Status) -> Text:
    state_style = {BoardState.RUNNING: _GOOD, BoardState.UNKNOWN: _WARN}.get(status.venue_state, _BAD)
    health_style = {Health.NORMAL: _GOOD, Health.BUSY: _GOOD, Health.UNKNOWN: _WARN}.get(status.venue_health, _BAD)
    counts = status.counts
    return Text.assemble(
        (status.venue_state.value, state_style),
        " / ",
        (status.venue_health.value, health_style),
        "  ",
        ("connected", _GOOD) if status.connected else ("NOT CONNECTED", _BAD),
        "  ",
        (f"{counts.reconnects:,} reconnects", _WARN if counts.reconnects else ""),
        "  ",
        (f"{counts.garbage:,} garbage", _WARN if counts.garbage else ""),
    )


def _position(status: Status) -> Text:
    share = _share(abs(status.position), status.max_position)
    limit = UNKNOWN if status.max_position is None else plain(status.max_position)
    sign = "+" if status.position > 0 else ""
    text = Text(
        f"{sign}{plain(status.position)} of {limit} {base_of(status.product)}{_percent(share)}", style=_graded(share)
    )
    if status.avg_price is not None:
        text.append(f"  at {price(status.avg_price)}", style="default")
    return text


def _pnl(status: Status) -> Text:
    value, limit = status.pnl_today_jpy, status.pnl_limit_jpy
    share = _share(value, limit)
    text = Text(f"{jpy(value)} {quote_of(status.product)}", style=_graded(share) or (_GOOD if value > 0 else ""))
    text.append(f"  realised {jpy(status.realised_today_jpy)}", style="default")
    return text.append(_halts_at(limit, share), style=_LABEL_STYLE)


def _drawdown(status: Status) -> Text:
    share = _share(status.drawdown_jpy, status.drawdown_limit_jpy)
    text = Text(f"{jpy(status.drawdown_jpy)} {quote_of(status.product)}", style=_graded(share))
    text.append(f"  deepest {jpy(status.max_drawdown_jpy)}", style="default")
    return text.append(_halts_at(status.drawdown_limit_jpy, share), style=_LABEL_STYLE)


def _halts_at(limit: Decimal | None, share: float | None) -> str:
    return "" if limit is None else f"  halts at {jpy(limit)}{_percent(share)}"


def _account(account: AccountLine) -> Text:
    text = Text()
    if account.is_settled:
        text.append("reconciled", _GOOD)
    elif account.is_live:
        text.append("NOT RECONCILED", _BAD)
    else:
        text.append("PRIVATE CHANNEL DOWN", _BAD)
    if account.reported_s is not None:
        text.append(f"{'' if account.is_settled else '  last seen'} {account.reported_s:,.0f} s ago")
    text.append(f"  in doubt {account.in_doubt}", _WARN if account.in_doubt else "")
    if account.lag_p99_ms is not None:
        text.append(f"  lag p99 {account.lag_p99_ms:,.1f} ms")
    return text


def _budget(status: Status) -> Text:
    text = Text()
    for use in status.budget:
        style = _graded(use.used / use.limit if use.limit else None)
        text.append(f"{use.name} ", style=_LABEL_STYLE).append(f"{use.used:,}/{use.limit:,}", style=style).append("  ")
    return text if status.budget else Text(UNKNOWN)


def _listing(title: str, lines: Sequence[Text], room: int, *, latest: bool = True) -> Panel:
    """A frame of a fixed number of lines; what does not fit is counted in the title."""
    hidden = len(lines) - room
    if hidden > 0:
        lines = lines[-room:] if latest else lines[:room]
        title = title if latest else f"{title} (and {hidden} more)"
    shown = [*lines, *(Text() for _ in range(room - len(lines)))]
    body = Text("\n", no_wrap=True, overflow="ellipsis").join(shown)
    body.no_wrap, body.overflow = True, "ellipsis"
    return Panel(body, title=title, title_align="left", border_style="blue", padding=(0, 1), height=room + 2)


def _order(order: WorkingOrder) -> Text:
    left = "" if order.remaining == order.size else f" ({plain(order.remaining)} left)"
    return Text.assemble(
        (f"{order.side:<4} ", _SIDE_STYLE[order.side]),
        f"{plain(order.size)}{left} @ {'market' if order.price is None else price(order.price)}",
        (f"  {order.state}", "bold"),
        (f"  {_millis(order.age_ms)}  {order.tag}", _LABEL_STYLE),
    )


def _decisions(status: Status) -> list[Text]:
    return [
        Text.assemble(
            (f"{utc_clock(line.ts_ns)} ", _LABEL_STYLE),
            (line.decision_type, _BAD if line.decision_type == "halt" else "bold"),
            "" if line.reason == line.decision_type else f" {line.reason}",
            (f"  {line.detail}" if line.detail else "", _LABEL_STYLE),
        )
        for line in status.decisions
    ]


def _fills(status: Status) -> list[Text]:
    return [
        Text.assemble(
            (f"{utc_clock(fill.ts_ns)[:8]} ", _LABEL_STYLE),
            (f"{fill.side:<4} ", _SIDE_STYLE[fill.side]),
            f"{plain(fill.size)}@{plain(fill.price)} ",
            (jpy(fill.pnl_jpy), _GOOD if fill.pnl_jpy > 0 else "red" if fill.pnl_jpy < 0 else _LABEL_STYLE),
        )
        for fill in status.fills
    ]
