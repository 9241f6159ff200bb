"""The page docs/results.md: figures from the replays, words that follow the figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from statistics import fmean
from typing import Final

from stall_then_strike.research.figures.profit import PARTS
from studies.choices import Settings, Study
from studies.findings import PART_NAMES, Findings, findings, gap, over, part, result, share
from studies.plots import latency_text, plots
from studies.replays import Hour, MarketFigures, probe
from studies.tables import change, fixed, grid, spread_out, table, verdict

COMMAND: Final = "make results"
PAGE: Final = "results.md"
PLOTS: Final = "results"

_TOP: Final = 5
_COUNTS: Final = tuple(field.name for field in fields(Hour) if field.name not in ("pnl", "parts"))


def write(study: Study, markets: Sequence[MarketFigures], folder: Path) -> list[Path]:
    """Write the page and its plots into a folder; return the files."""
    found = findings(study, markets)
    files = {folder / PAGE: page(found, probe(study))}
    (folder / PLOTS).mkdir(parents=True, exist_ok=True)
    files |= {folder / PLOTS / f"{name}.svg": plot for name, plot in plots(found).items()}
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return list(files)


def page(found: Findings, probed: str) -> str:
    """The whole page. ``probed`` is what ``replays.probe`` says."""
    parts = [
        _head(found, probed),
        _short(found),
        _base(found),
        _offset(found),
        _stall(found),
        _ttl(found),
        _grid(found),
    ]
    return "\n\n".join([*parts, _beyond(found), _silent(), ""]).rstrip() + "\n"


def _head(found: Findings, probed: str) -> str:
    study, markets = found.study, found.markets
    hours = study.seconds / 3_600
    seeds = f"seeds {study.seeds[0]} to {study.seeds[-1]}, {hours:g} h each"
    an_hour = [fixed(fmean(getattr(market, name) for market in markets) / hours, 0) for name in ("messages", "trades")]
    replays = len(found.hours) * len(markets)
    return f"""# What stall-then-strike earns and loses on generated market

Written by `{COMMAND}` (`python -m studies`), settings digest `{study.digest()}`. Not to be edited: run it again.
Probe, by which a test sees whether anything has changed since (5 minutes of the first market): {probed}.

Mode: paper fills in compiled replays. Source: generated, the market `real` of the embedded exchange
([docs/facts.md](facts.md) shows it beside recorded ones). Period: the hour from 2026-01-05 00:00 UTC, of each seed.

{len(markets)} markets ({seeds}), {len(found.hours)} settings, {replays:,} compiled replays.
A market has about {an_hour[0]} messages and {an_hour[1]} trades an hour; the median spread is {_spread(found)} JPY.

