"""Parts of the overview as HTML, each made of a snapshot alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final
from urllib.parse import urlencode

from stall_then_strike import __version__
from stall_then_strike.app.view.amounts import price, span
from stall_then_strike.app.view.grades import Grade
from stall_then_strike.app.view.snapshot import DecisionLine, InstrumentSnapshot, Level, Snapshot
from stall_then_strike.app.web.drawing.console_words import Words
from stall_then_strike.app.web.drawing.gauges import Gauge, Line, state_of
from stall_then_strike.app.web.drawing.markup import Html, joined, table, tag
from stall_then_strike.app.web.poller import Seen
from stall_then_strike.infra.logs.runtime_reader import RuntimeLine
from stall_then_strike.types.dto import NS_PER_S, Side
from stall_then_strike.types.text import money, plain, utc_clock, utc_iso

SIGNS: Final = {Grade.GOOD: "●", Grade.WARN: "▲", Grade.BAD: "■", Grade.NONE: "○"}
_ARROWS: Final = {Side.BUY: "▲", Side.SELL: "▼"}
DECISIONS_SHOWN: Final = 12
FILLS_SHOWN: Final = 8
_LEVELS: Final = {"DEBUG": Grade.NONE, "INFO": Grade.NONE, "WARNING": Grade.WARN, "ERROR": Grade.BAD}


def card(title: str, *content: str, cls: str = "", extra: str = "") -> Html:
    """A titled part of a page."""
    head = tag("header", tag("h2", title), tag("span", extra, cls="extra")) if extra else tag("h2", title)
    return tag("section", head, *content, cls=f"card {cls}".strip())


def sign(grade: Grade, words: Words) -> Html:
    """A grade as a sign with its word for those who hear the page."""
    name = "" if grade is Grade.NONE else words(grade.value)
    return tag("span", SIGNS[grade], cls=f"sign {grade.value}", title=name, aria_label=name, role="img")


# --- the state


def state_pane(seen: Seen, now_ns: int, words: Words, name: str = "") -> Html:
    """What the run of a name does, and how old that news is."""
    key, grade = state_of(seen, now_ns)
    run = seen.snapshot
    badge = tag("span", sign(grade, words), " ", words(key), cls=f"badge {grade.value}", role="status")
    told = tag("p", *_absence(seen, words), cls="notice") if seen.problem else Html("")
    if run is None:
        return tag("div", tag("div", badge, cls="state"), told)
    late = words.age((now_ns - seen.at_ns) / NS_PER_S)
    facts = tag(
        "span",
        " · ".join((run.mode, words("up", span=span(run.uptime_s)), words("asked", age=late))),
        cls="facts",
        title=name,
    )
    if run.halt is not None and not seen.problem:
        told = tag("p", f"{words.reason(run.halt.reason)} {run.halt.detail}".rstrip(), cls="notice bad")
    return tag("div", tag("div", badge, facts, cls="state"), told)


def _absence(seen: Seen, words: Words) -> tuple[str | Html, ...]:
    """Why there are no figures, or no new ones."""
    if seen.other:
        return (words("absent.other", run=seen.other, console=__version__),)
    if seen.snapshot is None:
        return (words("absent.never"),)
    return words("absent.text"), " ", tag("small", seen.problem)


# --- gauges and lines


def gauge(one: Gauge, words: Words, *, is_small: bool = False) -> Html:
    """A figure with a bar towards its limit."""
    bar = Html("")
    if one.share is not None:
        bar = tag(
            "div",
            tag("i", style=f"width:{one.share:.1%}"),
            cls=f"bar {one.grade.value}",
            role="meter",
            aria_valuemin=0,
            aria_valuemax=100,
            aria_valuenow=round(one.share * 100),
            aria_label=one.title,
        )
    mark = sign(one.grade, words) if one.grade in (Grade.WARN, Grade.BAD) else Html("")
    shown = tag("div", mark, tag("b", one.value), cls="value")
    return tag(
        "div",
        tag("div", one.title, cls="name"),
        shown,
        bar,
        tag("div", one.note, cls="note"),
        cls="gauge small" if is_small else "gauge",
    )


def gauges_pane(gauges: Iterable[Gauge], words: Words) -> Html:
    """The account's figures, large."""
    return tag("section", *(gauge(one, words) for one in gauges), cls="gauges")


