"""Adds to the trade CSVs of killed runs what their journals know and they lack.

A fill is in the journal at once and in the CSV up to ``log.flush_ms`` later. The next run that starts in the log folder
does this for runs with a journal of their own; the next run on a journal that several runs share does it for the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from loguru import logger

from stall_then_strike.config.loader import load_app_config
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.writer import LastRun
from stall_then_strike.infra.logging_structured import TradeLogger
from stall_then_strike.infra.logs.csv_mending import drop_cut_rows, missing_trades
from stall_then_strike.infra.logs.run_files import day_files
from stall_then_strike.infra.logs.run_list import Run, RunList, folder_held
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import ConfigError, JournalError, LogError
from stall_then_strike.types.text import iso_ns, utc_iso

_DAYS_MENDED: Final = 3
"""How many of the newest trade files may lack something."""
_DAY_NS: Final = 86_400 * NS_PER_S


def mend_killed(root: Path) -> None:
    """Mend all killed runs of a log folder that keep a journal of their own. What fails is logged, and tried again."""
    for run in RunList(root).all:
        record, journal = run.record, run.journal
        if record is None or journal is None or Path(record.journal or "").is_absolute():
            continue
        if record.ended is None and record.mended is None and not run.is_running:
            with _told(run, "the killed run"):
                _mend(run, journal, load_app_config(run.files.settings), 0, 0)


def mend_last(last: LastRun, journal: Path, cfg: AppConfig) -> None:
    """Mend the last run that used a shared journal; one whose folder is gone is left out. What fails is logged.

    ``cfg`` is for a folder of an older version, which has no settings.
    """
    runs = RunList(last.folder).all
    if not runs:
        return
    run, from_ns = runs[0], 0  # of an older version's folder the unknown run, which is its first
    with _told(run, "the last run"):
        if run.record is not None:
            cfg = load_app_config(run.files.settings)
            from_ns = iso_ns(run.record.started) if last.after_fill is None else 0
        _mend(run, journal, cfg, from_ns, last.after_fill or 0)


@contextmanager
def _told(run: Run, which: str) -> Iterator[None]:
    """Log what fails: no start depends on what another run left."""
    try:
        yield
    except (ConfigError, JournalError, LogError, OSError) as error:
        logger.warning("the trades CSV of {} {} was not looked over: {}", which, run.name, error)


def _mend(run: Run, journal: Path, cfg: AppConfig, from_ns: int, after_fill: int) -> None:
    """Mend one run, unless somebody else does. Its fills are those from ``from_ns`` on, stored after ``after_fill``."""
    try:
        with folder_held(run.files.folder):
            added = sum(_mended(run, journal, each, from_ns, after_fill) for each in cfg.by_instrument())
            if run.record is not None and run.record.ended is None:
                stamp = utc_iso(SystemClock().now_ns())
                run.record.model_copy(update={"mended": stamp}).write(run.files.record)
    except BlockingIOError:
        return
    if added:
        logger.warning("{} fills of run {} were not in its trades CSV: added", added, run.name)


def _mended(run: Run, journal: Path, cfg: AppConfig, from_ns: int, after_fill: int) -> int:
    """Mend an instrument's trade files; the number of rows that they lacked."""
    unit, strategy = cfg.exchange.instrument(), cfg.strategy.name
    folder = run.files.of(unit.product_code)
    try:
        newest = day_files(folder, TradeLogger.KIND)[-_DAYS_MENDED:]
    except OSError as error:
        raise LogError(f"{folder} cannot be read: {error.strerror}") from error
    drop_cut_rows(path for _, path in newest)
    if newest:
        from_ns = max(from_ns, iso_ns(f"{newest[-1][0]}T000000Z") - _DAYS_MENDED * _DAY_NS)
    with JournalReader.open(journal) as reader:
        fills = [fill.row for fill in reader.of(unit.product_code).fills(from_ns, after_seq=after_fill)]
    lacking = missing_trades(folder, fills, unit, strategy=strategy)
    trades = TradeLogger(folder / TradeLogger.KIND, strategy, unit)
    for row in lacking:
        trades.log_trade(row)
    trades.file.close()
    return len(lacking)
