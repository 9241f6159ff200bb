"""Small plots as SVG text: lines with intervals, and bars. No library, no script, the same text for the same numbers.

Each plot brings its own light ground, so that it can be read on a dark page too. Colours are told apart also by those
who cannot tell red from green (after Okabe and Ito), and lines by their markers as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from stall_then_strike.research.figures.estimates import Estimate

COLOURS: Final = ("#0072b2", "#d55e00", "#00805f", "#a8558a")
_GROUND, _INK, _MUTED, _GRID = "#fcfcfa", "#1b1f24", "#596372", "#e2e6ea"
_FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 18, 76, 52
_CHAR: Final = 6.6
"""Width of a letter of 12 px, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line: a figure for each place on the axis."""

    name: str
    figures: Sequence[Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One plot among several that share their vertical axis."""

    title: str
    axis: str
    places: Sequence[str]
    series: Sequence[Series]


def ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Round numbers from at or below ``low`` to at or above ``high``."""
    rough = (high - low) / about or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def number(value: float) -> str:
    """A tick's text."""
    text = f"{value:,.0f}" if value == round(value) else f"{value:,.2f}".rstrip("0")
    return text.replace("-", "−")


def line_plot(title: str, unit: str, panels: Sequence[Panel], *, width: int = 860, height: int = 340) -> str:
    """Lines with 95 % intervals; the panels share one axis of ``unit``."""
    ends = [end for panel in panels for one in panel.series for found in one.figures for end in _ends(found)]
    marks = ticks(min(0.0, *ends), max(0.0, *ends))
    names = [one.name for one in panels[0].series]
    parts = _frame(title, names, width, height)
    gap = 24
    room = (width - _LEFT - _RIGHT - gap * (len(panels) - 1)) / len(panels)
    for at, panel in enumerate(panels):
        left = _LEFT + at * (room + gap)
        parts += _grid(marks, left, room, height, texts=at == 0)
        parts += _lines(panel, marks, left, room, height)
    parts.append(_text(14, (_TOP + height - _BOTTOM) / 2, unit, "middle", turn=-90, colour=_MUTED))
    return "\n".join([*parts, "</svg>", ""])


def bar_plot(title: str, unit: str, rows: Sequence[str], series: Sequence[Series], *, width: int = 860) -> str:
    """Horizontal bars, a group for each row, with 95 % intervals."""
    thick, left = 13, 190
    group = thick * len(series) + 14
    height = _TOP + group * len(rows) + _BOTTOM
    ends = [end for one in series for found in one.figures for end in _ends(found)]
    marks = ticks(min(0.0, *ends), max(0.0, *ends))
    scale = (width - left - _RIGHT) / (marks[-1] - marks[0])

    def x(value: float) -> float:
        return left + (value - marks[0]) * scale

    parts = _frame(title, [one.name for one in series], width, height)
    foot = height - _BOTTOM
    for mark in marks:
        parts.append(_line(x(mark), _TOP, x(mark), foot, _MUTED if mark == 0 else _GRID))
        parts.append(_text(x(mark), foot + 18, number(mark), "middle"))
    for at, row in enumerate(rows):
        top = _TOP + at * group + 7
        parts.append(_text(left - 10, top + thick * len(series) / 2 + 4, row, "end"))
        for place, one in enumerate(series):
            found, y = one.figures[at], top + place * thick
            low, high = sorted((x(0), x(found.value)))
            box = f'x="{low:.1f}" y="{y:.1f}" width="{high - low:.1f}" height="{thick - 2}"'
            parts.append(f'<rect {box} fill="{COLOURS[place]}"/>')
            ends_at = [x(end) for end in _ends(found)]
            parts.append(_line(ends_at[0], y + 5.5, ends_at[-1], y + 5.5, _INK, 1.2))
    parts.append(_text((left + width - _RIGHT) / 2, height - 14, unit, "middle", colour=_MUTED))
    return "\n".join([*parts, "</svg>", ""])


def _ends(found: Estimate) -> tuple[float, float, float]:
    low = found.value if found.low is None else found.low
    high = found.value if found.high is None else found.high
    return low, found.value, high


def _frame(title: str, names: Sequence[str], width: int, height: int) -> list[str]:
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    look = f'font-family="{_FONT}" font-size="12" role="img" aria-label="{escape(title)}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {look}>',
        f'<rect width="{width}" height="{height}" rx="8" fill="{_GROUND}"/>',
        _text(16, 22, title, "start", size=14, weight=600),
        _text(width - 16, 22, "thin lines: 95 % intervals", "end", size=11, colour=_MUTED),
    ]
    left = 16.0
    for at, name in enumerate(names):
        parts.append(_line(left, 40, left + 22, 40, COLOURS[at], 2))
        parts.append(_marker(at, left + 11, 40))
        parts.append(_text(left + 28, 44, name, "start"))
        left += 28 + _CHAR * len(name) + 20
    return parts


def _grid(marks: Sequence[float], left: float, room: float, height: int, *, texts: bool) -> list[str]:
    parts = []
    for mark in marks:
        y = _height(mark, marks, height)
        parts.append(_line(left, y, left + room, y, _MUTED if mark == 0 else _GRID))
        if texts:
            parts.append(_text(left - 8, y + 4, number(mark), "end"))
    return parts


def _height(value: float, marks: Sequence[float], height: int) -> float:
    foot = height - _BOTTOM
    return foot - (value - marks[0]) / (marks[-1] - marks[0]) * (foot - _TOP)


def _lines(panel: Panel, marks: Sequence[float], left: float, room: float, height: int) -> list[str]:
    step = room / len(panel.places)
    parts = [_text(left + 4, _TOP - 6, panel.title, "start", weight=600)] if panel.title else []
    for at, name in enumerate(panel.places):
        parts.append(_text(left + (at + 0.5) * step, height - _BOTTOM + 18, name, "middle"))
    parts.append(_text(left + room / 2, height - 12, panel.axis, "middle", colour=_MUTED))
    for place, one in enumerate(panel.series):
        shift = (place - (len(panel.series) - 1) / 2) * 9
        points = []
        for at, found in enumerate(one.figures):
            x = left + (at + 0.5) * step + shift
            low, middle, high = (_height(end, marks, height) for end in _ends(found))
            parts.append(_line(x, low, x, high, COLOURS[place], 1.2))
            points.append((x, middle))
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[place]}" stroke-width="1.8"/>')
        parts += [_marker(place, x, y) for x, y in points]
    return parts


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1.0) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width:g}"/>'


def _marker(at: int, x: float, y: float) -> str:
    shapes = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"',
        f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7"',
        f'<path d="M{x:.1f} {y - 5:.1f}l5 9h-10z"',
        f'<path d="M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5-5z"',
    )
    return f'{shapes[at]} fill="{COLOURS[at]}"/>'


def _text(
    x: float, y: float, text: str, anchor: str, *, size: int = 12, weight: int = 400, turn: int = 0, colour: str = _INK
) -> str:
    turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}"'
        f' fill="{colour}"{turned}>{escape(text)}</text>'
    )