Settings are those of configs/base.yml and what is named here: orders of 0.001 BTC, no fees, and no funding within the
hour. Latency is the time from sending an order or a cancel to its effect, always the same; market data come without
delay. Intervals (±) are of 95 %, over markets: each counts as one observation."""


def _spread(found: Findings) -> str:
    return fixed(fmean(market.median_spread for market in found.markets), 0)


def _short(found: Findings) -> str:
    study = found.study
    lines = ["## In short", "", f"- {_count(found, study.grid(), 'settings of the grid')}"]
    for ms in study.latencies_ms:
        hours = found.at(ms)
        lines.append(
            f"- Base settings at {ms} ms latency: {verdict(over(hours))}; {_per_btc(hours)} JPY per BTC traded."
        )
    if len(study.latencies_ms) > 1:
        fast, slow = study.latencies_ms[0], study.latencies_ms[-1]
        lines.append(f"- {slow} ms against {fast} ms: {change(gap(found.at(fast), found.at(slow)))}.")
    wide = study.offsets_ticks[-1]
    for what, changed in (
        (f"Quotes {wide:,} JPY from the mid", {"offset_ticks": wide}),
        ("Quotes at the best (quote_mode join)", {"quote_mode": "join"}),
    ):
        lines += [f"- {what}, at {ms} ms: {verdict(over(found.at(ms, **changed)))}." for ms in study.latencies_ms]
    return "\n".join(lines)


def _per_btc(hours: Sequence[Hour]) -> str:
    return fixed(share(hours, result, lambda hour: hour.volume), 0)


def _count(found: Findings, settings: Sequence[Settings], what: str) -> str:
    verdicts = [over(found.hours[one]).verdict for one in settings]
    return (
        f"Of {len(verdicts)} {what}, {verdicts.count(-1)} lose and {verdicts.count(1)} earn with an interval that "
        f"leaves out zero; {verdicts.count(0)} cannot be told from zero. Were all worth nothing, about "
        f"{fixed(0.025 * len(verdicts), 0)} would seem to earn by luck."
    )


def _base(found: Findings) -> str:
    study = found.study
    columns = [latency_text(ms) for ms in study.latencies_ms]
    hours = [found.at(ms) for ms in study.latencies_ms]
    rows = [("**result**", [over(one) for one in hours])]
    rows += [(name, [over(one, part(key)) for one in hours]) for key, name in PART_NAMES.items()]
    counts = [
        ("strikes", [fixed(fmean(hour.strikes for hour in one), 0) for one in hours]),
        ("quotes", [fixed(fmean(hour.quotes for hour in one), 0) for one in hours]),
        ("fills of quotes", [fixed(fmean(hour.quote_fills for hour in one), 0) for one in hours]),
        (
            "fills of quotes per 100 quotes",
            [fixed(100 * share(one, lambda hour: hour.quote_fills, lambda hour: hour.quotes)) for one in hours],
        ),
        ("closes at market", [fixed(fmean(hour.closes for hour in one), 0) for one in hours]),
        ("volume, BTC", [fixed(fmean(hour.volume for hour in one), 3) for one in hours]),
        ("result, JPY per BTC", [_per_btc(one) for one in hours]),
        ("deepest drawdown, JPY", [fixed(fmean(hour.drawdown for hour in one), 0) for one in hours]),
    ]
    fast = study.latencies_ms[0]
    adverse = _per_fill(found, fast, study.offsets_ticks[0])
    worst = min(PART_NAMES, key=lambda name: over(hours[0], part(name)).value)
    closed, filled = (fixed(fmean(getattr(hour, name) for hour in hours[0]), 0) for name in ("closes", "quote_fills"))
    return f"""## The base settings

stall_T_ms 250, ttl_ms 800, quote_mode mid, quote_offset_ticks 1, max_reverse_ticks 2.

![What the result is made of]({PLOTS}/parts.svg)

{grid("JPY an hour", columns, rows)}

{table(["an hour", *columns], [[name, *cells] for name, cells in counts])}

Why:

- A quote one tick from the mid earns one tick: next to no spread to live on. At more latency it even pays, for it takes
  effect beside a mid that has moved on.
- Its fills meet adverse selection: it is taken when the price to come has passed it, and within a second the mid stands
  {adverse} JPY per BTC against the fill, on average (at {fast} ms).
- max_reverse_ticks is 2 JPY where the spread is {_spread(found)}: most positions are closed at market ({closed} closes
  for {filled} fills of quotes), and a close pays half of the spread. The move after closes is positive
  because a close goes with the move that caused it.
- The part that costs most, at {fast} ms: {PART_NAMES[worst]}.

The parts add up to the result; docs/design/research.md says how it is taken apart."""


def _per_fill(found: Findings, latency_ms: int, offset: int) -> str:
    """Adverse selection of a quote's fill, JPY per BTC; all quotes are of one size."""
    hours = found.at(latency_ms, offset_ticks=offset)
    size = float(Settings(latency_ms=latency_ms).config().strategy.size_min)
    return fixed(share(hours, part("adverse_quotes"), lambda hour: hour.quote_fills) / -size, 0)


