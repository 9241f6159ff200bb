"""The plots of the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from studies.findings import PART_NAMES, Findings, over, part, result
from studies.svg import Panel, Series, bar_plot, line_plot

_RESULT: Final = "result, JPY an hour"
_OFFSET: Final = "quote_offset_ticks, JPY from the mid"


def plots(found: Findings) -> dict[str, str]:
    """SVG by name."""
    study = found.study
    middle = study.latencies_ms[len(study.latencies_ms) // 2]
    rows = [PART_NAMES[name] for name in PART_NAMES] + ["result"]
    figures = [part(name) for name in PART_NAMES] + [result]
    return {
        "parts": bar_plot(
            "What the result is made of, base settings",
            "JPY an hour",
            rows,
            [
                Series(name=latency_text(ms), figures=[over(found.at(ms), figure) for figure in figures])
                for ms in study.latencies_ms
            ],
        ),
        "offset": line_plot(
            "Result by quote offset",
            _RESULT,
            [_panel(found, "", _OFFSET, "offset_ticks", study.offsets_ticks)],
        ),
        "offset_parts": line_plot(
            f"What the result is made of, by quote offset, at {middle} ms",
            "JPY an hour",
            [_parts_panel(found, middle)],
        ),
        "stall": line_plot(
            "Result by stall_T_ms",
            _RESULT,
            [
                _panel(found, f"offset {offset} JPY", "stall_T_ms, ms", "stall_ms", study.stalls_ms, offset)
                for offset in found.offsets
            ],
        ),
        "ttl": line_plot(
            "Result by ttl_ms",
            _RESULT,
            [
                _panel(found, f"offset {offset} JPY", "ttl_ms, ms", "ttl_ms", study.ttls_ms, offset)
                for offset in found.offsets
            ],
        ),
    }


def latency_text(ms: int) -> str:
    """A latency in a legend or a table's head."""
    return f"latency {ms} ms"


def _panel(
    found: Findings, title: str, axis: str, field: str, values: Sequence[int], offset: int | None = None
) -> Panel:
    more: dict[str, Any] = {} if offset is None else {"offset_ticks": offset}
    return Panel(
        title=title,
        axis=axis,
        places=[f"{value:,}" for value in values],
        series=[
            Series(
                name=latency_text(ms),
                figures=[over(found.at(ms, **{**more, field: value})) for value in values],
            )
            for ms in found.study.latencies_ms
        ],
    )


def _parts_panel(found: Findings, latency_ms: int) -> Panel:
    shown = {
        "quotes: spread earned": part("spread_quotes"),
        "quotes: adverse selection": part("adverse_quotes"),
        "closes, moves after them included": part("spread_closes", "adverse_closes"),
        "later moves": part("inventory"),
    }
    return Panel(
        title="",
        axis=_OFFSET,
        places=[f"{value:,}" for value in found.study.offsets_ticks],
        series=[
            Series(
                name=name,
                figures=[
                    over(found.at(latency_ms, offset_ticks=offset), figure) for offset in found.study.offsets_ticks
                ],
            )
            for name, figure in shown.items()
        ],
    )
