"""The charts of one run: figures and labels in, plotly's JSON out, or None without data."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final

from stall_then_strike.research.figures.activity import AGE_EDGES_MS, SPREAD_EDGES, Bin, LimitUse
from stall_then_strike.research.figures.estimates import Estimate, quantile
from stall_then_strike.research.figures.profit import PARTS, QUOTES, EquityPoint, group_of
from stall_then_strike.research.report.drawing import (
    Figure,
    axis,
    error_bars,
    layout,
    over_time,
    spread_evenly,
    thin,
)
from stall_then_strike.research.report.labels import Labels
from stall_then_strike.research.report.run_data import HORIZONS_NS, AccountFigures, RunFigures
from stall_then_strike.types.dto import NS_PER_S, Side

ENOUGH: Final = 20
"""Fewest quotes of a bin for a colour and for the scale of the axis."""
_ECDF_POINTS: Final = 200
_WAIT_COLOURS: Final = {"place": "@blue", "register": "@green", "cancel": "@orange", "fill": "@purple"}
_LIMIT_COLOURS: Final = ("@blue", "@orange", "@green")
_LINES: Final = ("@ink", "@blue", "@orange", "@green", "@purple", "@grey")
_REASONS_SHOWN: Final = 12
_LABEL_ROOM: Final = 0.3


def equity_values(run: RunFigures) -> tuple[list[float], list[float]]:
    """Equity and drawdown at each point of the books, yen."""
    equity: list[float] = []
    fall: list[float] = []
    peak = 0
    unit = 2.0 * run.units.ticks_per_one * run.units.lots_per_one
    for point in run.books.points:
        peak = max(peak, point.equity)
        equity.append(point.equity / unit)
        fall.append((point.equity - peak) / unit)
    return equity, fall


def equity_chart(run: RunFigures, say: Labels) -> Figure | None:
    """Equity with the realised result, drawdown and inventory, one below the other on one time axis."""
    points = run.books.points
    if not points:
        return None
    equity, fall = equity_values(run)
    unit = 2.0 * run.units.ticks_per_one * run.units.lots_per_one
    at_fills = [at for at, point in enumerate(points) if point.fill >= 0]
    held = [points[at].position / run.units.lots_per_one for at in at_fills]
    start = say.stamp(run.rows.first_ns)
    drawn, low = thin(equity), thin(fall)
    steps = [at_fills[at] for at in thin([points[at].realised / unit for at in at_fills])]
    kept = thin(held)

    def line(at: Sequence[int], values: Sequence[float], name: str, colour: str, row: str, **more: Any) -> Figure:
        return {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": [start, *(say.stamp(points[i].ts_ns) for i in at)],
            "y": [0, *values],
            "line": {"color": colour, "width": 1.6, "shape": "hv"},
            "yaxis": row,
            **more,
        }

    money = f"%{{y:,.2f}} {say('jpy')}"
    data = [
        line(steps, [points[i].realised / unit for i in steps], say("realised"), "@orange", "y", hovertemplate=money),
        line(drawn, [equity[i] for i in drawn], say("marked"), "@blue", "y", hovertemplate=money),
        line(
            low, [fall[i] for i in low], say("drawdown"), "@purple", "y2",
            fill="tozeroy", hovertemplate=money, showlegend=False,
        ),
        line(
            [at_fills[i] for i in kept], [held[i] for i in kept], say("position"), "@grey", "y3",
            hovertemplate=f"%{{y:.8~f}} {say.base}", showlegend=False,
        ),
    ]  # fmt: skip
    data[0]["line"]["width"] = 3.5
    data[0]["opacity"] = 0.55
    data[2]["line"]["width"] = 1
    shape = layout(620, hovermode="x unified", meta={"zooms": True})
    shape["xaxis"] = over_time(say("time_axis", zone=say.zone), anchor="y3")
    shape["yaxis"] = axis(say("jpy"), domain=[0.5, 1.0])
    shape["yaxis2"] = axis(say("drawdown_axis"), domain=[0.26, 0.44])
    shape["yaxis3"] = axis(say("held_axis"), domain=[0.0, 0.2])
    return {"data": data, "layout": shape}


def account_chart(account: AccountFigures, say: Labels) -> Figure | None:
    """The result of all instruments together, and of each."""
    if not account.equity:
        return None
    start = min(run.rows.first_ns for run in account.runs)
    lines = [(say("all_together"), account.equity)]
    for run in account.runs:
        points = run.books.points
        lines.append((run.name, [(point.ts_ns, run.jpy(point.equity)) for point in points]))
    data = []
    for number, (name, results) in enumerate(lines):
        values = [float(made) for _, made in results]
        kept = thin(values)
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "x": [say.stamp(start), *(say.stamp(results[at][0]) for at in kept)],
                "y": [0, *(values[at] for at in kept)],
                "line": {"color": _LINES[number % len(_LINES)], "width": 1.4 if number else 2.4, "shape": "hv"},
                "hovertemplate": f"%{{y:,.2f}} {say('jpy')}",
            }
        )
    shape = layout(380, hovermode="x unified", meta={"zooms": True})
    shape["xaxis"] = over_time(say("time_axis", zone=say.zone))
    shape["yaxis"] = axis(say("jpy"))
    return {"data": data, "layout": shape}


def price_chart(run: RunFigures, say: Labels) -> Figure | None:
    """The mid, or else the prices in the logs, with the fills."""
    path = run.own_prices if run.mids is None else run.mids
    ticks = 2.0 * run.units.ticks_per_one
    known = [at for at, doubled in enumerate(path.doubled) if doubled]
    prices = [path.doubled[at] / ticks for at in known]
    kept = thin(prices)
    data: list[Figure] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": say("logged_price" if run.mids is None else "mid"),
            "x": [say.stamp(path.stamps[known[at]]) for at in kept],
            "y": [prices[at] for at in kept],
            "line": {"color": "@grey", "width": 1.2, "shape": "hv"},
            "hovertemplate": f"%{{y:,.{run.places + 1}f}} {say('jpy')}<extra></extra>",
        }
    ]
    shown = [run.fills[at] for at in spread_evenly(len(run.fills))]
    for side, symbol, colour in ((Side.BUY, "triangle-up", "@blue"), (Side.SELL, "triangle-down", "@orange")):
        for is_quote in (True, False):
            fills = [fill for fill in shown if fill.side is side and (group_of(fill) == QUOTES) is is_quote]
            if not fills:
                continue
            name = say(f"{side.value.lower()}_{'quotes' if is_quote else 'closes'}")
            size, amount = run.units.size, run.units.amount
            data.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": name,
                    "x": [say.stamp(fill.ts_ns) for fill in fills],
                    "y": [float(run.units.price(fill.price)) for fill in fills],
                    "marker": {
                        "symbol": symbol if is_quote else f"{symbol}-open",
                        "size": 9 if len(shown) < 300 else 6,
                        "color": colour,
                        "line": {"width": 1.4 if not is_quote else 0.5, "color": colour if not is_quote else "@paper"},
                    },
                    "customdata": [
                        [f"{size(fill.size):f}".rstrip("0"), f"{amount(fill.pnl):+,.2f}", fill.tag] for fill in fills
                    ],
                    "hovertemplate": f"%{{x|%H:%M:%S.%L}}<br>%{{y:,.{run.places}f}} × %{{customdata[0]}} {say.base}<br>"
                    f"%{{customdata[1]}} {say('jpy')} (%{{customdata[2]}})<extra>{name}</extra>",
                }
            )
    if not known and not shown:
        return None
    shape = layout(420, meta={"zooms": True})
    shape["margin"]["t"] = 48
    shape["xaxis"] = over_time(say("time_axis", zone=say.zone))
    shape["yaxis"] = axis(say("jpy"), tickformat=f",.{run.places}f")
    return {"data": data, "layout": shape}


def fills_drawn(run: RunFigures) -> int:
    """Number of fills in the price chart."""
    return len(spread_evenly(len(run.fills)))


def horizon_text(horizon_ns: int, say: Labels) -> str:
    """A horizon for the axis."""
    return f"{horizon_ns / NS_PER_S:g} s" if horizon_ns else say("at_fill")


def markout_trace(
    estimates: Sequence[Estimate | None], name: str, colour: str, symbol: str, say: Labels, shift: float = 0.0
) -> Figure:
    """One line of means with intervals; the horizons are evenly spaced, not to scale."""
    known = [(place, found) for place, found in enumerate(estimates) if found is not None]
    values = [found.value for _, found in known]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": [place + shift for place, _ in known],
        "y": values,
        "error_y": error_bars([e.high for _, e in known], [e.low for _, e in known], values) | {"color": colour},
        "line": {"color": colour, "width": 1.6},
        "marker": {"color": colour, "size": 8, "symbol": symbol},
        "customdata": [[horizon_text(HORIZONS_NS[place], say), found.n, interval(found)] for place, found in known],
        "hovertemplate": f"%{{customdata[0]}}: %{{y:,.1f}} {say('jpy_per_btc')}<br>%{{customdata[2]}}"
        f"<br>n = %{{customdata[1]:,}}<extra>{name}</extra>",
    }


def interval(estimate: Estimate) -> str:
    """The interval as text, for a hover."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{estimate.low:,.1f} … {estimate.high:,.1f}"


