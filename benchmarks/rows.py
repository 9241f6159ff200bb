"""A speed figure, what it was, and the tables of them: on the terminal and in the documents."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What is measured, in which unit, beside what, and what it should be."""

    key: str
    name: str
    unit: str
    beside: str = ""
    """Whose figure stands beside it."""
    goal: float | None = None
    p99_goal: float | None = None
    ratio_goal: float | None = None
    """Least times as good as what it stands beside."""
    is_rate: bool = False
    """Whether more is better."""
    japanese: str = ""
    """The name in README.ja.md; figures with one are in both READMEs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was measured, in the figure's unit."""

    value: float
    p99: float | None = None
    other: float | None = None
    other_p99: float | None = None
    why_alone: str = ""
    """Why nothing stands beside it, if something should."""


@dataclass(frozen=True, slots=True)
class Row:
    """A figure and its reading, or in words why there is none."""

    figure: Figure
    reading: Reading | str

    @property
    def ratio(self) -> float | None:
        """How many times as good as what stands beside it."""
        read = self.reading
        if isinstance(read, str) or not read.other:
            return None
        return read.value / read.other if self.figure.is_rate else read.other / read.value

    @property
    def is_met(self) -> bool | None:
        """Whether the goals are met; None without a goal or a reading."""
        figure, read, goals = self.figure, self.reading, []
        if isinstance(read, str):
            return None
        if figure.goal is not None:
            goals.append(read.value >= figure.goal if figure.is_rate else read.value <= figure.goal)
        if figure.p99_goal is not None and read.p99 is not None:
            goals.append(read.p99 <= figure.p99_goal)
        if figure.ratio_goal is not None and self.ratio is not None:
            goals.append(self.ratio >= figure.ratio_goal)
        return all(goals) if goals else None

    def cells(self) -> tuple[str, str, str, str, str]:
        """Figure, what stands beside it, ratio, goal, and whether that is met."""
        figure, read, ratio = self.figure, self.reading, self.ratio
        if isinstance(read, str):
            return "not measured", read, "", goal_of(figure), ""
        other = read.why_alone if read.other is None else f"{figure.beside} {_both(read.other, read.other_p99)}"
        times = "" if ratio is None else amount(ratio)
        met = "" if self.is_met is None else "met" if self.is_met else "not met"
        return f"{_both(read.value, read.p99)} {figure.unit}".rstrip(), other, times, goal_of(figure), met


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Figures that are measured together."""

    key: str
    title: str
    figures: Sequence[Figure]
    measure: Callable[[bool], Mapping[str, Reading | str]]
    """Takes whether to be quick; gives the reading of each figure, by its key, or why there is none."""

    def rows(self, *, quick: bool) -> list[Row]:
        """Measure. What an extra or another program is needed for is told apart, and so is what failed."""
        try:
            readings = self.measure(quick)
        except Exception as error:  # noqa: BLE001 - one section must not take the figures of all others with it
            return [Row(figure, f"{type(error).__name__}: {error}".replace("\n", " ")) for figure in self.figures]
        return [Row(figure, readings[figure.key]) for figure in self.figures]


def amount(value: float) -> str:
    """Three digits that count: ``0.351``, ``13.1``, ``62,300``."""
    if not value:
        return "0"
    decimals = 2 - floor(log10(abs(value)))
    return f"{round(value, decimals):,.{min(max(decimals, 0), 3)}f}"


def _both(value: float, p99: float | None) -> str:
    return amount(value) if p99 is None else f"{amount(value)} ({amount(p99)})"


def goal_of(figure: Figure) -> str:
    """The goals in words, in the figure's unit."""
    sign = "≥" if figure.is_rate else "≤"
    parts = []
    if figure.goal is not None:
        p99 = "" if figure.p99_goal is None else f" ({figure.p99_goal:,g})"
        parts.append(f"{sign} {figure.goal:,g}{p99}")
    if figure.ratio_goal is not None:
        parts.append("never slower" if figure.ratio_goal == 1 else f"{figure.ratio_goal:g} times")
    return ", ".join(parts)


def listed(rows: Sequence[Row]) -> str:
    """The table for a terminal."""
    lines = [("", "median (p99)", "beside", "times", "goal", "")]
    for row in rows:
        figure, other, times, goal, met = row.cells()
        is_told_last = isinstance(row.reading, str) or row.reading.other is None  # a reason may be long
        last = other if is_told_last else ""
        lines.append(
            (row.figure.name, figure, "" if last else other, times, goal, "; ".join(filter(None, (met, last))))
        )
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in {1, 3} else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, [*widths, 0], strict=True))
        ).rstrip()
        for line in lines
    )


# --- documents

HEADS: Final = ("what", "median (p99)", "beside", "times", "goal", "")
JAPANESE_HEADS: Final = ("項目", "中央値 (p99)", "比較対象", "倍")

_JAPANESE: Final = {
    "not measured": "未計測",
    "% of a core": "% (1 コア)",
    "M changes/s": "百万変更/秒",
    "/s": "/秒",
    " s": " 秒",
    "plain loop": "素朴なループ",
}
"""Words of the tables in README.ja.md; a longer one comes before one that is in it."""


def table(rows: Sequence[Row]) -> str:
    """The table for a document, with the goals."""
    return _lines(HEADS, [(row.figure.name, *row.cells()) for row in rows])


def short_table(rows: Sequence[Row], *, japanese: bool = False) -> str:
    """The table for readers who want to know how fast it is, not how fast it was to become."""
    if japanese:
        return _lines(JAPANESE_HEADS, [(row.figure.japanese, *map(_in_japanese, row.cells()[:3])) for row in rows])
    return _lines(HEADS[:4], [(row.figure.name, *row.cells()[:3]) for row in rows])


def _lines(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |".replace("  ", " ") for line in (heads, ("---",) * len(heads), *lines))


def _in_japanese(cell: str) -> str:
    for word, translated in _JAPANESE.items():
        cell = re.sub(rf"{word}(?!\w)", translated, cell)
    return cell


def marked(name: str) -> re.Pattern[str]:
    """The block of this name in a document; its content is the second group."""
    return re.compile(rf"(<!-- bench {name} -->\n\n)(.*?)(\n\n<!-- end -->)", re.DOTALL)


def write(path: Path, blocks: Mapping[str, str]) -> None:
    """Put each text into its block of a document. Raises ValueError if a block is not there."""
    text = path.read_text(encoding="utf-8")
    for name, content in blocks.items():
        text, count = marked(name).subn(lambda found, content=content: f"{found[1]}{content}{found[3]}", text)
        if count != 1:
            raise ValueError(f"{path}: {count} blocks for {name}")
    path.write_text(text, encoding="utf-8")
