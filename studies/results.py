"""The page docs/results.md: figures from the replays, words that follow the figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from stall_then_strike.research.figures.estimates import Estimate
from studies.choices import BASE, JOIN, Settings, Study
from studies.findings import FEWEST, PART_NAMES, Findings, Row
from studies.plots import plots
from studies.replays import RECORDED, probe
from studies.tables import change, fixed, spread_out, table, verdict
from studies.tried import section

COMMAND: Final = "make results"
PAGE: Final = "results.md"
PLOTS: Final = "results"

_TOP: Final = 6
_FEW: Final = 5
"""Minutes; of fewer no interval is shown."""
_HEADS: Final = ("JPY an hour", "against base", "fills an hour", "JPY per BTC")


def write(study: Study, real: Findings, made: Findings, folder: Path) -> list[Path]:
    """Write the page and its plots into a folder; return the files."""
    files = {folder / PAGE: page(study, real, made, probe(study))}
    (folder / PLOTS).mkdir(parents=True, exist_ok=True)
    files |= {folder / PLOTS / f"{name}.svg": plot for name, plot in plots(study, real, made).items()}
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return list(files)


def page(study: Study, real: Findings, made: Findings, probed: str) -> str:
    """The whole page. ``probed`` is what ``replays.probe`` says."""
    parts = [
        "# What stall-then-strike earns and loses",
        _short(study, real, made),
        _how(study, real, made),
        _markets(study, real, made),
        _base(real, made),
        *(_along(name, settings, real, made) for name, settings in study.axes().items()),
        _nearest(study, real, made),
        section(),
        _silent(),
        _made(study, probed),
    ]
    return "\n\n".join(parts).rstrip() + "\n"


def _made(study: Study, probed: str) -> str:
    return f"""## This page

Written by `{COMMAND}` (`python -m studies`), settings digest `{study.digest()}`. Not to be edited: run it again.
Probe, by which a test sees whether anything has changed since (5 minutes of the first generated market): {probed}."""


def _how(study: Study, real: Findings, made: Findings) -> str:
    return f"""## How it was measured

Mode: paper fills in compiled replays. Sources: *recorded* markets, {_span(real)}, each a run of its own; and
*generated* ones, {len(made.pieces)} hours of the market `real` of the embedded exchange (seeds {study.seeds[0]} to
{study.seeds[-1]}, {made.pieces[0].begins[:16]} UTC on; [the market](facts.md) shows it beside recorded ones).
{len(study.all_settings())} settings, each over all of it.

{_terms()}

Intervals (±) are of 95 %. A minute of a market is one observation: {_blocks(real)} recorded, {_blocks(made)} generated.
"Against base" compares the same minutes. A setting with fewer than {FEWEST} fills is unknown, whatever it made."""


def _terms() -> str:
    paper = BASE.config().paper
    delays = [
        f"{name} {latency.kind.value}, median {latency.median_ms} ms, spread {latency.spread_ms} ms"
        for name, latency in (("orders", paper.order_latency), ("cancels", paper.cancel_latency))
    ]
    return f"""Settings are those of configs/base.yml and what is named here: orders of 0.001 BTC, no fees,