def markout_layout(say: Labels) -> Figure:
    """Axes of a markout chart."""
    places = list(range(len(HORIZONS_NS)))
    shape = layout(380)
    shape["xaxis"] = axis(
        say("seconds_after"),
        tickmode="array",
        tickvals=places,
        ticktext=[horizon_text(ns, say) for ns in HORIZONS_NS],
        zeroline=False,
        range=[-0.4, len(places) - 0.6],
    )
    shape["yaxis"] = axis(say("jpy_per_btc"), tickformat=",.0f")
    return shape


def markout_chart(run: RunFigures, say: Labels) -> Figure | None:
    """Markouts of quotes and of closes."""
    looks = {"quotes": ("@blue", "circle", -0.04), "closes": ("@orange", "square", 0.04)}
    data = [
        markout_trace(estimates, say(f"group_{group}"), *looks[group][:2], say, looks[group][2])
        for group, estimates in run.markouts.items()
        if any(estimates)
    ]
    return {"data": data, "layout": markout_layout(say)} if data else None


def split_chart(run: RunFigures, say: Labels) -> Figure | None:
    """The parts as steps to the total (a waterfall chart)."""
    if run.parts is None or not run.fills:
        return None
    shown = [part for part in PARTS if run.parts[part] or part in ("inventory", "fees", "funding")]
    amounts = [run.jpy(run.parts[part]) for part in shown]
    total = run.jpy(run.books.total)
    names = [say(f"part_{part}") for part in shown] + [say("part_total")]
    starts = [0.0, *accumulate(map(float, amounts))]
    data = {
        "type": "bar",
        "orientation": "h",
        "y": names,
        "base": [*starts[:-1], 0.0],
        "x": [*map(float, amounts), float(total)],
        "text": [f"{amount:+,.2f}".replace("-", "−") for amount in [*amounts, total]],
        "textposition": ["auto" if amount else "outside" for amount in [*amounts, total]],
        "textangle": 0,
        "cliponaxis": False,
        "insidetextanchor": "middle",
        "marker": {"color": [*("@blue" if amount > 0 else "@orange" for amount in amounts), "@grey"]},
        "hovertemplate": f"%{{y}}: %{{text}} {say('jpy')}<extra></extra>",
    }
    shape = layout(90 + 38 * len(names), showlegend=False)
    room = _LABEL_ROOM * (max(starts) - min(starts)) or 1.0  # for labels beside short bars
    shape["xaxis"] = axis(say("jpy"), range=[min(starts) - room, max(starts) + room])
    shape["yaxis"] = axis(autorange="reversed", gridcolor="rgba(0,0,0,0)")
    return {"data": [data], "layout": shape}


