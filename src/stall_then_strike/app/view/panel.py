"""The live panel: one moment of a run, drawn to the size of the terminal.

Drawing depends on a :class:`Status` and the size alone, and every part has a fixed place, so that nothing jumps from
frame to frame. Wide terminals (140 columns and more) get two columns of figures, others one, small ones no frames; the
lists at the bottom share the remaining lines. Figures are shortened, then left out, the least important first, and an
ellipsis stands for what is not shown. Colours show how bad a figure is; the text shows it as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stall_then_strike.app.view.status import AccountLine, Status, WorkingOrder
from stall_then_strike.types.dto import BoardState, BookStatus, Health, Side
from stall_then_strike.types.instrument import base_of, quote_of
from stall_then_strike.types.text import plain, utc_clock

UNKNOWN = "-"
_WIDE = 140
_FRAMED = (70, 22)
"""Least width and height for frames."""
_NARROW = 60
"""Below this, labels are short."""
_LABEL_STYLE = "bright_black"
_GOOD, _WARN, _BAD = "green", "yellow", "bold red"
_GOOD_BADGE, _WARN_BADGE, _BAD_BADGE = "black on cyan", "black on yellow", "bold white on red"
_SIDE_STYLE = {Side.BUY: "green", Side.SELL: "magenta"}
_BOOK_STYLE = {BookStatus.OK: _GOOD, BookStatus.UNKNOWN: _WARN, BookStatus.SUSPECT: _BAD, BookStatus.STALE: _BAD}


def render(status: Status) -> RenderableType:
    """Draw a status; its size is determined when it is printed."""
    return _Dashboard(status)


def jpy(amount: Decimal, *, signed: bool = True) -> str:
    """Yen with thousands separators, ``+1,234``; below a thousand with two decimals, ``-3.41``."""
    shown = round(amount, 0 if abs(amount) >= 1000 or amount == amount.to_integral_value() else 2)
    if not shown:
        return f"{abs(shown):f}"  # never -0
    return f"{shown:+,f}" if signed else f"{shown:,f}"


def price(value: Decimal | None) -> str:
    """A price with thousands separators."""
    return UNKNOWN if value is None else f"{value:,f}"


def span(seconds: float) -> str:
    """A duration as ``1:02:03``, without days."""
    whole = max(0, int(seconds))
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def micros(value: float | None) -> str:
    """A time in microseconds, or in milliseconds from 10 ms on."""
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
    """The style of a figure by the share of its limit."""
    if share is None or share < 0.5:
        return ""
    return _WARN if share < 0.8 else _BAD


def _percent(share: float | None) -> str:
    return "" if share is None else f" ({max(0.0, share):.0%})"


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a figure, in a long and a short form."""

    long: Text
    short: Text


@dataclass(frozen=True, slots=True)
class _Figure:
    """A row with its parts, the most important first. Rows with the highest ``rank`` are left out first."""

    label: str
    short_label: str
    rank: int
    parts: tuple[_Part, ...]


@dataclass(frozen=True, slots=True)
class _Dashboard:
    status: Status

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or max(10, console.size.height - 1)
        is_framed = width >= _FRAMED[0] and height >= _FRAMED[1]
        yield Group(*(_framed if is_framed else _plain)(self.status, width, height))


