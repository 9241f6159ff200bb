"""The charts of a sweep: figures and labels in, plotly's JSON out, or None without data.

Parallel coordinates are drawn as plain lines, because plotly's own kind needs WebGL and generated code, which the
page's policy forbids. A click on the legend hides or shows a group of lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from stall_then_strike.research.report.drawing import Figure, axis, layout, spread_evenly
from stall_then_strike.research.report.labels import Labels
from stall_then_strike.research.report.sweep_data import DEPTHS, SetFigures, SweepFigures
from stall_then_strike.research.report.sweep_scales import (
    BINS,
    Scale,
    by_weight,
    front,
    key_text,
    medians,
    pairs,
    scales,
    value_text,
)

PAIRS: Final = 6
"""Most heat maps; pairs of the keys with the largest effect come first."""
KEYS_ALONE: Final = 6
"""Most charts of single keys."""
LINES: Final = 240
"""Most lines of the parallel coordinates; more would be unreadable."""
_BEST_LINES: Final = 60
_POINTS: Final = 2_000
_GROUPS: Final = (("best_tenth", 0.1, "@blue", 1.6, 0.9), ("upper_half", 0.5, "@grey", 1.0, 0.4),
                  ("lower_half", 1.0, "@orange", 0.8, 0.3))  # fmt: skip


def metric_text(metric: str, say: Labels) -> str:
    """A metric with its unit."""
    name = say.metric(metric)
    return f"{name}, {say.quote}" if metric in ("pnl", "max_drawdown") else name


def heat_charts(figures: SweepFigures, say: Labels) -> list[Figure]:
    """The objective's median by two keys at a time, all on one colour scale."""
    maps = []
    held = scales(figures)
    objective = figures.objective
    for x, y in pairs(figures)[:PAIRS]:
        places = [(held[x].place(one.values[x]), held[y].place(one.values[y])) for one in figures.known]
        counts = Counter(places)
        cells = medians(list(zip(places, (one.made[objective] for one in figures.known), strict=True)))
        maps.append((x, y, cells, counts))
    every = [value for _, _, cells, _ in maps for value in cells.values()]
    if not every:
        return []
    low, high, colours = min(every), max(every), [[0, "@heat0"], [1, "@heat1"]]
    if objective not in DEPTHS and low < 0:  # losses and gains have colours of their own, zero is neutral
        high = max(high, -low)
        low, colours = -high, [[0, "@orange"], [0.5, "@sparse"], [1, "@blue"]]
    return [
        _heat(figures, say, held, (x, y), cells, counts, {"zmin": low, "zmax": high, "colorscale": colours})
        for x, y, cells, counts in maps
    ]


def _heat(
    figures: SweepFigures,
    say: Labels,
    held: Sequence[Scale],
    pair: tuple[int, int],
    cells: dict[tuple[int, int], float],
    counts: dict[tuple[int, int], int],
    colours: Figure,
) -> Figure:
    x, y = pair
    columns, rows = range(len(held[x].names)), range(len(held[y].names))
    grid = [[cells.get((column, row)) for column in columns] for row in rows]
    names = [key_text(figures.keys[at], figures.keys) for at in pair]
    data = {
        "type": "heatmap",
        "x": held[x].names,
        "y": held[y].names,
        "z": grid,
        "customdata": [[counts.get((column, row), 0) for column in columns] for row in rows],
        "text": [["" if cell is None else _short(cell) for cell in line] for line in grid],
        "texttemplate": "%{text}" if len(columns) <= BINS else "",
        "textfont": {"size": 11},
        "xgap": 2,
        "ygap": 2,
        "hoverongaps": False,
        "colorbar": {"thickness": 10, "outlinewidth": 0},
        "hovertemplate": f"{names[0]}: %{{x}}<br>{names[1]}: %{{y}}<br>{metric_text(figures.objective, say)}: "
        "%{z:,.4~g} (n = %{customdata:,})<extra></extra>",
        **colours,
    }
    shape = layout(150 + 34 * len(rows))
    shape["margin"]["t"] = 12
    shape["xaxis"] = axis(names[0], type="category", showgrid=False)
    shape["yaxis"] = axis(names[1], type="category", showgrid=False)
    return {"data": [data], "layout": shape}


def _short(value: float) -> str:
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}".replace("-", "−")


