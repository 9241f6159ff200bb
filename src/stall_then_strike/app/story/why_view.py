"""A story on the terminal, at 80 columns, and as a JSON object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stall_then_strike.app.story.why_hold import Hold
from stall_then_strike.app.story.why_order import Fill, OrderLife
from stall_then_strike.app.story.why_story import Happening, Story
from stall_then_strike.app.story.why_words import lasting, signed
from stall_then_strike.engine.strategy import QUOTE_WORDS
from stall_then_strike.infra.logs.log_reader import DecisionLine
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S
from stall_then_strike.types.instrument import Instrument
from stall_then_strike.types.text import money, plain, utc_clock, utc_iso

LINES_SHOWN: Final = 400
"""Most lines of a time line that are shown: those around its zero."""
_ORDER: Final = (
    *("source", "client_order_id", "order_id", "side", "price", "size", "executed", "ttl_ms", "tag", "reason"),
    *("sent_ns", "answered_ns", "answer", "registered_ns", "cancel_sent_ns", "cancel_reason", "ended_ns", "end"),
    "detail",
)
"""What programs are told of an order."""
_STYLES: Final = {
    "hold": "bright_black",
    **dict.fromkeys(QUOTE_WORDS, "bold cyan"),
    "fill": "bold green",
    "HALT": "bold red",
    "log": "bright_black",
}


def render(story: Story, zone: str) -> RenderableType:
    """Draw a story; the heading also shows the time in ``zone``, the session's."""
    parts: list[RenderableType] = [_heading(story, zone), *(Text(run, style="bright_black") for run in story.runs)]
    if story.is_found:
        if story.state is not None and story.zero_ns is not None:
            parts.append(_state(story))
        if story.kind == "order":
            parts.append(_life(story.orders[0], story.units))
        parts.append(_time_line(story))
        if story.kind == "moment" and story.orders:
            parts.append(_orders(story.orders))
        if story.fills:
            parts.append(_fills(story.fills, story.units))
    parts += [Text(f"note: {note}", style="yellow") for note in story.notes]
    parts += ["", Text(" ".join(story.verdict), style="bold")]
    return Group(*parts)