def bin_text(low: int, high: int | None) -> str:
    """A bin for the axis."""
    return f"{low:,}+" if high is None else f"{low:,}–{high:,}"


def ratio_top(*found: Sequence[Bin]) -> float:
    """End of the axis of shares, percent: above the intervals of all bins with enough quotes."""
    bins = [one for of_run in found for one in of_run]
    tops = [100 * (one.filled.high or one.filled.value) for one in bins if one.filled.n >= ENOUGH]
    return 1.15 * (max(tops or [100 * one.filled.value for one in bins], default=0) or 1)


def ratio_trace(bins: Sequence[Bin], name: str, colour: str, top: float, symbol: str = "circle") -> Figure:
    """Shares by bin, in percent, with intervals. A share beyond the axis is a triangle at its end, with a label."""
    shares = [100 * found.filled.value for found in bins]
    is_above = [share > top for share in shares]
    values = [0.95 * top if above else share for share, above in zip(shares, is_above, strict=True)]
    highs = [None if above else _percent(one.filled.high) for one, above in zip(bins, is_above, strict=True)]
    lows = [None if above else _percent(one.filled.low) for one, above in zip(bins, is_above, strict=True)]
    symbols = [symbol if found.filled.n >= ENOUGH else f"{symbol}-open" for found in bins]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": name,
        "x": [bin_text(found.low, found.high) for found in bins],
        "y": values,
        "error_y": error_bars(highs, lows, values) | {"color": colour},
        "marker": {
            "color": colour,
            "size": 9,
            "symbol": ["triangle-up-open" if above else of for of, above in zip(symbols, is_above, strict=True)],
        },
        "text": [f"{share:.0f} %" if above else "" for share, above in zip(shares, is_above, strict=True)],
        "textposition": "bottom center",
        "customdata": [[f"{share:.1f}", found.filled.n] for share, found in zip(shares, bins, strict=True)],
        "hovertemplate": f"%{{x}}: %{{customdata[0]}} %<br>n = %{{customdata[1]:,}}<extra>{name}</extra>",
    }


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def ratio_layout(title: str, bins: Sequence[Bin], top: float, say: Labels) -> Figure:
    """Axes of a chart of shares by bin."""
    shape = layout(320, showlegend=False)
    order = [bin_text(found.low, found.high) for found in bins]
    shape["xaxis"] = axis(title, type="category", categoryorder="array", categoryarray=order)
    shape["yaxis"] = axis(f"{say('fill_ratio')}, %", range=[-0.04 * top, top])
    return shape


