"""The table of the words that decisions have as reasons."""

from __future__ import annotations

from typing import Final

from stall_then_strike.app.view.reason_words import SENTENCES
from stall_then_strike.types.dto import Reason
from studies.site.drawn import cell

GROUPS: Final = (
    ("Why something was placed", range(10)),
    ("Why nothing was placed", range(10, 30)),
    ("Why quotes were taken back, or the position closed", range(30, 40)),
    ("Why trading is halted", range(40, 50)),
    ("Why a halt ended", range(50, 60)),
    ("Why an order of another run was cancelled", range(60, 70)),
)
"""Headings, and the numbers of the reasons below them (`Reason`)."""


def reasons() -> str:
    """All reasons, by group. Raises ValueError for one that no group has."""
    lost = [reason.label for reason in Reason if not any(reason in numbers for _, numbers in GROUPS)]
    if lost:
        raise ValueError(f"{', '.join(lost)} belongs to no group of reasons")
    parts = []
    for title, numbers in GROUPS:
        rows = [f"| `{reason.label}` | {cell(SENTENCES[reason])} |" for reason in Reason if reason in numbers]
        parts.append("\n".join([f"## {title}", "", "| reason | what it says |", "|---|---|", *rows]))
    return "\n\n".join(parts)