def _heading(story: Story, zone: str) -> Text:
    if story.zero_ns is None or not story.is_found:
        return Text(f"why {story.asked}", style="bold")
    local = datetime.fromtimestamp(story.zero_ns // NS_PER_S, ZoneInfo(zone))
    what = "around" if story.kind == "moment" else "an order of"
    return Text.assemble((f"why {what} {utc_iso(story.zero_ns)[:23]}Z", "bold"), f" ({local:%H:%M:%S} {zone})")


def _section(title: str, body: RenderableType) -> RenderableType:
    return Group("", Text(title, style="bold"), body)


def _grid(rows: Sequence[Sequence[str | Text]], rights: Sequence[int] = ()) -> Table:
    """Columns as wide as needed, of which only the last one wraps."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    width = len(rows[0]) if rows else 0
    for column in range(width):
        is_last = column == width - 1
        grid.add_column(
            justify="right" if column in rights else "left", no_wrap=not is_last, overflow="fold" if is_last else "crop"
        )
    for row in rows:
        grid.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return grid


def _state(story: Story) -> RenderableType:
    state, zero_ns = story.state, story.zero_ns
    if state is None or zero_ns is None:
        raise AssertionError("called only with a state")
    ago = "then" if zero_ns - state.ts_ns < NS_PER_MS else f"{lasting(zero_ns - state.ts_ns)} before"
    rows = [
        ("spread", f"{state.spread_ticks:,} ticks" if state.spread_ticks else "no book"),
        ("best stood", f"{state.best_age_ms:,} ms"),
        ("position", f"{signed(state.inventory)} {story.units.base}"),
        ("decision", f"{state.decision_type}, {state.reason}"),
    ]
    return _section(f"Market and state, as of the decision at {utc_clock(state.ts_ns)} ({ago})", _grid(rows))


def steps(life: OrderLife) -> Iterator[tuple[str, int, str]]:
    """The known steps of an order's life: name, stamp, and the time since the step that it followed from."""
    sent, answered, booked = life.sent_ns, life.answered_ns, life.registered_ns
    if sent is not None:
        yield "sent", sent, ""
    if answered is not None:
        yield "answered", answered, _after(answered, sent, "sending")
    if booked is not None:
        yield "on the book", booked, _after(booked, sent, "sending")
    if life.fills:
        first = life.fills[0].ts_ns
        told = _after(first, sent, "sending") if booked is None else _after(first, booked, "it was on the book")
        yield "first fill", first, told
    if life.cancel_sent_ns is not None:
        yield "cancel sent", life.cancel_sent_ns, _after(life.cancel_sent_ns, sent, "sending")
    if life.ended_ns is not None:
        is_cancel = life.end == "cancelled" and life.cancel_sent_ns is not None
        took = _after(life.ended_ns, life.cancel_sent_ns, "the cancel was sent") if is_cancel else ""
        life_text = "" if sent is None else f"life {lasting(life.ended_ns - sent)}"
        yield life.end, life.ended_ns, ", ".join(part for part in (took, life_text) if part)


def _after(ts_ns: int, since_ns: int | None, what: str) -> str:
    if since_ns is None:
        return ""
    if ts_ns < since_ns:
        return f"{lasting(since_ns - ts_ns)} before {what}"
    return f"{lasting(ts_ns - since_ns)} after {what}"


def _life(life: OrderLife, units: Instrument) -> RenderableType:
    at = "market" if life.price is None else f"{life.price:,f}"
    terms = f"{life.side} {plain(life.size)} {units.base} @ {at}, {life.tag}" + (
        f", TTL {life.ttl_ms:,} ms" if life.ttl_ms else ""
    )
    rows = [("names", " / ".join(sorted(life.names))), ("terms", terms)]
    listed = sorted(steps(life), key=lambda step: step[1])
    rows += [(name, f"{utc_clock(ts_ns)}{f'  {text}' if text else ''}") for name, ts_ns, text in listed]
    if life.source == "csv" and life.price is not None:
        rows.append(("", "from the CSVs: the time of registration is not known"))
    return _section("Order", _grid(rows))


def _time_line(story: Story) -> RenderableType:
    zero_ns = story.zero_ns or 0
    lines = story.happenings
    if not lines:
        return _section("Time line", Text("no event"))
    cut = len(lines) - LINES_SHOWN
    if cut > 0:
        near = sorted(range(len(lines)), key=lambda index: abs(lines[index].ts_ns - zero_ns))[:LINES_SHOWN]
        lines = tuple(lines[index] for index in sorted(near))
    rows = []
    for line in lines:
        name = Text(f"{_short(line.name)} ", style="bright_black") if line.name else Text()
        style = "yellow" if line.is_loud and line.what not in _STYLES else _STYLES.get(line.what, "")
        rows.append(
            (
                utc_clock(line.ts_ns),
                relative(line.ts_ns, zero_ns),
                Text(line.what, style=style),
                name + Text(line.text),
            )
        )
    body = _grid(rows, rights=(1,))
    if cut > 0:
        return _section("Time line", Group(body, Text(f"{cut:,} more lines: narrow it by --window", style="yellow")))
    return _section("Time line", body)


def relative(ts_ns: int, zero_ns: int) -> str:
    """Signed seconds from zero, to the millisecond; computed in whole microseconds, as in the CSVs' stamps."""
    text = f"{(ts_ns // 1_000 - zero_ns // 1_000) / 1_000_000:+,.3f}"
    return "0.000" if text in ("+0.000", "-0.000") else text


def _short(name: str) -> str:
    """Our ids without the run's part: ``1a1fdcd39f3-12`` as ``#12``."""
    run, dash, number = name.rpartition("-")
    return f"#{number}" if dash and "-" not in run and number.isdigit() else name


def _orders(lives: Sequence[OrderLife]) -> RenderableType:
    grey = "bright_black"
    rows: list[Sequence[str | Text]] = [
        [Text(title, style=grey) for title in ("order", "", "answer", "book", "cancel", "life", "end")]
    ]
    for life in sorted(lives, key=lambda life: life.first_ns):
        at = "market" if life.price is None else plain(life.price)
        end = life.end or "not known"
        if life.end == "cancelled":
            end = f"cancelled, {life.cancel_reason}"
        if life.executed and life.end != "filled":
            end += f", filled {plain(life.executed)}"
        rows.append(
            (
                _short(life.client_order_id or life.order_id),
                f"{life.side:<4} {at}",
                _ms(life.sent_ns, life.answered_ns),
                _ms(life.sent_ns, life.registered_ns),
                _ms(life.cancel_sent_ns, life.ended_ns if life.end == "cancelled" else None),
                _ms(life.sent_ns, life.ended_ns),
                end,
            )
        )
    return _section("Orders of this time (ms from sending; cancel: from its own)", _grid(rows, rights=(2, 3, 4, 5)))


def _ms(from_ns: int | None, until_ns: int | None) -> str:
    return "-" if from_ns is None or until_ns is None else f"{(until_ns - from_ns) / 1e6:,.0f}"


def _fills(fills: Sequence[Fill], units: Instrument) -> RenderableType:
    rows = [
        (
            utc_clock(fill.ts_ns),
            f"{fill.side:<4} {plain(fill.size)} @ {plain(fill.price)}",
            f"{money(fill.pnl)} {units.quote}, day {money(fill.pnl_cum)}, {_held(fill, units)}",
        )
        for fill in fills
    ]
    return _section("Fills", _grid(rows))


# --- for machines


def _held(fill: Fill, units: Instrument) -> str:
    return f"position {signed(fill.inventory_after)} {units.base}"


def as_json(story: Story) -> dict[str, Any]:
    """A story for programs: stamps in ISO 8601 UTC, sizes and money as decimal strings."""
    return {
        "asked": story.asked,
        "kind": story.kind,
        "found": story.is_found,
        "zero": _iso(story.zero_ns),
        "from": _iso(story.from_ns) if story.until_ns else None,
        "until": _iso(story.until_ns) if story.until_ns else None,
        "runs": list(story.runs),
        "searched": list(story.searched),
        "notes": list(story.notes),
        "state": None if story.state is None else _decision(story.state),
        "timeline": [_happening(line, story.zero_ns or 0) for line in story.happenings],
        "holds": [_hold(hold) for hold in story.holds],
        "orders": [_told(life, *_ORDER) for life in story.orders],
        "fills": [_fill(fill) for fill in story.fills],
        "nearest": {"before": _iso(story.nearest[0]), "after": _iso(story.nearest[1])},
        "verdict": " ".join(story.verdict),
    }


def _decision(row: DecisionLine) -> dict[str, Any]:
    told = _told(row, "ts_ns", "spread_ticks", "best_age_ms", "inventory", "decision_type", "reason")
    return {"inventory_btc" if name == "inventory" else name: part for name, part in told.items()}


def _iso(ts_ns: int | None) -> str | None:
    return None if ts_ns is None else utc_iso(ts_ns)


def _told(value: object, *names: str) -> dict[str, Any]:
    """These fields: stamps in ISO 8601 without ``_ns``, decimals as texts, null for an empty text."""
    each = {name: getattr(value, name) for name in names}
    return {
        name.removesuffix("_ns"): _iso(part)
        if name.endswith("_ns")
        else plain(part)
        if isinstance(part, Decimal)
        else (None if part == "" else part)
        for name, part in each.items()
    }


def _happening(line: Happening, zero_ns: int) -> dict[str, Any]:
    relative_ms = round((line.ts_ns - zero_ns) / 1e6, 3)
    told = {"ts": _iso(line.ts_ns), "relative_ms": relative_ms, "what": line.what, "text": line.text}
    return told | {"order": line.name or None, "source": line.source, "out_of_the_ordinary": line.is_loud}


def _hold(hold: Hold) -> dict[str, Any]:
    lasted_ns = hold.lasted_ns
    return {
        "reason": hold.reason,
        "from": _iso(hold.from_ns),
        "until": None if lasted_ns is None else _iso(hold.until_ns),
        "lasted_ms": None if lasted_ns is None else lasted_ns // 1_000_000,
        "text": hold.text,
    }


def _fill(fill: Fill) -> dict[str, Any]:
    names = ("ts_ns", "exec_id", "client_order_id", "order_id", "side", "price", "size", "fee", "tag", "pnl", "pnl_cum")
    jpy = {name: f"{name}_jpy" for name in ("fee", "pnl", "pnl_cum")}  # as in the CSVs, whatever the currency is
    return {jpy.get(name, name): part for name, part in _told(fill, *names, "inventory_after").items()}
