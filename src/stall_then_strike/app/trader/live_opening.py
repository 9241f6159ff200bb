"""What a command opens for a live run, and how its end becomes an exit code: log folder, journal, logs, signals.

All of it outlives the event loop.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from loguru import logger
from rich.console import Console

from stall_then_strike import __version__
from stall_then_strike.app.control.reloading import Settings
from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.shell.prompt import answer_promptly
from stall_then_strike.app.trader.live_run import LiveParts, LiveRun, Through, directly, run_live
from stall_then_strike.app.view.screen import Screen
from stall_then_strike.config.loader import config_digest, effective_yaml
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.strategies import configured
from stall_then_strike.engine.strategy import MakeStrategy
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.journal.writer import OWN_FOLDER, Journal, journal_path
from stall_then_strike.infra.logging_runtime import setup_runtime_logging
from stall_then_strike.infra.logging_structured import TradeLogger
from stall_then_strike.infra.logs.csv_mending import drop_cut_rows, missing_trades
from stall_then_strike.infra.logs.log_folder import LogFolder
from stall_then_strike.infra.logs.run_logs import RunLogs, no_rows
from stall_then_strike.infra.logs.run_manifest import Mode
from stall_then_strike.infra.watch.alerts import Alerts
from stall_then_strike.types.dto import NS_PER_S, TradeLogRow
from stall_then_strike.types.errors import ConfigError, FeedError, JournalError, LogError, LoginRefused
from stall_then_strike.types.text import utc_day
from stall_then_strike.venues.connection import Account

_DAY_NS: Final = 86_400 * NS_PER_S
_DAYS_MENDED: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a command has decided when it opens a run."""

    command: str
    """Its name, for messages."""
    cfg: AppConfig
    account: Account | None
    """None for the embedded exchange, which makes its own."""
    alerts: Alerts
    log_dir: Path
    layers: Sequence[Path]
    """The files of the settings."""
    settings: Callable[[], AppConfig] | None = None
    """Reads the settings anew; None if they cannot change."""
    strategy: MakeStrategy = configured
    title: str = "live trading"
    through: Through = directly
    is_shadow: bool = False
    """Whether orders are filled on paper: then the journal is the run's own, and the account is not held."""
    attend: Callable[[LiveRun, Ending], None] = lambda run, ending: None
    """Told of the run before it begins, and of what ends it."""


def run_opened(opening: Opening, duration_s: float | None, *, told: Callable[[str], None] = lambda why: None) -> int:
    """Open everything and run; returns the exit code. What is expected to go wrong is told on standard error.

    ``told`` is called at the end, with the reason of a failure.
    """
    try:
        code = _run(opening, duration_s)
    except (ConfigError, LogError, FeedError, JournalError, BaseExceptionGroup) as error:
        code = failed(opening.command, error)
        told("; ".join(dict.fromkeys(map(str, cli.leaves(error)))))
    else:
        told("")
    return code


