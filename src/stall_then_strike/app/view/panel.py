"""The live panel: one moment of a run, drawn to the size of the terminal.

Drawing depends on a :class:`Snapshot` and the size alone, and every part has a fixed place, so that nothing jumps from
frame to frame. Wide terminals (140 columns and more) get two columns of figures, others one, small ones no frames; the
lists at the bottom share the remaining lines. Figures are shortened, then left out, the least important first, and an
ellipsis stands for what is not shown. Colours show how bad a figure is; the text shows it as well.

An only instrument has a row for each of its figures. Several have a row each, and one more for their market if there is
room.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stall_then_strike.app.view.amounts import UNKNOWN, micros, millis, price, span
from stall_then_strike.app.view.course import sparkline
from stall_then_strike.app.view.fitting import LABEL_STYLE, Figure, Part, aligned, cut, fitted, label_width, laid, part
from stall_then_strike.app.view.grades import Grade, graded
from stall_then_strike.app.view.snapshot import AccountLine, InstrumentSnapshot, LiveOrder, Snapshot
from stall_then_strike.types.dto import NS_PER_MS, BoardState, BookStatus, Health, Side
from stall_then_strike.types.text import money, plain, utc_clock

_WIDE = 140
_FRAMED = (70, 22)
"""Least width and height for frames."""
_LISTS = 7
"""Least height of the lists: two orders and one event, in their frames."""
_GOOD, _WARN, _BAD = "green", "yellow", "bold red"
_GOOD_BADGE, _WARN_BADGE, _BAD_BADGE = "black on cyan", "black on yellow", "bold white on red"
_SIDE_STYLE = {Side.BUY: "green", Side.SELL: "magenta"}
_BOOK_STYLE = {BookStatus.OK: _GOOD, BookStatus.UNKNOWN: _WARN, BookStatus.SUSPECT: _BAD, BookStatus.STALE: _BAD}


def render(seen: Snapshot) -> RenderableType:
    """Draw a snapshot; its size is determined when it is printed."""
    return _Dashboard(seen)


def _share(value: Decimal, limit: Decimal | None) -> float | None:
    return None if not limit else float(value / limit)


def _graded(share: float | None) -> str:
    """The style of a figure by the share of its limit."""
    return {Grade.WARN: _WARN, Grade.BAD: _BAD}.get(graded(share), "")


def _percent(share: float | None) -> str:
    return "" if share is None else f" ({max(0.0, share):.0%})"


@dataclass(frozen=True, slots=True)
class _Dashboard:
    seen: Snapshot

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or max(10, console.size.height - 1)
        is_framed = width >= _FRAMED[0] and height >= _FRAMED[1]
        yield Group(*(_framed if is_framed else _plain)(self.seen, width, height))


def _framed(seen: Snapshot, width: int, height: int) -> Iterator[RenderableType]:
    """Figures and lists in frames."""
    yield _headline(seen, width)
    figures, inner, room = _figures(seen, pictures=True), width - 4, height - 1 - 2 - _LISTS
    if len(figures) > room:
        figures = _figures(seen)
    columns, half = [figures], (len(figures) + 1) // 2
    if width >= _WIDE:
        columns, inner = [figures[:half], figures[half:]], (inner - 2) // 2
    grid = Table.grid(expand=True, padding=(0, 1))
    bodies = [laid(some, inner, label_width(figures, inner), room) for some in columns]
    for _ in bodies:
        grid.add_column(ratio=1)
    grid.add_row(*(Text("\n").join(body) for body in bodies))
    yield Panel(grid, border_style="blue", padding=(0, 1))
    # A strike usually has two orders; the other lines are for decisions and fills.
    left = height - 1 - 2 - max(map(len, bodies))
    orders = _orders(seen)
    order_lines = min(max(2, left // 3 - 2), max(2, len(orders)), left - 2)
    yield _listing("working orders", orders, order_lines, latest=False)
    event_lines = left - order_lines - 2 - 2
    if event_lines >= 1:
        bottom = Table.grid(expand=True)
        bottom.add_column(ratio=4)
        bottom.add_column(ratio=4 if seen.alone is not None else 5)  # a fill with its instrument is whole
        bottom.add_row(
            _listing("decisions", _decisions(seen), event_lines), _listing("fills", _fills(seen), event_lines)
        )
        yield bottom


def _plain(seen: Snapshot, width: int, height: int) -> Iterator[RenderableType]:
    """Rows without frames: only the most important ones on a low terminal, with second lines if there is room."""
    head = [_badge_line(seen, width), _name(seen)][: max(1, height // 5)]
    figures, room = [*_figures(seen), _live_orders(seen)], height - len(head)
    body = laid(figures, width, label_width(figures, width), room)
    left = room - len(body)
    if left >= 2:
        body += [Text("decisions", style="blue"), *_decisions(seen)[1 - left :]]
    lines = [cut(line, width) for line in (*head, *body)][:height]
    yield Text("\n").join([*lines, *(Text() for _ in range(height - len(lines)))])


# --- the heading


def _troubles(seen: Snapshot) -> list[tuple[str, str]]:
    """Problems that an operator must see first, the worst first: text and style."""
    account = seen.account
    found = []
    if seen.halt is not None:
        found.append((f"HALTED: {seen.halt.reason}", _BAD_BADGE))
    if seen.paused:
        found.append(("PAUSED" if seen.paused == "paused" else "PAUSED, FLAT", _WARN_BADGE))
    if not seen.connected:
        found.append(("NOT CONNECTED", _BAD_BADGE))
    if account is not None and not account.is_live:
        found.append(("PRIVATE CHANNEL DOWN", _BAD_BADGE))
    elif account is not None and not account.is_settled:
        found.append(("NOT RECONCILED", _BAD_BADGE))
    sufferers: dict[tuple[str, str], list[str]] = {}
    for name, one in seen.named:
        for trouble in _market_troubles(one):
            sufferers.setdefault(trouble, []).append(name)
    for (word, style), names in sufferers.items():
        is_of_all = len(names) == len(seen.instruments)
        found.append((word if is_of_all else f"{word} {', '.join(names)}", style))
    return found


def _market_troubles(one: InstrumentSnapshot) -> Iterator[tuple[str, str]]:
    """Problems of one instrument."""
    state, health = one.venue_state, one.venue_health
    if one.book is not BookStatus.OK:
        yield f"BOOK {one.book.name}", _WARN_BADGE if one.book is BookStatus.UNKNOWN else _BAD_BADGE
    if state not in (BoardState.RUNNING, BoardState.UNKNOWN):
        yield f"VENUE {state.value}", _BAD_BADGE
    if health not in (Health.NORMAL, Health.BUSY, Health.UNKNOWN):
        yield f"VENUE {health.value}", _BAD_BADGE


def _badge(seen: Snapshot, width: int) -> Text:
    """The problems, if any, and what is being done."""
    troubles = _troubles(seen)
    style = _GOOD_BADGE
    if troubles:
        style = _BAD_BADGE if any(style == _BAD_BADGE for _, style in troubles) else _WARN_BADGE
    doing = [] if seen.halt is not None else [seen.doing]
    words = [Text(word) for word in (*(word for word, _ in troubles), *doing)]
    (line,) = fitted([Part(word, word) for word in words], max(1, width - 2), 1)
    return Text(f" {line.plain} ", style=style)


def _name(seen: Snapshot) -> Text:
    return Text.assemble((" + ".join(one.product for one in seen.instruments), "bold"), "  ", (seen.mode, "cyan"))


def _badge_line(seen: Snapshot, width: int) -> Text:
    """The badge, with the clock at its right if both fit."""
    clock = f"{utc_clock(seen.ts_ns)[:8]}Z"
    badge = _badge(seen, width)
    gap = width - badge.cell_len - len(clock)
    return badge if gap < 1 else Text.assemble(badge, " " * gap, clock)


def _headline(seen: Snapshot, width: int) -> Text:
    """Badge, name and clock on one line. The name is shown only if the badge fits completely."""
    clock = f"{utc_clock(seen.ts_ns)[:8]}Z  up {span(seen.uptime_s)}"
    badge = _badge(seen, width - len(clock) - 1)
    room = width - len(clock) - 2
    left = Text.assemble(badge, "  ", _name(seen))
    left = cut(left, room) if badge.cell_len + 3 <= room else badge
    return Text.assemble(left, " " * max(1, width - left.cell_len - len(clock)), clock)


# --- the figures


def _figures(seen: Snapshot, *, pictures: bool = False) -> list[Figure]:
    """The rows of all figures; pictures repeat what other rows say, so only frames with room for all have them."""
    drawn = [Figure("equity", "equity", 12, _equity(seen))] if pictures else []
    counts, latency = seen.counts, seen.latency
    done = ((counts.strikes, seen.strikes), (counts.fills, "fills"), (counts.cancels, "cancels"))
    rest = ((counts.closes, "closes"), (counts.rejects, "rejects"))
    venue = Figure("venue", "venue", 3, _venue(seen))
    account = [] if seen.account is None else [Figure("account", "acct", 2, _account(seen.account))]
    return [
        *(_several(seen, venue) if seen.alone is None else _only(seen.alone, venue, pictures=pictures)),
        Figure("PnL today", "PnL", 1, _pnl(seen)),
        *drawn,
        Figure("drawdown", "fall", 5, _drawdown(seen)),
        *account,
        Figure("budget", "budget", 7, _budget(seen)),
        Figure("this run", "run", 10, (_run(seen), *(part(f"{count:,} {what}") for count, what in (*done, *rest)))),
        Figure(
            "decision",
            "speed",
            11,
            (
                part(f"p50 {micros(latency.p50_us)}"),
                part(f"p99 {micros(latency.p99_us)}"),
                part(f"of {latency.samples:,} board messages", short=f"of {latency.samples:,}"),
            ),
        ),
    ]


def _only(one: InstrumentSnapshot, venue: Figure, *, pictures: bool) -> list[Figure]:
    """The figures of an only instrument."""
    drawn = [Figure("quotes", "quotes", 13, _quotes(one))] if pictures else []
    return [
        Figure("best", "best", 6, _best(one)),
        *drawn,
        Figure("still", "still", 9, _still(one)),
        Figure("book", "book", 4, _book(one)),
        venue,
        Figure("position", "pos", 0, _position(one)),
    ]


def _several(seen: Snapshot, venue: Figure) -> list[Figure]:
    """A row of what matters most for each of several instruments, and a row of its market."""
    own = aligned(
        [
            Figure(one.product, name, number - len(seen.instruments), _own(one))
            for number, (name, one) in enumerate(seen.named)
        ]
    )
    markets = aligned([Figure("", "", 12 + number, _market(one)) for number, one in enumerate(seen.instruments)])
    return [*(figure for pair in zip(own, markets, strict=True) for figure in pair), venue]


def _own(one: InstrumentSnapshot) -> tuple[Part, ...]:
    """Position, the day's result, book and reason."""
    result, book = money(one.day.pnl), _book(one)[0]
    style = _signed(one.day.pnl)
    return (
        _position(one)[0],
        part((f"{result} {one.quote}", style), short=(result, style)),
        Part(Text.assemble(book.long, f" {millis(one.message_age_ms)}"), book.short),
        part(one.reason or "starting"),
    )


