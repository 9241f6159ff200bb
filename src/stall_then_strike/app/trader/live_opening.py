"""What a command opens for a live run, and how its end becomes an exit code: log folder, journal, logs, signals.

All of it outlives the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from loguru import logger
from rich.console import Console

from stall_then_strike import __version__
from stall_then_strike.app.control.reloading import Settings
from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import ended_by, leaves
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.shell.prompt import answer_promptly
from stall_then_strike.app.trader.live_run import LiveParts, LiveRun, Through, directly, run_live
from stall_then_strike.app.view.screen import Screen
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.strategies import configured
from stall_then_strike.engine.strategy import MakeStrategy
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.journal.writer import Journal, journal_path
from stall_then_strike.infra.logging_runtime import setup_runtime_logging
from stall_then_strike.infra.logs.run_folder import RunFolder
from stall_then_strike.infra.logs.run_logs import RunLogs
from stall_then_strike.infra.logs.run_mending import mend_killed, mend_last
from stall_then_strike.infra.logs.run_record import Mode
from stall_then_strike.infra.watch.alerts import Alerts
from stall_then_strike.types.errors import ConfigError, FeedError, JournalError, LogError
from stall_then_strike.venues.connection import Account


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
    except (ConfigError, LogError, FeedError, JournalError, ExceptionGroup) as error:
        code = ended_by(error, opening.command)
        told("; ".join(dict.fromkeys(map(str, leaves(error)))))
    else:
        told("")
    return code


def _run(opening: Opening, duration_s: float | None) -> int:
    """Open logs and journal, and run."""
    cfg, account, ending = opening.cfg, opening.account, Ending()
    screen = Screen(Console(), live=True)
    now_ns = SystemClock().now_ns()
    with ExitStack() as stack:
        stack.enter_context(cli.signals_held())
        run = stack.enter_context(_run_folder(opening))
        owns_journal = account is None or opening.is_shadow  # what is traded is new, and so is its journal
        if owns_journal:
            cfg = cfg.model_copy(update={"journal": cfg.journal.model_copy(update={"dir": str(run.files.journals)})})
        console = None if screen.is_panel else "WARNING"
        stack.enter_context(setup_runtime_logging(run.files.runtime, cfg.log, console=console))
        _tell_configuration(opening, run)
        journal = stack.enter_context(_open_journal(cfg, account, now_ns, is_new=owns_journal))
        mend_killed(opening.log_dir)
        if (last := journal.swap_log_dir(run.folder)) is not None:
            mend_last(last, journal.path, cfg)
        logs = stack.enter_context(RunLogs(run, cfg, start_ns=now_ns))
        stack.enter_context(opening.alerts)
        screen.begin(f"{opening.title} of {' and '.join(cfg.products)}", run.folder)
        parts = LiveParts(
            cfg=cfg,
            account=account,
            journal=journal,
            logs=logs.each,
            folder=run.folder,
            screen=screen,
            alerts=opening.alerts,
            strategy=opening.strategy,
            mode=run.mode.partition("-")[0],
            through=opening.through,
            settings=None if opening.settings is None else Settings(opening.cfg, opening.settings),
            begun=run.begin,
            attend=lambda run: opening.attend(run, ending),
        )
        with asyncio.Runner(loop_factory=cli.loop_factory()) as runner:
            code = runner.run(_to_the_end(parts, ending, duration_s))
        run.exit_code, run.why = code, ending.why or "not started"
        if journal.is_new and not journal.is_used:
            journal.discard()  # a failed start must not bind the file to an API key that may be mistyped
        return code


def _run_folder(opening: Opening) -> RunFolder:
    """The folder of this run, not made yet."""
    cfg, is_embedded = opening.cfg, opening.account is None
    mode: Mode = "shadow" if opening.is_shadow else "live-sim" if is_embedded else "live"
    source = "the embedded exchange" if is_embedded else cfg.exchange.base_url
    journal = journal_path(cfg.journal.dir, cfg.products[0]) if mode == "live" else None
    return RunFolder(opening.log_dir, cfg, mode, source, journal=journal)


def _tell_configuration(opening: Opening, run: RunFolder) -> None:
    cfg, layers = opening.cfg, opening.layers
    logger.info("run {}: {} {}, env {}, configuration in config.yml", run.name, opening.command, __version__, cfg.env)
    if cfg.env == "live" and any(layer.parent == cli.DEFAULTS for layer in layers):
        logger.warning("settings are the package's own, where configs/ has none: {}", " and ".join(map(str, layers)))


def _open_journal(cfg: AppConfig, account: Account | None, now_ns: int, *, is_new: bool) -> Journal:
    """Open the account's journal and lock it for this process, or begin one in the run's folder."""
    product, folder = cfg.exchange.product_code, Path(cfg.journal.dir)
    return Journal.open(
        journal_path(folder, product),
        product_code=product,
        others=cfg.products[1:],
        account="embedded" if account is None else account.fingerprint,
        now_ns=now_ns,
        keep_days=cfg.journal.keep_days,
        locks=folder if is_new else None,
    )


async def _to_the_end(parts: LiveParts, ending: Ending, duration_s: float | None) -> int:
    """Trade; signals are handled while the run can react to them."""
    with cli.signals_heard(ending.on_signal, ending.reread.set):
        answer_promptly()
        return await run_live(parts, ending, duration_s)
