"""``run_paper``: the strategy on paper.

There are four sources of market data; trading is the same on all of them:

- the venue's public feed (default), or another address by ``--set exchange.ws_url=...``
- ``--sim``: the embedded exchange on loopback, over real HTTP and WebSocket, at ``--speed`` times real time
- ``--sim --speed max``: the same market without sockets, in virtual time
- ``--tape FILE``: a recorded tape in virtual time, as fast as possible or at the pace of ``--speed``
"""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from rich.console import Console

from stall_then_strike.app.control.reloading import Settings
from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, command, ended_by, leaves
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.app.shell.flag_values import speed
from stall_then_strike.app.trader.paper_run import PaperRun, recorded_feeds
from stall_then_strike.app.view.after_run import Step
from stall_then_strike.app.view.screen import Screen
from stall_then_strike.config.models import AppConfig
from stall_then_strike.config.venue import BITFLYER, LIGHTER
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.journal.batch import BatchedJournal
from stall_then_strike.infra.logging_runtime import setup_runtime_logging
from stall_then_strike.infra.logs.run_folder import RunFolder
from stall_then_strike.infra.logs.run_logs import RunLogs
from stall_then_strike.infra.logs.run_mending import mend_killed
from stall_then_strike.infra.logs.run_record import GENERATED, Mode
from stall_then_strike.tapes.sequence import numbered, of_each
from stall_then_strike.tapes.tape_files import is_event_log, market_of_tapes, require_product
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import ConfigError, FeedError
from stall_then_strike.venues.choice import venue_of

_SIM_START_NS: Final = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp()) * NS_PER_S
"""Start of virtual time on the simulated market: a fixed Monday, so that a seed gives the same logs on any day."""


def parser() -> argparse.ArgumentParser:
    """The command's flags."""
    flags = command_parser(
        "run_paper",
        "Trade on paper. No keys, no orders at the venue.",
        ("--sim --duration 60", "a minute on the embedded exchange"),
        ("", "on the venue's public feed, until Ctrl-C"),
        ("--sim --speed max --duration 3600", "an hour in seconds, the same every time"),
        codes={
            0: "stopped in good order",
            1: "failed while running",
            2: "bad configuration or arguments",
            3: "halted by the kill switch",
            130: "stopped before trading began",
        },
    )
    cli.add_common_flags(flags, override="configs/paper.yml, with --sim configs/sim.yml")
    source = flags.add_mutually_exclusive_group()
    source.add_argument("--sim", action="store_true", help="trade the embedded exchange on loopback; needs no network")
    source.add_argument("--tape", metavar="FILE", type=Path, help="trade a recorded tape (.jsonl or .jsonl.zst)")
    flags.add_argument(
        "--speed",
        metavar="X|max",
        type=speed,
        help="times real time, or max: virtual time, as fast as possible (default: --sim 1, --tape max)",
    )
    cli.add_venue_flag(flags, default="exchange.name; with --sim, lighter has configs/lighter-sim.yml")
    flags.add_argument("--seed", metavar="N", type=int, help="sets sim.seed and paper.seed")
    return flags


@command("run_paper")
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    flags = parser()
    args = flags.parse_args(argv)
    _refuse_mixtures(flags, args)
    cfg = _load(args)
    cli.require_open_files()
    if args.tape is not None and not args.tape.is_file():
        raise ConfigError(f"--tape {args.tape}: not a file; accepted: a tape (.jsonl or .jsonl.zst)")
    if args.tape is not None and is_event_log(args.tape):
        raise ConfigError(f"--tape {args.tape}: an event log; accepted: a tape, or `tape replay` for this one")
    if args.tape is not None:
        require_product([args.tape], cfg)
    if cfg.env == "live":
        raise ConfigError(f"env: {cfg.env} is not for this command; accepted: paper or sim")
    if cli.is_check(args, cfg):
        return EXIT_DONE
    return _run(cfg, args)


