"""The page of a calibration: the real fills of the same orders beside each queue model's, from ``calibration.json``.

It is one more kind of :class:`Page`; :mod:`page` draws it. Its texts are here, in both languages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from stall_then_strike.research.figures.log_rows import ReportInputError
from stall_then_strike.research.report.drawing import Figure, axis, error_bars, layout
from stall_then_strike.research.report.labels import LANGUAGES, Labels
from stall_then_strike.research.report.run_sections import Cell, Page, Section, TableOf
from stall_then_strike.research.report.run_words import Card, percent, source_text
from stall_then_strike.tapes.tape_files import market_of_tapes

RESULT: Final = "calibration.json"
_VERSION: Final = 1
_COLOURS: Final = ("@ink", "@blue", "@orange", "@green")
_SYMBOLS: Final = ("diamond", "circle", "square", "triangle-up")

CALIBRATION_WORDS: Final[dict[str, tuple[str, str]]] = {
    "title": ("Calibration of paper fills: {product}", "ペーパー約定の較正: {product}"),
    "period": ("{start} to {end} {zone}, {orders} live quotes", "{start} 〜 {end} {zone}, 実運用の指値 {orders} 件"),
    "best": ("Closest to the real fills", "実約定に最も近いモデル"),
    "none": ("this record cannot tell", "この記録では判別できません"),
    "ratio": ("Fill ratio", "約定率"),
    "real": ("real", "実際"),
    "difference": ("Predicted − real", "予測 − 実際"),
    "touched": ("Orders with a fill", "約定した注文"),
    "queued": ("Others ahead at arrival", "到着時に先行注文あり"),
    "sensitive": ("Outcome depends on the queue model", "待ち行列モデルで結果が変わる注文"),
    "markouts": ("Markouts", "マークアウト"),
    "markouts_text": (
        "Move of the mid in the fill's favour, weighted by size. Bars are 95 % intervals.",
        "約定後の仲値が有利な側にどれだけ動いたか (数量加重)。縦線は95%区間。",
    ),
    "seconds": ("seconds after the fill", "約定からの秒数"),
    "ticks": ("ticks", "ティック"),
    "ratio_text": (
        "Filled share of the same orders, by size. Bars are 95 % intervals.",
        "同じ注文のうち約定した割合 (数量)。縦線は95%区間。",
    ),
    "models": ("Queue models", "待ち行列モデル"),
    "models_text": (
        "The loss is the mean error of single orders plus the error of the overall fill ratio.",
        "損失は注文ごとの平均誤差と全体の約定率の誤差の和です。",
    ),
    "model": ("model", "モデル"),
    "parameter": ("parameter (95 %)", "パラメータ (95%)"),
    "loss": ("loss", "損失"),
    "wins": ("best in resamples", "再標本で最良"),
    "both": ("filled in both", "両方で約定"),
    "only_real": ("only real", "実際のみ約定"),
    "only_predicted": ("only predicted", "予測のみ約定"),
    "neither": ("filled in neither", "どちらも未約定"),
    "wait": ("time to fill, ms (median)", "約定までの時間 ms (中央値)"),
    "note_given": (
        "The real orders are given; nothing reacts to a predicted fill. The market includes takers attracted by them.",
        "注文は実際のまま与え、予測された約定には何も反応しません。実際の指値が引き寄せた成行は市場に含まれます。",
    ),
    "note_left_out": (
        "Left out: {absent} never on the book or with an unknown end, {broken} not fully on the tapes.",
        "除外: 板に載らなかった、または終わりが不明 {absent} 件, テープに全体がない {broken} 件。",
    ),
    "note_cannot": (
        "No quote's outcome depends on the queue model: all models are equally good.",
        "結果が待ち行列モデルに左右される注文がなく、どのモデルも同等です。",
    ),
}

_Say = Callable[..., str]


def is_calibration(folder: Path) -> bool:
    """Whether this is a folder that ``calibrate`` wrote."""
    return (folder / RESULT).is_file()


def read_result(path: Path) -> dict[str, Any]:
    """Read the result as plain values. Raises ReportInputError."""
    try:
        result = orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ReportInputError(f"{path}: {error}") from error
    if not isinstance(result, dict) or result.get("version") != _VERSION:
        raise ReportInputError(f"{path}: not a result of calibrate, version {_VERSION}")
    return result


def calibration_page(result: Mapping[str, Any], labels: Labels) -> Page:
    """Make the page."""

    def say(key: str, **fields: object) -> str:
        return CALIBRATION_WORDS[key][LANGUAGES.index(labels.language)].format(**fields)

    best = next((model for model in result["models"] if model["model"] == result["best"]), None)
    notes = [
        say("note_given"),
        say("note_left_out", absent=result["never_on_the_book"], broken=result["not_on_tape"]),
    ]
    if best is None:
        notes.append(say("note_cannot"))
    start, end = (labels.moment(result[name]) for name in ("from_ns", "until_ns"))
    return Page(
        title=say("title", product=result["product"]),
        subtitle=[
            say("period", start=start, end=end, zone=labels.zone, orders=f"{result['orders']:,}"),
            source_text(market_of_tapes(result["tapes"]), labels),
            ", ".join([*result["sources"], *result["tapes"]]),
        ],
        cards=_cards(result, best, say),
        summary=[],
        notes=notes,
        sections=[
            Section(
                key="ratio", heading=say("ratio"), text=say("ratio_text"), figures=[_ratios(result, say)], is_half=True
            ),
            Section(
                key="markouts",
                heading=say("markouts"),
                text=say("markouts_text"),
                figures=[_markouts(result, say)],
                is_half=True,
            ),
            Section(key="models", heading=say("models"), text=say("models_text"), table=_models(result, say)),
        ],
    )


def _cards(result: Mapping[str, Any], best: Mapping[str, Any] | None, say: _Say) -> list[Card]:
    made = [
        Card(
            label=say("best"), value=say("none") if best is None else f"{best['model']} {_parameter(best)}".strip(" —")
        ),
        _card(f"{say('ratio')}, {say('real')}", result["real"]["ratio"]),
    ]
    if best is not None:
        made.append(_card(say("difference"), best["difference"]))
    orders = result["orders"]
    made.append(Card(label=say("queued"), value=f"{result['queued']:,}", note=percent(result["queued"] / orders)))
    made.append(
        Card(label=say("sensitive"), value=f"{result['sensitive']:,}", note=percent(result["sensitive"] / orders))
    )
    return made


def _card(label: str, estimate: Mapping[str, Any] | None) -> Card:
    if estimate is None or estimate["low"] is None:
        return Card(label=label, value=_share(estimate))
    ends = f"{percent(estimate['low'])} – {percent(estimate['high'])}"
    return Card(label=label, value=percent(estimate["value"]), note=f"95 %: {ends}")


def _sides(result: Mapping[str, Any], say: _Say) -> list[tuple[str, Mapping[str, Any]]]:
    """Names and fills: the real ones, then each model's."""
    models = [(" ".join((model["model"], _parameter(model))).strip(" —"), model["fills"]) for model in result["models"]]
    return [(say("real"), result["real"]), *models]


