"""``run_live``: the strategy with real orders.

It runs on bitFlyer with the API key from the environment, ``.env`` or ``accounts.toml``. With ``env: sim`` in the
configuration it runs on the embedded exchange in this process, over real HTTP and WebSocket, without network and key.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from loguru import logger
from rich.console import Console

from stall_then_strike import __version__
from stall_then_strike.app.control.reloading import Settings
from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.shell.prompt import answer_promptly
from stall_then_strike.app.trader.live_run import LiveParts, run_live
from stall_then_strike.app.view.screen import Screen
from stall_then_strike.config.layers import show
from stall_then_strike.config.loader import config_digest, effective_yaml
from stall_then_strike.config.models import AppConfig
from stall_then_strike.config.trading import STALL_THEN_STRIKE
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.journal.writer import OWN_FOLDER, Journal, journal_path
from stall_then_strike.infra.logging_runtime import setup_runtime_logging
from stall_then_strike.infra.logging_structured import TradeLogger
from stall_then_strike.infra.logs.csv_mending import drop_cut_rows, missing_trades
from stall_then_strike.infra.logs.log_folder import LogFolder
from stall_then_strike.infra.logs.run_logs import RunLogs, no_rows
from stall_then_strike.infra.logs.run_manifest import Mode
from stall_then_strike.infra.watch.alerts import Alerts, load_alert_urls
from stall_then_strike.types.dto import NS_PER_S, TradeLogRow
from stall_then_strike.types.errors import ConfigError, FeedError, JournalError, LogError, LoginRefused
from stall_then_strike.types.text import plain, utc_day
from stall_then_strike.venues.choice import venue_of
from stall_then_strike.venues.connection import Account

_DAY_NS: Final = 86_400 * NS_PER_S
_DAYS_MENDED: Final = 2


def parser() -> argparse.ArgumentParser:
    """The command's flags."""
    flags = command_parser(
        "run_live",
        "Trade with real orders.",
        ("--config configs/sim.yml --yes", "the whole program on the embedded exchange; no network, no keys"),
        ("", "your account; asks before it starts"),
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
    return flags


@cli.command("run_live")
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    args = parser().parse_args(argv)
    try:
        cfg = cli.load(args, cli.CONFIGS / "live.yml", takes_several=True, trades=True)
        cli.require_open_files()
        if cfg.env == "paper":
            raise ConfigError(f"env: {cfg.env} is not for this command; accepted: live or sim")
        if args.check:
            sys.stdout.write(effective_yaml(cfg))
            return cli.EXIT_DONE
        account = None if cfg.env == "sim" else venue_of(cfg).account(cfg)
        alerts = Alerts(load_alert_urls(), pause_sec=float(cfg.watch.alert_pause_sec), clock=SystemClock())
        if not args.yes and not _is_confirmed(cfg, args.layers):
            sys.stderr.write("run_live: not started\n")
            return cli.EXIT_USAGE
    except ConfigError as error:
        sys.stderr.write(f"run_live: {error}\n")
        return cli.EXIT_USAGE
    read = cfg
    if account is None:  # each embedded exchange is new, and so is its journal, in the log folder
        cfg = cfg.model_copy(update={"journal": cfg.journal.model_copy(update={"dir": str(args.log_dir / OWN_FOLDER)})})
    try:
        return _run(cfg, read, args, account, alerts)
    except (ConfigError, LogError, FeedError, JournalError, BaseExceptionGroup) as error:
        return _failed(error)


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
        sys.stdout.write(question)
        sys.stdout.flush()
        return sys.stdin.readline().strip() == "yes"
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


def _run(cfg: AppConfig, read: AppConfig, args: argparse.Namespace, account: Account | None, alerts: Alerts) -> int:
    """Open logs and journal, which outlive the event loop, and run. ``read`` are the settings as the files say."""
    screen = Screen(Console(), live=True)
    now_ns = SystemClock().now_ns()
    with ExitStack() as stack:
        stack.enter_context(cli.signals_held())
        stack.enter_context(LogFolder(args.log_dir))
        console = None if screen.is_panel else "WARNING"
        stack.enter_context(setup_runtime_logging(args.log_dir / "runtime", cfg.log, console=console))
        journal = stack.enter_context(_open_journal(cfg, account, now_ns))
        mode, venue = _source(cfg, account)
        is_same_folder = journal.swap_log_dir(args.log_dir) == args.log_dir.absolute()
        owed = partial(_lacking_trades, journal, now_ns) if is_same_folder else no_rows
        logs = stack.enter_context(RunLogs(args.log_dir, cfg, mode, venue, start_ns=now_ns, owed=owed))
        stack.enter_context(alerts)
        _keep_configuration(cfg, args.log_dir, args.layers)
        screen.begin(f"live trading of {' and '.join(cfg.products)}", args.log_dir)
        parts = LiveParts(
            cfg=cfg,
            account=account,
            journal=journal,
            logs=logs.each,
            log_dir=args.log_dir,
            screen=screen,
            alerts=alerts,
            settings=Settings(read, lambda: cli.load(args, cli.CONFIGS / "live.yml", takes_several=True, trades=True)),
        )
        ending = Ending()
        with asyncio.Runner(loop_factory=cli.loop_factory()) as runner:
            code = runner.run(_to_the_end(parts, ending, args.duration))
        logs.exit_code, logs.why = code, ending.why or "not started"
        if journal.is_new and not journal.is_used:
            journal.discard()  # a failed start must not bind the file to an API key that may be mistyped
        return code


def _keep_configuration(cfg: AppConfig, log_dir: Path, layers: Sequence[Path]) -> None:
    """Write the effective configuration beside the runtime log, under the name that the log mentions."""
    path = log_dir / "runtime" / f"config-{config_digest(cfg)}.yml"
    try:
        path.write_text(effective_yaml(cfg), encoding="utf-8")
    except OSError as error:
        raise LogError(f"{path} cannot be written: {error.strerror}") from error
    logger.info("run_live {}, env {}, configuration in {}", __version__, cfg.env, path.name)
    if cfg.env == "live" and any(layer.parent == cli.DEFAULTS for layer in layers):
        logger.warning("settings are the package's own, where configs/ has none: {}", " and ".join(map(str, layers)))


def _open_journal(cfg: AppConfig, account: Account | None, now_ns: int) -> Journal:
    """Open the account's journal and lock it for this process."""
    product, folder = cfg.exchange.product_code, Path(cfg.journal.dir)
    if account is None:
        for old in folder.glob(f"{product}.sqlite3*"):  # nobody else uses it: this process holds the log folder
            old.unlink(missing_ok=True)
    return Journal.open(
        journal_path(folder, product),
        product_code=product,
        others=cfg.products[1:],
        account="embedded" if account is None else account.fingerprint,
        now_ns=now_ns,
        keep_days=cfg.journal.keep_days,
        locks=folder if account is None else None,
    )


def _lacking_trades(journal: Journal, now_ns: int, cfg: AppConfig, log_dir: Path) -> list[TradeLogRow]:
    """Rows of fills that are missing from this log folder's trades CSV because of a crash."""
    folder = log_dir / TradeLogger.KIND
    drop_cut_rows(folder, (utc_day(now_ns - day * _DAY_NS) for day in range(_DAYS_MENDED + 1)))
    rows = journal.trades_since(now_ns - _DAYS_MENDED * _DAY_NS, cfg.exchange.product_code)
    lacking = missing_trades(folder, rows, cfg.exchange.instrument(), strategy=cfg.strategy.name)
    if lacking:
        logger.warning("{} fills of the last run were not in the trades CSV: added", len(lacking))
    return lacking


def _source(cfg: AppConfig, account: Account | None) -> tuple[Mode, str]:
    """The mode of the run and the source of its market data."""
    return ("live-sim", "the embedded exchange") if account is None else ("live", cfg.exchange.base_url)


async def _to_the_end(parts: LiveParts, ending: Ending, duration_s: float | None) -> int:
    """Trade; signals are handled while the run can react to them."""
    with cli.signals_heard(ending.on_signal, ending.reread.set):
        answer_promptly()
        return await run_live(parts, ending, duration_s)


def _failed(error: BaseException) -> int:
    """Report an expected failure and return the exit code; any other error is a bug and is raised."""
    causes = cli.leaves(error)
    if not all(isinstance(cause, ConfigError | LogError | FeedError | JournalError) for cause in causes):
        raise error
    for cause in causes:
        sys.stderr.write(f"run_live: {cause}\n")
    is_refused = any(isinstance(cause, ConfigError | LoginRefused) for cause in causes)
    return cli.EXIT_USAGE if is_refused else cli.EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
