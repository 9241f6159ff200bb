"""The plots of the page: recorded and generated markets side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from studies.choices import BASE, Settings, Study
from studies.findings import PART_NAMES, Findings
from studies.svg import Panel, Series, bar_plot, line_plot

_RESULT: Final = "result, JPY an hour"
_FIELDS: Final = {
    "offset": ("offset_ticks", "quote_offset_ticks, JPY from the mid"),
    "spread": ("spread_ticks", "min_spread_tick, JPY"),
    "stall": ("stall_ms", "stall_T_ms, ms"),
    "ttl": ("ttl_ms", "ttl_ms, ms"),
    "reverse": ("reverse_ticks", "max_reverse_ticks, JPY"),
    "latency": ("latency_ms", "constant latency, ms"),
}


def plots(study: Study, real: Findings, made: Findings) -> dict[str, str]:
    """SVG by name."""
    both = (("recorded", real), ("generated", made))
    drawn = {
        "parts": bar_plot(
            "What the result is made of, base settings",
            "JPY an hour",
            [*PART_NAMES.values(), "result"],
            [
                Series(
                    name=name,
                    figures=[*(found.rows[BASE].parts[part] for part in PART_NAMES), found.rows[BASE].result],
                )
                for name, found in both
            ],
        )
    }
    for name, settings in study.axes().items():
        if name in _FIELDS:
            field, axis = _FIELDS[name]
            panels = [
                _panel(f"quote_mode {mode}", axis, field, [one for one in settings if one.quote_mode == mode], both)
                for mode in dict.fromkeys(one.quote_mode for one in settings)
            ]
            drawn[name] = line_plot(f"Result by {axis.partition(',')[0]}", _RESULT, panels)
    return drawn


def _panel(
    title: str, axis: str, field: str, settings: Sequence[Settings], both: Sequence[tuple[str, Findings]]
) -> Panel:
    shown = [one for one in settings if field != "latency_ms" or one.latency_ms]
    return Panel(
        title=title,
        axis=axis,
        places=[f"{getattr(one, field):,}" for one in shown],
        series=[Series(name=name, figures=[found.rows[one].result for one in shown]) for name, found in both],
    )