def _market(one: InstrumentSnapshot) -> tuple[Part, ...]:
    """Best prices and their age, and the price of the position."""
    held = "flat" if one.avg_price is None else f"at {price(one.avg_price)}"
    return (*_best(one), _still(one)[0], part(held))


def _live_orders(seen: Snapshot) -> Figure:
    """Working orders on one row, for terminals without a list of them."""
    orders = [(name, order) for name, one in seen.named for order in one.orders]
    parts = [part(f"{len(orders)} live")]
    for name, order in orders:
        at = "market" if order.price is None else price(order.price)
        side = (f"{name} {order.side} ".lstrip(), _SIDE_STYLE[order.side])
        parts.append(Part(Text.assemble(side, f"{plain(order.remaining)} @ {at}"), Text.assemble(side, at)))
    return Figure("orders", "orders", 8, tuple(parts))


def _best(one: InstrumentSnapshot) -> tuple[Part, ...]:
    spread = UNKNOWN if one.spread_ticks is None else f"{one.spread_ticks:,}"
    return (
        part((price(one.best_bid), "green"), " / ", (price(one.best_ask), "magenta")),
        part(f"spread {spread} ticks", short=f"({spread})"),
    )


def _quotes(one: InstrumentSnapshot) -> tuple[Part, ...]:
    """Where our orders stand between the best prices, as a picture, and the mid."""
    if one.best_bid is None or one.best_ask is None:
        return ()
    wide, narrow = (_strip(one, one.best_bid, one.best_ask, width) for width in (33, 17))
    return (Part(wide, narrow), part(f"mid {price((one.best_bid + one.best_ask) / 2)}"))