and no funding within the spans. Latency, from sending an order or a cancel to its effect, is as paper trading draws it
by default ({"; ".join(delays)}; the mean of {Study().draws} draws on recorded tapes), and constant
where a figure in ms is named. Others outbid a quote that improves the best {paper.outbid_per_s} times a second
([paper fills](paper-fills.md) says how both were measured)."""


def _span(found: Findings) -> str:
    kinds = Counter(piece.source for piece in found.pieces)
    told = [f"{number} whole tapes" if kind == RECORDED else f"{number} {kind} tapes" for kind, number in kinds.items()]
    seconds = sum(piece.seconds for piece in found.pieces)
    days = sorted({piece.begins[:10] for piece in found.pieces})
    return f"{' and '.join(told)}, {fixed(seconds, 0)} s of {', '.join(days)}"


def _blocks(found: Findings) -> str:
    return fixed(found.rows[BASE].result.blocks, 0)


# --- in short


def _short(study: Study, real: Findings, made: Findings) -> str:
    base, other = real.rows[BASE], made.rows[BASE]
    lines = [
        f"- {_lose(base)}: {verdict(base.result)} on recorded markets; {verdict(other.result)} on generated ones.",
        f"- That is {fixed(base.per_btc, 0)} and {fixed(other.per_btc, 0)} JPY per BTC traded.",
        f"- Why: {_why(base)}.",
    ]
    for one in study.modes()[1:]:
        held, beside = real.rows[one], made.rows[one]
        lines.append(f"- {one.words()}: {verdict(held.result)}; generated: {verdict(beside.result)}.")
    lines.append(f"- {_count(real, 'recorded')}\n- {_count(made, 'generated')}")
    if real.forward is not None:
        lines.append(
            f"- Chosen on the pieces before and traded on the next, the settings made "
            f"{verdict(real.forward.row.result)}. {_nothing(real)}"
        )
    same = [one.words() for one in study.modes() if _overlap(real.rows[one].result, made.rows[one].result)]
    apart = [one.words() for one in study.modes() if one.words() not in same]
    lines.append(
        f"- Recorded and generated intervals overlap for: {'; '.join(same) or 'none'}."
        + (f" They do not for: {'; '.join(apart)}." if apart else "")
    )
    return "\n".join(["## In short", "", *lines])


def _lose(row: Row) -> str:
    return ("Nobody can tell what the base settings make", "**The base settings earn**", "**The base settings lose**")[
        row.result.verdict
    ]


def _why(row: Row) -> str:
    adverse, paid = row.parts["adverse_quotes"], row.parts["spread_closes"]
    earned = row.parts["spread_quotes"]
    return (
        f"a fill of a quote is met by the market's move against it ({fixed(adverse.value, 0)} JPY an hour within a "
        f"second of the fills), and closes at market pay half of the spread ({fixed(paid.value, 0)} JPY an hour); "
        f"against that the quotes themselves had {fixed(earned.value, 0)} JPY an hour from the spread"
    )


def _count(found: Findings, kind: str) -> str:
    known = [row for row in found.rows.values() if row.is_known]
    verdicts = [row.result.verdict for row in known]
    unknown = len(found.rows) - len(known)
    return (
        f"Of {len(known)} settings with fills enough on {kind} markets, {verdicts.count(-1)} lose and "
        f"{verdicts.count(1)} earn with an interval that leaves out zero; {verdicts.count(0)} cannot be told from "
        f"zero{f', and {unknown} are unknown' if unknown else ''}. Were all worth nothing, about "
        f"{fixed(0.025 * len(known), 0)} would seem to earn by luck."
    )


def _nothing(found: Findings) -> str:
    earning = [one.words() for one, row in found.rows.items() if row.is_known and row.result.verdict > 0]
    if not earning:
        return "Nothing here earns."
    return f"These seem to earn ({'; '.join(earning)}): see how many would by luck."


def _overlap(first: Estimate, second: Estimate) -> bool:
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return False
    return first.low <= second.high and second.low <= first.high


# --- sections


def _markets(study: Study, real: Findings, made: Findings) -> str:
    head = ["market", "source", "UTC", "s", "messages", "prints", "spread, JPY"]
    head += [one.words() for one in study.modes()]
    rows = [
        [
            piece.name,
            piece.source,
            piece.begins,
            fixed(piece.seconds, 0),
            f"{piece.messages:,}",
            f"{piece.trades:,}",
            fixed(piece.median_spread, 0),
            *(spread_out(one, 0) if one.blocks >= _FEW else fixed(one.value, 0) for one in piece.results),
        ]
        for piece in [*real.pieces, *made.pieces]
    ]
    skipped = "".join(f"\n- Skipped: `{name}` ({why})." for name, why in real.skipped.items())
    return f"""## The markets

The spread is the median. The last columns are the results of four settings, JPY an hour; without an interval where a
market has fewer than {_FEW} minutes.

{table(head, rows)}

- The recorded tapes of 2021 are whole: every message as it came. Those of 2025 are *derived* from recorded best prices
  and prints: the best prices, their sizes, prints and stamps are real, the board behind the best prices is not.
- Recorded tapes are short: what holds for them may not hold on other days.{skipped}"""


def _base(real: Findings, made: Findings) -> str:
    columns = [("recorded", real.rows[BASE]), ("generated", made.rows[BASE])]
    columns += [("recorded, join", real.rows[JOIN]), ("generated, join", made.rows[JOIN])]
    rows = [["**result**, JPY an hour", *(spread_out(row.result) for _, row in columns)]]
    rows += [[name, *(spread_out(row.parts[key]) for _, row in columns)] for key, name in PART_NAMES.items()]
    names = {
        "strikes": "strikes an hour",
        "quotes": "quotes an hour",
        "fills": "fills of quotes an hour",
        "closes": "closes at market an hour",
        "moved": "strikes cancelled as the best moved, an hour",
        "timed_out": "strikes cancelled as their time was up, an hour",
    }
    rows += [[words, *(fixed(row.an_hour[key], 0) for _, row in columns)] for key, words in names.items()]
    rows.append(["volume, BTC an hour", *(fixed(row.an_hour["volume"], 3) for _, row in columns)])
    rows.append(["result, JPY per BTC", *(fixed(row.per_btc, 0) for _, row in columns)])
    base = real.rows[BASE]
    worst = min(PART_NAMES, key=lambda name: base.parts[name].value)
    adverse = -base.parts["adverse_quotes"].value / base.an_hour["fills"] / float(BASE.config().strategy.size_min)
    return f"""## The base settings

stall_T_ms 250, ttl_ms 800, quote_mode mid, quote_offset_ticks 1, max_reverse_ticks 2; beside them quote_mode join.

![What the result is made of]({PLOTS}/parts.svg)

{table(["", *(name for name, _ in columns)], rows)}

Why they lose:

- A quote one tick from the mid has next to no spread to live on. With latency it even pays, for it takes effect beside
  a mid that has moved on.
- Its fills meet adverse selection: within a second the mid stands {fixed(adverse, 0)} JPY per BTC against the fill, on
  average, on recorded markets.
