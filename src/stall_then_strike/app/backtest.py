"""``backtest``: recorded tapes as one run, with the decisions, fill rules, logs and summary of paper trading.

Two engines give the same rows, byte for byte. With the extra ``research``, tapes are prepared once into a cache of
columns, and the compiled engine (`research.replay.compiled`) runs over them. It refuses runs that it cannot reproduce;
``auto`` then uses the interpreted engine, which is the trader of `run_paper` and takes every message from the columns.
Without the extra, the interpreted engine decodes every message from its text.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from loguru import logger
from rich.console import Console

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import (
    EXIT_DONE,
    EXIT_HALTED,
    EXIT_INTERRUPTED,
    command,
)
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.app.shell.compiling import READER, REPLAY, compiling
from stall_then_strike.app.shell.prompt import leave_out_what_lasts
from stall_then_strike.app.trader.observe import Observer
from stall_then_strike.app.trader.paper_run import PaperRun, recorded_feeds
from stall_then_strike.app.trader.trader import DayFills, PaperTrader
from stall_then_strike.app.trader.virtual import VirtualRun
from stall_then_strike.app.view.screen import Screen
from stall_then_strike.app.view.snapshot import (
    Counts,
    DayFigures,
    InstrumentSnapshot,
    RunFigures,
    Snapshot,
    reason_counts,
)
from stall_then_strike.app.view.summary import summary_table
from stall_then_strike.config.models import AppConfig, Engine
from stall_then_strike.config.trading import STALL_THEN_STRIKE
from stall_then_strike.config.venue import BITFLYER
from stall_then_strike.engine.venue.calendar import TradingCalendar
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.infra.logging_runtime import setup_runtime_logging
from stall_then_strike.infra.logs.run_files import KINDS, day_files
from stall_then_strike.infra.logs.run_folder import RunFolder
from stall_then_strike.infra.logs.run_logs import RunLogs
from stall_then_strike.research.replay.kernel_cache import is_compiled
from stall_then_strike.sim.latency import quantile_table
from stall_then_strike.tapes.sequence import of_each
from stall_then_strike.tapes.tape_files import market_of_tapes, require_product, tape_files
from stall_then_strike.tapes.tape_reader import LineFile
from stall_then_strike.types.dto import NS_PER_S, TradeLogRow
from stall_then_strike.types.errors import ConfigError, FeedError, StallThenStrikeError

if TYPE_CHECKING:
    from stall_then_strike.research.replay.compiled import Outcome
    from stall_then_strike.research.tables.columns import Columns, Ints, Manifest

_BATCH: Final = 2_000
"""Number of rows after which the logs are flushed."""
_BLOCK: Final = 1 << 20
_SHORT: Final = 2_000
"""Up to this many messages, interpreting takes less time than loading the compiled engine."""
_SHORT_BEFORE_COMPILING: Final = 60_000
"""Up to this many messages, interpreting is preferred to compiling the engine."""


def parser() -> argparse.ArgumentParser:
    """The command's flags."""
    flags = command_parser(
        "backtest",
        "Trade recorded tapes on paper, as one run.",
        ("data/raw", "all tapes of a folder, in order of time"),
        ("data/raw --set strategy.stall_T_ms=500", "with one key changed"),
        codes={
            0: "done",
            1: "failed while running",
            2: "bad configuration or arguments",
            3: "halted by the kill switch",
            130: "stopped by a signal before all was replayed",
        },
    )
    flags.add_argument(
        "tapes", metavar="TAPE", nargs="*", type=Path, help="tapes in order of time (.jsonl, .jsonl.zst), or a folder"
    )
    cli.add_common_flags(flags, override="configs/backtest.yml")
    cli.add_venue_flag(flags)
    flags.add_argument(
        "--engine", choices=[engine.value for engine in Engine], help="what replays (default: backtest.engine)"
    )
    flags.add_argument("--seed", metavar="N", type=int, help="sets paper.seed")
    flags.add_argument(
        "--latency-file", metavar="FILE", type=Path, help="recorded latencies of orders and cancels, one in ms a line"
    )
    return flags


