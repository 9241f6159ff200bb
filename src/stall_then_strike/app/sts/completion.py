"""``sts completion SHELL``: a script that lets a shell complete verbs and their flags."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, command
from stall_then_strike.app.shell.command_parser import PROGRAM, command_parser
from stall_then_strike.app.sts.program import VERBS

SHELLS: Final = ("bash", "zsh", "tcsh")


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    flags = command_parser(
        "completion",
        "Print a script that lets a shell complete verbs and flags. Needs the extra completion.",
        ("bash >> ~/.bashrc", "for bash, from the next shell on"),
        codes={0: "done", 2: "bad arguments, or no extra completion"},
    )
    flags.add_argument("shell", choices=SHELLS)
    return flags


@command("completion", patient=True)
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    sys.stdout.write(script(parser().parse_args(argv).shell))
    return EXIT_DONE


def script(shell: str) -> str:
    """The script for a shell. Raises ConfigError without the extra completion."""
    with cli.extra_needed("completion"):
        import shtab
    return shtab.complete(whole_parser(), shell)


def whole_parser() -> argparse.ArgumentParser:
    """All verbs with their flags."""
    whole = argparse.ArgumentParser(prog=PROGRAM)
    verbs = whole.add_subparsers()
    for name, verb in VERBS.items():
        verbs.add_parser(
            name, help=verb.text, parents=[verb.load().parser()], add_help=False, conflict_handler="resolve"
        )
    return whole


if __name__ == "__main__":
    sys.exit(main())