def _ratios(result: Mapping[str, Any], say: _Say) -> Figure:
    data = []
    for place, (name, side) in enumerate(_sides(result, say)):
        estimate = side["ratio"]
        data.append(_trace(name, place, [place], [estimate], scale=100.0))
    shape = layout(360, showlegend=False)
    names = [name for name, _ in _sides(result, say)]
    shape["xaxis"] = axis(
        tickmode="array",
        tickvals=list(range(len(names))),
        ticktext=names,
        range=[-0.6, len(names) - 0.4],
        zeroline=False,
    )
    shape["yaxis"] = axis(f"{say('ratio')}, %", rangemode="tozero")
    return {"data": data, "layout": shape}


def _markouts(result: Mapping[str, Any], say: _Say) -> Figure:
    horizons = list(result["real"]["markouts"])
    data = [
        _trace(
            name,
            number,
            [place + 0.07 * (number - 1.5) for place in range(len(horizons))],
            [side["markouts"][horizon] for horizon in horizons],
            mode="lines+markers",
        )
        for number, (name, side) in enumerate(_sides(result, say))
    ]
    shape = layout(360)
    shape["xaxis"] = axis(
        say("seconds"), tickmode="array", tickvals=list(range(len(horizons))), ticktext=horizons, zeroline=False
    )
    shape["yaxis"] = axis(say("ticks"), tickformat=",.0f")
    return {"data": data, "layout": shape}


