"""``run_live``: the strategy with real orders.

It runs on bitFlyer with the API key from the environment, ``.env`` or ``accounts.toml``. With ``env: sim`` in the
configuration it runs on the embedded exchange in this process, over real HTTP and WebSocket, without network and key.
With ``--shadow`` all is as live but the orders, which are filled on paper.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, command
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.app.trader.live_opening import Opening, run_opened
from stall_then_strike.config.layers import show
from stall_then_strike.config.models import AppConfig
from stall_then_strike.config.trading import STALL_THEN_STRIKE
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.watch.alerts import Alerts, load_alert_urls
from stall_then_strike.types.errors import ConfigError, LogError
from stall_then_strike.types.text import plain
from stall_then_strike.venues.choice import venue_of


def parser() -> argparse.ArgumentParser:
    """The command's flags."""
    flags = command_parser(
        "run_live",
        "Trade with real orders.",
        ("--config configs/sim.yml --yes", "the whole program on the embedded exchange; no network, no keys"),
        ("", "your account; asks before it starts"),
        ("--shadow", "your account, with orders on paper: sends nothing"),
        ("--set strategy.ttl_ms=500", "one key changed"),
        codes={
            0: "stopped in good order",
            1: "failed while running, or an end was not confirmed by the venue",
            2: "bad configuration, arguments or keys; nothing was sent",
            3: "halted by the kill switch",
            130: "stopped before trading began",
        },
    )
    cli.add_common_flags(flags, override="configs/live.yml")
    flags.add_argument("--yes", action="store_true", help="do not ask before trading")
    flags.add_argument(
        "--shadow",
        action="store_true",
        help="the real market and account, but orders are filled on paper: nothing is sent that changes the account",
    )
    return flags


@command("run_live")
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    args = parser().parse_args(argv)
    cfg = cli.load(args, cli.CONFIGS / "live.yml", takes_several=True, trades=True)
    cli.require_open_files()
    if cfg.env == "paper":
        raise ConfigError(f"env: {cfg.env} is not for this command; accepted: live or sim")
    if cli.is_check(args, cfg):
        return EXIT_DONE
    account = None if cfg.env == "sim" else venue_of(cfg).account(cfg)
    alerts = Alerts(load_alert_urls(), pause_sec=float(cfg.watch.alert_pause_sec), clock=SystemClock())
    if not args.yes and not args.shadow and not _is_confirmed(cfg, args.layers):
        raise ConfigError("not started")
    opening = Opening(
        command="run_live",
        cfg=cfg,
        account=account,
        alerts=alerts,
        log_dir=args.log_dir,
        layers=args.layers,
        settings=lambda: cli.load(args, cli.CONFIGS / "live.yml", takes_several=True, trades=True),
    )
    return _in_shadow(opening, args.duration) if args.shadow else run_opened(opening, args.duration)


def _in_shadow(opening: Opening, duration_s: float | None) -> int:
    """Run with orders on paper, and say what it would have done and what differs from what is assumed."""
    from stall_then_strike.app.contact.contact_report import write_report  # 3 MB that a run with orders does without
    from stall_then_strike.app.contact.shadowing import Shadowing

    shadowing = Shadowing()
    shadow = replace(
        opening, title="shadow trading", through=shadowing.through, is_shadow=True, attend=shadowing.attend
    )
    code = run_opened(shadow, duration_s, told=shadowing.finish)
    if shadowing.folder is None:
        return code
    cfg, path = opening.cfg, shadowing.folder / "shadow.md"
    where = "the embedded exchange" if opening.account is None else cfg.exchange.base_url
    said = "\n".join(shadowing.lines(shutil.get_terminal_size().columns))
    sys.stdout.write(f"{said}\n")
    try:
        write_report(path, shadowing.report(f"{' and '.join(cfg.products)} at {where}"))
    except LogError as error:
        sys.stderr.write(f"run_live: {error}\n")
        return code or EXIT_FAILED
    sys.stdout.write(f"report: {path}\n")
    return code


def _is_confirmed(cfg: AppConfig, layers: Sequence[Path]) -> bool:
    """Ask the operator for confirmation. Raises ConfigError without a terminal."""
    if not sys.stdin.isatty():
        raise ConfigError("no terminal to ask for confirmation on; accepted: --yes")
    risk, venue, unit = cfg.risk, cfg.exchange, cfg.exchange.instrument()
    where = "on the embedded exchange" if cfg.env == "sim" else f"at {venue.base_url}, with REAL ORDERS"
    day, fall = (f"{plain(limit)} {unit.quote}" for limit in (risk.daily_pnl_jpy, risk.max_dd_jpy))
    sizes = "".join(_sizes(each, where) for each in cfg.by_instrument())
    question = (
        f"{sizes}"
        f"  halt at      {day} a day, or {fall} drawdown\n"
        f"  settings of  {' and '.join(map(str, layers))}\n"
        "The checks come next, then trading. Type yes to start: "
    )
    try:
        return cli.answer_to(question) == "yes"
    except KeyboardInterrupt:
        sys.stdout.write("\n")
        return False


def _sizes(cfg: AppConfig, where: str) -> str:
    """What would be traded of one instrument."""
    strategy, unit = cfg.strategy, cfg.exchange.instrument()
    quotes = f"  a quote      {plain(strategy.size_min)} {unit.base}\n"
    if strategy.name != STALL_THEN_STRIKE:
        quotes = f"  strategy     {strategy.name}, {show(cfg.parameters)}\n"
    return (
        f"{unit.product_code} {where}\n"
        f"{quotes}"
        f"  position     at most {plain(strategy.max_inventory_btc)} {unit.base} either way\n"
    )


if __name__ == "__main__":
    sys.exit(main())
