"""A sweep in numbers and sentences: head, cards, summary, notes. Results that luck explains are called luck."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean, median
from typing import Final

from stall_then_strike.research.figures.estimates import mean_of
from stall_then_strike.research.report.labels import Labels
from stall_then_strike.research.report.run_words import Card, money, percent, source_text, span_text
from stall_then_strike.research.report.sweep_charts import KEYS_ALONE, LINES, PAIRS
from stall_then_strike.research.report.sweep_data import DEPTHS, SweepFigures
from stall_then_strike.research.report.sweep_scales import key_text, pairs, scales, value_text
from stall_then_strike.types.dto import NS_PER_S

BELIEVED: Final = 0.95
"""Least deflated Sharpe ratio at which luck is unlikely."""
LUCK: Final = 0.5
"""Below this deflated Sharpe ratio, luck alone would show more."""
_TAPES: Final = 3
_VALUES: Final = 12
_SCANTY: Final = 3
"""Fewest sets for a meaningful rank correlation."""


def figure_text(metric: str, value: float | None) -> str:
    """A metric as text."""
    if value is None:
        return "—"
    if metric in ("fills", "quotes", "strikes"):
        return f"{value:,.0f}"
    if metric == "fill_ratio":
        return percent(value)
    if metric == "volume":
        return f"{value:,.3f}"
    return money(float(value))


def span_name(span: str, say: Labels) -> str:
    """A span in words."""
    kind, _, number = span.partition(" ")
    if span == "all" or kind not in ("train", "test"):
        return say("span_all") if span == "all" else span
    return say(f"span_{kind}", n=number)


def subtitle(figures: SweepFigures, say: Labels) -> list[str]:
    """What was swept, on which tapes, and how to repeat it."""
    about = figures.about
    swept = "; ".join(f"{key}: {_values(about.keys[key], say)}" for key in figures.keys)
    method = say(f"method_{about.method}") if about.method in ("grid", "tpe") else about.method
    lines = [
        say("sweep_mode"),
        say("swept", keys=swept),
        say(
            "sweep_method",
            method=method,
            seed=about.seed,
            sets=f"{len(figures.sets):,}",
            runs=f"{figures.runs:,}",
            failed=f"{len(figures.failures):,}",
        ),
    ]
    names = ", ".join(tape.replace("\\", "/").rpartition("/")[2] for tape in about.tapes[:_TAPES])
    if len(about.tapes) > _TAPES:
        names = say("and_more", names=names, n=len(about.tapes) - _TAPES)
    lines.append(say("sweep_tapes", n=len(about.tapes), names=names))
    lines.append(source_text(about.source, say))
    if about.span is not None:
        start, end = about.span
        span = span_text((end - start) / NS_PER_S)
        lines.append(say("period", start=say.moment(start), end=say.moment(end), zone=say.zone, span=span))
    if about.digest:
        lines.append(say("sweep_digest", digest=about.digest))
    if about.command:
        lines.append(about.command)
    return lines


def _values(values: object, say: Labels) -> str:
    if isinstance(values, Mapping):
        if "low" in values and "high" in values:
            return say("swept_range", low=value_text(values["low"]), high=value_text(values["high"]))
        return ", ".join(f"{name} {value}" for name, value in values.items())
    if not isinstance(values, list):
        return str(values)
    if len(values) > _VALUES and all(isinstance(value, int | float) for value in values):
        return say("swept_many", low=value_text(min(values)), high=value_text(max(values)), n=len(values))
    return ", ".join(value_text(value) for value in values)


def cards(figures: SweepFigures, say: Labels) -> list[Card]:
    """The key figures."""
    found: list[Card] = []
    unit = say.quote
    if figures.sets and figures.sets[0].is_known:
        objective = figures.objective
        best = figures.sets[0]
        middle = median(one.made[objective] for one in figures.sets if one.is_known)
        pnl = _results(figures)
        suffix = f", {unit}" if objective in ("pnl", "max_drawdown") else ""
        note = say("best_note", metric=say.metric(objective), number=best.number)
        tone = 0 if objective in DEPTHS else (best.made[objective] > 0) - (best.made[objective] < 0)
        found += [
            Card(
                label=f"{say('best_set')}{suffix}",
                value=figure_text(objective, best.made[objective]),
                note=note,
                tone=tone,
            ),
            Card(label=f"{say('median_set')}{suffix}", value=figure_text(objective, middle)),
            Card(label=say("sets_won"), value=_won(pnl), note=say("of_n", n=f"{len(pnl):,}")),
        ]
    deflated = figures.about.deflated_sharpe
    if deflated is not None and deflated.dsr is not None:
        tone = 1 if deflated.dsr >= BELIEVED else -1 if deflated.dsr < LUCK else 0
        found.append(Card(label=say("dsr"), value=percent(deflated.dsr), note=say("dsr_note"), tone=tone))
    tests = [one.test_pnl for one in figures.chosen if one.test_pnl is not None]
    if tests:
        total, won = sum(tests), sum(amount > 0 for amount in tests)
        found.append(
            Card(
                label=f"{say('forward_pnl')}, {unit}",
                value=money(total),
                note=say("forward_note", n=won, all=len(tests)),
                tone=(total > 0) - (total < 0),
            )
        )
    if figures.failures:
        found.append(Card(label=say("failed_runs"), value=f"{len(figures.failures):,}", tone=-1))
    return found


def _results(figures: SweepFigures) -> list[float]:
    """Profits of the sets whose result is known."""
    return [one.made["pnl"] for one in figures.sets if one.is_known and "pnl" in one.made]


def _won(pnl: list[float]) -> str:
    return percent(sum(amount > 0 for amount in pnl) / len(pnl)) if pnl else "—"


def summary(figures: SweepFigures, say: Labels) -> list[str]:
    """The sweep in a few sentences."""
    return list(_sentences(figures, say))


def _sentences(figures: SweepFigures, say: Labels) -> Iterator[str]:
    unit = say.quote
    pnl = _results(figures)
    if not pnl:
        yield say("say_no_sets")
    else:
        yield say(
            "say_best",
            n=f"{len(pnl):,}",
            best=f"{money(figures.sets[0].made.get('pnl', max(pnl)))} {unit}",
            median=f"{money(median(pnl))} {unit}",
            share=_won(pnl),
        )
    yield deflated_text(figures, say)
    if any(one.test_pnl is not None for one in figures.chosen):
        yield from _forward(figures, say)
    if figures.failures:
        yield say("say_failed", n=f"{len(figures.failures):,}", all=f"{figures.runs:,}")


def deflated_text(figures: SweepFigures, say: Labels) -> str:
    """The meaning of the deflated Sharpe ratio, as a sentence."""
    found = figures.about.deflated_sharpe
    if found is None or found.dsr is None or found.sharpe is None or found.expected_max_sharpe is None:
        return say("say_no_deflated")
    key = "luck" if found.dsr < LUCK else "unclear" if found.dsr < BELIEVED else "more"
    words = {
        "dsr": percent(found.dsr),
        "sharpe": _ratio(found.sharpe),
        "expected": _ratio(found.expected_max_sharpe),
        "trials": f"{found.trials:,}",
        "n": f"{found.observations:,}",
    }
    return say(f"say_deflated_{key}", **words)


def _ratio(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def _forward(figures: SweepFigures, say: Labels) -> Iterator[str]:
    unit = say.quote
    tests = [one.test_pnl for one in figures.chosen if one.test_pnl is not None]
    yield say(
        "say_forward",
        test=f"{money(sum(tests))} {unit}",
        folds=len(tests),
        won=sum(amount > 0 for amount in tests),
    )
    if (rates := forward_rates(figures)) is not None:
        yield say("say_forward_rates", train=f"{money(rates[0])} {unit}", test=f"{money(rates[1])} {unit}")
    mean = mean_of(tests, range(len(tests)))
    if mean is not None and mean.low is not None and mean.high is not None:
        yield say("say_forward_mean", mean=f"{money(mean.value)} {unit}", low=money(mean.low), high=money(mean.high))
    if (agreed := rank_agreement(figures)) is not None:
        yield say("say_ranks", value=f"{agreed:.2f}".replace("-", "−"))
    ranked = [one for one in figures.chosen if one.test_rank is not None and one.sets is not None and one.sets > 1]
    if ranked:
        worse = sum(2 * (one.test_rank or 0) > (one.sets or 0) + 1 for one in ranked)
        yield say("say_worse_half", n=worse, all=len(ranked))


def forward_rates(figures: SweepFigures) -> tuple[float, float] | None:
    """Profit an hour of the chosen sets in training and in the test, over the folds that have both; None without any.

    Sums would not compare: training spans are longer than tests, and they overlap.
    """
    hours = figures.hours
    both = [
        (one, f"train {one.fold}", f"test {one.fold}")
        for one in figures.chosen
        if one.train_pnl is not None and one.test_pnl is not None and f"test {one.fold}" in hours
    ]
    if not both:
        return None
    train = sum(one.train_pnl or 0.0 for one, _, _ in both) / sum(hours[name] for _, name, _ in both)
    return train, sum(one.test_pnl or 0.0 for one, _, _ in both) / sum(hours[name] for _, _, name in both)


def rank_agreement(figures: SweepFigures) -> float | None:
    """Spearman's correlation of profits in training and test, mean over the folds with enough sets."""
    found = []
    for fold in figures.about.folds:
        train, test = (figures.pnl.get(f"{kind} {fold.fold}", {}) for kind in ("train", "test"))
        both = sorted(train.keys() & test.keys())
        if len(both) < _SCANTY:
            continue
        value = _correlation(_ranks([train[n] for n in both]), _ranks([test[n] for n in both]))
        if value is not None:
            found.append(value)
    return fmean(found) if found else None