def limits_pane(gauges: Iterable[Gauge], wait: str, words: Words) -> Html:
    """Use of the venue's limits."""
    each = [gauge(one, words, is_small=True) for one in gauges]
    body = tag("div", *each, cls="limits") if each else tag("p", words("limits.none"), cls="empty")
    note = tag("p", words("limit.wait", text=wait), cls="note") if wait else Html("")
    return card(words("limits"), body, note)


def health_pane(lines: Iterable[Line], words: Words) -> Html:
    """Lines with their signs."""
    rows = (
        tag("div", tag("dt", sign(one.grade, words), " ", one.title), tag("dd", one.text), cls="line") for one in lines
    )
    return card(words("health"), tag("dl", *rows))


# --- the market


def decimals_of(one: InstrumentSnapshot) -> int:
    """How many decimals its prices have, so that they stand below each other: JSON's have lost their last zeros."""
    known: list[Decimal | None] = [level.price for level in (*one.bids, *one.asks)]
    known += [item.price for item in one.fills] + [order.price for order in one.orders]
    return max((-int(value.as_tuple().exponent) for value in known if value is not None), default=0)


def priced(value: Decimal, decimals: int) -> str:
    """A price with so many decimals."""
    return f"{value:,.{max(0, decimals)}f}"


def market_pane(one: InstrumentSnapshot, chart: Html, words: Words) -> Html:
    """Prices, chart and depth of an instrument."""
    mid = None if one.best_bid is None or one.best_ask is None else (one.best_bid + one.best_ask) / 2
    stood = "" if one.best_age_ms is None else words("stood", age=words.age(one.best_age_ms / 1000))
    spread = "" if one.spread_ticks is None else words("ticks", count=f"{one.spread_ticks:,}")
    told = tag(
        "div",
        tag("span", words("mid"), " ", tag("b", price(mid)), f" {one.quote}"),
        tag("span", words("spread"), " ", tag("b", spread)),
        tag("span", stood),
        cls="quote",
    )
    return card(f"{words('market')} · {one.product}", told, chart, cls="market")


def depth_pane(one: InstrumentSnapshot, words: Words) -> Html:
    """The first levels of both sides, our own marked."""
    decimals = decimals_of(one)
    most = max((level.size for level in (*one.bids, *one.asks)), default=None)
    own = {(order.side, order.price) for order in one.orders}

    def rows(levels: Sequence[Level], side: Side) -> list[Html]:
        return [
            tag(
                "tr",
                tag("td", "◆" if (side, level.price) in own else "", cls="own"),
                tag("td", priced(level.price, decimals), cls="num"),
                tag(
                    "td",
                    tag("i", style=f"width:{float(level.size / most) if most else 0:.1%}"),
                    tag("span", plain(level.size)),
                    cls="num size",
                ),
                cls=side.value.lower(),
            )
            for level in levels
        ]

    if most is None:
        return card(words("depth"), tag("p", words("health.book.unknown"), cls="empty"))
    sides = (
        tag("tbody", *rows(tuple(reversed(one.asks)), Side.SELL), aria_label=words("ask")),
        tag("tbody", *rows(one.bids, Side.BUY), aria_label=words("bid")),
    )
    head = tag(
        "thead",
        tag(
            "tr",
            tag("th", "", scope="col"),
            tag("th", words("col.price"), cls="num", scope="col"),
            tag("th", words("col.size"), cls="num", scope="col"),
        ),
    )
    return card(words("depth"), tag("table", head, *sides, cls="depth"), extra=f"◆ {words('chart.legend.own')}")