def _ratio_chart(bins: Sequence[Bin], title: str, say: Labels) -> Figure | None:
    if not bins:
        return None
    top = ratio_top(bins)
    trace = ratio_trace(bins, say("fill_ratio"), "@blue", top)
    return {"data": [trace], "layout": ratio_layout(title, bins, top, say)}


def age_chart(run: RunFigures, say: Labels) -> Figure | None:
    """Share of quotes with a fill by the stall's age."""
    return _ratio_chart(run.fate.by_age, say("stall_age"), say)


def spread_chart(run: RunFigures, say: Labels) -> Figure | None:
    """Share of quotes with a fill by the spread."""
    return _ratio_chart(run.fate.by_spread, say("spread_axis"), say)


def heat_chart(run: RunFigures, say: Labels) -> Figure | None:
    """Share of quotes with a fill by both; cells show their number of quotes."""
    ages = {bisected.low: row for row, bisected in enumerate(run.fate.by_age)}
    spreads = {bisected.low: column for column, bisected in enumerate(run.fate.by_spread)}
    if len(ages) < 2 or len(spreads) < 2:
        return None
    blank: list[list[float | None]] = [[None] * len(spreads) for _ in ages]
    share, sparse = blank, [list(row) for row in blank]
    texts = [[""] * len(spreads) for _ in ages]
    count = [[0] * len(spreads) for _ in ages]
    for cell in run.fate.cells:
        row, column = ages[AGE_EDGES_MS[cell.age]], spreads[SPREAD_EDGES[cell.spread]]
        (share if cell.filled.n >= ENOUGH else sparse)[row][column] = 100 * cell.filled.value
        count[row][column] = cell.filled.n
        texts[row][column] = f"{100 * cell.filled.value:.1f} %<br>n={cell.filled.n:,}"
    common = {
        "type": "heatmap",
        "x": [bin_text(found.low, found.high) for found in run.fate.by_spread],
        "y": [bin_text(found.low, found.high) for found in run.fate.by_age],
        "customdata": count,
        "text": texts,
        "texttemplate": "%{text}",
        "textfont": {"size": 10},
        "xgap": 2,
        "ygap": 2,
        "hoverongaps": False,
        "hovertemplate": f"{say('stall_age')}: %{{y}}<br>{say('spread_axis')}: %{{x}}"
        "<br>%{z:.1f} %, n = %{customdata:,}<extra></extra>",
    }
    data = [
        common | {"z": sparse, "colorscale": [[0, "@sparse"], [1, "@sparse"]], "showscale": False},
        common
        | {
            "z": share,
            "colorscale": [[0, "@heat0"], [1, "@heat1"]],
            "zmin": 0,
            "zmax": max((value for row in share for value in row if value is not None), default=0) or 1,
            "colorbar": {"title": {"text": "%", "side": "top"}, "thickness": 10, "outlinewidth": 0},
        },
    ]
    shape = layout(110 + 40 * len(ages))
    shape["xaxis"] = axis(say("spread_axis"), type="category", showgrid=False)
    shape["yaxis"] = axis(say("stall_age"), type="category", showgrid=False)
    return {"data": data, "layout": shape}


