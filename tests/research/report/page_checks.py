"""What holds for every figure of a page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import plotly.graph_objects as go

from stall_then_strike.research.report.drawing import PALETTE


def assert_plotlys(figures: Iterable[Any]) -> None:
    """They are plotly's, and all colours are known."""
    for figure in figures:
        text = repr(figure)
        names = set(re.findall(r"'(@[a-z_0-9]+)'", text))
        assert names <= PALETTE.keys()
        for name in names:
            text = text.replace(name, PALETTE[name][0])
        go.Figure(eval(text))  # noqa: S307 - our own values, made text a few lines above; plotly checks each key