# --- tables


def side(value: Side, words: Words) -> Html:
    """A side with its arrow and word."""
    return tag("span", f"{_ARROWS[value]} {words(f'side.{value.value}')}", cls=value.value.lower())


def why_link(asked: str, product: str, words: Words) -> Html:
    """A link to the answer of ``why`` about a moment or an order."""
    return tag("a", words("why.link"), href=f"/why?{urlencode({'at': asked, 'product': product})}")


def orders_pane(run: Snapshot, words: Words) -> Html:
    """Live orders of all instruments."""
    first = () if run.alone is not None else ("product",)
    head = [*_head(words, *first, "side", "price:num", "size:num", "left:num", "state", "age:num"), ("", "")]
    rows = [
        (
            *((one.product,) if first else ()),
            side(order.side, words),
            words("market_order") if order.price is None else priced(order.price, decimals_of(one)),
            plain(order.size),
            plain(order.remaining),
            order.state,
            words.age((run.ts_ns - order.sent_ns) / NS_PER_S),
            why_link(order.client_order_id, one.product, words),
        )
        for one in run.instruments
        for order in one.orders
    ]
    return card(words("orders"), table(head, rows, words("orders.none")), cls="orders", extra=f"{len(rows):,}")


def decisions_pane(one: InstrumentSnapshot, words: Words) -> Html:
    """The latest decisions, newest first, each with its ``why``."""
    head = [*_head(words, "time", "what", "reason"), ("", "")]
    rows = [
        (
            tag("time", utc_clock(row.ts_ns)[:12]),
            _what(row),
            words.reason(row.reason),
            why_link(utc_iso(row.ts_ns), one.product, words),
        )
        for row in reversed(one.decisions[-DECISIONS_SHOWN:])
    ]
    return card(words("decisions"), table(head, rows, words("decisions.none")), cls="decisions")


def _what(row: DecisionLine) -> Html:
    return joined((tag("b", row.decision_type), tag("small", f" {row.detail}") if row.detail else ""))


def fills_pane(one: InstrumentSnapshot, words: Words) -> Html:
    """The latest fills, newest first."""
    head = _head(words, "time", "side", "price:num", "size:num", "result:num", "tag")
    decimals = decimals_of(one)
    rows = [
        (
            tag("time", utc_clock(fill.ts_ns)[:8]),
            side(fill.side, words),
            priced(fill.price, decimals),
            plain(fill.size),
            money(fill.pnl),
            fill.tag,
        )
        for fill in reversed(one.fills[-FILLS_SHOWN:])
    ]
    return card(words("fills"), table(head, rows, words("fills.none")), cls="fills")


def log_pane(lines: Iterable[RuntimeLine], words: Words, *, is_short: bool = True) -> Html:
    """Lines of the runtime log, newest last."""
    rows = [
        tag(
            "li",
            tag("time", utc_clock(line.ts_ns)[:8]),
            sign(_LEVELS.get(line.level, Grade.BAD), words),
            tag("span", line.text),
        )
        for line in lines
    ]
    body = tag("ol", *rows, cls="log") if rows else tag("p", words("log.none"), cls="empty")
    more = tag("p", tag("a", words("log.more"), href="/log")) if is_short and rows else Html("")
    return card(words("log.tail"), body, more, cls="wide")


def picks(run: Snapshot, chosen: str) -> Html:
    """Links to each of several instruments."""
    if run.alone is not None:
        return Html("")
    each = (
        tag(
            "a",
            one.product,
            href=f"/?{urlencode({'product': one.product})}",
            aria_current="page" if one.product == chosen else None,
        )
        for one in run.instruments
    )
    return tag("nav", *each, cls="picks")


def _head(words: Words, *columns: str) -> list[tuple[str, str]]:
    parts = (column.partition(":") for column in columns)
    return [(words(f"col.{name}"), cls) for name, _, cls in parts]