def reasons_chart(run: RunFigures, say: Labels) -> Figure | None:
    """Share of idle time by reason."""
    held = run.reasons.held_ns
    total = sum(held.values())
    if not total:
        return None
    ranked = sorted(held, key=lambda reason: (-held[reason], reason))[:_REASONS_SHOWN]
    shares = [100 * held[reason] / total for reason in ranked]
    data = {
        "type": "bar",
        "orientation": "h",
        "y": [say.reason(reason) for reason in ranked],
        "x": shares,
        "text": [f"{share:.1f} %" for share in shares],
        "textposition": "auto",
        "cliponaxis": False,
        "marker": {"color": "@blue"},
        "customdata": [[f"{held[reason] / NS_PER_S:,.1f}", run.reasons.held_rows[reason]] for reason in ranked],
        "hovertemplate": "%{y}: %{text}<br>%{customdata[0]} s, %{customdata[1]:,} ×<extra></extra>",
    }
    shape = layout(80 + 30 * len(ranked), showlegend=False)
    shape["xaxis"] = axis("%", rangemode="tozero")
    shape["yaxis"] = axis(autorange="reversed", gridcolor="rgba(0,0,0,0)")
    return {"data": [data], "layout": shape}


def actions_chart(run: RunFigures, say: Labels) -> Figure | None:
    """Decisions by kind and reason."""
    done = run.reasons.done
    if not done:
        return None
    ranked = sorted(done, key=lambda pair: (-done[pair], pair))[:_REASONS_SHOWN]
    names = [say.act(kind) if kind == reason else f"{say.act(kind)} · {say.reason(reason)}" for kind, reason in ranked]
    data = {
        "type": "bar",
        "orientation": "h",
        "y": names,
        "x": [done[pair] for pair in ranked],
        "text": [f"{done[pair]:,}" for pair in ranked],
        "textposition": "auto",
        "cliponaxis": False,
        "marker": {"color": "@grey"},
        "hovertemplate": "%{y}: %{x:,}<extra></extra>",
    }
    shape = layout(80 + 30 * len(ranked), showlegend=False)
    shape["xaxis"] = axis(say("count"), rangemode="tozero")
    shape["yaxis"] = axis(autorange="reversed", gridcolor="rgba(0,0,0,0)")
    return {"data": [data], "layout": shape}


