"""Arguments of commands, with examples and exit codes at the end of each help text."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

PROGRAM: Final = "sts"
"""The program whose verbs the commands are."""
_KEPT: Final = {"run_live", "run_paper"}
"""Commands that keep a program of their own name."""
CODES: Final[Mapping[int, str]] = MappingProxyType(
    {0: "done", 1: "failed while running", 2: "bad configuration or arguments; nothing was sent"}
)
"""Exit codes of a command that names no others."""

Example = tuple[str, str]
"""Arguments, and what they do."""


def command_parser(
    name: str,
    description: str,
    *examples: Example,
    codes: Mapping[int, str] = CODES,
    usage: str | None = None,
    more: str = "",
) -> argparse.ArgumentParser:
    """A parser of the command ``name``.

    ``more`` stands before the examples. ``usage`` replaces the one that argparse makes; ``%(prog)s`` is the name.
    """
    called = Path(sys.argv[0]).name
    prog = f"{PROGRAM} {name}" if called == PROGRAM else name
    parts = [more] if more else []
    parts.append("examples:\n" + "\n".join(f"  {f'{prog} {given}'.rstrip()}\n      {text}" for given, text in examples))
    parts.append("exit codes:\n" + "\n".join(f"  {code:<4}{text}" for code, text in codes.items()))
    return argparse.ArgumentParser(
        prog=prog, usage=usage, description=description, epilog="\n\n".join(parts), formatter_class=_LineByLine
    )


class _LineByLine(argparse.HelpFormatter):
    """Keeps the lines of texts, and folds those that are too long under their beginning."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(self._folded(line, width, indent) for line in text.splitlines())

    @staticmethod
    def _folded(line: str, width: int, indent: str) -> str:
        margin = indent + " " * (len(line) - len(line.lstrip()))
        return textwrap.fill(line.strip(), width, initial_indent=margin, subsequent_indent=margin + "  " * bool(margin))


def hint(name: str) -> str:
    """What to tell who started the command by a name of its own; empty for a verb, and for names that stay."""
    if Path(sys.argv[0]).name != name or name in _KEPT:
        return ""
    return f"{name}: `{PROGRAM} {name}` does the same; the short name goes with the next release\n"