def _run(opening: Opening, duration_s: float | None) -> int:
    """Open logs and journal, and run."""
    cfg, account, log_dir, ending = opening.cfg, opening.account, opening.log_dir, Ending()
    owns_journal = account is None or opening.is_shadow  # what is traded is new, and so is its journal
    if owns_journal:
        cfg = cfg.model_copy(update={"journal": cfg.journal.model_copy(update={"dir": str(log_dir / OWN_FOLDER)})})
    screen = Screen(Console(), live=True)
    now_ns = SystemClock().now_ns()
    with ExitStack() as stack:
        stack.enter_context(cli.signals_held())
        stack.enter_context(LogFolder(log_dir))
        console = None if screen.is_panel else "WARNING"
        stack.enter_context(setup_runtime_logging(log_dir / "runtime", cfg.log, console=console))
        journal = stack.enter_context(_open_journal(cfg, account, now_ns, is_new=owns_journal))
        mode, venue = _source(opening)
        is_same_folder = journal.swap_log_dir(log_dir) == log_dir.absolute()
        owed = partial(_lacking_trades, journal, now_ns) if is_same_folder else no_rows
        logs = stack.enter_context(RunLogs(log_dir, cfg, mode, venue, start_ns=now_ns, owed=owed))
        stack.enter_context(opening.alerts)
        _keep_configuration(opening.command, cfg, log_dir, opening.layers)
        screen.begin(f"{opening.title} of {' and '.join(cfg.products)}", log_dir)
        parts = LiveParts(
            cfg=cfg,
            account=account,
            journal=journal,
            logs=logs.each,
            log_dir=log_dir,
            screen=screen,
            alerts=opening.alerts,
            strategy=opening.strategy,
            mode=mode.partition("-")[0],
            through=opening.through,
            settings=None if opening.settings is None else Settings(opening.cfg, opening.settings),
            attend=lambda run: opening.attend(run, ending),
        )
        with asyncio.Runner(loop_factory=cli.loop_factory()) as runner:
            code = runner.run(_to_the_end(parts, ending, duration_s))
        logs.exit_code, logs.why = code, ending.why or "not started"
        if journal.is_new and not journal.is_used:
            journal.discard()  # a failed start must not bind the file to an API key that may be mistyped
        return code


def _keep_configuration(command: str, cfg: AppConfig, log_dir: Path, layers: Sequence[Path]) -> None:
    """Write the effective configuration beside the runtime log, under the name that the log mentions."""
    path = log_dir / "runtime" / f"config-{config_digest(cfg)}.yml"
    try:
        path.write_text(effective_yaml(cfg), encoding="utf-8")
    except OSError as error:
        raise LogError(f"{path} cannot be written: {error.strerror}") from error
    logger.info("{} {}, env {}, configuration in {}", command, __version__, cfg.env, path.name)
    if cfg.env == "live" and any(layer.parent == cli.DEFAULTS for layer in layers):
        logger.warning("settings are the package's own, where configs/ has none: {}", " and ".join(map(str, layers)))


def _open_journal(cfg: AppConfig, account: Account | None, now_ns: int, *, is_new: bool) -> Journal:
    """Open the account's journal and lock it for this process, or begin one in the log folder."""
    product, folder = cfg.exchange.product_code, Path(cfg.journal.dir)
    if is_new:
        for old in folder.glob(f"{product}.sqlite3*"):  # nobody else uses it: this process holds the log folder
            old.unlink(missing_ok=True)
    return Journal.open(
        journal_path(folder, product),
        product_code=product,
        others=cfg.products[1:],
        account="embedded" if account is None else account.fingerprint,
        now_ns=now_ns,
        keep_days=cfg.journal.keep_days,
        locks=folder if is_new else None,
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


def _source(opening: Opening) -> tuple[Mode, str]:
    """The mode of the run and the source of its market data."""
    is_embedded = opening.account is None
    mode: Mode = "shadow" if opening.is_shadow else "live-sim" if is_embedded else "live"
    return mode, "the embedded exchange" if is_embedded else opening.cfg.exchange.base_url


async def _to_the_end(parts: LiveParts, ending: Ending, duration_s: float | None) -> int:
    """Trade; signals are handled while the run can react to them."""
    with cli.signals_heard(ending.on_signal, ending.reread.set):
        answer_promptly()
        return await run_live(parts, ending, duration_s)


def failed(command: str, error: BaseException) -> int:
    """Report an expected failure and return the exit code; any other error is a bug and is raised."""
    causes = cli.leaves(error)
    if not all(isinstance(cause, ConfigError | LogError | FeedError | JournalError) for cause in causes):
        raise error
    for cause in causes:
        sys.stderr.write(f"{command}: {cause}\n")
    is_refused = any(isinstance(cause, ConfigError | LoginRefused) for cause in causes)
    return cli.EXIT_USAGE if is_refused else cli.EXIT_FAILED