def _strip(one: InstrumentSnapshot, bid: Decimal, ask: Decimal, width: int) -> Text:
    """The spread from bid to ask: B and S are our orders, + is the mid. A price beyond the best stands on a bracket."""
    middle = width // 2
    cells = [(" ", LABEL_STYLE)] * width
    cells[0], cells[middle], cells[-1] = ("[", "green"), ("+", LABEL_STYLE), ("]", "magenta")
    for order in one.orders:
        if order.price is not None:
            place = round((order.price - bid) / (ask - bid) * (width - 1)) if ask > bid else middle
            # A tick from the mid is less than a cell: it stands beside the mid, on its own side.
            nearest = middle + (-1 if order.side is Side.BUY else 1) if place == middle else place
            cells[min(max(0, nearest), width - 1)] = (order.side[0], _SIDE_STYLE[order.side])
    return Text.assemble(*cells)


def _still(one: InstrumentSnapshot) -> tuple[Part, ...]:
    age, needed = one.best_age_ms, one.stall_ms
    style = _GOOD if age is not None and needed is not None and age >= needed else ""
    stood = part((f"best for {millis(age)}", style), short=(millis(age), style))
    if needed is None:
        return (stood,)
    return (
        stood,
        part((f"(a stall from {millis(needed)})", LABEL_STYLE), short=(f"(of {millis(needed)})", LABEL_STYLE)),
    )


