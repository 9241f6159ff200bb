"""``sts init DIR``: a folder to trade from. What is there is kept."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, command
from stall_then_strike.app.shell.command_parser import PROGRAM, command_parser

_FOLDERS: Final = ("logs", "data/raw", "data/journal")
_SECRET: Final = 0o600
_OPEN: Final = 0o644


class _Copy(NamedTuple):
    source: Path
    target: Path
    mode: int


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    flags = command_parser(
        "init",
        "Make a folder to trade from: settings in configs/, .env for keys, folders for logs and tapes. Files that are "
        "there are kept.",
        ("trading", "a folder below this one"),
        (".", "this folder"),
        codes={0: "done", 1: "a file cannot be written", 2: "bad arguments"},
    )
    flags.add_argument("folder", metavar="DIR", type=Path, help="made if missing")
    return flags


@command("init", patient=True)
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    folder: Path = parser().parse_args(argv).folder
    try:
        for name in _FOLDERS:
            (folder / name).mkdir(parents=True, exist_ok=True)
        for copy in _copies(folder):
            sys.stdout.write(f"{'made' if _is_made(copy) else 'kept'}  {copy.target}\n")
    except OSError as error:
        sys.stderr.write(f"init: {error.filename or folder} cannot be written: {error.strerror}\n")
        return EXIT_FAILED
    there = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    sys.stdout.write(
        f"\nNext:\n  {there}{PROGRAM} run_paper --sim --duration 60   a minute on paper, without keys and network\n"
        f"  {there}{PROGRAM} doctor                          what real orders still need (keys go into .env)\n"
    )
    return EXIT_DONE


def _copies(folder: Path) -> Iterator[_Copy]:
    for source in sorted(cli.DEFAULTS.glob("*.yml")):
        yield _Copy(source, folder / cli.CONFIGS / source.name, _OPEN)
    yield _Copy(cli.DEFAULTS / "env.example", folder / ".env", _SECRET)
    yield _Copy(cli.DEFAULTS / "accounts.example.toml", folder / "accounts.example.toml", _SECRET)


def _is_made(copy: _Copy) -> bool:
    copy.target.parent.mkdir(parents=True, exist_ok=True)
    try:
        number = os.open(copy.target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, copy.mode)
    except FileExistsError:
        return False
    with open(number, "wb") as file:
        file.write(copy.source.read_bytes())
    return True


if __name__ == "__main__":
    sys.exit(main())
