"""``why``: show what was decided, sent, answered and filled around a moment or an order, and which gate or limit held.

It reads the logs and the journal, also while a run writes them, and changes nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from rich.console import Console

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, command
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.app.shell.flag_values import positive_seconds
from stall_then_strike.app.story.why_moment import AGO, parse_asked
from stall_then_strike.app.story.why_runs import runs_for
from stall_then_strike.app.story.why_sources import Sources
from stall_then_strike.app.story.why_story import MOMENT_S, ORDER_S, tell
from stall_then_strike.app.story.why_view import as_json, render
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.logs.run_list import RunList, newest_of

_WIDEST_S: Final = 86_400.0


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    flags = command_parser(
        "why",
        "Explain from the logs and the journal what was done around a moment or with an order, and why.",
        ("-5m", "what was decided, sent and filled five minutes ago, and why"),
        ("07:30:13.123 --window 2", "two seconds each way around a moment of today"),
        ("JRF20261121-073013-123456", "the life of an order"),
        codes={0: "answered", 1: "nothing found, or a file cannot be read", 2: "bad configuration or arguments"},
        usage="%(prog)s TIME|ORDER_ID [--window SECONDS] [--local] [--json] [flags]",
    )
    flags.add_argument(
        "asked",
        metavar="TIME|ORDER_ID",
        help="2026-11-21T07:30:13.123Z, HH:MM[:SS[.fff]] of today (UTC unless an offset is given), now, or -5m; or "
        "an order's client id, its venue id (JRF...), or the id of an execution",
    )
    cli.add_config_flags(flags, override="configs/live.yml")
    cli.add_log_dir(flags, "log folder, or a run's own")
    flags.add_argument(
        "--window",
        metavar="SECONDS",
        type=_window,
        help=f"how far to look each way (default: {MOMENT_S:g} around a moment, {ORDER_S:g} around an order's life)",
    )
    cli.add_run_flags(flags, default="the run with rows of it")
    flags.add_argument("--local", action="store_true", help="TIME without an offset is in session.timezone, not UTC")
    flags.add_argument("--product", metavar="CODE", help="which of several instruments (default: the first)")
    flags.add_argument("--json", action="store_true", help="print one JSON object")
    return flags


@command("why", patient=True)
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    given = sys.argv[1:] if argv is None else argv
    # A leading space keeps argparse from taking -5m for a flag.
    args = parser().parse_args([f" {text}" if AGO.fullmatch(text) else text for text in given])
    cfg = cli.load(args, cli.CONFIGS / "live.yml", takes_several=True)
    now_ns = SystemClock().now_ns()
    zone = cfg.session.timezone
    known = RunList(args.log_dir)
    asked = parse_asked(args.asked, now_ns=now_ns, zone=zone if args.local else "UTC")
    is_named = any(text.partition("=")[0].strip() == "journal.dir" for text in args.sets)
    reach_s = MOMENT_S if args.window is None else args.window
    runs = runs_for(asked, known, args.wanted, reach_s, args.product)
    newest = newest_of(known.all)  # where no run knows of it, the newest tells what the folder is of
    own = cli.settings_of(args, runs or ([] if newest is None else [newest]))
    cfg = cfg if own is None else own
    first, number = cfg.products[0], 0 if args.product is None else cli.number_of(cfg, args.product)
    one = cfg.by_instrument()[number]
    with Sources(one, known, runs, is_journal_named=is_named, first=first) as sources:
        if own is not None:
            sources.limits = "with which the run began"
        story = tell(sources, asked, args.window, now_ns=now_ns)
    story = replace(story, runs=tuple(run.line() for run in runs))
    if args.json:
        cli.print_json(as_json(story))
    else:
        Console(highlight=False).print(render(story, zone))
    return EXIT_DONE if story.is_found else EXIT_FAILED


def _window(text: str) -> float:
    seconds = positive_seconds(text)
    if seconds > _WIDEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is too wide a window; accepted: seconds up to {_WIDEST_S:,.0f}")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