def _book(one: InstrumentSnapshot) -> tuple[Part, ...]:
    age, stale = one.message_age_ms, one.stale_ms
    style = _BAD if age is not None and stale is not None and age >= stale else ""
    return (
        part((one.book.name.lower(), _BOOK_STYLE[one.book])),
        part("last message ", (millis(age), style), (" ago", LABEL_STYLE), short=(f"{millis(age)} ago", style)),
        part((f"(stale from {millis(stale)})", LABEL_STYLE), short=(f"(of {millis(stale)})", LABEL_STYLE)),
    )


def _venue(seen: Snapshot) -> tuple[Part, ...]:
    """The connection, and in which states the venue says to be."""
    states = dict.fromkeys(one.venue_state for one in seen.instruments)
    healths = dict.fromkeys(one.venue_health for one in seen.instruments)
    good_states = {BoardState.RUNNING: _GOOD, BoardState.UNKNOWN: _WARN}
    good_healths = {Health.NORMAL: _GOOD, Health.BUSY: _GOOD, Health.UNKNOWN: _WARN}
    return (
        part(("connected", _GOOD) if seen.connected else ("NOT CONNECTED", _BAD)),
        *(part((state.value, good_states.get(state, _BAD))) for state in states),
        *(part((health.value, good_healths.get(health, _BAD))) for health in healths),
        part((f"{seen.reconnects:,} reconnects", _WARN if seen.reconnects else "")),
        part((f"{seen.counts.garbage:,} garbage", _WARN if seen.counts.garbage else "")),
    )


def _position(one: InstrumentSnapshot) -> tuple[Part, ...]:
    share = _share(abs(one.position), one.max_position)
    limit = UNKNOWN if one.max_position is None else plain(one.max_position)
    held = f"{'+' if one.position > 0 else ''}{plain(one.position)}"
    style = _graded(share)
    of = f"{held} of {limit} {one.base}"
    held_part = part((f"{of}{_percent(share)}", style), short=(of, style))
    return (held_part,) if one.avg_price is None else (held_part, part(f"at {price(one.avg_price)}"))


def _pnl(seen: Snapshot) -> tuple[Part, ...]:
    value = seen.day.pnl
    share = _share(value, seen.pnl_limit)
    return (
        part((f"{money(value)} {seen.quote}", _graded(share) or (_GOOD if value > 0 else ""))),
        *_halts_at(seen.pnl_limit, share),
        part(f"realised {money(seen.day.realised)}"),
        part(f"{seen.day.fills:,} fills"),
    )


def _run(seen: Snapshot) -> Part:
    """The result of this run alone."""
    result = sum((one.run.realised + one.run.marked for one in seen.instruments), Decimal(0))
    return part((f"{money(result)} {seen.quote}", _signed(result)))


def _equity(seen: Snapshot) -> tuple[Part, ...]:
    """The day's result since the run began, as a line, and between which values."""
    if not seen.equity:
        return ()
    low, high = min(seen.equity), max(seen.equity)
    return (
        part((sparkline(seen.equity, 40), "cyan"), short=(sparkline(seen.equity, 16), "cyan")),
        part(f"{money(low)} to {money(high)}"),
    )


