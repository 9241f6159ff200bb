"""A run in numbers and sentences: cards, summary, notes. Everything is text; estimates have interval and n."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from operator import attrgetter
from typing import Final

from stall_then_strike.infra.logs.run_list import Run
from stall_then_strike.infra.logs.run_record import GENERATED, REAL, UNKNOWN
from stall_then_strike.research.figures.estimates import Estimate
from stall_then_strike.research.figures.profit import QUOTES
from stall_then_strike.research.report.labels import Labels
from stall_then_strike.research.report.run_charts import fills_drawn, horizon_text
from stall_then_strike.research.report.run_data import HORIZONS_NS, SPLIT_HORIZON_NS, AccountFigures, RunFigures
from stall_then_strike.tapes.tape_files import DERIVED
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.text import iso_ns, plain

MARKETS: Final = (REAL, DERIVED, GENERATED, UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One key figure: ``tone`` is -1, 0 or +1, for its colour."""

    label: str
    value: str
    note: str = ""
    tone: int = 0


def money(amount: Decimal | float, places: int = 2) -> str:
    """Yen with thousands separators: ``−1,234.50``; no decimals from a hundred thousand on."""
    exact = Decimal(repr(amount)) if isinstance(amount, float) else amount
    step = Decimal(1) if abs(exact) >= 100_000 else Decimal(1).scaleb(-places)
    text = f"{exact.quantize(step, ROUND_HALF_EVEN):,f}"
    return text.replace("-", "−") if exact.quantize(step, ROUND_HALF_EVEN) else text.replace("-", "")


def percent(share: float) -> str:
    """A share: ``6.5 %``."""
    return f"{100 * share:.1f} %".replace("-", "−")


def span_text(seconds: float) -> str:
    """A duration: ``2:00:00``, or ``1 d 2:00:00``."""
    whole = round(seconds)
    days, rest = divmod(whole, 86_400)
    clock = f"{rest // 3600}:{rest % 3600 // 60:02d}:{rest % 60:02d}"
    return f"{days} d {clock}" if days else clock


def between(estimate: Estimate, say: Labels, *, share: bool = False, places: int = 2) -> str:
    """The interval in words."""
    if estimate.low is None or estimate.high is None:
        return say("no_interval")
    low, high = (percent(end) if share else money(end, places) for end in (estimate.low, estimate.high))
    return say("interval", low=low, high=high)


def estimate_text(estimate: Estimate | None, *, share: bool = False) -> str:
    """The value without its interval."""
    if estimate is None:
        return "—"
    return percent(estimate.value) if share else money(estimate.value)


def cards(run: RunFigures, say: Labels) -> list[Card]:
    """The key figures."""
    books, jpy = run.books, say("jpy")
    total = run.jpy(books.total)
    realised = money(run.jpy(books.realised))
    ratio = run.fate.ratio
    return [
        _total_card(total, realised, money(run.jpy(books.unrealised)), say),
        Card(label=f"{say('drawdown')}, {jpy}", value=money(run.jpy(books.max_drawdown))),
        _estimate_card(f"{say('per_fill')}, {jpy}", run.pnl_per_fill, say),
        _estimate_card(f"{say('per_trip')}, {jpy}", run.pnl_per_trip, say),
        Card(
            label=say("fills"),
            value=f"{len(run.fills):,}",
            note=f"{plain(run.units.size(books.volume))} {say.base}",
        ),
        Card(
            label=say("fill_ratio"),
            value=estimate_text(ratio, share=True),
            note="" if ratio is None else f"{between(ratio, say, share=True)} · n = {ratio.n:,}",
        ),
        Card(
            label=say("trips_won"),
            value=percent(run.trips_won / len(books.trips)) if books.trips else "—",
            note=say("of_n", n=f"{len(books.trips):,}"),
        ),
        Card(label=say("position"), value=f"{plain(run.units.size(books.position))} {say.base}"),
        Card(label=f"{say('fees')}, {jpy}", value=money(-run.jpy(books.fees))),
        Card(label=f"{say('funding')}, {jpy}", value=money(run.jpy(books.funding))),
        Card(label=say("halts"), value=f"{run.halts:,}", tone=-1 if run.halts else 0),
        Card(label=say("refused"), value=f"{run.refused:,}"),
    ]


