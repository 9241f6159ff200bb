"""The sections of a sweep's page, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stall_then_strike.research.report import sweep_charts as charts
from stall_then_strike.research.report.labels import Labels
from stall_then_strike.research.report.run_sections import Cell, Page, TableOf, section
from stall_then_strike.research.report.run_words import money
from stall_then_strike.research.report.sweep_data import METRICS, SweepFigures
from stall_then_strike.research.report.sweep_scales import front, value_text
from stall_then_strike.research.report.sweep_words import (
    cards,
    figure_text,
    forward_rates,
    key_names,
    notes,
    span_name,
    subtitle,
    summary,
)

SHOWN: Final = 15
"""Rows of the table of the best sets."""
ERRORS: Final = 10
"""Most errors that are listed."""
_NAMED: Final = 3
NO_BREAK: Final = "\N{NO-BREAK SPACE}"


def sweep_page(figures: SweepFigures, say: Labels) -> Page:
    """The report on a sweep."""
    metric = charts.metric_text(figures.objective, say)
    shown = [
        section("forward", say, table=_forward_table(figures, say)),
        section("forward_dots", say, [charts.forward_chart(figures, say)] if figures.chosen else [], is_half=True),
        section("trade", say, [charts.trade_chart(figures, say)], is_half=bool(figures.chosen)),
        section("best", say, table=_best_table(figures, say), objective=say.metric(figures.objective)),
        section("heats", say, charts.heat_charts(figures, say), metric=metric),
        section("parallel", say, [charts.parallel_chart(figures, say)]),
        section("alone", say, charts.key_charts(figures, say)),
        section("failures", say, table=_failure_table(figures, say)),
    ]
    return Page(
        title=say("title_sweep", name=figures.name),
        subtitle=subtitle(figures, say),
        cards=cards(figures, say),
        summary=summary(figures, say),
        notes=notes(figures, say),
        sections=[one for one in shown if one.figures or one.table is not None],
    )


def _row(texts: Sequence[str], *, is_strong: bool = False) -> tuple[Cell, ...]:
    """A row of cells whose texts do not break, because figures are read along columns."""
    return tuple(Cell(text=text.replace(" ", NO_BREAK), is_strong=is_strong) for text in texts)


def _best_table(figures: SweepFigures, say: Labels) -> TableOf | None:
    if not figures.sets:
        return None
    every = dict.fromkeys((*figures.about.objectives, *METRICS))
    metrics = [name for name in every if name != "seconds" and any(name in one.made for one in figures.sets)]
    on_front = {one.number for one in front(figures.sets)}
    rows = [
        _row(
            [
                f"#{one.number}" if one.is_known else f"#{one.number} ?",
                *(value_text(value) for value in one.values),
                *(figure_text(name, one.made.get(name)) for name in metrics),
            ],
            is_strong=one.number in on_front,
        )
        for one in figures.sets[:SHOWN]
    ]
    names = [charts.metric_text(name, say) for name in metrics]
    return TableOf(head=(say("set"), *key_names(figures), *names), rows=rows)


def _forward_table(figures: SweepFigures, say: Labels) -> TableOf | None:
    if not figures.chosen:
        return None
    unit = say.quote
    starts = {fold.fold: fold.test[0] for fold in figures.about.folds}
    rows = []
    for one in figures.chosen:
        rank = "—" if one.test_rank is None else f"{one.test_rank:,}" + (f" / {one.sets:,}" if one.sets else "")
        begins = say.moment(starts[one.fold])[:16] if one.fold in starts else "—"
        ratios = (figure_text("sharpe", value) for value in (one.train_sharpe, one.test_sharpe))
        values = (value_text(value) for value in one.values)
        pnl = (figure_text("pnl", value) for value in (one.train_pnl, one.test_pnl))
        number = "—" if one.number is None else f"#{one.number}"
        rows.append(_row([str(one.fold), begins, number, *values, *pnl, *ratios, rank]))
    both = [one for one in figures.chosen if one.train_pnl is not None and one.test_pnl is not None]
    sums = [money(sum(getattr(one, name) for one in both)) for name in ("train_pnl", "test_pnl")]
    rows.append(_row([say("sum"), "", "", *("" for _ in figures.keys), *sums, "", "", ""], is_strong=True))
    rates = [money(rate) for rate in forward_rates(figures) or ()] or ["—", "—"]
    rows.append(_row([say("an_hour"), "", "", *("" for _ in figures.keys), *rates, "", "", ""], is_strong=True))
    head = [say("fold"), say("test_from", zone=say.zone), say("chosen"), *key_names(figures)]
    head += [f"{say('metric_pnl')}, {say(kind)}, {unit}" for kind in ("train", "test")]
    head += [f"{say('metric_sharpe')}, {say(kind)}" for kind in ("train", "test")]
    return TableOf(head=(*head, say("rank")), rows=rows)


def _failure_table(figures: SweepFigures, say: Labels) -> TableOf | None:
    if not figures.failures:
        return None
    by_error: dict[str, list[str]] = {}
    for one in figures.failures:
        by_error.setdefault(one.error or "—", []).append(f"#{one.number} ({span_name(one.span, say)})")
    ranked = sorted(by_error.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    rows = [
        (
            Cell(text=error),
            *_row([f"{len(names):,}", ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")]),
        )
        for error, names in ranked[:ERRORS]
    ]
    if len(ranked) > ERRORS:
        rows.append(_row(["…", f"{sum(len(names) for _, names in ranked[ERRORS:]):,}", ""]))
    return TableOf(head=(say("error"), say("runs"), say("which")), rows=rows)
