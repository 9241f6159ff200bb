"""The sections of a page, in order: of one run, and of two runs compared.

:mod:`page` draws any :class:`Page`; a sweep's page is made in :mod:`sweep_sections`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from stall_then_strike.research.figures.activity import LimitUse
from stall_then_strike.research.figures.estimates import Estimate, difference, quantile
from stall_then_strike.research.figures.profit import GROUPS, PARTS, QUOTES
from stall_then_strike.research.report import run_charts as charts
from stall_then_strike.research.report.drawing import Figure, axis, layout
from stall_then_strike.research.report.labels import Labels
from stall_then_strike.research.report.run_data import HORIZONS_NS, AccountFigures, RunFigures
from stall_then_strike.research.report.run_words import (
    Card,
    account_cards,
    account_summary,
    cards,
    day_text,
    estimate_text,
    market,
    money,
    notes,
    percent,
    period,
    period_of,
    runs_of,
    sources,
    span_text,
    summary,
)
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.text import plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a table."""

    text: str
    is_strong: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOf:
    """A table; the first column has names, the others numbers."""

    head: tuple[str, ...]
    rows: list[tuple[Cell, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading, a sentence on how to read it, and figures or a table. An empty section is left out."""

    key: str
    heading: str
    text: str = ""
    figures: list[Figure] = field(default_factory=list)
    table: TableOf | None = None
    is_half: bool = False
    """Whether two such sections stand side by side if there is room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The content of a report, without its looks."""

    title: str
    subtitle: list[str]
    cards: list[Card]
    summary: list[str]
    notes: list[str]
    sections: list[Section]
    parts: Sequence[Page] = ()
    """Pages below this one, such as those of the instruments of an account."""
    key: str = ""
    """Name of a part, for links."""


def account_page(account: AccountFigures, say: Labels, each: Sequence[Labels]) -> Page:
    """The report on several instruments of one account: the account, then each instrument.

    ``each`` are the texts in the units of each instrument.
    """
    shown = [
        section("account_equity", say, [charts.account_chart(account, say)]),
        section("instruments", say, table=_instrument_table(account, say)),
        section("limits", say, [charts.limits_chart(account.limits, say)], table=_limit_table(account.limits, say)),
    ]
    parts = []
    for run, words in zip(account.runs, each, strict=True):
        page = run_page(run, words)
        sections = [
            replace(one, key=f"{run.name}-{one.key}")
            for one in page.sections
            if one.key != "limits"  # they are the account's
        ]
        parts.append(replace(page, title=run.name, sections=sections, key=run.name))
    return Page(
        title=say("title_run", name=account.name),
        subtitle=[market(account.runs[0], say), period_of(account.runs, say), sources(account.runs[0], say)],
        cards=account_cards(account, say),
        summary=account_summary(account, say),
        notes=[],
        sections=[one for one in shown if one.figures or one.table is not None],
        parts=parts,
    )


def run_page(run: RunFigures, say: Labels) -> Page:
    """The report on one run."""
    shown = [
        section("equity", say, [charts.equity_chart(run, say)]),
        section("price", say, [charts.price_chart(run, say)]),
        section("split", say, [charts.split_chart(run, say)], table=_part_table(run, say), is_half=True),
        section("markouts", say, [charts.markout_chart(run, say)], table=_markout_table(run, say), is_half=True),
        section("fate", say, [charts.age_chart(run, say), charts.spread_chart(run, say)]),
        section("heat", say, [charts.heat_chart(run, say)], n=charts.ENOUGH),
        section("reasons", say, [charts.reasons_chart(run, say)], is_half=True),
        section("actions", say, [charts.actions_chart(run, say)], is_half=True),
        section("latency", say, [charts.latency_chart(run, say)], table=_wait_table([run], say), is_half=True),
        section(
            "limits", say, [charts.limits_chart(run.limits, say)], table=_limit_table(run.limits, say), is_half=True
        ),
        section("days", say, table=_day_table(run, say)),
    ]
    return Page(
        title=say("title_run", name=run.name),
        subtitle=[*runs_of(run, say), market(run, say), period(run, say), sources(run, say)],
        cards=cards(run, say),
        summary=summary(run, say),
        notes=notes(run, say),
        sections=[one for one in shown if one.figures or one.table is not None],
    )


def comparison_page(first: RunFigures, second: RunFigures, say: Labels) -> Page:
    """The report on two runs side by side."""
    runs = (first, second)
    shown = [
        Section(
            key="compared", heading=say("compared"), text=say("compared_text"), table=_comparison(first, second, say)
        ),
        section("equity", say, [charts.equity_pair_chart(runs, say)], text="equity_pair_text"),
        section("split", say, [_split_pair(runs, say)], is_half=True),
        section("markouts", say, [_markout_pair(runs, say)], text="markouts_pair_text", is_half=True),
        section("fate", say, [_ratio_pair(runs, say, by_age=True), _ratio_pair(runs, say, by_age=False)]),
        section("reasons", say, [_reason_pair(runs, say)], is_half=True),
        section("latency", say, table=_wait_table(runs, say), is_half=True),
    ]
    return Page(
        title=say("title_comparison", a=first.name, b=second.name),
        subtitle=[
            f"{run.name}: {' · '.join((*runs_of(run, say), market(run, say), period(run, say), sources(run, say)))}"
            for run in runs
        ],
        cards=[],
        summary=[f"{run.name}: {sentence}" for run in runs for sentence in summary(run, say)[:2]],
        notes=[f"{run.name}: {note}" for run in runs for note in notes(run, say)],
        sections=[one for one in shown if one.figures or one.table is not None],
    )


def section(
    key: str,
    say: Labels,
    figures: Sequence[Figure | None] = (),
    *,
    text: str = "",
    table: TableOf | None = None,
    is_half: bool = False,
    **fields: object,
) -> Section:
    """A section with the labels of its key; ``text`` is the key of another text. ``fields`` are filled into it."""
    return Section(
        key=key,
        heading=say(key),
        text=say(text or f"{key}_text", **fields),
        figures=[figure for figure in figures if figure is not None],
        table=table,
        is_half=is_half,
    )


# --- Tables -----------------------------------------------------------------------------------------------------------


def _row(*texts: str) -> tuple[Cell, ...]:
    return tuple(Cell(text=text) for text in texts)


def _instrument_table(account: AccountFigures, say: Labels) -> TableOf:
    rows = []
    for run in account.runs:
        books, unit = run.books, run.units
        rows.append(
            _row(
                run.name,
                money(run.jpy(books.total)),
                money(run.jpy(books.realised)),
                money(run.jpy(books.max_drawdown)),
                money(-run.jpy(books.fees)),
                money(run.jpy(books.funding)),
                f"{len(run.fills):,}",
                f"{plain(unit.size(books.volume))} {unit.base}",
                f"{plain(unit.size(books.position))} {unit.base}",
            )
        )
    names = ("total", "realised", "drawdown", "fees", "funding", "fills", "volume", "position")
    return TableOf(head=(say("instrument"), *map(say, names)), rows=rows)


def _markout_table(run: RunFigures, say: Labels) -> TableOf | None:
    if not any(any(estimates) for estimates in run.markouts.values()):
        return None
    rows = []
    for place, horizon_ns in enumerate(HORIZONS_NS):
        cells = [Cell(text=charts.horizon_text(horizon_ns, say))]
        for group in GROUPS:
            found = run.markouts[group][place]
            if found is None:
                cells.append(Cell(text="—"))
                continue
            spread = (
                ""
                if found.low is None or found.high is None
                else f" ±{money((found.high - found.low) / 2, run.places)}"
            )
            cells.append(
                Cell(text=f"{money(found.value, run.places)}{spread} · n={found.n:,}", is_strong=bool(found.verdict))
            )
        rows.append(tuple(cells))
    head = (say("seconds_after"), *(f"{say(f'group_{group}')}, {say('jpy_per_btc')}" for group in GROUPS))
    return TableOf(head=head, rows=rows)


def _part_table(run: RunFigures, say: Labels) -> TableOf | None:
    if run.parts is None or not run.fills:
        return None
    named = [(say(f"part_{part}"), run.parts[part]) for part in PARTS] + [(say("part_total"), run.books.total)]
    rows = []
    for name, doubled in named:
        amount = run.jpy(doubled)
        cells = _row(name, money(amount), money(amount / len(run.fills), 4))
        rows.append(tuple(Cell(text=cell.text, is_strong=name == say("part_total")) for cell in cells))
    return TableOf(head=(say("part"), say("jpy"), f"{say('jpy')} {say('share_of_fills')}"), rows=rows)


def _wait_table(runs: Sequence[RunFigures], say: Labels) -> TableOf | None:
    rows = []
    for run in runs:
        for name, spans in run.waits.items():
            label = say(f"wait_{name}") if len(runs) == 1 else f"{run.name}: {say(f'wait_{name}')}"
            marks = (f"{quantile(spans, share):,.0f}" for share in (0.5, 0.9, 0.99, 1.0))
            rows.append(_row(label, *marks, f"{len(spans):,}"))
    return TableOf(head=(f"{say('wait')}, {say('ms')}", "p50", "p90", "p99", "max", "n"), rows=rows) if rows else None


def _limit_table(limits: Sequence[LimitUse], say: Labels) -> TableOf | None:
    rows = [
        _row(say(f"limit_{use.name}"), f"{use.peak:,}", f"{use.limit:,}", percent(use.peak / use.limit))
        for use in limits
        if use.stamps
    ]
    return TableOf(head=(say("limit"), say("limit_peak"), say("limit"), "%"), rows=rows) if rows else None


def _day_table(run: RunFigures, say: Labels) -> TableOf | None:
    if len(run.days) < 2:
        return None
    rows = [
        _row(day_text(day.day), f"{day.fills:,}", plain(run.units.size(day.volume)), money(run.jpy(2 * day.pnl)))
        for day in run.days
    ]
    head = (say("day"), say("fills"), f"{say('volume')}, {say.base}", f"{say('realised')}, {say('jpy')}")
    return TableOf(head=head, rows=rows)


def _comparison(first: RunFigures, second: RunFigures, say: Labels) -> TableOf:
    yen = say("jpy")

    def exact(label: str, one: int, two: int) -> tuple[Cell, ...]:
        return _row(label, money(first.jpy(one)), money(second.jpy(two)), money(second.jpy(two) - first.jpy(one)))

    def judged(label: str, one: Estimate | None, two: Estimate | None, *, share: bool = False) -> tuple[Cell, ...]:
        gap = _share_gap(one, two) if share else difference(one, two)
        text = "—" if gap is None else f"{estimate_text(gap, share=share)} ({_ends(gap, share=share)})"
        return (
            Cell(text=label),
            Cell(text=_with_n(one, share=share)),
            Cell(text=_with_n(two, share=share)),
            Cell(text=text, is_strong=gap is not None and gap.verdict != 0),
        )

    a, b = first.books, second.books
    sizes = first.units.size
    rows = [
        exact(f"{say('total')}, {yen}", a.total, b.total),
        exact(f"{say('drawdown')}, {yen}", a.max_drawdown, b.max_drawdown),
        exact(f"{say('fees')}, {yen}", -a.fees, -b.fees),
        exact(f"{say('funding')}, {yen}", a.funding, b.funding),
        judged(f"{say('per_fill')}, {yen}", first.pnl_per_fill, second.pnl_per_fill),
        judged(f"{say('per_trip')}, {yen}", first.pnl_per_trip, second.pnl_per_trip),
        judged(say("fill_ratio"), first.fate.ratio, second.fate.ratio, share=True),
        _row(
            say("fills"),
            f"{len(first.fills):,}",
            f"{len(second.fills):,}",
            f"{len(second.fills) - len(first.fills):,}".replace("-", "−"),
        ),
        _row(
            f"{say('volume')}, {say.base}",
            plain(sizes(a.volume)),
            plain(sizes(b.volume)),
            plain(sizes(b.volume - a.volume)).replace("-", "−"),
        ),
    ]
    for place, horizon_ns in enumerate(HORIZONS_NS):
        if first.markouts and second.markouts:
            label = f"{say('markouts')} ({say('group_quotes')}), {charts.horizon_text(horizon_ns, say)}"
            rows.append(judged(label, first.markouts[QUOTES][place], second.markouts[QUOTES][place]))
    return TableOf(head=(say("figure"), first.name, second.name, say("difference")), rows=rows)


def _ends(gap: Estimate, *, share: bool) -> str:
    if gap.low is None or gap.high is None:
        return ""
    low, high = (percent(end) if share else money(end) for end in (gap.low, gap.high))
    return f"{low} … {high}"


def _share_gap(one: Estimate | None, two: Estimate | None) -> Estimate | None:
    """Difference of two shares, second less first (Newcombe: from the ends of Wilson's intervals)."""
    if one is None or two is None or one.low is None or one.high is None or two.low is None or two.high is None:
        return None
    gap = two.value - one.value
    low = gap - ((two.value - two.low) ** 2 + (one.high - one.value) ** 2) ** 0.5
    high = gap + ((two.high - two.value) ** 2 + (one.value - one.low) ** 2) ** 0.5
    return Estimate(n=one.n + two.n, value=gap, low=low, high=high, blocks=one.n + two.n)


def _with_n(estimate: Estimate | None, *, share: bool) -> str:
    return "—" if estimate is None else f"{estimate_text(estimate, share=share)} (n={estimate.n:,})"


# --- Charts of two runs -----------------------------------------------------------------------------------------------

_LOOKS = (("@blue", "circle", -0.04), ("@orange", "square", 0.04))


def _split_pair(runs: Sequence[RunFigures], say: Labels) -> Figure | None:
    if any(run.parts is None for run in runs):
        return None
    shown = [part for part in PARTS if any(run.parts and run.parts[part] for run in runs)]
    names = [say(f"part_{part}") for part in shown] + [say("part_total")]
    data = []
    for run, (colour, _, _) in zip(runs, _LOOKS, strict=True):
        parts = run.parts or {}
        amounts = [run.jpy(parts[part]) for part in shown] + [run.jpy(run.books.total)]
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": run.name,
                "y": names,
                "x": [float(amount) for amount in amounts],
                "marker": {"color": colour},
                "customdata": [money(amount) for amount in amounts],
                "hovertemplate": f"%{{y}}: %{{customdata}} {say('jpy')}<extra>{run.name}</extra>",
            }
        )
    shape = layout(110 + 48 * len(names), barmode="group")
    shape["xaxis"] = axis(say("jpy"))
    shape["yaxis"] = axis(autorange="reversed", gridcolor="rgba(0,0,0,0)")
    return {"data": data, "layout": shape}


def _markout_pair(runs: Sequence[RunFigures], say: Labels) -> Figure | None:
    data = [
        charts.markout_trace(run.markouts[QUOTES], run.name, colour, symbol, say, shift)
        for run, (colour, symbol, shift) in zip(runs, _LOOKS, strict=True)
        if any(run.markouts.get(QUOTES, ()))
    ]
    return {"data": data, "layout": charts.markout_layout(say)} if data else None


def _ratio_pair(runs: Sequence[RunFigures], say: Labels, *, by_age: bool) -> Figure | None:
    found = [run.fate.by_age if by_age else run.fate.by_spread for run in runs]
    if not any(found):
        return None
    top = charts.ratio_top(*found)
    data = [
        charts.ratio_trace(bins, run.name, colour, top, symbol)
        for run, bins, (colour, symbol, _) in zip(runs, found, _LOOKS, strict=True)
        if bins
    ]
    every = sorted({bins.low: bins for both in found for bins in both}.values(), key=lambda bins: bins.low)
    shape = charts.ratio_layout(say("stall_age" if by_age else "spread_axis"), every, top, say)
    shape["showlegend"] = True
    return {"data": data, "layout": shape}


def _reason_pair(runs: Sequence[RunFigures], say: Labels) -> Figure | None:
    totals = [sum(run.reasons.held_ns.values()) for run in runs]
    if not all(totals):
        return None
    every = {reason for run in runs for reason in run.reasons.held_ns}
    ranked = sorted(every, key=lambda reason: (-max(run.reasons.held_ns.get(reason, 0) for run in runs), reason))[:10]
    data = []
    for run, total, (colour, _, _) in zip(runs, totals, _LOOKS, strict=True):
        held = [run.reasons.held_ns.get(reason, 0) for reason in ranked]
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": run.name,
                "y": [say.reason(reason) for reason in ranked],
                "x": [100 * ns / total for ns in held],
                "marker": {"color": colour},
                "customdata": [span_text(ns / NS_PER_S) for ns in held],
                "hovertemplate": f"%{{y}}: %{{x:.1f}} %<br>%{{customdata}}<extra>{run.name}</extra>",
            }
        )
    shape = layout(110 + 44 * len(ranked), barmode="group")
    shape["xaxis"] = axis("%", rangemode="tozero")
    shape["yaxis"] = axis(autorange="reversed", gridcolor="rgba(0,0,0,0)")
    return {"data": data, "layout": shape}