def _drawdown(seen: Snapshot) -> tuple[Part, ...]:
    share = _share(seen.day.drawdown, seen.drawdown_limit)
    return (
        part((f"{money(seen.day.drawdown)} {seen.quote}", _graded(share))),
        *_halts_at(seen.drawdown_limit, share),
        part(f"deepest {money(seen.day.max_drawdown)}"),
    )


def _signed(amount: Decimal) -> str:
    """The style of a result without a limit of its own."""
    return _GOOD if amount > 0 else "red" if amount < 0 else ""


def _halts_at(limit: Decimal | None, share: float | None) -> tuple[Part, ...]:
    if limit is None:
        return ()
    at = f"{money(limit)}{_percent(share)}"
    return (part((f"halts at {at}", LABEL_STYLE), short=(f"of {at}", LABEL_STYLE)),)


def _account(account: AccountLine) -> tuple[Part, ...]:
    state = ("PRIVATE CHANNEL DOWN", _BAD)
    if account.is_live:
        state = ("reconciled", _GOOD) if account.is_settled else ("NOT RECONCILED", _BAD)
    parts = [part(state)]
    if account.reported_s is not None:
        ago = f"{account.reported_s:,.0f} s ago"
        parts.append(part(ago if account.is_settled else f"last seen {ago}", short=ago))
    parts.append(part((f"in doubt {account.in_doubt}", _WARN if account.in_doubt else "")))
    if account.lag_p99_ms is not None:
        parts.append(part(f"lag p99 {account.lag_p99_ms:,.1f} ms"))
    return tuple(parts)


def _budget(seen: Snapshot) -> tuple[Part, ...]:
    """What the next strike waits for, if anything, then the other limits, the tightest first."""
    wait = seen.budget_wait
    parts = [part((word, _WARN), short=(_shortened(word), _WARN)) for word in _wait_words(wait)]
    for use in sorted(seen.budget, key=lambda use: -use.used / use.limit if use.limit else 0.0):
        if not wait.startswith(f"{use.name} "):
            figure = (f"{use.used:,}/{use.limit:,}", _graded(use.used / use.limit if use.limit else None))
            label, short = ((f"{name} ", LABEL_STYLE) for name in (use.name, _shortened(use.name)))
            parts.append(Part(Text.assemble(label, figure), Text.assemble(short, figure)))
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


def _orders(seen: Snapshot) -> list[Text]:
    return [_order(name, order, seen.ts_ns) for name, one in seen.named for order in one.orders]


def _order(name: str, order: LiveOrder, now_ns: int) -> Text:
    left = "" if order.remaining == order.size else f" ({plain(order.remaining)} left)"
    return Text.assemble(
        _prefix(name),
        (f"{order.side:<4} ", _SIDE_STYLE[order.side]),
        f"{plain(order.size)}{left} @ {'market' if order.price is None else price(order.price)}",
        (f"  {order.state}", "bold"),
        (f"  {millis((now_ns - order.sent_ns) // NS_PER_MS)}  {order.tag}", LABEL_STYLE),
    )


def _prefix(name: str) -> str:
    """The instrument's name before a line; empty for an only one."""
    return f"{name} " if name else ""


def _decisions(seen: Snapshot) -> list[Text]:
    lines = [(name, line) for name, one in seen.named for line in one.decisions]
    return [
        Text.assemble(
            (f"{utc_clock(line.ts_ns)} ", LABEL_STYLE),
            _prefix(name),
            (line.decision_type, _BAD if line.decision_type == "halt" else "bold"),
            "" if line.reason == line.decision_type else f" {line.reason}",
            (f"  {line.detail}" if line.detail else "", LABEL_STYLE),
        )
        for name, line in sorted(lines, key=lambda pair: pair[1].ts_ns)
    ]


def _fills(seen: Snapshot) -> list[Text]:
    lines = [(name, fill) for name, one in seen.named for fill in one.fills]
    return [
        Text.assemble(
            (f"{utc_clock(fill.ts_ns)[:8]} ", LABEL_STYLE),
            _prefix(name),
            (f"{fill.side:<4} ", _SIDE_STYLE[fill.side]),
            f"{plain(fill.size)}@{plain(fill.price)} ",
            (money(fill.pnl), _signed(fill.pnl) or LABEL_STYLE),
        )
        for name, fill in sorted(lines, key=lambda pair: pair[1].ts_ns)
    ]