def _sets(args: argparse.Namespace) -> list[str]:
    """The settings made by flags."""
    sets = list(args.sets)
    if args.seed is not None:
        sets.append(f"paper.seed={args.seed}")
    if args.engine is not None:
        sets.append(f"backtest.engine={args.engine}")
    if args.latency_file is not None:
        for which in ("order", "cancel"):
            sets.append(f"paper.{which}_latency.file={args.latency_file}")
            sets.append(f"paper.{which}_latency.kind=sampled")
    return sets


@command("backtest", expects=(StallThenStrikeError,))
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    args = parser().parse_args(argv)
    args.sets = _sets(args)
    cfg = cli.load(args, cli.CONFIGS / "backtest.yml", takes_several=True, trades=True)
    cli.require_open_files()
    if cli.is_check(args, cfg):
        return EXIT_DONE
    if not args.tapes:
        raise ConfigError("no TAPE was named; accepted: one or more tapes (.jsonl or .jsonl.zst)")
    found = tape_files(args.tapes, *cfg.products)
    if words := found.words():
        sys.stderr.write(f"backtest: {words}\n")
    args.tapes = found.tapes
    require_product(args.tapes, cfg)
    for latency in (cfg.paper.order_latency, cfg.paper.cancel_latency):
        quantile_table(latency)  # report an unusable file before the tapes are read
    if cfg.backtest.engine is Engine.COMPILED:
        cli.require_stall(cfg, "the compiled engine", "--engine interpreted")
        _require_one_of_bitflyer(cfg)
        with cli.extra_needed("research", "--engine interpreted"):
            import numba  # noqa: F401 - only to see whether it is installed
    return _run(cfg, args)


def _require_one_of_bitflyer(cfg: AppConfig) -> None:
    """Raise ConfigError for what the compiled engine does not replay."""
    engine, venue = f"backtest.engine: {cfg.backtest.engine}", cfg.exchange.name
    if venue != BITFLYER:
        raise ConfigError(f"{engine} replays tapes of {BITFLYER}, not of {venue}; accepted: interpreted or auto")
    if len(cfg.products) > 1:
        given = ", ".join(cfg.products)
        raise ConfigError(f"{engine} takes one instrument, not {given}; accepted: interpreted or auto for several")


def _run(cfg: AppConfig, args: argparse.Namespace) -> int:
    screen = Screen(Console(), live=False)
    with (
        cli.signals_held(),
        RunFolder(
            args.log_dir, cfg, "backtest", ", ".join(map(str, args.tapes)), market_of_tapes(args.tapes)
        ) as folder,
        setup_runtime_logging(folder.files.runtime, cfg.log, console="WARNING"),
    ):
        with RunLogs(folder, cfg) as logs:
            try:
                code = _replay(cfg, args, logs, screen)
            except cli.Interrupted as stop:
                folder.why = f"stopped by {stop}"
                sys.stderr.write(f"backtest: stopped by {stop} before the end of the tapes\n")
                code = EXIT_INTERRUPTED
            folder.exit_code = code
        if logs.failure is not None:
            raise logs.failure
        if code != EXIT_INTERRUPTED:
            screen.console.print(f"output {output_hash(folder.files.each)}", highlight=False)
        return code


def _replay(cfg: AppConfig, args: argparse.Namespace, logs: RunLogs, screen: Screen) -> int:
    """Choose the engine and run it."""
    tapes, engine = f"{len(args.tapes)} tape(s)", cfg.backtest.engine
    columns_: Columns | None = None
    takes_columns = len(cfg.products) == 1 and cfg.exchange.name == BITFLYER and _has_research()
    short = engine is not Engine.COMPILED and is_short(args.tapes)
    can_compile = takes_columns and cfg.strategy.name == STALL_THEN_STRIKE and not short
    if engine is Engine.COMPILED or (engine is Engine.AUTO and can_compile):
        from stall_then_strike.research.replay.compiled import CannotCompile

        screen.begin(f"backtest of {tapes}, compiled", logs.run.folder)
        columns_ = _columns(cfg, args, screen)
        try:
            if columns_ is not None:
                return _compiled(cfg, args, columns_, logs, screen)
        except CannotCompile as error:
            if engine is Engine.COMPILED or _csv_files(logs.run.files.each):
                raise FeedError(str(error)) from error
            logger.warning("{}", error)
    screen.begin(f"backtest of {tapes}, interpreted{', as the tape is short' if short else ''}", logs.run.folder)
    if cfg.record.enabled:
        columns_ = None  # a recording needs the text of the messages
    elif engine is Engine.INTERPRETED and not short and takes_columns:
        columns_ = _columns(cfg, args, screen)
    run = PaperRun(cfg, logs, screen)
    code = cli.run(_interpreted(run, cfg, args, columns_, logs))
    logs.run.why = run.ended
    return code