def key_charts(figures: SweepFigures, say: Labels) -> list[Figure]:
    """For each key: every set's objective and the median, by the key's value."""
    charts = []
    held = scales(figures)
    known = figures.known
    sets = [known[at] for at in spread_evenly(len(known), _POINTS)]
    for at in by_weight(figures)[:KEYS_ALONE]:
        scale, name = held[at], key_text(figures.keys[at], figures.keys)
        if len(scale.names) < 2:
            continue
        middle = medians([(scale.place(one.values[at]), one.made[figures.objective]) for one in known])
        data = [
            {
                "type": "scatter",
                "mode": "markers",
                "name": say("one_set"),
                "x": [scale.names[scale.place(one.values[at])] for one in sets],
                "y": [one.made[figures.objective] for one in sets],
                "marker": {"color": "@grey", "size": 6, "opacity": 0.35},
                "text": [_told(one, figures) for one in sets],
                "hovertemplate": "%{text}<br>%{y:,.4~g}<extra></extra>",
            },
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": say("median"),
                "x": [scale.names[place] for place in sorted(middle)],
                "y": [middle[place] for place in sorted(middle)],
                "line": {"color": "@blue", "width": 1.8},
                "marker": {"color": "@blue", "size": 8, "symbol": "diamond"},
                "hovertemplate": f"{name} %{{x}}: %{{y:,.4~g}}<extra>{say('median')}</extra>",
            },
        ]
        shape = layout(300)
        shape["xaxis"] = axis(name, type="category", categoryorder="array", categoryarray=scale.names, showgrid=False)
        shape["yaxis"] = axis(metric_text(figures.objective, say))
        charts.append({"data": data, "layout": shape})
    return charts


def _told(one: SetFigures, figures: SweepFigures) -> str:
    """A set as text, for a hover."""
    named = zip(figures.keys, one.values, strict=True)
    return f"<b>#{one.number}</b><br>" + "<br>".join(
        f"{key_text(key, figures.keys)}: {value_text(value)}" for key, value in named
    )


def trade_chart(figures: SweepFigures, say: Labels) -> Figure | None:
    """Profit against drawdown, with the Pareto front."""
    best = front(figures.sets)
    if not best:
        return None
    on_front = {one.number for one in best}
    rest = [one for one in figures.known if one.number not in on_front and "max_drawdown" in one.made]
    rest = [rest[at] for at in spread_evenly(len(rest), _POINTS)]
    unit = say.quote

    def points(sets: Sequence[SetFigures], name: str, **more: Any) -> Figure:
        return {
            "type": "scatter",
            "name": name,
            "x": [one.made["max_drawdown"] for one in sets],
            "y": [one.made["pnl"] for one in sets],
            "text": [_told(one, figures) for one in sets],
            "hovertemplate": f"%{{text}}<br>{say('metric_pnl')} %{{y:,.2f}} {unit}"
            f"<br>{say('metric_max_drawdown')} %{{x:,.2f}} {unit}<extra></extra>",
            **more,
        }

    data = [
        points(rest, say("other_sets"), mode="markers", marker={"color": "@grey", "size": 7, "opacity": 0.5}),
        points(
            best, say("front"), mode="lines+markers", line={"color": "@blue", "width": 1.4, "shape": "vh"},
            marker={"color": "@blue", "size": 9, "symbol": "diamond"},
        ),
    ]  # fmt: skip
    shape = layout(380)
    shape["xaxis"] = axis(metric_text("max_drawdown", say), rangemode="tozero")
    shape["yaxis"] = axis(metric_text("pnl", say))
    return {"data": data, "layout": shape}


def parallel_chart(figures: SweepFigures, say: Labels) -> Figure | None:
    """Each set as a line over its settings and its figures; on axes of figures better is higher."""
    sets = figures.known
    if len(sets) < 2:
        return None
    held = scales(figures)
    metrics = [name for name in dict.fromkeys((*figures.about.objectives, "pnl", "max_drawdown", "sharpe"))
               if all(name in one.made for one in sets)]  # fmt: skip
    names = [key_text(key, figures.keys) for key in figures.keys] + [say.metric(name) for name in metrics]
    ends = {name: (min(one.made[name] for one in sets), max(one.made[name] for one in sets)) for name in metrics}
    data: list[Figure] = []
    for name, group, look in _groups(len(sets)):
        x: list[str | None] = []
        y: list[float | None] = []
        text: list[str] = []
        for at in group:
            heights = _setting_heights(sets[at], held, at)
            heights += [_height(sets[at].made[metric], metric, *ends[metric]) for metric in metrics]
            x += [*names, None]
            y += [*heights, None]
            text += [_told(sets[at], figures)] * len(names) + [""]
        hover = "%{text}<extra></extra>"
        line = {"type": "scatter", "mode": "lines+markers", "name": say(name), "x": x, "y": y, "text": text}
        data.append({**line, **look, "hovertemplate": hover})
    data.reverse()  # draw the best on top
    shape = layout(460, legend=layout(0)["legend"] | {"traceorder": "reversed"})
    shape["xaxis"] = axis(
        type="category", categoryorder="array", categoryarray=names, range=[-0.15, len(names) - 0.6], gridwidth=2
    )
    shape["yaxis"] = axis(showticklabels=False, showgrid=False, zeroline=False, range=[-0.09, 1.09])
    shape["annotations"] = _axis_marks(names, held, ends)
    return {"data": data, "layout": shape}


