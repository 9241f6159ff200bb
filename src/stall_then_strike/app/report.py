"""``report``: write a report on a run or a sweep as one HTML file.

It reads the log folder of ``run_live``, ``run_paper`` or ``backtest``, with a journal and tapes if there are any, or
the results of a sweep. It changes nothing but the file that it writes. It needs the extra ``research``, which is
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
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.infra.logs.log_folder import log_folders
from stall_then_strike.infra.logs.log_runs import LogRuns
from stall_then_strike.tapes.tape_files import require_product, tape_files
from stall_then_strike.types.errors import ConfigError, StallThenStrikeError


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    flags = command_parser(
        "report",
        "Write a report on a run, two runs compared, or a sweep, as one HTML file that needs no network.",
        ("logs", "the latest run of a log folder"),
        ("logs --tape data/raw", "also with prices and markouts"),
        ("logs --compare logs/paper", "two runs side by side"),
        codes={0: "done", 1: "the file cannot be written", 2: "bad arguments or logs, or no extra research"},
    )
    flags.add_argument(
        "folder", metavar="DIR", type=Path, help="log folder of run_live, run_paper or backtest, or results of a sweep"
    )
    flags.add_argument("--out", metavar="FILE", type=Path, help="file to write (default: DIR/report.html)")
    flags.add_argument("--compare", metavar="DIR2", type=Path, help="run to compare with; differences are DIR - DIR2")
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
        "--journal", metavar="FILE", type=Path, help="journal of DIR's run (default: DIR/journal, if there)"
    )
    flags.add_argument("--product", metavar="CODE", help="one of several instruments (default: all of the settings)")
    flags.add_argument(
        "--day",
        metavar="YYYY-MM-DD",
        type=_day,
        help="only this trading day (session.day_start, session.timezone), by the date on which it begins",
    )
    cli.add_run_flags(flags, default="the latest; several are added up")
    flags.add_argument(
        "--compare-run", metavar="RUN", action="append", default=[], dest="compared", help="the same for DIR2"
    )
    flags.add_argument("--lang", choices=("en", "ja"), default="en", help="language (default: %(default)s)")
    flags.add_argument(
        "--tz", metavar="ZONE", type=_zone, help="IANA zone of the times shown (default: UTC; for --lang ja Asia/Tokyo)"
    )
    cli.add_config_flags(flags, override="none; product, limits and trading day are taken from the settings")
    return flags


@cli.command("report", patient=True, silent="stall_then_strike")  # warnings of the tape reader are for a trader
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    flags = parser()
    args = flags.parse_args(argv)
    try:
        if args.runs:
            sys.stdout.write(LogRuns.of(args.folder).listing())
            return cli.EXIT_DONE
        with cli.extra_needed("research"):
            from stall_then_strike.research.figures.log_rows import ReportInputError
            from stall_then_strike.research.report.write import write_report
        cfg = cli.load(args, None, takes_several=True)
        folder = args.folder
        if args.product is not None:
            number = cli.number_of(cfg, args.product)
            cfg, folder = cfg.by_instrument()[number], log_folders(args.folder, cfg)[number]
        if args.folder.is_file():
            raise ReportInputError(f"{args.folder} is a file; give the folder of a run or of a sweep")
        if args.compared and args.compare is None:
            raise ConfigError("--compare-run needs --compare, which names its folder; accepted: both or none")
        tapes = tape_files(args.tapes, *cfg.products)
        require_product(tapes.tapes, cfg)
        if words := tapes.words():
            sys.stderr.write(f"report: --tape: {words}\n")
        out = args.folder / "report.html" if args.out is None else args.out
        write_report(
            out,
            folder,
            cfg,
            language=args.lang,
            zone=args.tz,
            compare=args.compare,
            tapes=tapes.tapes,
            journal=args.journal,
            wanted=args.wanted,
            compared=args.compared,
            day=args.day,
        )
    except StallThenStrikeError as error:
        sys.stderr.write(f"report: {error}\n")
        return cli.EXIT_USAGE
    except OSError as error:
        sys.stderr.write(f"report: {error.filename or args.out} cannot be written: {error.strerror}\n")
        return cli.EXIT_FAILED
    _tell_run(folder, args.wanted)
    sys.stdout.write(f"{out}\n")
    return cli.EXIT_DONE


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


def _tell_run(folder: Path, wanted: Sequence[str]) -> None:
    """Say which runs the report covers, if the folder has several."""
    runs = LogRuns(folder)
    if len(runs.with_rows) > 1:
        for run in runs.chosen(wanted):
            sys.stderr.write(f"report: {runs.line(run)}\n")
        sys.stderr.write("report: --runs lists the runs, --run chooses\n")


if __name__ == "__main__":
    sys.exit(main())