def _offset(found: Findings) -> str:
    study = found.study
    fast = study.latencies_ms[0]
    columns = [latency_text(ms) for ms in study.latencies_ms]

    def at(ms: int, offset: int) -> list[Hour]:
        return found.at(ms, offset_ticks=offset)

    rows = [(f"{offset:,}", [over(at(ms, offset)) for ms in study.latencies_ms]) for offset in study.offsets_ticks]
    fills = [
        [
            f"{offset:,}",
            *(
                f"{fixed(fmean(hour.quote_fills for hour in at(ms, offset)), 0)} / {_per_btc(at(ms, offset))}"
                for ms in study.latencies_ms
            ),
        ]
        for offset in study.offsets_ticks
    ]
    lines = [
        f"- {ms} ms, {study.offsets_ticks[-1]:,} JPY against {study.offsets_ticks[0]}: "
        f"{change(gap(at(ms, study.offsets_ticks[0]), at(ms, study.offsets_ticks[-1])))}."
        for ms in study.latencies_ms
    ]
    near, far = (_per_fill(found, fast, offset) for offset in (study.offsets_ticks[0], study.offsets_ticks[-1]))
    return f"""## By quote offset

![Result by quote offset]({PLOTS}/offset.svg)

{grid("offset, JPY", columns, rows)}

Fills of quotes an hour / result in JPY per BTC traded:

{table(["offset, JPY", *columns], fills)}

![What the result is made of, by quote offset]({PLOTS}/offset_parts.svg)

{chr(10).join(lines)}

Of all that was varied this matters most. Farther out, fewer quotes are filled, each fill earns more of the spread, and
fewer closes pay it back. Adverse selection falls with the number of fills, not for each of them: at {fast} ms it is
{near} JPY per BTC of a fill at an offset of {study.offsets_ticks[0]}, and {far} at {study.offsets_ticks[-1]:,}. Half of
the spread is where the best prices are: an offset beyond it waits behind them."""


def _two(found: Findings, field: str, values: Sequence[int]) -> str:
    study = found.study
    columns = [f"offset {offset}, {ms} ms" for offset in found.offsets for ms in study.latencies_ms]

    def chosen(value: int) -> list[list[Hour]]:
        return [
            found.at(ms, **{"offset_ticks": offset, field: value})
            for offset in found.offsets
            for ms in study.latencies_ms
        ]

    results = grid("ms", columns, [(f"{value:,}", [over(hours) for hours in chosen(value)]) for value in values])
    each = table(
        ["ms", *columns],
        [
            [
                f"{value:,}",
                *(
                    f"{fixed(fmean(hour.strikes for hour in hours), 0)} / "
                    f"{fixed(fmean(hour.quote_fills for hour in hours), 0)} / "
                    f"{_per_btc(hours)}"
                    for hours in chosen(value)
                ),
            ]
            for value in values
        ],
    )
    return f"{results}\n\nStrikes an hour / fills of quotes an hour / result in JPY per BTC traded:\n\n{each}"


def _effects(found: Findings, field: str, values: Sequence[int]) -> str:
    """Each value against the base, the mean over all the grid: market by market."""
    base = getattr(Settings(latency_ms=0), field)
    lines = []
    for value in values:
        if value == base or base not in values:
            continue
        first, second = (_averaged(found, field, at) for at in (base, value))
        lines.append(f"- {value:,} against {base:,} ms, mean over the whole grid: {change(gap(first, second))}.")
    return "\n".join(lines)


def _averaged(found: Findings, field: str, value: int) -> list[Hour]:
    """For each market the mean over all settings of the grid with this value."""
    chosen = [found.hours[one] for one in found.study.grid() if getattr(one, field) == value]
    return [
        Hour(
            pnl=fmean(hours[at].pnl for hours in chosen),
            parts={name: fmean(hours[at].parts[name] for hours in chosen) for name in PARTS},
            **{name: fmean(getattr(hours[at], name) for hours in chosen) for name in _COUNTS},
        )
        for at in range(len(found.markets))
    ]


def _stall(found: Findings) -> str:
    ms, values = found.study.latencies_ms[0], found.study.stalls_ms
    held = [f"{100 * fmean(hour.budget_share for hour in found.at(ms, stall_ms=value)):.0f} %" for value in values]
    budgets = ", ".join(f"{text} (stall_T_ms {value:,})" for text, value in zip(held, values, strict=True))
    return f"""## By stall_T_ms

![Result by stall_T_ms]({PLOTS}/stall.svg)

{_two(found, "stall_ms", found.study.stalls_ms)}

{_effects(found, "stall_ms", found.study.stalls_ms)}

A longer wait makes the loss smaller mostly because there is less trading: see the strikes. JPY per BTC traded is the
figure to judge the wait itself by. A shorter wait chooses other moments, hardly more of them, for there are more stalls
than the rate limits allow orders for: at {ms} ms latency their budget alone held quotes back in {budgets}
of the time."""


