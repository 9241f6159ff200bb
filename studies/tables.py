"""Estimates as words and as tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stall_then_strike.research.figures.estimates import Estimate

MINUS: Final = "−"
_UNKNOWN: Final = "not to be told from zero"


def fixed(value: float, places: int = 1) -> str:
    """A number with thousands and a sign for losses."""
    text = f"{value:,.{places}f}"
    if float(text.replace(",", "")) == 0:
        text = text.replace("-", "")
    return text.replace("-", MINUS)


def spread_out(found: Estimate, places: int = 1) -> str:
    """``−120.8 ± 9.7``."""
    if found.high is None:
        return fixed(found.value, places)
    return f"{fixed(found.value, places)} ± {fixed(found.high - found.value, places)}"


def interval(found: Estimate, places: int = 0) -> str:
    """``−130 to −111``."""
    if found.low is None or found.high is None:
        return "no interval"
    return f"{fixed(found.low, places)} to {fixed(found.high, places)}"


def verdict(found: Estimate) -> str:
    """A result in words: a loss, a gain, or nobody can tell."""
    return f"{_told(found)}, {('a gain', 'a loss')[found.verdict < 0] if found.verdict else _UNKNOWN}"


def change(found: Estimate) -> str:
    """A difference in words."""
    return f"{_told(found)}, {('better', 'worse')[found.verdict < 0] if found.verdict else _UNKNOWN}"


def _told(found: Estimate) -> str:
    return f"{fixed(found.value, 0)} JPY an hour (95 %: {interval(found)})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; the first column names."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def grid(corner: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[Estimate]]]) -> str:
    """A table of estimates."""
    return table([corner, *columns], [[name, *(spread_out(found) for found in figures)] for name, figures in rows])
