"""A run in words, below the table at its end: what it did, what kept it from quoting, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from stall_then_strike.app.view.reason_words import SENTENCES
from stall_then_strike.app.view.snapshot import InstrumentSnapshot, Snapshot
from stall_then_strike.types.dto import Reason

HINDRANCES: Final = 3
"""How many reasons are explained."""
_LEAST: Final = 0.01
"""A share of the time below this is not worth a line."""
_QUOTING: Final = Reason.QUOTING.label
_NOT_TOLD: Final = {_QUOTING, Reason.STOPPING.label}
"""Reasons that do not keep a strategy from quoting."""
_WORDS: Final = {reason.label: text for reason, text in SENTENCES.items()}
_BUDGET: Final = Reason.BUDGET.label

Step = tuple[str, str]
"""A command, and what it is for."""


def after_run(last: Snapshot, steps: Sequence[Step]) -> RenderableType:
    """What happened in the run of ``last``, its final snapshot, and the ``steps`` that a newcomer can take next."""
    parts: list[RenderableType] = []
    for one in last.instruments:
        parts += _told(one, last)
    parts += [Text("What to do next:"), _columns(steps, "bold")]
    return Group(*parts)


def _told(one: InstrumentSnapshot, last: Snapshot) -> list[RenderableType]:
    counts, total = one.counts, sum(reason.seconds or 0.0 for reason in one.run.reasons)
    held = {reason.reason: (reason.seconds or 0.0) / total for reason in one.run.reasons} if total else {}
    name = "" if last.alone is not None else f"{one.product}: "
    quoted = f", {held[_QUOTING]:.0%} of the time" if _QUOTING in held else ""
    filled = f"{counts.filled + counts.partly_filled:,} of them filled" if counts.placed else "none filled"
    did = f"{name}{counts.placed:,} orders in {counts.strikes:,} {one.word}s{quoted}; {filled}."
    parts: list[RenderableType] = [Text(did)]
    hindrances = sorted(((share, word) for word, share in held.items() if word not in _NOT_TOLD), reverse=True)
    told = [(share, word) for share, word in hindrances[:HINDRANCES] if share >= _LEAST]
    if told:
        rows = [(f"{word} {share:.0%}", _meaning(word, last)) for share, word in told]
        parts += [Text("What kept it from quoting:"), _columns(rows, "")]
    return parts


def _meaning(word: str, last: Snapshot) -> str:
    text = _WORDS.get(word, "")
    uses = [f"{use.name} {use.used:,}/{use.limit:,}" for use in last.budget if use.used] if word == _BUDGET else []
    return f"{text} Used at the end: {', '.join(uses)}." if uses else text


def _columns(rows: Sequence[tuple[str, str]], style: str) -> Padding:
    table = Table.grid(padding=(0, 2))
    table.add_column(style=style, no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return Padding(table, (0, 0, 0, 2))
