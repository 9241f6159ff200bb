"""``report``: write a report on a run or a sweep as one HTML file.

It reads a run of ``run_live``, ``run_paper`` or ``backtest``, with a journal and tapes if there are any, or the results
of a sweep. It changes nothing but the file that it writes. It needs the extra ``research``, which is
imported only when the report is written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, command
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.infra.logs.run_list import Run, RunList
from stall_then_strike.tapes.tape_files import require_product, tape_files
from stall_then_strike.types.errors import ConfigError, StallThenStrikeError


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    flags = command_parser(
        "report",
        "Write a report on a run, two runs compared, or a sweep, as one HTML file that needs no network.",
        ("logs", "the newest run of a log folder"),
        ("logs --tape data/raw", "also with prices and markouts"),
        ("logs/latest --compare logs/20261130T192204Z-paper-bitflyer", "two runs side by side"),
        ("logs --run 20261130T192204Z --all", "all runs of the mode and venue of that one, as one"),
        codes={0: "done", 1: "the file cannot be written", 2: "bad arguments or logs, or no extra research"},
    )
    flags.add_argument(
        "folder",
        metavar="DIR",
        type=Path,
        help="log folder of run_live, run_paper or backtest, a run's own folder in it, or results of a sweep",
    )
    flags.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        help="file to write (default: report.html in the folder of the run or sweep)",
    )
    flags.add_argument(
        "--compare",
        metavar="DIR2",
        type=Path,
        help="run to compare with, or its log folder; differences are DIR - DIR2",
    )
    flags.add_argument(
        "--tape",
        metavar="PATH",
        type=Path,
        action="append",
        default=[],
        dest="tapes",
        help="tape of the run's time, or a folder of them; may be repeated; for prices, markouts and the PnL split",
    )
    flags.add_argument(
        "--journal", metavar="FILE", type=Path, help="journal of DIR's run (default: the run's own, if there)"
    )
    flags.add_argument("--product", metavar="CODE", help="one of several instruments (default: all of the settings)")
    flags.add_argument(
        "--day",
        metavar="YYYY-MM-DD",
        type=_day,
        help="only this trading day (session.day_start, session.timezone), by the date on which it begins",
    )
    cli.add_run_flags(flags, default="the newest with rows; several are put into one report")
    flags.add_argument(
        "--all", action="store_true", help="put all runs of this one's mode, venue and instruments into one report"
    )
    flags.add_argument("--lang", choices=("en", "ja"), default="en", help="language (default: %(default)s)")
    flags.add_argument(
        "--tz", metavar="ZONE", type=_zone, help="IANA zone of the times shown (default: UTC; for --lang ja Asia/Tokyo)"
    )
    cli.add_config_flags(
        flags,
        override="none; without a file or key, instruments, limits and trading day are those with which the run began",
    )
    return flags


@command(
    "report",
    patient=True,
    silent="stall_then_strike",  # warnings of the tape reader are for a trader
    usage=(StallThenStrikeError,),
)
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    flags = parser()
    args = flags.parse_args(argv)
    out: Path = args.out or args.folder
    try:
        with cli.extra_needed("research"):
            from stall_then_strike.research.figures.log_rows import ReportInputError
            from stall_then_strike.research.report.write import write_report
        if args.folder.is_file():
            raise ReportInputError(f"{args.folder} is a file; give the folder of a run or of a sweep")
        runs = _chosen(RunList(args.folder), args.wanted, is_all=args.all)
        cfg = cli.settings_of(args, runs) or cli.load(args, None, takes_several=True)
        if args.product is not None:
            cfg = cfg.by_instrument()[cli.number_of(cfg, args.product)]
        tapes = tape_files(args.tapes, *cfg.products)
        require_product(tapes.tapes, cfg)
        if words := tapes.words():
            sys.stderr.write(f"report: --tape: {words}\n")
        place = runs[0].files.folder if len(runs) == 1 else args.folder
        out = args.out or place / "report.html"
        write_report(
            out,
            args.folder,
            cfg,
            language=args.lang,
            zone=args.tz,
            compare=args.compare,
            tapes=tapes.tapes,
            journal=args.journal,
            chosen=runs,
            day=args.day,
        )
    except OSError as error:
        sys.stderr.write(f"report: {error.filename or out} cannot be written: {error.strerror}\n")
        return EXIT_FAILED
    for run in runs:
        sys.stderr.write(f"report: {run.line()}\n")
    sys.stdout.write(f"{out}\n")
    return EXIT_DONE


def _day(text: str) -> date:
    """A day, for argparse."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day; accepted: one such as 2026-11-30") from None


def _zone(text: str) -> str:
    """A zone's name, for argparse."""
    try:
        ZoneInfo(text)
    except (OSError, ValueError, ZoneInfoNotFoundError):  # a folder of zones, an empty name, an unknown zone
        pass
    else:
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is not a zone; accepted: IANA names such as Asia/Tokyo or UTC")


def _chosen(known: RunList, wanted: Sequence[str], *, is_all: bool) -> list[Run]:
    """The runs of the report, none of a folder without runs. Raises ConfigError if they are not of one kind."""
    runs = known.chosen(wanted)
    if is_all and runs:
        runs = [run for run in known.all if run.kind in {one.kind for one in runs} and run.has_rows]
        if others := len(known.all) - len(runs):
            sys.stderr.write(f"report: {others} runs of another mode or venue, or without rows, are left out\n")
    if len({run.kind for run in runs}) > 1:
        lines = "".join(f"\n  {run.line()}" for run in runs)
        raise ConfigError(f"runs of several modes, venues or instruments are not put into one report:{lines}")
    return runs


if __name__ == "__main__":
    sys.exit(main())
