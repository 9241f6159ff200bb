"""What all charts share: colours that both themes have, layout, stamps, and thinning for drawing.

A figure is plotly's JSON as plain values. Colours are names (``@blue``) that the page replaces by the theme's; blue and
vermilion are told apart also by those who cannot tell red from green (after Okabe and Ito). Money and prices become
floats here, where they are drawn, and nowhere else.
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
"""Name to the colours of the light and of the dark theme."""

LINE_POINTS: Final = 4_000
"""Points of one line, at most; the extremes of what lies between are kept."""
MARKERS: Final = 4_000
"""Markers of one chart, at most."""


def layout(height: int, **more: Any) -> Figure:
    """The house layout, with more laid over it."""
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
    """An axis of stamps, told alike in every language."""
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
    """One axis with quiet lines."""
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
    """Indices to draw a line by: all if few, else the lowest and the highest of each stretch, and both ends."""
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
    """So many of ``count`` indices at most, evenly."""
    if count <= limit:
        return list(range(count))
    return [number * count // limit for number in range(limit)]


def error_bars(highs: Sequence[float | None], lows: Sequence[float | None], values: Sequence[float]) -> Figure:
    """Bars from low to high; none where there is no interval."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [0 if high is None else high - value for high, value in zip(highs, values, strict=True)],
        "arrayminus": [0 if low is None else value - low for low, value in zip(lows, values, strict=True)],
        "thickness": 1.5,
        "width": 4,
    }
