"""``ctl``: commands to a run that trades, live or on paper, over the socket in its log folder."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from stall_then_strike.app.control.socket_client import NoRun, Told, ask
from stall_then_strike.app.control.verbs import MEANING, Verb, one_line
from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, command
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.app.view.plain_snapshot import OtherVersion, snapshot_in
from stall_then_strike.app.view.snapshot import as_plain
from stall_then_strike.infra.logs.run_list import Run, RunList
from stall_then_strike.types.errors import ConfigError

_STATUS: Final = "status"


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    flags = command_parser(
        "ctl",
        "Command a run that trades.",
        ("status", "what the running run of ./logs does"),
        ("pause --reason 'CPI at 21:30'", "no new quotes; asks before"),
        ("flatten --yes --run 20261130T192204Z", "close the position of one of several, without a question"),
        ("reload", "shows what differs, asks, applies what may change at once"),
        codes={0: "done", 1: "no run answers, or refused", 2: "bad arguments, or not confirmed"},
        more="commands:\n"
        + "".join(f"  {verb.value:<11} {text}\n" for verb, text in MEANING.items())
        + f"  {_STATUS:<11} show what the run does",
    )
    flags.add_argument("command", choices=(_STATUS, *(verb.value for verb in Verb)), metavar="COMMAND")
    cli.add_log_dir(flags, "log folder of the run, or its own folder")
    flags.add_argument(
        "--run",
        metavar="NAME",
        help="run of the log folder, by its name or a unique beginning of it (default: the only one that is running)",
    )
    flags.add_argument("--reason", metavar="TEXT", default="", help="why, for the journal")
    flags.add_argument("--yes", action="store_true", help="do not ask")
    flags.add_argument("--json", action="store_true", help="status: the whole run as one JSON object")
    return flags


@command("ctl", patient=True)
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    flags = parser()
    args = flags.parse_args(argv)
    if args.json and args.command != _STATUS:
        flags.error("--json goes with status only")
    try:
        return asyncio.run(_command(args))
    except NoRun as error:
        sys.stderr.write(f"ctl: no run answers: {error}; runs have their socket in their folders below --log-dir\n")
        return EXIT_FAILED


def running_run(known: RunList, name: str | None) -> Run:
    """The named run of a log folder, else the only one that is running.

    Raises NoRun if there is none, ConfigError if there are several or the name is not one's.
    """
    if name is not None:
        return known.named(name)
    running = known.running
    if not running:
        raise NoRun(f"none is running in {known.folder}")
    if len(running) > 1:
        lines = "".join(f"\n  {run.line()}" for run in running)
        raise ConfigError(f"{len(running)} runs are running; accepted: --run with the name of one:{lines}")
    return running[0]


async def _command(args: argparse.Namespace) -> int:
    path = running_run(RunList(args.log_dir), args.run).files.socket
    if args.command == _STATUS:
        told = await ask(path, "GET", _STATUS)
        if args.json and told.is_done:
            try:
                shown = as_plain(snapshot_in(told.content))
            except OtherVersion as error:
                sys.stderr.write(f"ctl: {error}\n")
                return EXIT_FAILED
            cli.print_json(shown)
            return EXIT_DONE
        return _tell(told)
    verb, body = Verb(args.command), {"reason": one_line(args.reason)}
    question = f"{MEANING[verb]}\n"
    if verb is Verb.RELOAD:
        told = await ask(path, "GET", verb.value)
        if not told.is_done:
            return _tell(told)
        question, body["seen"] = f"{told.text}\n", told.content["digest"]
    if not args.yes and not _is_confirmed(verb, question):
        return EXIT_USAGE
    return _tell(await ask(path, "POST", verb.value, body))


def _tell(told: Told) -> int:
    (sys.stdout if told.is_done else sys.stderr).write(f"{'' if told.is_done else 'ctl: refused: '}{told.text}\n")
    return EXIT_DONE if told.is_done else EXIT_FAILED


def _is_confirmed(verb: Verb, question: str) -> bool:
    """Ask on the terminal."""
    if not sys.stdin.isatty():
        sys.stderr.write(f"ctl: {verb.value} asks before, and there is no terminal; accepted: --yes\n")
        return False
    if cli.says_yes(f"{question}{verb.value}?"):
        return True
    sys.stdout.write("not done\n")
    return False


if __name__ == "__main__":
    sys.exit(main())