def _ttl(found: Findings) -> str:
    ms = found.study.latencies_ms[0]
    moved, timed_out = (
        fixed(fmean(getattr(hour, name) for hour in found.at(ms)), 0) for name in ("moved", "timed_out")
    )
    return f"""## By ttl_ms

![Result by ttl_ms]({PLOTS}/ttl.svg)

{_two(found, "ttl_ms", found.study.ttls_ms)}

{_effects(found, "ttl_ms", found.study.ttls_ms)}

At {ms} ms latency and the base settings, {moved} strikes an hour were cancelled because the best moved and {timed_out}
because their time was up: the best seldom stands as long as a quote may live, so that a longer life changes little."""


def _grid(found: Findings) -> str:
    study = found.study
    ranked = sorted(study.grid(), key=lambda one: (-over(found.hours[one]).value, one))
    head = ["stall_T_ms", "ttl_ms", "offset", "latency, ms", "JPY an hour", "JPY per BTC"]

    def row(one: Settings) -> list[str]:
        hours = found.hours[one]
        cells = (f"{value:,}" for value in (one.stall_ms, one.ttl_ms, one.offset_ticks, one.latency_ms))
        return [*cells, spread_out(over(hours)), _per_btc(hours)]

    parts = [
        f"## The whole grid\n\n{_count(found, study.grid(), 'settings')}",
        f"The best and the worst {_TOP} of {len(ranked)}:",
        table(head, [row(one) for one in [*ranked[:_TOP], *ranked[-_TOP:]]]),
    ]
    if len(found.markets) > 3:
        parts.append("The best of many is partly the luckiest. So half of the markets choose, and the others judge:")
        parts.append("\n".join(_judged(found)))
    return "\n\n".join(parts)


def _judged(found: Findings) -> Iterator[str]:
    halves = (slice(0, None, 2), slice(1, None, 2))
    for ms in found.study.latencies_ms:
        settings = [one for one in found.study.grid() if one.latency_ms == ms]
        for name, (train, test) in (("odd", halves), ("even", halves[::-1])):
            made = {one: over(found.hours[one][train]).value for one in settings}
            best = max(settings, key=made.__getitem__)
            kept = over(found.hours[best][test])
            yield (
                f"- {ms} ms, chosen by the {name} seeds: stall_T_ms {best.stall_ms:,}, ttl_ms {best.ttl_ms:,}, offset "
                f"{best.offset_ticks:,}, {fixed(made[best], 0)} JPY an hour there; on the others {verdict(kept)}."
            )


def _beyond(found: Findings) -> str:
    study = found.study
    columns = [latency_text(ms) for ms in study.latencies_ms]
    reverses = [
        (
            f"offset {offset:,}, max_reverse_ticks {reverse:,}",
            [over(found.at(ms, offset_ticks=offset, reverse_ticks=reverse)) for ms in study.latencies_ms],
        )
        for offset in study.offsets_ticks
        for reverse in study.reverses_ticks
    ]
    modes = [
        (
            f"quote_mode {mode}",
            [over(found.at(ms, quote_mode=mode)) for ms in study.latencies_ms],
        )
        for mode in ("inside", "join")
    ]
    return f"""## Beyond the grid

When a position is closed (max_reverse_ticks), and where else quotes can be (the best improved by a tick, the best
itself); all else as in base.yml:

{grid("JPY an hour", columns, [*reverses, *modes])}

{_count(found, [*study.reverses(), *study.modes()], "settings of this table")}

A later close pays the spread less often and carries more risk: the intervals grow. Quotes at the best earn most of the
spread and wait behind others; on paper a quote a tick inside the best is flattered, for nobody outbids it."""


def _silent() -> str:
    return """## What generated market does not tell

- It was calibrated on three recorded pieces of one morning of 2025 and on tapes of 179 s of 2021 (docs/facts.md). It
  has their arrivals, impact, spreads and quiet stretches on average. It has no other days, no news and no crashes.
- Nobody reacts to our orders. In the real market a quote inside the spread is outbid, and others withdraw.
- Paper fills stand on a queue rule; a latency that never varies knows no load of the venue, no refused orders, no lost
  answers and no spikes.
- Market data come without delay here. Really the book is some milliseconds to tens of milliseconds old when it is seen.
- An hour has no funding, no maintenance, no roll-over and no news, and day and night are alike.
- Results are of one order of 0.001 BTC a side. They do not scale: more size waits longer and moves the price.

Before money is at stake, run the same settings over tapes of the real market (`record`, then `backtest`)."""