- max_reverse_ticks is 2 JPY: nearly every position is closed at market ({fixed(base.an_hour["closes"], 0)} closes for
  {fixed(base.an_hour["fills"], 0)} fills of quotes an hour), and a close pays half of the spread. The move after closes
  is positive where a close goes with the move that caused it.
- The part that costs most on recorded markets: {PART_NAMES[worst]}.
- At the best (join) a fill earns half of the spread, but the quote is filled where it is last in the queue: when the
  level is used up and the price goes on.

The parts add up to the result; docs/design/research.md says how it is taken apart."""


_AXES: Final = {
    "offset": (
        "quote offset",
        """Farther out fewer quotes are filled, each fill has more of the spread, and fewer closes pay it back. Adverse
selection falls with the number of fills, hardly for each of them. Half of the spread is where the best prices are: an
offset beyond it waits behind them.""",
    ),
    "mode": ("quote mode", "Inside the spread a quote is alone until others outbid it."),
    "spread": (
        "spread gate (min_spread_tick)",
        """It strikes only in spreads of this width or more, and so trades less. JPY per BTC tells whether what is
traded is better: where it stays the same, the gate only trades less.""",
    ),
    "stall": (
        "stall_T_ms",
        """A longer wait makes the loss smaller mostly because there is less trading. A shorter one chooses other
moments, hardly more of them: the rate limits' budget allows no more orders.""",
    ),
    "ttl": (
        "ttl_ms",
        """A shorter life means fewer fills of the same kind: JPY per BTC hardly changes. The best often moves before
the time of a quote is up.""",
    ),
    "reverse": (
        "max_reverse_ticks",
        "A later close pays the spread less often and carries more risk: the intervals grow.",
    ),
    "latency": (
        "latency",
        "Constant from sending to effect, in ms; 'base' is the default latency. Being fast makes the loss no gain.",
    ),
}


def _along(name: str, settings: Sequence[Settings], real: Findings, made: Findings) -> str:
    title, words = _AXES[name]
    plot = f"![Result by {title}]({PLOTS}/{name}.svg)\n\n" if name != "mode" else ""
    return f"## By {title}\n\n{plot}{side_by_side(settings, real, made)}\n\n{words}"


def side_by_side(settings: Iterable[Settings], real: Findings, made: Findings) -> str:
    """A table: recorded, then generated."""
    head = ["settings", *(f"recorded: {_HEADS[0]}", *_HEADS[1:]), *(f"generated: {_HEADS[0]}", *_HEADS[1:])]
    return table(head, [[one.words(), *_cells(real.rows[one]), *_cells(made.rows[one])] for one in settings])


def _cells(row: Row) -> list[str]:
    against = spread_out(row.against) if row.against.value or row.against.high else "itself"
    if row.against.verdict:
        against = f"{against} {'better' if row.against.verdict > 0 else 'worse'}"
    if not row.is_known:
        against = "unknown: few fills"
    return [spread_out(row.result), against, fixed(row.an_hour["fills"], 0), fixed(row.per_btc, 0)]


def _nearest(study: Study, real: Findings, made: Findings) -> str:
    best = _ranked(real, study)
    parts = [
        "## Which settings come nearest to zero",
        f"{_count(real, 'recorded')} {_count(made, 'generated')}",
        f"""The {_TOP} best on recorded markets, and the worst; then the {_TOP} best on generated ones. Most of them are
best because they trade least: see the fills.""",
        side_by_side(list(dict.fromkeys([*best[:_TOP], *best[-2:]])), real, made),
        side_by_side(_ranked(made, study)[:_TOP], real, made),
    ]
    if (walked := real.forward) is not None:
        folds = "\n".join(
            f"- {fold.piece}: chosen {fold.chosen} ({fixed(fold.made, 0)} JPY an hour before); "
            f"here {verdict(fold.kept)}."
            for fold in walked.folds
        )
        parts += [
            """The best of many is partly the luckiest. So the earlier recorded pieces choose among all settings (those
with a quarter of the base's fills or more), and the next piece judges:""",
            folds,
            f"""Together {verdict(walked.row.result)}; against the base settings on the same pieces
{change(walked.row.against)}; at equal volume (against what the base settings make of each BTC)
{change(walked.row.alike)}. {_nothing(real)}""",
        ]
    return "\n\n".join(parts)


def _ranked(found: Findings, study: Study) -> list[Settings]:
    known = [one for one in study.all_settings() if found.rows[one].is_known]
    return sorted(known, key=lambda one: (-found.rows[one].result.value, one))


def _silent() -> str:
    return """## What this does not tell

- The recorded markets are minutes of four days. They have no crash, no maintenance and no night of news.
- Others react to our orders only as the paper venue assumes. Paper fills stand on a queue rule; a real venue also
  refuses orders, loses answers and slows down under load.
- Market data come as the recorder had them. Another line may be slower.
- Results are of one order of 0.001 BTC a side. They do not scale: more size waits longer and moves the price.

Before money is at stake, record your own market and run the same settings over it (`record`, then `backtest`)."""
