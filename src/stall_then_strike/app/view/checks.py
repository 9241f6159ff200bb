"""Findings of a check, the exit code that follows from them, and their display on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stall_then_strike.app.shell import cli


class Verdict(StrEnum):
    """Severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One finding. ``exit_code`` is the command's exit code because of it, zero unless it is a fault."""

    name: str
    verdict: Verdict
    text: str
    advice: str = ""
    exit_code: int = cli.EXIT_DONE
    is_halt: bool = False
    """Whether a run would only close its position, until the operator lifts the halt."""


def ok(name: str, text: str) -> CheckResult:
    """A finding without a problem."""
    return CheckResult(name=name, verdict=Verdict.OK, text=text)


def warning(name: str, text: str, advice: str) -> CheckResult:
    """A finding that does not prevent trading, but that the operator should know."""
    return CheckResult(name=name, verdict=Verdict.WARNING, text=text, advice=advice)


def fault(name: str, text: str, advice: str, *, exit_code: int = cli.EXIT_FAILED) -> CheckResult:
    """A finding that prevents trading. Exit code 2 is for settings and keys, 1 for what may pass by itself."""
    return CheckResult(name=name, verdict=Verdict.FAULT, text=text, advice=advice, exit_code=exit_code)


def exit_code(results: Iterable[CheckResult]) -> int:
    """The exit code of all findings: settings and keys (2) come before what may pass by itself (1)."""
    return max((result.exit_code for result in results), default=cli.EXIT_DONE)


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
