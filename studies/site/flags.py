"""All commands with their flags, from their parsers."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import Final

from stall_then_strike.app.sts.program import CHAPTERS
from studies.site.drawn import cell

_COMMON: Final = ("--help", "--config", "--base", "--set", "--check")
"""Flags that are told once."""


def commands() -> str:
    """All verbs, by chapter: what each does, its arguments and flags."""
    parts = []
    for chapter in CHAPTERS:
        parts.append(f"## {chapter.title.capitalize()}")
        for name, verb in chapter.verbs.items():
            parser: argparse.ArgumentParser = verb.load().parser()
            parts += [f"### sts {name}", _described(parser, verb.text), *_tables(parser)]
    return "\n\n".join(part for part in parts if part)


def common() -> str:
    """The flags of all that trade."""
    parser: argparse.ArgumentParser = (
        next(verb for chapter in CHAPTERS for name, verb in chapter.verbs.items() if name == "run_paper")
        .load()
        .parser()
    )
    return _table(action for action in _actions(parser) if _name(action) in _COMMON[1:])


def _described(parser: argparse.ArgumentParser, text: str) -> str:
    return (parser.description or f"{text[0].upper()}{text[1:]}.").replace("\n", " ")


def _tables(parser: argparse.ArgumentParser) -> Iterator[str]:
    """One table, and one more for each command below it."""
    own = [action for action in _actions(parser) if _name(action) not in _COMMON]
    below = [action for action in own if isinstance(action.choices, dict)]
    yield _table(action for action in own if action not in below)
    for action in below:
        assert isinstance(action.choices, dict)  # noqa: S101 - chosen by that
        for name, inner in action.choices.items():
            yield f"`{parser.prog.removeprefix('sts ')} {name}`: {_described(inner, name)}"
            yield _table(one for one in _actions(inner) if _name(one) not in _COMMON)


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return parser._actions  # noqa: SLF001 - argparse tells them in no other way


def _name(action: argparse.Action) -> str:
    return action.option_strings[-1] if action.option_strings else action.dest


def _table(actions: Iterator[argparse.Action]) -> str:
    rows = [
        f"| {_form(action)} | {cell(_meaning(action))} |" for action in actions if action.help is not argparse.SUPPRESS
    ]
    return "\n".join(["| argument | meaning |", "|---|---|", *rows]) if rows else ""


def _form(action: argparse.Action) -> str:
    """How it is given: ``--seed N``."""
    value = action.metavar if action.metavar is not None else None
    if value is None and action.nargs != 0:
        value = f"{{{','.join(map(str, action.choices))}}}" if action.choices else action.dest.upper()
    if isinstance(value, tuple):
        value = " ".join(value)
    if not action.option_strings:
        return f"`{value}`"
    names = ", ".join(action.option_strings)
    return f"`{cell(names if action.nargs == 0 else f'{names} {value}')}`"


def _meaning(action: argparse.Action) -> str:
    said = (action.help or "") % {**vars(action), "prog": "sts"}
    return re.sub(r"(?<![\w`/-])(--[\w-]+)", r"`\1`", said)
