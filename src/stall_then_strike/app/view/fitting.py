"""Figures that are fitted into the lines of a terminal: all long, all short, or those that fit and an ellipsis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from operator import attrgetter
from typing import Final

from rich.text import Text

from stall_then_strike.app.view.amounts import UNKNOWN

LABEL_STYLE: Final = "bright_black"
_NARROW: Final = 60
"""Below this width, labels are short."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a figure, in a long and a short form."""

    long: Text
    short: Text


@dataclass(frozen=True, slots=True)
class Figure:
    """A row with its parts, the most important first. Rows with the highest ``rank`` are left out first."""

    label: str
    short_label: str
    rank: int
    parts: tuple[Part, ...]


def part(*long: str | tuple[str, str], short: str | tuple[str, str] | None = None) -> Part:
    """A part from pieces of text with their styles; ``short`` is its short form, if it differs."""
    whole = Text.assemble(*long)
    return Part(whole, whole if short is None else Text.assemble(short))


def label_width(figures: Sequence[Figure], width: int) -> int:
    """The column of the labels in lines of ``width``."""
    return 1 + max((len(one.short_label if width < _NARROW else one.label) for one in figures), default=0)


def aligned(figures: Sequence[Figure]) -> list[Figure]:
    """The same figures, with their parts below each other."""
    columns = list(zip_longest(*(figure.parts for figure in figures)))
    widths = [
        (max(each.long.cell_len for each in column if each), max(each.short.cell_len for each in column if each))
        for column in columns
    ]
    return [
        replace(
            figure,
            parts=tuple(
                Part(_padded(each.long, long), _padded(each.short, short))
                for each, (long, short) in zip(figure.parts, widths, strict=False)
            ),
        )
        for figure in figures
    ]


def _padded(text: Text, width: int) -> Text:
    return Text.assemble(text, " " * (width - text.cell_len))


def laid(figures: Sequence[Figure], width: int, column: int, room: int) -> list[Text]:
    """The figures on at most ``room`` lines: two for each where they are narrow, the most important if room is short.

    ``column`` is the width of the labels.
    """
    is_whole = len(figures) <= room
    ranks = sorted(figure.rank for figure in figures)
    kept = ranks if is_whole else ranks[: max(0, room - 1)]
    doubled = ranks[: room - len(figures)] if is_whole and width < _NARROW else []
    body = [
        line
        for figure in figures
        if figure.rank in kept
        for line in _row(figure, width, column, lines=2 if figure.rank in doubled else 1)
    ]
    if not is_whole:
        body.append(Text(f"… {len(figures) - len(kept)} more rows", style=LABEL_STYLE))
    return body


def _row(figure: Figure, width: int, column: int, *, lines: int) -> list[Text]:
    """A figure on ``lines`` lines; an ellipsis marks what does not fit."""
    label = figure.short_label if width < _NARROW else figure.label
    values = fitted(figure.parts, width - column, lines)
    return [
        Text.assemble((f"{label if number == 0 else '':<{column}}", LABEL_STYLE), value)
        for number, value in enumerate(values)
    ]


def fitted(parts: Sequence[Part], width: int, lines: int) -> list[Text]:
    """Parts on ``lines`` lines: all long if they fit, else all short, else those that fit and an ellipsis."""
    for shape in (attrgetter("long"), attrgetter("short")):
        filled = _filled([shape(each) for each in parts], width)
        if len(filled) <= lines and all(line.cell_len <= width for line in filled):
            return filled + [Text() for _ in range(lines - len(filled))]
    filled = _filled([each.short for each in parts], width)
    last = _filled([each.short for each in parts], width - 2)[:lines] if len(filled) > lines else filled
    return [cut(line.append(" …") if line is last[-1] and len(filled) > lines else line, width) for line in last]


def _filled(texts: Sequence[Text], width: int) -> list[Text]:
    """Texts in lines of at most this width; a single text may be wider."""
    lines: list[Text] = []
    for text in texts:
        if lines and lines[-1].cell_len + 2 + text.cell_len <= width:
            lines[-1] = Text.assemble(lines[-1], "  ", text)
        else:
            lines.append(text.copy())
    return lines or [Text(UNKNOWN)]


def cut(text: Text, width: int) -> Text:
    """A line of at most this width; an ellipsis marks a cut."""
    text.truncate(max(1, width), overflow="ellipsis")
    return text