def _groups(count: int) -> Iterator[tuple[str, list[int], Figure]]:
    """Which of so many ranked sets are drawn: the name of each group, its sets, and how their lines look."""
    tenth = max(1, count // 10)
    kept = list(range(min(tenth, _BEST_LINES)))
    kept += [tenth + at for at in spread_evenly(count - tenth, LINES - len(kept))]
    for name, share, colour, width, opacity in _GROUPS:
        end = max(tenth, round(share * count))
        group, kept = [at for at in kept if at < end], [at for at in kept if at >= end]
        if group:
            look = {"line": {"color": colour, "width": width}, "marker": {"color": colour, "size": 4}}
            yield name, group, {**look, "opacity": opacity}


def _setting_heights(one: SetFigures, held: Sequence[Scale], at: int) -> list[float]:
    """Where the line of the set ranked ``at`` meets the axes of settings; equal values lie side by side."""
    jitter = ((at * 0.618034) % 1 - 0.5) * 0.5
    return [
        scale.height(value) + (0 if scale.is_binned else jitter / len(scale.names))
        for scale, value in zip(held, one.values, strict=True)
    ]


def _axis_marks(names: Sequence[str], held: Sequence[Scale], ends: Mapping[str, tuple[float, float]]) -> list[Figure]:
    """The values beside the axes: those of settings, and the lowest and the highest figure."""
    marks = [(at, *mark) for at, scale in enumerate(held) for mark in scale.marks()]
    for at, (metric, (low, high)) in enumerate(ends.items(), len(held)):
        bottom, top = (high, low) if metric in DEPTHS else (low, high)
        marks += [(at, 0.0, _short(bottom)), (at, 1.0, _short(top))]
    return [
        {
            "x": names[at],
            "y": height,
            "text": text,
            "showarrow": False,
            "xanchor": "left" if at < len(held) else "center",
            "xshift": 5 if at < len(held) else 0,
            "yshift": 0 if at < len(held) else 12 if height else -12,
            "font": {"size": 10, "color": "@ink"},
            "bgcolor": "@paper",
            "borderpad": 1,
            "opacity": 0.85,
        }
        for at, height, text in marks
    ]


def _height(value: float, metric: str, low: float, high: float) -> float:
    share = (value - low) / (high - low) if high > low else 0.5
    return 1 - share if metric in DEPTHS else share


def forward_chart(figures: SweepFigures, say: Labels) -> Figure | None:
    """Each set's profit per hour in training against that in the test; chosen sets are highlighted."""
    hours = figures.hours
    points = [
        (fold.fold, number, train / hours[f"train {fold.fold}"], test / hours[f"test {fold.fold}"])
        for fold in figures.about.folds
        for number, train in sorted(figures.pnl.get(f"train {fold.fold}", {}).items())
        if (test := figures.pnl.get(f"test {fold.fold}", {}).get(number)) is not None
    ]
    chosen = [
        (one.fold, one.number, one.train_pnl / hours[f"train {one.fold}"], one.test_pnl / hours[f"test {one.fold}"])
        for one in figures.chosen
        if one.number is not None and one.train_pnl is not None and one.test_pnl is not None
        if f"train {one.fold}" in hours
    ]
    if not points and not chosen:
        return None
    shown = [points[at] for at in spread_evenly(len(points), _POINTS)]
    unit = f"{say.quote}/h"
    every = [value for point in (*shown, *chosen) for value in point[2:]]
    low, high = min(every), max(every)

    def trace(found: Sequence[tuple[int, int, float, float]], name: str, marker: Figure) -> Figure:
        return {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [point[2] for point in found],
            "y": [point[3] for point in found],
            "customdata": [[point[0], point[1]] for point in found],
            "marker": marker,
            "hovertemplate": f"{say('fold')} %{{customdata[0]}}, #%{{customdata[1]}}"
            f"<br>{say('train')} %{{x:,.2f}} {unit}<br>{say('test')} %{{y:,.2f}} {unit}<extra></extra>",
        }

    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": say("as_in_training"),
            "x": [low, high],
            "y": [low, high],
            "line": {"color": "@muted", "width": 1, "dash": "dot"},
            "hoverinfo": "skip",
        },
        trace(shown, say("all_sets"), {"color": "@grey", "size": 6, "opacity": 0.45}),
        trace(
            chosen,
            say("chosen"),
            {"color": "@orange", "size": 11, "symbol": "diamond", "line": {"width": 1, "color": "@paper"}},
        ),
    ]
    shape = layout(380)
    shape["xaxis"] = axis(f"{say('train')}, {unit}")
    shape["yaxis"] = axis(f"{say('test')}, {unit}")
    return {"data": data, "layout": shape}
