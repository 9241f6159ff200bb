"""Charts as SVG, stretched to the width there is; letters and marks lie over it as HTML and keep their shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Final

from stall_then_strike.app.view.amounts import price
from stall_then_strike.app.web.drawing.console_words import Words
from stall_then_strike.app.web.drawing.markup import Html, joined, tag
from stall_then_strike.app.web.tracks import MINUTES, Point, Track
from stall_then_strike.types.dto import NS_PER_S, Side
from stall_then_strike.types.text import money, plain, utc_clock

_WIDTH: Final = 1000
_HEIGHT: Final = 100
_MARGIN: Final = 6.0
"""Space above and below the lines, in hundredths of the height."""
_GAP_NS: Final = 12 * NS_PER_S
"""A longer silence breaks a line."""
_Values = Sequence[tuple[int, Decimal | None]]


class Scale:
    """Where stamps and values lie in a chart."""

    def __init__(self, from_ns: int, until_ns: int, values: Iterable[Decimal]) -> None:
        """Fits all values; an only one lies in the middle."""
        known = list(values)
        self.low, self.high = min(known, default=Decimal(0)), max(known, default=Decimal(0))
        self._from_ns, self._span_ns = from_ns, max(1, until_ns - from_ns)

    def x(self, ts_ns: int) -> float:
        """From the left, 0 to 1."""
        return min(1.0, max(0.0, (ts_ns - self._from_ns) / self._span_ns))

    def y(self, value: Decimal) -> float:
        """From the top, hundredths of the height."""
        share = 0.5 if self.high == self.low else float((self.high - value) / (self.high - self.low))
        return _MARGIN + share * (_HEIGHT - 2 * _MARGIN)


def price_chart(track: Track, words: Words) -> Html:
    """Mid, own quotes and fills of the last minutes."""
    points = list(track.points)
    mids = [point.mid for point in points if point.mid is not None]
    if len(mids) < 2:
        return tag("p", words("chart.none"), cls="empty")
    until_ns = points[-1].ts_ns
    from_ns = max(points[0].ts_ns, until_ns - MINUTES * 60 * NS_PER_S)
    own = [value for point in points for value in (point.own_bid, point.own_ask) if value is not None]
    fills = [fill for fill in track.fills if fill.ts_ns >= from_ns]
    scale = Scale(from_ns, until_ns, [*mids, *own, *(fill.price for fill in fills)])
    lines = joined(
        tag("path", d=_path(values, scale), cls=name)
        for name, values in (
            ("own", _column(points, lambda point: point.own_bid)),
            ("own", _column(points, lambda point: point.own_ask)),
            ("mid", _column(points, lambda point: point.mid)),
        )
    )
    marks = joined(
        tag(
            "i",
            "▲" if fill.side is Side.BUY else "▼",
            cls=f"mark {fill.side.value.lower()}",
            style=f"left:{scale.x(fill.ts_ns):.2%};top:{scale.y(fill.price):.1f}%",
            title=f"{words(f'side.{fill.side.value}')} {fill.size:f} @ {price(fill.price)}",
        )
        for fill in fills
    )
    label = words("chart.price", minutes=MINUTES)
    edges = (price(Decimal(plain(scale.high))), price(Decimal(plain(scale.low))))
    ends = (utc_clock(from_ns)[:8], utc_clock(until_ns)[:8])
    return _figure(label, lines, marks, edges, ends, _legend(words))


def equity_chart(equity: Sequence[Decimal], words: Words) -> Html:
    """The day's result at even steps, the last one now, and a line at nothing."""
    if len(equity) < 2:
        return tag("p", words("equity.none"), cls="empty")
    steps = list(enumerate(equity))
    scale = Scale(0, len(equity) - 1, [*equity, Decimal(0)])
    zero = tag("path", d=f"M0 {scale.y(Decimal(0)):.1f}H{_WIDTH}", cls="zero")
    lines = joined((zero, tag("path", d=_path(steps, scale), cls="mid")))
    edges = (money(scale.high), money(scale.low))
    return _figure(words("equity"), lines, Html(""), edges, (words("equity.from"), words("equity.now")), Html(""))


def _figure(label: str, lines: Html, marks: Html, edges: tuple[str, str], ends: tuple[str, str], legend: Html) -> Html:
    drawn = tag(
        "svg", lines, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", preserveAspectRatio="none", role="img", aria_label=label
    )
    plot = tag(
        "div", drawn, marks, tag("span", edges[0], cls="edge top"), tag("span", edges[1], cls="edge low"), cls="plot"
    )
    times = tag("div", *(tag("span", end) for end in ends), cls="times")
    return tag("figure", plot, times, legend, cls="chart")


def _legend(words: Words) -> Html:
    kinds = (("mid", "━"), ("own", "┅"), ("buy", "▲"), ("sell", "▼"))
    each = (tag("span", tag("i", sign, cls=kind), f" {words(f'chart.legend.{kind}')}") for kind, sign in kinds)
    return tag("figcaption", *each)


def _column(points: Sequence[Point], get: Callable[[Point], Decimal | None]) -> _Values:
    return [(point.ts_ns, get(point)) for point in points]


def _path(values: _Values, scale: Scale) -> str:
    return "".join(_steps(values, scale))


def _steps(values: _Values, scale: Scale) -> Iterator[str]:
    """A line of steps, broken where nothing was known."""
    before_ns: int | None = None
    for ts_ns, value in values:
        if value is None:
            before_ns = None
            continue
        x, y = scale.x(ts_ns) * _WIDTH, scale.y(value)
        is_on = before_ns is not None and ts_ns - before_ns <= _GAP_NS
        yield f"H{x:.1f}V{y:.1f}" if is_on else f"M{x:.1f} {y:.1f}"
        before_ns = ts_ns
