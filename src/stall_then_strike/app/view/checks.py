"""Findings of a check on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stall_then_strike.venues.findings import CheckResult, Verdict

_STYLE: Final = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAULT: "bold red"}


def as_json(results: Sequence[CheckResult]) -> str:
    """The findings as one JSON object: ``ready``, ``halted``, and each finding as it is."""
    is_ready = not is_halted(results) and all(result.verdict is not Verdict.FAULT for result in results)
    told = {"ready": is_ready, "halted": is_halted(results), "findings": [asdict(result) for result in results]}
    return f"{orjson.dumps(told, option=orjson.OPT_INDENT_2).decode()}\n"


def is_halted(results: Sequence[CheckResult]) -> bool:
    """Whether a run would only close its position."""
    return any(result.is_halt for result in results)


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
    if not faults and is_halted(results):
        console.print(Text(f"\nnot ready: halted, with {counts}", style=_STYLE[Verdict.FAULT]))
    elif faults:
        console.print(Text(f"\nnot ready: {counts}", style=_STYLE[Verdict.FAULT]))
    else:
        console.print(Text(f"\nready{f', with {counts}' if counts else ''}", style=_STYLE[Verdict.OK]))


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
