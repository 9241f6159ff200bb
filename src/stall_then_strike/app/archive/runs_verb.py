"""``runs``: the runs of a log folder.

- ``runs``: each with its instruments, duration, fills, result, and how it ended
- ``runs pack --older-than DAYS``: compress their CSVs; all commands read these as before
- ``runs prune --older-than DAYS``: delete runs; asks, and says what goes
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import Console

from stall_then_strike.app.archive.packing import pack, packable
from stall_then_strike.app.archive.pruning import goes, prune, size_of
from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, command
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.app.shell.flag_values import number
from stall_then_strike.app.shell.wide_table import print_table, text_table
from stall_then_strike.app.view.amounts import span
from stall_then_strike.app.view.run_sums import RunSums, as_json, last_ns, sums_of
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.logs.run_files import LATEST
from stall_then_strike.infra.logs.run_list import Run, RunList
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import LogError
from stall_then_strike.types.text import money

_DAY_NS: Final = 86_400 * NS_PER_S
_LIST, _PACK, _PRUNE = "list", "pack", "prune"


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    flags = command_parser(
        "runs",
        "List the runs of a log folder, compress their CSVs, or delete them.",
        ("", "the runs of ./logs, the newest last"),
        ("pack --older-than 7", "compress the CSVs of runs that ended more than a week ago"),
        ("prune --older-than 90 --keep-trades", "keep only the trades of older runs; says what goes, and asks"),
        codes={0: "done", 1: "a file cannot be changed, or not confirmed", 2: "bad arguments"},
        usage="%(prog)s [--log-dir DIR] [--json]\n"
        "       %(prog)s pack --older-than DAYS [--log-dir DIR]\n"
        "       %(prog)s prune --older-than DAYS [--keep-trades] [--yes] [--log-dir DIR]",
    )
    flags.add_argument("command", nargs="?", choices=(_LIST, _PACK, _PRUNE), default=_LIST, help=f"default: {_LIST}")
    cli.add_log_dir(flags, "log folder")
    flags.add_argument("--json", action="store_true", help="list: one JSON array")
    flags.add_argument(
        "--older-than",
        metavar="DAYS",
        type=number("a number of days", "0 or more", 0, 100_000),
        help="pack and prune: runs that ended longer ago than this",
    )
    flags.add_argument(
        "--keep-trades", action="store_true", help="prune: keep trade CSVs and record, which taxes may ask for"
    )
    flags.add_argument("--yes", action="store_true", help="prune: do not ask")
    return flags


@command("runs", patient=True)
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    flags = parser()
    args = flags.parse_intermixed_args(argv)
    _refuse_mixtures(flags, args)
    try:
        known, now_ns = RunList.of(args.log_dir), SystemClock().now_ns()
        if args.command == _LIST:
            return _list(known, now_ns, is_json=args.json)
        old = [run for run in known.all if run.record is not None and last_ns(run) < now_ns - args.older_than * _DAY_NS]
        if args.command == _PACK:
            return _pack(old)
        kept = [known.all[-1], known.named(LATEST)] if known.all else []
        return _prune([run for run in old if run not in kept], args, now_ns)
    except OSError as error:
        raise LogError(str(error)) from error


def _refuse_mixtures(flags: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Exit with an error if arguments do not go together."""
    if (args.command == _LIST) is not (args.older_than is None):
        flags.error(f"{args.command} needs --older-than" if args.older_than is None else "--older-than is not for list")
    if args.json and args.command != _LIST:
        flags.error("--json goes with list only")
    if (args.yes or args.keep_trades) and args.command != _PRUNE:
        flags.error("--keep-trades and --yes go with prune only")


def _list(known: RunList, now_ns: int, *, is_json: bool) -> int:
    every = [sums_of(run, now_ns) for run in known.all]
    if is_json:
        cli.print_json(list(map(as_json, every)))
        return EXIT_DONE
    if not every:
        sys.stdout.write(f"{known.folder}: no runs\n")
        return EXIT_DONE
    heads = ("run", "", "took", "fills", "realised", "")
    look = {"title_style": "bold", "box": box.SIMPLE_HEAD}
    table = text_table(f"runs of {known.folder}", heads, map(_cells, every), **look)
    print_table(Console(highlight=False), table)
    return EXIT_DONE


def _cells(sums: RunSums) -> tuple[str, ...]:
    record = sums.run.record
    products, quote = ("", "") if record is None else (" + ".join(record.instruments), record.quote)
    realised = f"{money(sums.realised)} {quote}".rstrip()
    return sums.run.name, products, span(sums.seconds), f"{sums.fills:,}", realised, sums.run.how_it_ended


def _pack(old: Sequence[Run]) -> int:
    todo = [run for run in old if packable(run)]
    freed = sum(map(pack, todo))
    sys.stdout.write(f"{len(todo)} runs packed, {_megabytes(freed)} freed\n")
    return EXIT_DONE


def _prune(old: Sequence[Run], args: argparse.Namespace, now_ns: int) -> int:
    keep = args.keep_trades
    todo = [run for run in old if not run.is_running and goes(run, keep_trades=keep)]
    if not todo:
        sys.stdout.write(f"{args.log_dir}: nothing is older than {args.older_than:g} days\n")
        return EXIT_DONE
    total = 0
    for run in todo:
        size = size_of(goes(run, keep_trades=keep))
        total += size
        what = "all but its trades" if keep else f"the whole run, with {sums_of(run, now_ns).fills:,} fills"
        sys.stdout.write(f"{run.name}: {what}, {_megabytes(size)}\n")
    if not keep:
        sys.stdout.write("Trade CSVs may be needed for taxes: --keep-trades keeps them.\n")
    if not args.yes and (code := _asked(len(todo), total)) is not None:
        return code
    for run in todo:
        prune(run, keep_trades=keep)
    sys.stdout.write(f"{len(todo)} runs pruned, {_megabytes(total)} freed\n")
    return EXIT_DONE


def _asked(count: int, size: int) -> int | None:
    """Ask on the terminal; the exit code unless the answer is yes."""
    if not sys.stdin.isatty():
        sys.stderr.write("runs: prune asks before, and there is no terminal; accepted: --yes\n")
        return EXIT_USAGE
    if cli.says_yes(f"Delete this of {count} runs, {_megabytes(size)}?"):
        return None
    sys.stdout.write("nothing was deleted\n")
    return EXIT_FAILED


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


if __name__ == "__main__":
    sys.exit(main())