def is_short(tapes: Sequence[Path]) -> bool:
    """Whether interpreting the tapes takes less time than starting the compiled engine.

    Both times are measured in messages, as both scale with the machine: compiling takes as long as interpreting about
    100,000 messages, loading compiled code as about 3,000. The limits are lower because later runs profit from compiled
    code. Raises FeedError.
    """
    limit = _SHORT if is_compiled() else _SHORT_BEFORE_COMPILING
    messages = 0
    for path in tapes:
        try:
            with LineFile(path) as file:
                while messages <= limit and (block := file.read(_BLOCK)):
                    messages += block.count(b"\n")
        except OSError as error:
            raise FeedError(f"{path}: cannot be read: {error.strerror}") from error
    return messages <= limit


def _has_research() -> bool:
    try:
        import numba  # noqa: F401 - only to see whether it and its dependencies are installed
    except ModuleNotFoundError:
        return False
    return True


async def _interpreted(
    run: PaperRun, cfg: AppConfig, args: argparse.Namespace, columns_: Columns | None, logs: RunLogs
) -> int:
    mode, ended = "backtest · interpreted", "end of tape"
    with cli.signals_heard(run.ending.on_signal):
        if columns_ is None:
            feeds = recorded_feeds(cfg)
            return await run.virtual(
                feeds.all,
                of_each(args.tapes, cfg.products, feeds.named_in),
                mode=mode,
                speed=math.inf,
                duration_s=args.duration,
                ended=ended,
                is_tape=True,
            )
        from stall_then_strike.research.tables.column_feed import ColumnFeed

        leave_out_what_lasts()
        clock, feed = VirtualClock(0), ColumnFeed(columns_)
        trader = PaperTrader(cfg, clock, feed, logs.first)
        observer = Observer(trader, mode, 0)
        replay = VirtualRun(trader, clock, feed, on_start=observer.restart, flush=logs.flush, is_timed=False)
        running = replay.run(feed.messages(), duration_ns=_duration_ns(args))
        return await run.alone(replay, running, trader, observer, ended)


def _duration_ns(args: argparse.Namespace) -> int | None:
    return None if args.duration is None else int(args.duration * NS_PER_S)


def _columns(cfg: AppConfig, args: argparse.Namespace, screen: Screen) -> Columns | None:
    """The prepared tapes; None if columns cannot hold them and the interpreted engine may be used instead.

    Raises FeedError if the tapes hold no market data. A signal ends this at once.
    """
    from stall_then_strike.research.tables.prepare import BeyondColumns, prepared

    try:
        with cli.interruptible() as check, compiling(screen.console, "preparing the tapes", READER, check):
            columns_ = prepared(args.tapes, cfg, Path(cfg.backtest.cache_dir))
    except BeyondColumns as error:
        if cfg.backtest.engine is Engine.COMPILED:
            raise
        logger.warning("{}: the interpreted engine is told every message instead", error)
        return None
    except OSError as error:
        where = error.filename or cfg.backtest.cache_dir
        raise FeedError(f"tapes cannot be prepared: {where}: {error.strerror or error}") from error
    held = columns_.manifest
    if not held.mid_checked:
        raise FeedError(f"no board snapshot of {cfg.exchange.product_code} in {held.messages} messages")
    return columns_