def _ranks(values: list[float]) -> list[float]:
    """Ranks in ascending order; equal values share their mean rank."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or values[order[end]] != values[order[start]]:
            for at in order[start:end]:
                ranks[at] = (start + end - 1) / 2
            start = end
    return ranks


def _correlation(first: list[float], second: list[float]) -> float | None:
    a, b = fmean(first), fmean(second)
    both = sum((x - a) * (y - b) for x, y in zip(first, second, strict=True))
    spread = sum((x - a) ** 2 for x in first) * sum((y - b) ** 2 for y in second)
    return both / spread**0.5 if spread > 0 else None


def notes(figures: SweepFigures, say: Labels) -> list[str]:
    """What a reader must know to understand the figures."""
    found = [say("note_compared", spans=", ".join(span_name(span, say) for span in figures.spans))]
    if idle := sum(not one.is_known for one in figures.sets):
        found.append(say("note_few_fills", n=f"{idle:,}", least=figures.about.min_fills, all=f"{len(figures.sets):,}"))
    if not figures.about.folds:
        found.append(say("note_no_forward"))
    every = len(pairs(figures))
    if every > PAIRS:
        found.append(say("note_pairs", n=every - PAIRS, all=every))
    varied = sum(len(scale.names) > 1 for scale in scales(figures))
    if varied > KEYS_ALONE:
        found.append(say("note_keys", n=varied - KEYS_ALONE, all=varied))
    if len(figures.sets) > LINES:
        found.append(say("note_lines", shown=f"{LINES:,}", all=f"{len(figures.sets):,}"))
    if figures.about.observation_s is not None:
        found.append(say("note_observation", seconds=f"{figures.about.observation_s:g}"))
    found.append(say("note_sweep_paper"))
    return found


def key_names(figures: SweepFigures) -> list[str]:
    """The keys as column headers."""
    return [key_text(key, figures.keys) for key in figures.keys]
