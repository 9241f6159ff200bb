"""Positions of swept values on axes, and the ranking of keys by their effect."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from statistics import median
from typing import Any, Final

from stall_then_strike.research.report.sweep_data import SetFigures, SweepFigures, Value

BINS: Final = 8
_DISTINCT: Final = 12
"""Most values of a key that are shown singly; more are put into bins."""


def value_text(value: Value) -> str:
    """A value as text."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return "—" if value is None else str(value)


def key_text(key: str, keys: Sequence[str]) -> str:
    """The last part of a key, or the whole key if that part is ambiguous."""
    last = key.rpartition(".")[2]
    return last if sum(other.rpartition(".")[2] == last for other in keys) == 1 else key


def _rough(value: float) -> str:
    """A number with three digits, or as an integer."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


class Scale:
    """Positions of the values of one key: singly, or in bins of about equal counts if there are many."""

    def __init__(self, values: Sequence[Value]) -> None:
        """``values`` are those of all sets."""
        known = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        self.is_number = len(known) == len(values)
        distinct: list[Any] = sorted(set(values), key=None if self.is_number else value_text)
        self._edges: list[float] = []
        if self.is_number and len(distinct) > _DISTINCT:
            ranked = sorted(known)
            self._edges = sorted({ranked[at * len(ranked) // BINS] for at in range(1, BINS)} - {ranked[0]})
            ends = [ranked[0], *self._edges, ranked[-1]]
            self.names = [f"{_rough(low)}–{_rough(high)}" for low, high in pairwise(ends)]
        else:
            self.names = [value_text(value) for value in distinct]
        self._places = {value: place for place, value in enumerate(distinct)}
        self.low, self.high = (min(known), max(known)) if known else (0, 0)

    @property
    def is_binned(self) -> bool:
        """Whether a position stands for a range of values."""
        return bool(self._edges)

    def place(self, value: Value) -> int:
        """Position of a value."""
        if self._edges and isinstance(value, int | float):
            return sum(value >= edge for edge in self._edges)
        return self._places[value]

    def height(self, value: Value) -> float:
        """Position of a value on an axis from 0 to 1."""
        if self.is_binned and isinstance(value, int | float):
            return (value - self.low) / (self.high - self.low)
        return (self._places[value] + 0.5) / len(self._places)

    def marks(self) -> list[tuple[float, str]]:
        """Positions and texts of the axis's marks."""
        if self.is_binned:
            return [(0.0, _rough(self.low)), (1.0, _rough(self.high))]
        return [((place + 0.5) / len(self.names), name) for place, name in enumerate(self.names)]


def scales(figures: SweepFigures) -> list[Scale]:
    """One scale per key."""
    return [Scale([one.values[at] for one in figures.sets]) for at in range(len(figures.keys))]


def by_weight(figures: SweepFigures) -> list[int]:
    """Indices of keys, those with the largest effect on the objective's median first."""
    moves = []
    for at, scale in enumerate(scales(figures)):
        found = medians([(scale.place(one.values[at]), one.made[figures.objective]) for one in figures.known])
        moves.append(max(found.values()) - min(found.values()) if found else 0.0)
    return sorted(range(len(moves)), key=lambda at: (-moves[at], at))


def medians(points: Sequence[tuple[Any, float]]) -> dict[Any, float]:
    """The median of the figures at each position."""
    cells: dict[Any, list[float]] = {}
    for place, figure in points:
        cells.setdefault(place, []).append(figure)
    return {place: median(found) for place, found in cells.items()}


def pairs(figures: SweepFigures) -> list[tuple[int, int]]:
    """All pairs of keys with more than one value, those with the largest effect first."""
    varied = {at for at, scale in enumerate(scales(figures)) if len(scale.names) > 1}
    ranked = [at for at in by_weight(figures) if at in varied]
    return sorted(combinations(ranked, 2), key=lambda pair: ranked.index(pair[0]) + ranked.index(pair[1]))


def front(sets: Sequence[SetFigures]) -> list[SetFigures]:
    """Sets with a known result on the Pareto front of profit and drawdown, highest profit first."""
    whole = [one for one in sets if one.is_known and {"pnl", "max_drawdown"} <= one.made.keys()]
    found: list[SetFigures] = []
    for one in sorted(whole, key=lambda one: (-one.made["pnl"], one.made["max_drawdown"], one.number)):
        if not found or one.made["max_drawdown"] < found[-1].made["max_drawdown"]:
            found.append(one)
    return found