def _total_card(total: Decimal, realised: str, unrealised: str, say: Labels) -> Card:
    return Card(
        label=f"{say('total')}, {say('jpy')}",
        value=money(total),
        note=f"{say('realised')} {realised} · {say('unrealised')} {unrealised}",
        tone=(total > 0) - (total < 0),
    )


def account_cards(account: AccountFigures, say: Labels) -> list[Card]:
    """The key figures of several instruments together, and the limits of a day."""
    jpy, total = say("jpy"), account.together(attrgetter("total"))
    parts = {name: money(account.together(attrgetter(name))) for name in ("realised", "unrealised", "funding")}
    halts = max(run.halts for run in account.runs)  # a halt of one is one of all
    return [
        _total_card(total, parts["realised"], parts["unrealised"], say),
        Card(label=f"{say('drawdown')}, {jpy}", value=money(account.max_drawdown)),
        Card(label=f"{say('limit_of_day')}, {jpy}", value=money(account.risk.daily_pnl_jpy)),
        Card(label=f"{say('limit_of_drawdown')}, {jpy}", value=money(account.risk.max_dd_jpy)),
        Card(label=say("fills"), value=f"{sum(len(run.fills) for run in account.runs):,}"),
        Card(label=f"{say('fees')}, {jpy}", value=money(-account.together(attrgetter("fees")))),
        Card(label=f"{say('funding')}, {jpy}", value=parts["funding"]),
        Card(label=say("halts"), value=f"{halts:,}", tone=-1 if halts else 0),
    ]


def account_summary(account: AccountFigures, say: Labels) -> list[str]:
    """Several instruments in a sentence, and each in one."""
    runs = account.runs
    return [
        say(
            "say_account",
            total=money(account.together(attrgetter("total"))),
            n=len(runs),
            span=span_text(_span(runs) / NS_PER_S),
            fills=f"{sum(len(run.fills) for run in runs):,}",
        ),
        *(
            say(
                "say_instrument",
                name=run.name,
                total=money(run.jpy(run.books.total)),
                fills=f"{len(run.fills):,}",
                size=f"{plain(run.units.size(run.books.position))} {run.units.base}",
            )
            for run in runs
        ),
    ]


def _span(runs: Sequence[RunFigures]) -> int:
    return max(run.rows.last_ns for run in runs) - min(run.rows.first_ns for run in runs)


def _estimate_card(label: str, estimate: Estimate | None, say: Labels) -> Card:
    if estimate is None:
        return Card(label=label, value="—")
    return Card(
        label=label,
        value=money(estimate.value),
        note=f"{between(estimate, say)} · n = {estimate.n:,}",
        tone=estimate.verdict,
    )


def summary(run: RunFigures, say: Labels) -> list[str]:
    """The run in a few sentences."""
    return list(_sentences(run, say))


def _sentences(run: RunFigures, say: Labels) -> Iterator[str]:
    if not run.fills:
        yield say("say_no_fills")
    else:
        yield say(
            "say_result",
            total=money(run.jpy(run.books.total)),
            span=span_text(run.seconds),
            fills=f"{len(run.fills):,}",
            volume=plain(run.units.size(run.books.volume)),
        )
    mean = run.pnl_per_fill
    if mean is not None and (mean.low is None or mean.high is None):
        yield say("say_no_interval", mean=money(mean.value), n=f"{mean.n:,}")
    elif mean is not None and mean.low is not None and mean.high is not None:
        yield say(
            {-1: "say_loses", 0: "say_unclear", 1: "say_wins"}[mean.verdict],
            mean=money(mean.value),
            low=money(mean.low),
            high=money(mean.high),
            n=f"{mean.n:,}",
            blocks=f"{mean.blocks:,}",
        )
    after = run.markouts.get(QUOTES, [None] * len(HORIZONS_NS))[HORIZONS_NS.index(SPLIT_HORIZON_NS)]
    if after is not None:
        yield say(
            "say_markout",
            horizon=horizon_text(SPLIT_HORIZON_NS, say),
            mean=money(after.value, run.places),
            interval=between(after, say, places=max(2, run.places)),
            n=f"{after.n:,}",
        )
    if run.parts:
        worst, best = min(run.parts, key=run.parts.__getitem__), max(run.parts, key=run.parts.__getitem__)
        if run.parts[worst] < 0:
            yield say("say_costs", part=say(f"part_{worst}"), amount=money(run.jpy(run.parts[worst])))
        if run.parts[best] > 0:
            yield say("say_earns", part=say(f"part_{best}"), amount=money(run.jpy(run.parts[best])))
    held = run.reasons.held_ns
    if sum(held.values()):
        longest = max(sorted(held), key=held.__getitem__)
        yield say("say_idle", reason=say.reason(longest), share=percent(held[longest] / sum(held.values())))
    if run.halts:
        yield say("say_halted", n=run.halts)