def _trace(
    name: str,
    number: int,
    places: Sequence[float],
    estimates: Sequence[Mapping[str, Any] | None],
    *,
    mode: str = "markers",
    scale: float = 1.0,
) -> Figure:
    known = [(place, found) for place, found in zip(places, estimates, strict=True) if found is not None]
    colour = _COLOURS[number % len(_COLOURS)]

    def scaled(key: str) -> list[float | None]:
        return [None if found[key] is None else found[key] * scale for _, found in known]

    values = [found["value"] * scale for _, found in known]
    return {
        "type": "scatter",
        "mode": mode,
        "name": name,
        "x": [place for place, _ in known],
        "y": values,
        "error_y": error_bars(scaled("high"), scaled("low"), values) | {"color": colour},
        "line": {"color": colour, "width": 1.6},
        "marker": {"color": colour, "size": 9, "symbol": _SYMBOLS[number % len(_SYMBOLS)]},
        "customdata": [[found["n"]] for _, found in known],
        "hovertemplate": f"%{{y:,.1f}}<br>n = %{{customdata[0]:,}}<extra>{name}</extra>",
    }


def _models(result: Mapping[str, Any], say: _Say) -> TableOf:
    counts = ("both", "only_real", "only_predicted", "neither")
    keys = ("model", "parameter", "loss", "wins", "ratio", "difference", "touched", *counts, "wait")
    dash = Cell(text="—")
    real = result["real"]
    truth = (Cell(text=say("real")), dash, dash, dash, Cell(text=_share(real["ratio"])), dash)
    rows: list[tuple[Cell, ...]] = [
        (*truth, Cell(text=_share(real["touched"])), dash, dash, dash, dash, Cell(text=_wait(real)))
    ]
    for model in result["models"]:
        side = model["fills"]
        cells = [
            model["model"],
            _parameter(model, ends=True),
            f"{model['loss']:.4f}",
            "—" if model["wins"] is None else percent(model["wins"]),
            _share(side["ratio"]),
            _share(model["difference"]),
            _share(side["touched"]),
            *(f"{model[name]:,}" for name in counts),
            _wait(side),
        ]
        rows.append(tuple(Cell(text=cell, is_strong=model["model"] == result["best"]) for cell in cells))
    return TableOf(head=tuple(say(key) for key in keys), rows=rows)


def _parameter(model: Mapping[str, Any], *, ends: bool = False) -> str:
    if model["parameter"] is None:
        return "—"
    if not ends or model["low"] is None:
        return f"{model['parameter']:g}"
    return f"{model['parameter']:g} ({model['low']:g} – {model['high']:g})"


def _share(estimate: Mapping[str, Any] | None) -> str:
    if estimate is None:
        return "—"
    if estimate["low"] is None:
        return percent(estimate["value"])
    return f"{percent(estimate['value'])} ({percent(estimate['low'])} – {percent(estimate['high'])})"


def _wait(side: Mapping[str, Any]) -> str:
    middle = side["median_time_to_fill_ms"]
    return "—" if middle is None else f"{middle:,.0f}"
