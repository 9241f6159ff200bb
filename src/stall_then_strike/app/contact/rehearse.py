"""``rehearse``: one order of the smallest size far from the market, its cancel, and if wanted one smallest round trip.

It is a live run with another strategy: the journal, its lock, the checks, the reconciliation and the end are those of
`run_live`, so a lost answer, a refused cancel or a signal leaves nothing behind that a live run would not have left.

Exit codes: 0 all steps came as expected; 1 something differs or was not confirmed; 2 a fault in settings or keys, or an
account that is not flat; 3 halted.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from yarl import URL

from stall_then_strike.app.contact.contact_flags import (
    add_report_flag,
    claim_report,
    venue_account,
)
from stall_then_strike.app.contact.contact_report import report_text, terminal_lines, write_report
from stall_then_strike.app.contact.rehearsing import Rehearsing, rehearsal_settings
from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, command
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.app.shell.flag_values import number
from stall_then_strike.app.trader.live_opening import Opening, run_opened
from stall_then_strike.config.models import AppConfig
from stall_then_strike.config.venue import BITFLYER
from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.line.own_machine import is_own_machine
from stall_then_strike.infra.watch.alerts import Alerts, AlertUrls
from stall_then_strike.types.errors import ConfigError, LogError, VenueError
from stall_then_strike.types.text import plain
from stall_then_strike.venues.bitflyer_connection import BitflyerConnection

_LIMIT_S: Final = 180.0
_CONSENT: Final = "rehearse"
_DISTANCE: Final = 5.0


def parser() -> argparse.ArgumentParser:
    """The command's flags."""
    flags = command_parser(
        "rehearse",
        "Send one order of the smallest size far below the market, cancel it, and compare each step with what is "
        "expected. Asks first.",
        ("", "one order and its cancel, with the account of .env"),
        ("--round-trip", "then buy the smallest size at the market and sell it again"),
        ("--config configs/sim.yml --yes --round-trip", "on the embedded exchange, without network and keys"),
        codes={
            0: "all steps came as expected",
            1: "something differs, or an end was not confirmed by the venue",
            2: "bad configuration, arguments or keys, or an account that is not flat; nothing was sent",
            3: "halted",
        },
    )
    cli.add_config_flags(flags, override="configs/live.yml")
    cli.add_check_flag(flags)
    cli.add_log_dir(flags, "folder of its logs", Path("logs/rehearsal"))
    flags.add_argument(
        "--distance",
        metavar="PERCENT",
        type=number("a distance", "1 to 15 percent", 1, 15),
        default=_DISTANCE,
        help="how far below the best bid the order is (default: %(default)g)",
    )
    flags.add_argument("--round-trip", action="store_true", help="then buy the smallest size and sell it again")
    flags.add_argument("--yes", action="store_true", help="do not ask; only for an exchange on this machine")
    add_report_flag(flags, "rehearsal")
    return flags


@command("rehearse", usage=(ConfigError, VenueError))
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    args = parser().parse_args(argv)
    cfg = cli.load(args, cli.CONFIGS / "live.yml")
    cli.require_open_files()
    if cfg.exchange.name != BITFLYER:
        raise ConfigError(f"exchange.name: {cfg.exchange.name}: rehearse knows one venue; accepted: {BITFLYER}")
    if cfg.env == "paper":
        raise ConfigError(f"env: {cfg.env} is not for this command; accepted: live or sim")
    cfg = rehearsal_settings(cfg)
    if cli.is_check(args, cfg):
        return EXIT_DONE
    account = None if cfg.env == "sim" else venue_account(cfg)
    _require_consent(cfg, args)
    if account is not None:
        asyncio.run(_require_flat(cfg, account))
    path = claim_report(args.report, "rehearsal")
    rehearsing = Rehearsing(cfg, round(args.distance * 100), has_trip=args.round_trip)
    opening = Opening(
        command="rehearse",
        cfg=cfg,
        account=account,
        alerts=Alerts(AlertUrls(), pause_sec=0, clock=SystemClock()),  # the operator is here
        log_dir=args.log_dir,
        layers=args.layers,
        strategy=rehearsing.make,
        title="rehearsal",
        attend=rehearsing.attend,
    )
    code = run_opened(opening, _LIMIT_S)
    if not rehearsing.has_begun:
        path.unlink(missing_ok=True)
        return code
    return _tell(rehearsing, cfg, path, code)


def _tell(rehearsing: Rehearsing, cfg: AppConfig, path: Path, code: int) -> int:
    """Write and show the report; returns the exit code."""
    watch, figures = rehearsing.finish(is_confirmed=code == EXIT_DONE)
    lines = list(rehearsing.timeline.lines(has_trip=rehearsing.has_trip))
    where = "the embedded exchange" if cfg.env == "sim" else cfg.exchange.base_url
    text = report_text(
        "Rehearsal", f"{cfg.exchange.product_code} at {where}", watch.stream.last_ns, figures, watch.deviations, lines
    )
    try:
        write_report(path, text)
    except LogError as error:
        sys.stderr.write(f"rehearse: {error}\n")
        code = code or EXIT_FAILED
    shown = [*lines, "", *terminal_lines(figures, watch.deviations, shutil.get_terminal_size().columns)]
    sys.stdout.write("\n".join([*shown, "", f"report: {path}", ""]))
    return code or (EXIT_FAILED if len(watch.deviations) else EXIT_DONE)


def _require_consent(cfg: AppConfig, args: argparse.Namespace) -> None:
    """Ask the operator to type a word. Raises ConfigError without it."""
    unit, host = cfg.exchange.instrument(), URL(cfg.exchange.base_url).host
    if args.yes:
        if cfg.env != "sim" and not is_own_machine(host or ""):
            raise ConfigError(f"--yes: not for {cfg.exchange.base_url}; accepted: typing {_CONSENT} when asked")
        return
    if not sys.stdin.isatty():
        raise ConfigError("no terminal to ask for consent on; accepted: a terminal")
    size = f"{plain(unit.size(unit.min_size))} {unit.base}"
    trip = f"  then   buy {size} at the market and sell it again: it costs the spread\n" if args.round_trip else ""
    question = (
        f"{unit.product_code} at {cfg.exchange.base_url}, with a REAL ORDER\n"
        f"  first  a bid for {size}, {args.distance:g} % below the market, for six seconds; then its cancel\n"
        f"{trip}Type {_CONSENT} to begin: "
    )
    try:
        said = cli.answer_to(question)
    except KeyboardInterrupt:
        said = ""
    if said != _CONSENT:
        raise ConfigError(f"not begun; accepted: {_CONSENT}")


async def _require_flat(cfg: AppConfig, account: Credentials) -> None:
    """Refuse an account that has a position: what a rehearsal leaves is closed. Raises ConfigError and VenueError."""
    async with BitflyerConnection(cfg, SystemClock(), account) as connection:
        held = await connection.https[0].get_positions()
    if held.size:
        unit = cfg.exchange.instrument()
        raise ConfigError(f"the account holds {plain(unit.size(held.size))} {unit.base}; accepted: a flat account")


if __name__ == "__main__":
    sys.exit(main())