def _refuse_mixtures(flags: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Exit with an error if arguments do not go together."""
    if args.speed is not None and not args.sim and args.tape is None:
        flags.error("--speed needs --sim or --tape: the venue's own time cannot be sped up")
    if args.sim and args.speed is not None and math.isinf(args.speed) and args.duration is None:
        flags.error("--sim --speed max needs --duration: the simulated market never ends")


def _load(args: argparse.Namespace) -> AppConfig:
    """Read the settings. Raises ConfigError."""
    if args.seed is not None:
        args.sets = [*args.sets, f"sim.seed={args.seed}", f"paper.seed={args.seed}"]
    embedded = "lighter-sim.yml" if args.venue == LIGHTER else "sim.yml"
    override = cli.CONFIGS / (embedded if args.sim else "paper.yml")
    return cli.load(args, override, takes_several=True, trades=True)


def _run(cfg: AppConfig, args: argparse.Namespace) -> int:
    """Open the logs and run; report errors and return the exit code."""
    virtual = args.tape is not None or (args.sim and args.speed is not None and math.isinf(args.speed))
    screen = Screen(Console(), live=not virtual or (args.speed is not None and not math.isinf(args.speed)))
    now_ns = SystemClock().now_ns()
    try:
        with (
            cli.signals_held(),
            RunFolder(args.log_dir, cfg, *_source(cfg, args)) as folder,
            setup_runtime_logging(folder.files.runtime, cfg.log, console=None if screen.is_panel else "WARNING"),
        ):
            mend_killed(args.log_dir)
            with (
                # The files of a run in real time can be followed from its beginning.
                RunLogs(folder, cfg, start_ns=None if virtual else now_ns) as logs,
                BatchedJournal.open(
                    folder.files.journal, product_code=cfg.products[0], others=cfg.products[1:], now_ns=now_ns
                ) as journal,
            ):
                settings = Settings(cfg, lambda: _load(args))
                run = PaperRun(cfg, logs, screen, journal, settings, _next_steps(cfg, args))
                folder.exit_code = cli.run(_trade_to_the_end(run, cfg, args, screen, virtual=virtual))
                folder.why = run.ended
            return folder.exit_code
    except (FeedError, ExceptionGroup) as error:
        code = ended_by(error, "run_paper")
        if not args.sim and any(type(cause) is FeedError for cause in leaves(error)):  # and not a tape's error
            sys.stderr.write("run_paper: without network, `run_paper --sim` trades on the embedded exchange\n")
        return code


def _next_steps(cfg: AppConfig, args: argparse.Namespace) -> list[Step]:
    """What a newcomer can do after the run."""
    sts, named = cli.as_typed("sts"), shlex.quote(str(args.log_dir))
    folder = "" if args.log_dir == cli.LOGS else f" --log-dir {named}"
    needs = "" if find_spec("polars") else " (needs the extra `research`; in a clone, first `make setup`)"
    steps = [
        (f"{sts} report {named}", f"the run as one page of charts{needs}"),
        (f"{sts} runs{folder}", "all runs of this folder"),
        (f"{sts} why TIME{folder}", "what was done around a moment or with an order, and why"),
    ]
    if args.sim:
        venue = "" if cfg.exchange.name == BITFLYER else f" --venue {cfg.exchange.name}"
        steps.append((f"{cli.as_typed('run_paper')}{venue}", "on paper against the venue's public feed, without keys"))
    elif args.tape is None:
        steps.append((f"{sts} doctor", "what real orders would need; sends none"))
    return steps


def _source(cfg: AppConfig, args: argparse.Namespace) -> tuple[Mode, str, str | None]:
    """The mode of the run, the source of its market data, and of what market they are if no address tells."""
    if args.tape is not None:
        return "paper-tape", str(args.tape), market_of_tapes([args.tape])
    if args.sim:
        return "paper-sim", f"the embedded exchange, seed {cfg.sim.seed}", GENERATED
    return "paper", cfg.exchange.ws_url, None


async def _trade_to_the_end(
    run: PaperRun, cfg: AppConfig, args: argparse.Namespace, screen: Screen, *, virtual: bool
) -> int:
    with cli.signals_heard(run.ending.on_signal, run.ending.reread.set):
        return await _trade(run, cfg, args, screen, virtual=virtual)


async def _trade(run: PaperRun, cfg: AppConfig, args: argparse.Namespace, screen: Screen, *, virtual: bool) -> int:
    """Pick the source and run."""
    feeds = recorded_feeds(cfg)
    if args.tape is not None:
        speed = math.inf if args.speed is None else args.speed
        screen.begin(f"paper trading on tape {args.tape}", run.folder)
        return await run.virtual(
            feeds.all,
            of_each([args.tape], cfg.products, feeds.named_in),
            mode="paper · tape",
            speed=speed,
            duration_s=args.duration,
            ended="end of tape",
            is_tape=True,
        )
    if virtual:
        screen.begin(f"paper trading on the simulated market, seed {cfg.sim.seed}, virtual time", run.folder)
        frames = venue_of(cfg).simulated(cfg, _SIM_START_NS)
        return await run.virtual(
            feeds.all,
            numbered(frames, cfg.products, feeds.named_in),
            mode="paper · simulated market",
            speed=math.inf,
            duration_s=args.duration,
            ended="duration over",
        )
    speed = 1.0
    if args.sim:
        speed = float(cfg.sim.speed) if args.speed is None else args.speed
        screen.begin(f"paper trading on the embedded exchange, seed {cfg.sim.seed}, speed {speed:g}", run.folder)
    else:
        screen.begin(f"paper trading on {cfg.exchange.ws_url}", run.folder)
    mode = "paper · embedded exchange" if args.sim else "paper · public feed"
    return await run.realtime(mode=mode, sim=args.sim, speed=speed, duration_s=args.duration)


if __name__ == "__main__":
    sys.exit(main())
