"""All figures of the study by their settings, and what is estimated from them. A market is one observation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from stall_then_strike.research.figures.estimates import Estimate, mean_of
from studies.choices import Settings, Study
from studies.replays import Hour, MarketFigures, by_settings

PART_NAMES: Final = {
    "spread_quotes": "spread earned by quotes",
    "adverse_quotes": "adverse selection, 1 s",
    "spread_closes": "spread paid by closes",
    "adverse_closes": "move after closes, 1 s",
    "inventory": "later moves (inventory)",
}
"""The parts of ``research.figures.profit`` that are shown. The hour has no fees and no funding."""

Figure = Callable[[Hour], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All figures of the study."""

    study: Study
    markets: Sequence[MarketFigures]
    hours: Mapping[Settings, list[Hour]]

    def at(self, latency_ms: int, **changed: Any) -> list[Hour]:
        """The hours of the base settings at a latency, with something changed."""
        return self.hours[replace(Settings(latency_ms=latency_ms), **changed)]

    @property
    def offsets(self) -> tuple[int, ...]:
        """The narrowest quote offset and a middle one: between them most changes."""
        every = self.study.offsets_ticks
        return tuple(dict.fromkeys((every[0], every[len(every) // 2])))


def findings(study: Study, markets: Sequence[MarketFigures]) -> Findings:
    """Figures by their settings."""
    return Findings(study=study, markets=markets, hours=by_settings(study, markets))


def result(hour: Hour) -> float:
    """JPY an hour."""
    return hour.pnl


def part(*names: str) -> Figure:
    """The sum of some parts, JPY an hour."""
    return lambda hour: sum(hour.parts[name] for name in names)


def over(hours: Sequence[Hour], figure: Figure = result) -> Estimate:
    """The mean over markets."""
    return _mean([figure(hour) for hour in hours])


def gap(first: Sequence[Hour], second: Sequence[Hour], figure: Figure = result) -> Estimate:
    """Second less first, market by market: the markets' own moods cancel out."""
    return _mean([figure(b) - figure(a) for a, b in zip(first, second, strict=True)])


def share(hours: Sequence[Hour], above: Figure, below: Figure) -> float:
    """The sum of one figure over that of another; zero where there is nothing to divide by."""
    whole = sum(below(hour) for hour in hours)
    return sum(above(hour) for hour in hours) / whole if whole else 0.0


def _mean(values: Sequence[float]) -> Estimate:
    found = mean_of(values, range(len(values)))
    if found is None:
        raise ValueError("no markets")
    return found