def notes(run: RunFigures, say: Labels) -> list[str]:
    """What a reader must know to understand the figures."""
    rows = run.rows
    found = [say("note_mixed", n=len(run.runs))] if len(run.runs) > 1 else []
    if run.mids is None:
        found.append(say("note_no_tape"))
    elif run.priced < len(run.fills):
        found.append(say("note_unpriced", n=f"{len(run.fills) - run.priced:,}", all=f"{len(run.fills):,}"))
    if run.on_paper:
        found.append(say("note_paper"))
    if rows.missing_days:
        found.append(say("note_missing_days", days=", ".join(day_text(day) for day in rows.missing_days)))
    if rows.unreadable:
        found.append(say("note_unreadable", n=f"{rows.unreadable:,}"))
    if run.books.jumps:
        found.append(say("note_jumps", n=f"{run.books.jumps:,}"))
    if run.books.segments and run.books.segments[0].carried:
        found.append(say("note_carried", size=plain(run.units.size(run.books.segments[0].carried))))
    if not run.has_journal:
        found.append(say("note_no_journal"))
    if fills_drawn(run) < len(run.fills):
        found.append(say("note_thinned", shown=f"{fills_drawn(run):,}", all=f"{len(run.fills):,}"))
    return found


def runs_of(run: RunFigures, say: Labels) -> list[str]:
    """The runs of the report, one line each."""
    return [_run_text(one, say) for one in run.runs]


def _run_text(run: Run, say: Labels) -> str:
    record = run.record
    if record is None:
        return say("run_unknown")
    began = say.moment(iso_ns(record.started))
    if record.ended is None:
        end = say("run_goes_on" if run.is_running else "run_killed")
    else:
        end = say("run_ended", ended=say.moment(iso_ns(record.ended)), zone=say.zone, why=record.end or "?")
    return say(
        "run_known",
        run=run.name,
        mode=record.mode,
        product=" + ".join(record.instruments),
        venue=record.venue,
        began=began,
        zone=say.zone,
        end=end,
        configuration=record.configuration,
    )


def period(run: RunFigures, say: Labels) -> str:
    """The period of the run, as text."""
    first, last = (say.moment(ns) for ns in (run.rows.first_ns, run.rows.last_ns))
    return say("period", start=first, end=last, zone=say.zone, span=span_text(run.seconds))


def market(run: RunFigures, say: Labels) -> str:
    """Of what market the data of the runs are, as text."""
    return source_text("+".join(UNKNOWN if one.record is None else one.record.market for one in run.runs), say)


def source_text(markets: str, say: Labels) -> str:
    """Markets as of ``RunRecord.market`` in words."""
    every = sorted(set(markets.split("+")))
    known = [say(f"market_{one}") if one in MARKETS else one for one in every]
    return say("market", what="; ".join(known))


def period_of(runs: Sequence[RunFigures], say: Labels) -> str:
    """The period of several instruments, as text."""
    ends = min(run.rows.first_ns for run in runs), max(run.rows.last_ns for run in runs)
    first, last = (say.moment(ns) for ns in ends)
    return say("period", start=first, end=last, zone=say.zone, span=span_text(_span(runs) / NS_PER_S))


def sources(run: RunFigures, say: Labels) -> str:
    """The sources of the figures, as text."""
    parts = [say("source_csv", days=len(run.rows.days))]
    if run.mids is not None:
        parts.append(say("source_tape"))
    if run.has_journal:
        parts.append(say("source_journal"))
    return say("sources", sources=" · ".join(parts))


def day_text(day: str) -> str:
    """``20261121`` as ``2026-11-21``."""
    return f"{day[:4]}-{day[4:6]}-{day[6:]}"
