"""``doctor``: check whether everything is ready for live trading. It sends no orders and cancels none.

Exit codes: 0 ready; 1 a fault that may pass by itself; 2 a fault in settings or keys; 3 no fault, but a halt stands.

The checks depend on ``env``: ``live`` has all of them; ``paper`` those that need no keys; ``sim`` only those of this
machine, because the run itself starts the embedded exchange with a key of its own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from loguru import logger
from rich.console import Console

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, EXIT_HALTED, command
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.app.trader.preflight import preflight
from stall_then_strike.app.view.checks import as_json, is_halted, show
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.watch.alerts import URLS_VARIABLE, Alerts, load_alert_urls
from stall_then_strike.types.errors import ConfigError
from stall_then_strike.venues.choice import venue_of
from stall_then_strike.venues.findings import TO_MEND, CheckResult, exit_code, fault, ok


def parser() -> argparse.ArgumentParser:
    """The command's flags."""
    flags = command_parser(
        "doctor",
        "Check whether everything is ready for live trading. Sends and cancels no orders.",
        ("", "the settings of configs/live.yml and the account of .env"),
        ("--check", "the configuration in effect"),
        ("--json", "the findings as one JSON object, for programs"),
        codes={
            0: "ready",
            1: "the venue or this machine is not ready; may pass by itself",
            2: "something to mend before trading",
            3: "halted; see `state`",
        },
    )
    cli.add_common_flags(flags, override="configs/live.yml", has_duration=False)
    flags.add_argument("--json", action="store_true", help="print one JSON object")
    return flags


@command("doctor", patient=True)
def main(argv: Sequence[str] | None = None) -> int:
    """Check and return the exit code."""
    args = parser().parse_args(argv)
    logger.remove()  # the output is the findings alone
    try:
        cfg = cli.load(args, cli.CONFIGS / "live.yml", takes_several=True, trades=True)
        cli.require_open_files()
    except ConfigError as error:
        results = [fault("configuration", str(error), "", exit_code=TO_MEND)]
    else:
        if cli.is_check(args, cfg):
            return EXIT_DONE
        try:
            results = cli.run(examine(cfg, args))
        except KeyboardInterrupt:
            return EXIT_FAILED
    if args.json:
        sys.stdout.write(as_json(results))
    else:
        show(results, Console())
    return exit_code(results) or (EXIT_HALTED if is_halted(results) else EXIT_DONE)


async def examine(cfg: AppConfig, args: argparse.Namespace) -> list[CheckResult]:
    """All findings, in display order."""
    clock = SystemClock()
    files = " and ".join(map(str, args.layers))
    results = [ok("configuration", f"env {cfg.env}, {cfg.exchange.product_code}; from {files}")]
    if cfg.env == "sim":
        results.append(ok("venue", "the embedded exchange: the run itself starts it, no keys needed"))
        results += _alerts(cfg, clock)
        return results + await preflight(cfg, None, None, clock, args.log_dir)
    results += _alerts(cfg, clock)
    venue, account = venue_of(cfg), None
    if cfg.env == "live":
        try:
            account = venue.account(cfg)
        except ConfigError as error:
            advice = "fill in .env, or accounts.toml, whose form accounts.example.toml shows"
            results.append(fault("credentials", str(error), advice, exit_code=TO_MEND))
    else:
        results.append(ok("credentials", "paper trading needs none"))
    async with venue.connect(cfg, clock, account) as connection:
        return results + await preflight(cfg, account, connection, clock, args.log_dir)


def _alerts(cfg: AppConfig, clock: SystemClock) -> list[CheckResult]:
    """Check the addresses of alerts; empty if none are configured. Paper trading sends none."""
    if cfg.env == "paper":
        return []
    try:
        urls = load_alert_urls()
        alerts = Alerts(urls, pause_sec=0, clock=clock)
    except ConfigError as error:
        advice = f"correct {URLS_VARIABLE} or unset it; a run does not start with it"
        return [fault("alerts", str(error), advice, exit_code=TO_MEND)]
    said = f"{', '.join(urls.masked)}: accepted; nothing was sent, alert_test sends one"
    return [ok("alerts", said)] if alerts.is_on else []


if __name__ == "__main__":
    sys.exit(main())