def _framed(status: Status, width: int, height: int) -> Iterator[RenderableType]:
    """Figures and lists in frames."""
    yield _headline(status, width)
    figures, inner = _figures(status), width - 4
    if width >= _WIDE:
        half, inner = (len(figures) + 1) // 2, (inner - 2) // 2
        grid = Table.grid(expand=True, padding=(0, 1))
        grid.add_column(ratio=1)
        grid.add_column(ratio=1)
        grid.add_row(_rows(figures[:half], inner), _rows(figures[half:], inner))
        yield Panel(grid, border_style="blue", padding=(0, 1))
        used = 1 + half + 2
    else:
        yield Panel(_rows(figures, inner), border_style="blue", padding=(0, 1))
        used = 1 + len(figures) + 2
    # A strike usually has two orders; the other lines are for decisions and fills.
    left = height - used
    order_lines = min(max(2, left // 3 - 2), max(2, len(status.orders)), left - 2)
    yield _listing("working orders", [_order(o) for o in status.orders], order_lines, latest=False)
    event_lines = left - order_lines - 2 - 2
    if event_lines >= 1:
        bottom = Table.grid(expand=True)
        bottom.add_column(ratio=1)
        bottom.add_column(ratio=1)
        bottom.add_row(
            _listing("decisions", _decisions(status), event_lines), _listing("fills", _fills(status), event_lines)
        )
        yield bottom


def _plain(status: Status, width: int, height: int) -> Iterator[RenderableType]:
    """Rows without frames: only the most important ones on a low terminal, with second lines if there is room."""
    head = [_badge_line(status, width), _name(status)][: max(1, height // 5)]
    figures, room = [*_figures(status), _live_orders(status)], height - len(head)
    is_whole = len(figures) <= room
    ranks = sorted(figure.rank for figure in figures)
    kept = ranks if is_whole else ranks[: max(0, room - 1)]
    doubled = ranks[: room - len(figures)] if is_whole and width < _NARROW else []
    body = [
        line
        for figure in figures
        if figure.rank in kept
        for line in _row(figure, width, lines=2 if figure.rank in doubled else 1)
    ]
    if not is_whole:
        body.append(Text(f"… {len(figures) - len(kept)} more rows", style=_LABEL_STYLE))
    left = room - len(body)
    if left >= 2:
        body += [Text("decisions", style="blue"), *_decisions(status)[1 - left :]]
    lines = [_cut(line, width) for line in (*head, *body)][:height]
    yield Text("\n").join([*lines, *(Text() for _ in range(height - len(lines)))])


def _row(figure: _Figure, width: int, *, lines: int = 1) -> list[Text]:
    """A figure on ``lines`` lines; an ellipsis marks what does not fit."""
    label, column = (figure.short_label, 7) if width < _NARROW else (figure.label, 10)
    values = _fitted(figure.parts, width - column, lines)
    return [
        Text.assemble((f"{label if number == 0 else '':<{column}}", _LABEL_STYLE), value)
        for number, value in enumerate(values)
    ]


def _rows(figures: Sequence[_Figure], width: int) -> Text:
    return Text("\n").join([line for figure in figures for line in _row(figure, width)])


def _fitted(parts: Sequence[_Part], width: int, lines: int) -> list[Text]:
    """Parts on ``lines`` lines: all long if they fit, else all short, else those that fit and an ellipsis."""
    for shape in (attrgetter("long"), attrgetter("short")):
        filled = _filled([shape(part) for part in parts], width)
        if len(filled) <= lines and all(line.cell_len <= width for line in filled):
            return filled + [Text() for _ in range(lines - len(filled))]
    filled = _filled([part.short for part in parts], width)
    last = _filled([part.short for part in parts], width - 2)[:lines] if len(filled) > lines else filled
    return [_cut(line.append(" …") if line is last[-1] and len(filled) > lines else line, width) for line in last]


def _filled(texts: Sequence[Text], width: int) -> list[Text]:
    """Texts in lines of at most this width; a single text may be wider."""
    lines: list[Text] = []
    for text in texts:
        if lines and lines[-1].cell_len + 2 + text.cell_len <= width:
            lines[-1] = Text.assemble(lines[-1], "  ", text)
        else:
            lines.append(text.copy())
    return lines or [Text(UNKNOWN)]


def _cut(text: Text, width: int) -> Text:
    """A line of at most this width; an ellipsis marks a cut."""
    text.truncate(max(1, width), overflow="ellipsis")
    return text


# --- the heading


def _troubles(status: Status) -> list[tuple[str, str]]:
    """Problems that an operator must see first, the worst first: text and style."""
    account, state, health = status.account, status.venue_state, status.venue_health
    found = []
    if status.halted is not None:
        found.append((f"HALTED: {status.halted}", _BAD_BADGE))
    if not status.connected:
        found.append(("NOT CONNECTED", _BAD_BADGE))
    if account is not None and not account.is_live:
        found.append(("PRIVATE CHANNEL DOWN", _BAD_BADGE))
    elif account is not None and not account.is_settled:
        found.append(("NOT RECONCILED", _BAD_BADGE))
    if status.book is not BookStatus.OK:
        found.append((f"BOOK {status.book.name}", _WARN_BADGE if status.book is BookStatus.UNKNOWN else _BAD_BADGE))
    if state not in (BoardState.RUNNING, BoardState.UNKNOWN):
        found.append((f"VENUE {state.value}", _BAD_BADGE))
    if health not in (Health.NORMAL, Health.BUSY, Health.UNKNOWN):
        found.append((f"VENUE {health.value}", _BAD_BADGE))
    return found


def _badge(status: Status, width: int) -> Text:
    """The problems, if any, and the latest reason."""
    troubles = _troubles(status)
    style = _GOOD_BADGE
    if troubles:
        style = _BAD_BADGE if any(style == _BAD_BADGE for _, style in troubles) else _WARN_BADGE
    doing = [] if status.halted is not None else [status.reason or "starting"]
    words = [Text(word) for word in (*(word for word, _ in troubles), *doing)]
    (line,) = _fitted([_Part(word, word) for word in words], max(1, width - 2), 1)
    return Text(f" {line.plain} ", style=style)


def _name(status: Status) -> Text:
    return Text.assemble((status.product, "bold"), "  ", (status.mode, "cyan"))


def _badge_line(status: Status, width: int) -> Text:
    """The badge, with the clock at its right if both fit."""
    clock = f"{utc_clock(status.ts_ns)[:8]}Z"
    badge = _badge(status, width)
    gap = width - badge.cell_len - len(clock)
    return badge if gap < 1 else Text.assemble(badge, " " * gap, clock)


def _headline(status: Status, width: int) -> Text:
    """Badge, name and clock on one line. The name is shown only if the badge fits completely."""
    clock = f"{utc_clock(status.ts_ns)[:8]}Z  up {span(status.uptime_s)}"
    badge = _badge(status, width - len(clock) - 1)
    room = width - len(clock) - 2
    left = Text.assemble(badge, "  ", _name(status))
    left = _cut(left, room) if badge.cell_len + 3 <= room else badge
    return Text.assemble(left, " " * max(1, width - left.cell_len - len(clock)), clock)


# --- the figures


def _part(*long: str | tuple[str, str], short: str | tuple[str, str] | None = None) -> _Part:
    """A part from pieces of text with their styles; ``short`` is its short form, if it differs."""
    whole = Text.assemble(*long)
    return _Part(whole, whole if short is None else Text.assemble(short))


def _figures(status: Status) -> list[_Figure]:
    counts, latency = status.counts, status.latency
    done = ((counts.strikes, "strikes"), (counts.fills, "fills"), (counts.cancels, "cancels"))
    rest = ((counts.closes, "closes"), (counts.rejects, "rejects"))
    account = [] if status.account is None else [_Figure("account", "acct", 2, _account(status.account))]
    return [
        _Figure("best", "best", 6, _best(status)),
        _Figure("still", "still", 9, _still(status)),
        _Figure("book", "book", 4, _book(status)),
        _Figure("venue", "venue", 3, _venue(status)),
        _Figure("position", "pos", 0, _position(status)),
        _Figure("PnL today", "PnL", 1, _pnl(status)),
        _Figure("drawdown", "fall", 5, _drawdown(status)),
        *account,
        _Figure("budget", "budget", 7, _budget(status)),
        _Figure("done", "done", 10, tuple(_part(f"{count:,} {what}") for count, what in (*done, *rest))),
        _Figure(
            "decision",
            "speed",
            11,
            (
                _part(f"p50 {micros(latency.p50_us)}"),
                _part(f"p99 {micros(latency.p99_us)}"),
                _part(f"of {latency.samples:,} board messages", short=f"of {latency.samples:,}"),
            ),
        ),
    ]


def _live_orders(status: Status) -> _Figure:
    """Working orders on one row, for terminals without a list of them."""
    parts = [_part(f"{len(status.orders)} live")]
    for order in status.orders:
        at = "market" if order.price is None else price(order.price)
        side = (f"{order.side} ", _SIDE_STYLE[order.side])
        parts.append(_Part(Text.assemble(side, f"{plain(order.remaining)} @ {at}"), Text.assemble(side, at)))
    return _Figure("orders", "orders", 8, tuple(parts))


def _best(status: Status) -> tuple[_Part, ...]:
    spread = UNKNOWN if status.spread_ticks is None else f"{status.spread_ticks:,}"
    return (
        _part((price(status.best_bid), "green"), " / ", (price(status.best_ask), "magenta")),
        _part(f"spread {spread} ticks", short=f"({spread})"),
    )


def _still(status: Status) -> tuple[_Part, ...]:
    age, needed = status.best_age_ms, status.stall_ms
    style = _GOOD if age is not None and needed is not None and age >= needed else ""
    return (
        _part((f"best for {_millis(age)}", style), short=(_millis(age), style)),
        _part((f"(a stall from {_millis(needed)})", _LABEL_STYLE), short=(f"(of {_millis(needed)})", _LABEL_STYLE)),
    )


def _book(status: Status) -> tuple[_Part, ...]:
    age, stale = status.message_age_ms, status.stale_ms
    style = _BAD if age is not None and stale is not None and age >= stale else ""
    return (
        _part((status.book.name.lower(), _BOOK_STYLE[status.book])),
        _part("last message ", (_millis(age), style), (" ago", _LABEL_STYLE), short=(f"{_millis(age)} ago", style)),
        _part((f"(stale from {_millis(stale)})", _LABEL_STYLE), short=(f"(of {_millis(stale)})", _LABEL_STYLE)),
    )


def _venue(status: Status) -> tuple[_Part, ...]:
    state_style = {BoardState.RUNNING: _GOOD, BoardState.UNKNOWN: _WARN}.get(status.venue_state, _BAD)
    health_style = {Health.NORMAL: _GOOD, Health.BUSY: _GOOD, Health.UNKNOWN: _WARN}.get(status.venue_health, _BAD)
    counts = status.counts
    return (
        _part(("connected", _GOOD) if status.connected else ("NOT CONNECTED", _BAD)),
        _part((status.venue_state.value, state_style)),
        _part((status.venue_health.value, health_style)),
        _part((f"{counts.reconnects:,} reconnects", _WARN if counts.reconnects else "")),
        _part((f"{counts.garbage:,} garbage", _WARN if counts.garbage else "")),
    )


def _position(status: Status) -> tuple[_Part, ...]:
    share = _share(abs(status.position), status.max_position)
    limit = UNKNOWN if status.max_position is None else plain(status.max_position)
    held = f"{'+' if status.position > 0 else ''}{plain(status.position)}"
    style = _graded(share)
    of = f"{held} of {limit} {base_of(status.product)}"
    held_part = _part((f"{of}{_percent(share)}", style), short=(of, style))
    return (held_part,) if status.avg_price is None else (held_part, _part(f"at {price(status.avg_price)}"))


def _pnl(status: Status) -> tuple[_Part, ...]:
    value = status.pnl_today_jpy
    share = _share(value, status.pnl_limit_jpy)
    return (
        _part((f"{jpy(value)} {quote_of(status.product)}", _graded(share) or (_GOOD if value > 0 else ""))),
        *_halts_at(status.pnl_limit_jpy, share),
        _part(f"realised {jpy(status.realised_today_jpy)}"),
    )


def _drawdown(status: Status) -> tuple[_Part, ...]:
    share = _share(status.drawdown_jpy, status.drawdown_limit_jpy)
    return (
        _part((f"{jpy(status.drawdown_jpy)} {quote_of(status.product)}", _graded(share))),
        *_halts_at(status.drawdown_limit_jpy, share),
        _part(f"deepest {jpy(status.max_drawdown_jpy)}"),
    )


def _halts_at(limit: Decimal | None, share: float | None) -> tuple[_Part, ...]:
    if limit is None:
        return ()
    at = f"{jpy(limit)}{_percent(share)}"
    return (_part((f"halts at {at}", _LABEL_STYLE), short=(f"of {at}", _LABEL_STYLE)),)


def _account(account: AccountLine) -> tuple[_Part, ...]:
    state = ("PRIVATE CHANNEL DOWN", _BAD)
    if account.is_live:
        state = ("reconciled", _GOOD) if account.is_settled else ("NOT RECONCILED", _BAD)
    parts = [_part(state)]
    if account.reported_s is not None:
        ago = f"{account.reported_s:,.0f} s ago"
        parts.append(_part(ago if account.is_settled else f"last seen {ago}", short=ago))
    parts.append(_part((f"in doubt {account.in_doubt}", _WARN if account.in_doubt else "")))
    if account.lag_p99_ms is not None:
        parts.append(_part(f"lag p99 {account.lag_p99_ms:,.1f} ms"))
    return tuple(parts)


def _budget(status: Status) -> tuple[_Part, ...]:
    """What the next strike waits for, if anything, then the other limits, the tightest first."""
    wait = status.budget_wait
    parts = [_part((word, _WARN), short=(_shortened(word), _WARN)) for word in _wait_words(wait)]
    for use in sorted(status.budget, key=lambda use: -use.used / use.limit if use.limit else 0.0):
        if not wait.startswith(f"{use.name} "):
            figure = (f"{use.used:,}/{use.limit:,}", _graded(use.used / use.limit if use.limit else None))
            label, short = ((f"{name} ", _LABEL_STYLE) for name in (use.name, _shortened(use.name)))
            parts.append(_Part(Text.assemble(label, figure), Text.assemble(short, figure)))
    return tuple(parts)


def _wait_words(wait: str) -> list[str]:
    """The parts of ``small orders 57/100, spaced, next in 0.8 s``, the most important first."""
    words = wait.split(", ") if wait else []
    return [*words[:1], *words[-1:], *words[1:-1]]


def _shortened(words: str) -> str:
    return words.replace("small orders", "small").replace(" after a refused or unsent request", "")


def _listing(title: str, lines: Sequence[Text], room: int, *, latest: bool = True) -> Panel:
    """A frame with a fixed number of lines; the title counts what does not fit."""
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
