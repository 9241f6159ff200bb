"""Shared by all charts: colours of both themes, layout, axes, and thinning of points.

A figure is plotly's JSON as plain values. Colours are names (``@blue``), which the page replaces by the theme's; blue
and vermilion are distinguishable also for red-green colour-blind readers (after Okabe and Ito). Money and prices become
floats only here, where they are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

Figure = dict[str, Any]

PALETTE: Final[dict[str, tuple[str, str]]] = {
    "@ink": ("#1b1f24", "#e6e9ee"),
    "@muted": ("#667080", "#98a2b3"),
    "@grid": ("#e6e9ee", "#2a313c"),
    "@paper": ("#ffffff", "#171b22"),
    "@blue": ("#0072b2", "#56b4e9"),
    "@orange": ("#d55e00", "#f0903c"),
    "@green": ("#00805f", "#2fbf97"),
    "@purple": ("#a8558a", "#d68fbd"),
    "@grey": ("#8a94a3", "#7c8797"),
    "@fade_blue": ("rgba(0,114,178,0.14)", "rgba(86,180,233,0.18)"),
    "@fade_orange": ("rgba(213,94,0,0.14)", "rgba(240,144,60,0.18)"),
    "@sparse": ("#f1f2f4", "#20252e"),
    "@heat0": ("#dcebf5", "#1b3142"),
    "@heat1": ("#0072b2", "#56b4e9"),
}
"""Colours by name, for the light and the dark theme."""

LINE_POINTS: Final = 4_000
"""Most points of one line; extremes between them are kept."""
MARKERS: Final = 4_000
"""Most markers of one chart."""


def layout(height: int, **more: Any) -> Figure:
    """The common layout, updated with ``more``."""
    base: Figure = {
        "height": height,
        "margin": {"l": 64, "r": 16, "t": 28, "b": 44},
        "paper_bgcolor": "@paper",
        "plot_bgcolor": "@paper",
        "font": {"color": "@ink", "size": 12},
        "hoverlabel": {"font": {"size": 12}},
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "xanchor": "left"},
        "hovermode": "closest",
        "meta": {"zooms": False},
    }
    return base | more


def over_time(title: str, **more: Any) -> Figure:
    """A time axis with the same format in every language."""
    return axis(
        title,
        type="date",
        hoverformat="%Y-%m-%d %H:%M:%S.%L",
        tickformatstops=[
            {"dtickrange": dtick_range, "value": value}
            for dtick_range, value in (
                ([None, 1_000], "%H:%M:%S.%L\n%Y-%m-%d"),
                ([1_000, 60_000], "%H:%M:%S\n%Y-%m-%d"),
                ([60_000, 86_400_000], "%H:%M\n%Y-%m-%d"),
                ([86_400_000, "M1"], "%m-%d\n%Y"),
                (["M1", None], "%Y-%m"),
            )
        ],
        **more,
    )


def axis(title: str = "", **more: Any) -> Figure:
    """An axis with subdued lines."""
    base: Figure = {
        "gridcolor": "@grid",
        "zerolinecolor": "@muted",
        "zerolinewidth": 1,
        "linecolor": "@grid",
        "automargin": True,
        "title": {"text": title, "standoff": 8, "font": {"size": 12, "color": "@muted"}},
    }
    return base | more


def thin(values: Sequence[float], limit: int = LINE_POINTS) -> list[int]:
    """Indices of a line's points: all if few, else both ends and the lowest and highest of each part."""
    if len(values) <= limit:
        return list(range(len(values)))
    stretches = (limit - 2) // 2
    kept = {0, len(values) - 1}
    for number in range(stretches):
        start = number * len(values) // stretches
        end = (number + 1) * len(values) // stretches
        kept.add(min(range(start, end), key=values.__getitem__))
        kept.add(max(range(start, end), key=values.__getitem__))
    return sorted(kept)


def spread_evenly(count: int, limit: int = MARKERS) -> list[int]:
    """At most ``limit`` of ``count`` indices, evenly spaced."""
    if count <= limit:
        return list(range(count))
    return [number * count // limit for number in range(limit)]


def error_bars(highs: Sequence[float | None], lows: Sequence[float | None], values: Sequence[float]) -> Figure:
    """Error bars from low to high; none without an interval."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [0 if high is None else high - value for high, value in zip(highs, values, strict=True)],
        "arrayminus": [0 if low is None else value - low for low, value in zip(lows, values, strict=True)],
        "thickness": 1.5,
        "width": 4,
    }