def latency_chart(run: RunFigures, say: Labels) -> Figure | None:
    """For each kind of wait, the cumulative share of cases."""
    data = []
    for name, spans in run.waits.items():
        count = min(_ECDF_POINTS, len(spans))
        shares = [(place + 1) / count for place in range(count)]
        title = say(f"wait_{name}")
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": title,
                "x": [max(0.1, quantile(spans, share)) for share in shares],
                "y": [100 * share for share in shares],
                "line": {"color": _WAIT_COLOURS[name], "width": 1.8, "shape": "hv"},
                "hovertemplate": f"%{{y:.0f}} % ≤ %{{x:,.1f}} {say('ms')}<extra>{title}</extra>",
            }
        )
    shape = layout(340)
    shape["xaxis"] = axis(say("ms"), type="log", dtick="D2")
    shape["yaxis"] = axis("%", range=[0, 101])
    return {"data": data, "layout": shape} if data else None


def limits_chart(limits: Sequence[LimitUse], say: Labels) -> Figure | None:
    """Use of each limit over time, in percent of the limit."""
    data = []
    for number, use in enumerate(limits):
        if not use.stamps:
            continue
        shares = [100 * used / use.limit for used in use.used]
        kept = thin(shares)
        name = say(f"limit_{use.name}")
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "x": [say.stamp(use.stamps[at]) for at in kept],
                "y": [shares[at] for at in kept],
                "line": {"color": _LIMIT_COLOURS[number % len(_LIMIT_COLOURS)], "width": 1.4, "shape": "hv"},
                "customdata": [use.used[at] for at in kept],
                "hovertemplate": f"%{{customdata}} / {use.limit} (%{{y:.0f}} %)<extra>{name}</extra>",
            }
        )
    if not data:
        return None
    shape = layout(340, meta={"zooms": True})
    shape["margin"]["t"] = 48
    shape["xaxis"] = over_time(say("time_axis", zone=say.zone))
    peak = max(100 * use.peak / use.limit for use in limits)
    shape["yaxis"] = axis(say("limit_axis"), range=[0, max(108.0, 1.05 * peak)])
    shape["shapes"] = [
        {
            "type": "line",
            "xref": "paper",
            "x0": 0,
            "x1": 1,
            "y0": 100,
            "y1": 100,
            "line": {"color": "@ink", "width": 1.2, "dash": "dash"},
        }
    ]
    return {"data": data, "layout": shape}


def equity_pair_chart(runs: Sequence[RunFigures], say: Labels) -> Figure | None:
    """Equity of several runs, each from its own beginning."""
    longest = max(run.seconds for run in runs)
    unit, seconds = ("h", 3600) if longest > 7200 else ("min", 60) if longest > 120 else ("s", 1)
    data = []
    for run, colour, dash in zip(runs, ("@blue", "@orange"), ("solid", "dot"), strict=False):
        points: list[EquityPoint] = run.books.points
        if not points:
            continue
        equity, _ = equity_values(run)
        kept = thin(equity)
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": run.name,
                "x": [0, *((points[at].ts_ns - run.rows.first_ns) / NS_PER_S / seconds for at in kept)],
                "y": [0, *(equity[at] for at in kept)],
                "line": {"color": colour, "width": 1.8, "shape": "hv", "dash": dash},
                "hovertemplate": f"%{{x:,.2f}} {unit}: %{{y:,.2f}} {say('jpy')}<extra>%{{fullData.name}}</extra>",
            }
        )
    shape = layout(380)
    shape["xaxis"] = axis(say("elapsed", unit=unit))
    shape["yaxis"] = axis(say("jpy"))
    return {"data": data, "layout": shape} if data else None