def _compiled(cfg: AppConfig, args: argparse.Namespace, columns_: Columns, logs: RunLogs, screen: Screen) -> int:
    """Replay and write the rows. A signal ends this at once: nothing is at stake."""
    from stall_then_strike.research.replay.compiled import CompiledReplay
    from stall_then_strike.research.replay.kernel_rows import RowReader

    logs.run.begin()
    reader, written, fills = RowReader(cfg), 0, DayFills(TradingCalendar(cfg.session))

    def write(log: Ints, started_ns: int, first_order_ns: int) -> None:
        nonlocal written
        for row in reader.read(log, started_ns, first_order_ns):
            logs.first.write(row)
            if isinstance(row, TradeLogRow):
                fills.add(row)
            written += 1
            if written % _BATCH == 0:
                logs.flush()

    with cli.interruptible() as check, compiling(screen.console, "replaying", REPLAY, check):
        try:
            outcome = CompiledReplay(cfg, columns_, duration_ns=_duration_ns(args)).run(write)
        finally:
            logs.flush()
    if outcome.backwards:
        logger.warning("{} messages were stamped before an earlier one; they count as of its time", outcome.backwards)
    ended = logs.run.why = "end of tape" if outcome.halted is None else f"halted: {outcome.halted.label}"
    screen.end(
        summary_table(
            _last(cfg, outcome, columns_.manifest, fills.of(outcome.end_ns)), folder=str(logs.run.folder), ended=ended
        )
    )
    return EXIT_DONE if outcome.halted is None else EXIT_HALTED


def _last(cfg: AppConfig, outcome: Outcome, held: Manifest, day_fills: int) -> Snapshot:
    """The last snapshot, as far as the summary shows it, that an interpreted run would give; no decision latency.

    Frame counts are those of the whole tapes; they are left out if the run did not reach the end.
    """
    unit, tally = cfg.exchange.instrument(), outcome.tally
    is_whole = outcome.messages == held.messages
    counts = Counts(
        messages=tally["boards"],
        strikes=tally["strikes"],
        placed=tally["quotes"],
        filled=tally["filled"],
        partly_filled=tally["touched"] - tally["filled"],
        fills=tally["fills"],
        cancels=tally["cancelled"],
        closes=tally["closes"],
        rejects=tally["rejected"],
        garbage=held.garbage if is_whole else 0,
    )
    run = RunFigures(
        realised=unit.amount(outcome.inventory.realised),
        marked=unit.amount(outcome.total - outcome.inventory.realised),
        max_drawdown=unit.amount(outcome.max_fall),
        volume=unit.size(tally["volume"]),
        mid_checks=held.mid_checked if is_whole else 0,
        mid_agreed=held.mid_agreed if is_whole else 0,
        reasons=reason_counts(outcome.reason_rows, outcome.reason_ns),
    )
    one = InstrumentSnapshot(
        product=unit.product_code,
        base=unit.base,
        quote=unit.quote,
        position=unit.size(outcome.inventory.position),
        day=DayFigures(
            pnl=unit.amount(outcome.pnl_today),
            max_drawdown=unit.amount(outcome.inventory.max_drawdown),
            fills=day_fills,
        ),
        run=run,
        counts=counts,
    )
    return Snapshot(
        ts_ns=outcome.end_ns,
        mode="backtest · compiled",
        uptime_s=(outcome.end_ns - held.first_ns) / NS_PER_S,
        quote=unit.quote,
        date=TradingCalendar(cfg.session).day(outcome.end_ns).isoformat(),
        day=one.day,
        instruments=(one,),
    )


def _csv_files(folders: Sequence[Path]) -> list[Path]:
    """The CSVs in these log folders."""
    return [path for folder in folders for kind in sorted(KINDS) for _, path in day_files(folder, kind)]


def output_hash(folders: Sequence[Path]) -> str:
    """SHA-256 of all CSV files and their names: the whole output of a replay. The first folder has the others."""
    digest = hashlib.sha256()
    for path in _csv_files(folders):
        digest.update(f"{path.relative_to(folders[0]).as_posix()}\n".encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
