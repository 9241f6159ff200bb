"""Findings of a check on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stall_then_strike.venues.findings import CheckResult, Verdict

_STYLE: Final = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAULT: "bold red"}


def show(results: Sequence[CheckResult], console: Console) -> None:
    """Print one line per finding with the advice below it, and a summary."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, min_width=len(Verdict.WARNING))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for result in results:
        table.add_row(Text(result.verdict.value, style=_STYLE[result.verdict]), result.name, Text(result.text))
        if result.advice:
            advice = Table.grid(padding=(0, 1))
            advice.add_column()
            advice.add_column(overflow="fold")
            advice.add_row("->", Text(result.advice))
            table.add_row("", "", advice)
    console.print(table)
    faults = sum(result.verdict is Verdict.FAULT for result in results)
    warnings = sum(result.verdict is Verdict.WARNING for result in results)
    counts = ", ".join(_count(number, word) for number, word in ((faults, "fault"), (warnings, "warning")) if number)
    if not faults and any(result.is_halt for result in results):
        console.print(Text(f"\nnot ready: halted, with {counts}", style=_STYLE[Verdict.FAULT]))
    elif faults:
        console.print(Text(f"\nnot ready: {counts}", style=_STYLE[Verdict.FAULT]))
    else:
        console.print(Text(f"\nready{f', with {counts}' if counts else ''}", style=_STYLE[Verdict.OK]))


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
