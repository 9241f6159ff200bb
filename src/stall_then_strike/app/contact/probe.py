"""``probe``: listen to the venue for some minutes, ask it questions, and report what differs from what is assumed.

It sends no orders and cancels none. It makes about forty HTTP calls and two connections, so it may run beside a trader.

Exit codes: 0 nothing differs; 1 something does, or the report could not be written; 2 a fault in settings or keys.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from loguru import logger

from stall_then_strike.app.contact.assumed.deviations import Deviations
from stall_then_strike.app.contact.contact_flags import add_report_flag, claim_report, venue_account
from stall_then_strike.app.contact.contact_report import report_text, terminal_lines, write_report
from stall_then_strike.app.contact.lighter_probe.lighter_listening import listen_at_lighter
from stall_then_strike.app.contact.listening import listen
from stall_then_strike.app.contact.watching import Figures
from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, command
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.shell.flag_values import positive_seconds
from stall_then_strike.config.models import AppConfig
from stall_then_strike.config.venue import LIGHTER
from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.lighter.signing.account_keys import LighterAccount
from stall_then_strike.sim.faults.plan_file import load_fault_plan
from stall_then_strike.types.errors import ConfigError, LogError
from stall_then_strike.venues.choice import venue_of

_DURATION_S: Final = 300.0


def parser() -> argparse.ArgumentParser:
    """The command's flags."""
    flags = command_parser(
        "probe",
        "Listen to the venue, ask it questions, and report what differs from what this program assumes. Sends and "
        "cancels no orders.",
        ("", "five minutes, with the account of .env"),
        ("--public --duration 60", "a minute without an account"),
        ("--config configs/sim.yml --duration 30", "on the embedded exchange, without network and keys"),
        ("--config configs/lighter.yml", "Lighter: the first of its instruments"),
        codes={
            0: "nothing differs",
            1: "something differs, or the report cannot be written",
            2: "bad configuration or arguments; nothing was sent",
        },
    )
    cli.add_config_flags(flags, override="configs/live.yml")
    cli.add_check_flag(flags)
    flags.add_argument("--public", action="store_true", help="leave the account out: no keys are needed")
    flags.add_argument(
        "--gentle", action="store_true", help="leave out the questions that the venue answers with an error"
    )
    flags.add_argument(
        "--duration",
        metavar="SECONDS",
        type=positive_seconds,
        default=_DURATION_S,
        help="how long to listen (default: %(default)g)",
    )
    add_report_flag(flags, "probe")
    return flags


@command("probe", patient=True)
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    args = parser().parse_args(argv)
    cfg = cli.load(args, cli.CONFIGS / "live.yml", takes_several=True)
    cli.require_open_files()
    if cli.is_check(args, cfg):
        return EXIT_DONE
    cfg = cfg.by_instrument()[0]
    account = None
    if not args.public and cfg.env != "sim":
        account = venue_account(cfg, "; or --public, which needs no keys")
    path = claim_report(args.report, "probe")
    try:
        with cli.signals_held():
            return cli.run(_probe(cfg, account, args, path))
    except (ConfigError, LogError):
        path.unlink(missing_ok=True)
        raise


async def _probe(
    cfg: AppConfig, account: Credentials | LighterAccount | None, args: argparse.Namespace, path: Path
) -> int:
    """Listen, then write and show the report."""
    ending, width = Ending(), shutil.get_terminal_size().columns
    async with AsyncExitStack() as stack:
        speed = float(cfg.sim.speed) if cfg.env == "sim" else 1.0
        clock = ScaledClock(speed)
        where = f"{cfg.exchange.product_code} at {cfg.exchange.base_url}"
        if cfg.env == "sim":
            faults = load_fault_plan(cli.settings_file(Path(cfg.sim.faults))) if cfg.sim.faults else None
            cfg, own = await venue_of(cfg).embed(stack, cfg, clock, faults)
            account, where = None if args.public else own, f"{cfg.exchange.product_code} on the embedded exchange"
        where += ", without an account" if account is None else ", with the account"
        begin = f"probe of {where}, for {args.duration:g} s; no order is sent or cancelled"
        cli.say(textwrap.fill(begin, width, subsequent_indent="  "))
        with cli.signals_heard(ending.on_signal):
            found, figures = await _listen(cfg, clock, account, ending, args)
        text = report_text("Probe of the venue", where, clock.now_ns(), figures, found)
    logger.info("probe ended: {}", ending.why)
    write_report(path, text)
    for line in terminal_lines(figures, found, width):
        cli.say(line)
    cli.say(f"\nreport: {path}" + ("; please send it in" if len(found) else ""))
    return EXIT_FAILED if len(found) else EXIT_DONE


async def _listen(
    cfg: AppConfig,
    clock: ScaledClock,
    account: Credentials | LighterAccount | None,
    ending: Ending,
    args: argparse.Namespace,
) -> tuple[Deviations, Figures]:
    """What was found at the venue of the configuration."""
    if cfg.exchange.name == LIGHTER:
        owner = account if isinstance(account, LighterAccount) else None
        return await listen_at_lighter(cfg, clock, owner, ending, args.duration, provokes=not args.gentle)
    keys = account if isinstance(account, Credentials) else None
    watch, figures = await listen(cfg, clock, keys, ending, args.duration, provokes=not args.gentle)
    return watch.deviations, figures


if __name__ == "__main__":
    sys.exit(main())
