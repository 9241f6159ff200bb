"""The checks before real orders are sent, as a list of findings. They read and change nothing.

Those of the venue are the connection's. On the disk it is only checked whether a file could be made.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.risk import DAY_LIMITS, KEEPS_POSITION
from stall_then_strike.engine.venue.calendar import TradingCalendar
from stall_then_strike.infra.clock import Clock
from stall_then_strike.infra.journal.halt import newest
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.writer import journal_path
from stall_then_strike.infra.watch.disk_watch import MB, free_bytes, nearest, written_folders
from stall_then_strike.types.errors import JournalError
from stall_then_strike.types.text import utc_iso
from stall_then_strike.venues.connection import Account, Connection
from stall_then_strike.venues.findings import CheckResult, Verdict, fault, ok, warning


async def preflight(
    cfg: AppConfig, account: Account | None, connection: Connection | None, clock: Clock, log_dir: Path
) -> list[CheckResult]:
    """Run all checks. Never raises for what it finds.

    Without ``connection`` nothing is checked at the venue, without ``account`` not whose journal it is.
    """
    results = [] if connection is None else await connection.check()
    results += [_folder("log folder", log_dir), _folder("journal", Path(cfg.journal.dir))]
    results.append(_disk(cfg, written_folders(cfg, log_dir, Path(cfg.journal.dir))))
    if cfg.env == "live":
        results += _memory(cfg, account, clock)
    return results


def _memory(cfg: AppConfig, account: Account | None, clock: Clock) -> list[CheckResult]:
    """Check what the journal of an earlier run remembers; no result if there is no journal."""
    path = journal_path(cfg.journal.dir, cfg.exchange.product_code)
    try:
        with path.open("r+b"):
            pass
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        advice = "give this user the right to write it, or run as the user whose it is"
        return [fault("memory", f"{path} cannot be written to: {error.strerror}", advice)]
    try:
        with JournalReader.open(path) as reader:
            info, memo = reader.info(), newest(reader.account_memo(), reader.memo())
    except JournalError as error:
        return [fault("memory", str(error), "see docs/operations.md on the journal")]
    if account is not None and info.account != account.fingerprint:
        advice = (
            "use the key that it was begun with, or move the file away; its halt and day's result are then forgotten"
        )
        return [fault("memory", f"{path} is of another account, or of another API key", advice)]
    if memo is not None and memo.halted is not None:
        detail = f" ({memo.halt_detail})" if memo.halt_detail else ""
        text = f"halted since {utc_iso(memo.halt_ns)[:19]}Z: {memo.halted.label}{detail}"
        if memo.halted in DAY_LIMITS and memo.day != TradingCalendar(cfg.session).day(clock.now_ns()).isoformat():
            advice = "its trading day is over: the next start lifts it; within that day a start only ends flat"
            return [warning("memory", text, advice)]
        then = "cancels orders and leaves the position to you" if memo.halted in KEEPS_POSITION else "ends flat"
        advice = f"look at `state`, then `state resume`; until then a start only {then}"
        return [CheckResult(name="memory", verdict=Verdict.WARNING, text=text, advice=advice, is_halt=True)]
    if memo is not None and memo.paused is not None:
        return [warning("memory", "not halted, but paused by the operator", "`ctl resume` in the run ends the pause")]
    return [ok("memory", "not halted")]


def _folder(name: str, folder: Path) -> CheckResult:
    """Whether files can be made in a folder, or whether a missing folder can be made."""
    existing = nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return fault(
            name,
            f"{folder} cannot be written to: {error.strerror}",
            "give this user the right to write there, or name another folder",
        )
    return ok(name, f"{folder}, writable" if existing == folder else f"{folder}, will be made")


def _disk(cfg: AppConfig, folders: Iterable[Path]) -> CheckResult:
    """Free room on the disks of logs and journal."""
    try:
        free_mb = min(map(free_bytes, folders)) // MB
    except OSError as error:
        return fault("disk space", f"cannot be told: {error.strerror}", "name other folders")
    text = f"{free_mb:,} MB free"
    if free_mb < cfg.watch.min_free_disk_mb:
        return fault(
            "disk space",
            f"{text}; watch.min_free_disk_mb is {cfg.watch.min_free_disk_mb:,}",
            "make room: trading stops when a log cannot be written",
        )
    return ok("disk space", text)
