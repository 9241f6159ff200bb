"""Writes what must survive the process: orders, fills, facts and the core's memo, in one SQLite file per account.

The file is named after the account's first instrument, and every row has its instrument.

The owner records a step's changes before it sends the step's actions. A process that is killed at any point therefore
leaves the whole step or nothing of it, and never an order at the venue that the file does not know.

Durability. With ``synchronous=NORMAL`` in WAL mode each commit reaches the operating system, not the disk. A
``kill -9`` loses nothing; a power cut can lose the last moments (whole steps, newest first) and cannot damage the file.
Reconciliation with the venue finds the orders and fills of that time; a halt of that time is lost. Waiting for the disk
at each step would block the event loop for milliseconds.

Locks. The event loop only appends to the write-ahead log, and does not wait for a lock (:meth:`Journal.set_patience`):
while another connection writes (a thread of this process for a moment, or any program that opened the file),
:meth:`Journal.record` raises JournalBusy. :meth:`Journal.checkpoint` moves the log into the file and
:meth:`Journal.prune` deletes old rows; both are meant for a thread. Other processes may read meanwhile (``reader``); a
second trader is refused (``instance_lock``).

Full disk. A file beside the journal reserves a little room. It is deleted at the first write that finds no room, so
that later changes, above all a halt, can still be written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Final, Self, TypeVar

from stall_then_strike.infra.clock import perf_ns
from stall_then_strike.infra.journal import journal_rows as rows
from stall_then_strike.infra.journal.instance_lock import InstanceLock
from stall_then_strike.infra.journal.schema import (
    BUSY,
    MIGRATIONS,
    OLDEST_SQLITE,
    Migration,
    check_ours,
    damaged,
    journal_errors,
    migrate,
    primary_code,
)
from stall_then_strike.infra.watch.disk_watch import Reserve
from stall_then_strike.types.dto import NS_PER_S, BookedFill, Changes, CoreMemo, ExecId, OrderMemo
from stall_then_strike.types.errors import ConfigError, JournalError

RECENT_ORDERS: Final = 1_000
RECENT_FILLS: Final = 20_000
"""How many orders and fills :meth:`Journal.load` returns and pruning keeps at any age: as many as the engine's order
table remembers. If an execution id were forgotten while the venue still lists it, it would be booked again."""

WHOLE_FILLS: Final = 200
"""How many of the last fills are returned whole: more than the venue's lists can lack."""

PATIENCE_S: Final = 30.0
"""Default time to wait for a program that holds the journal's lock."""
_YIELD_S: Final = 0.05
"""How long a checkpoint or a deletion of old rows waits for the writer."""
_LOG_BYTES: Final = 16 * 1024 * 1024
"""Size to which SQLite truncates a reset log. Above this size a checkpoint also locks out the writer."""
_PASSES: Final = 3
"""How often a checkpoint tries while the writer goes on."""
_CHECK_S: Final = 2.0
"""Time limit for checking the facts at open: trading does not need them. The other tables are checked completely."""
BATCH: Final = 50
"""Rows that pruning deletes in one transaction: the journal is busy for the writer for about a millisecond."""
_BATCHES_AT_OPEN: Final = 100
_T = TypeVar("_T")
_DAY_NS: Final = 86_400 * NS_PER_S
_NO_ROOM: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
"""Result codes of a full disk. A quota, a limit on file size and a full shared-memory file appear as I/O errors."""

PAGE_BYTES: Final = 1_024
"""A step changes a few rows on a dozen pages, and each is written whole: a quarter of SQLite's own size takes a fifth
off a record."""
CHECKPOINT_RECORDS: Final = 500
"""Records after which the write-ahead log is to be moved into the file: some megabytes of log."""
OWN_FOLDER: Final = "journal"
"""Folder in a log folder for the journals of runs on the embedded exchange, instead of ``journal.dir``."""


def journal_path(folder: str | Path, product_code: str) -> Path:
    """The file of an account in a folder of journals (``journal.dir``), by the product of its first instrument."""
    return Path(folder) / f"{product_code}.sqlite3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What an earlier run left."""

    memo: CoreMemo | None
    """None in a new journal."""
    orders: tuple[OrderMemo, ...]
    """All that were not known to have ended, and the newest :data:`RECENT_ORDERS` others, in the order of sending."""
    exec_ids: tuple[ExecId, ...]
    """The last :data:`RECENT_FILLS` execution ids that were booked, in that order."""
    fills: tuple[BookedFill, ...]
    """The last :data:`WHOLE_FILLS` fills, whole and in the same order."""


@dataclass(frozen=True, slots=True)
class LastRun:
    """The run that had the journal before."""

    folder: Path
    after_fill: int | None
    """The row of the last fill that was stored before it; None if an older version wrote the journal."""


class Journal:
    """The only writer of a journal. Made by :meth:`open`; a context manager, for one thread."""

    def __init__(self, path: Path, db: sqlite3.Connection, lock: InstanceLock, *, is_new: bool, backup: Path | None):
        """Only for :meth:`open`."""
        self.path = path
        self.is_new = is_new
        """Whether there was no journal before: nothing is remembered, not even a halt."""
        self.backup = backup
        """The copy of the older version, if the journal was migrated."""
        self._db = db
        self._product = rows.read_meta(db, "product_code") or ""
        self._lock = lock
        self.reserve = Reserve(path.with_name(f"{path.name}.reserve"))
        """Reserves room on the disk once its ``keep`` was called."""
        self.is_used = False
        """Whether an order, a fill or a fact was recorded since it was opened."""
        self._records = 0
        self._checkpointed = 0

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        product_code: str,
        account: str,
        now_ns: int,
        others: Sequence[str] = (),
        keep_days: int | None = None,
        locks: Path | None = None,
        migrations: Sequence[Migration] = MIGRATIONS,
    ) -> Journal:
        """Open a journal, or make a new one, and lock it for this process until it is closed.

        ``product_code`` is the first instrument, ``others`` are the products of the account's other instruments.
        ``account`` is a fingerprint of the account (never its key); it must be the one that the journal was made with.
        ``keep_days``: delete older rows. ``locks`` is the folder of the accounts' locks (``instance_lock``).

        Raises ConfigError if it is of another product or account, and JournalError if it is in use, of a newer version,
        damaged, or not writable. Both name the file and the remedy.
        """
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise JournalError(f"SQLite {sqlite3.sqlite_version} is too old; accepted: 3.37 or newer")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JournalError(f"{path.parent} cannot be made: {error.strerror}") from error
        lock = InstanceLock(path, account, locks)
        lock.take()
        db: sqlite3.Connection | None = None
        try:
            with journal_errors(path, "opened"):
                db = _connect(path, PATIENCE_S)
                version = check_ours(db, path, len(migrations))
                if version:
                    _check_whole(db, path)
                    _check_owner(db, path, product_code, account)
                db.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # an older file keeps its own
                (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
                if mode != "wal":
                    raise JournalError(
                        f"{path} is on a file system that SQLite cannot log on; set journal.dir elsewhere"
                    )
                _set_pace(db)
                new = () if version else (("product_code", product_code), ("account", account))
                backup = migrate(db, path, migrations, new)
                _check_instruments(db, path, (product_code, *others))
                journal = cls(path, db, lock, is_new=not version, backup=backup)
                if keep_days is not None:
                    journal.prune(keep_days, now_ns, batches=_BATCHES_AT_OPEN)
                return journal
        except BaseException:
            if db is not None:
                db.close()
            lock.release()
            raise

    def close(self) -> None:
        """Checkpoint and close the file. Safe to call twice. If the checkpoint fails, nothing is lost."""
        with suppress(sqlite3.Error):
            self._db.close()
        self._lock.release()

    def seal(self) -> None:
        """Close the journal for good, as one plain file without a write-ahead log. If that fails, it is just closed."""
        self.reserve.release()
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA journal_mode = DELETE")
        self.close()

    def discard(self) -> None:
        """Close the journal and delete its files. Raises ValueError unless it is new and unused."""
        if not self.is_new or self.is_used:
            raise ValueError("only an empty journal may be taken away")
        with suppress(sqlite3.Error):
            self._db.close()
        self.reserve.release()
        for suffix in ("", "-wal", "-shm"):
            with suppress(OSError):
                self.path.with_name(self.path.name + suffix).unlink()
        self._lock.release()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()

    def set_patience(self, seconds: float) -> None:
        """Set how long a write waits for another program's lock; on an event loop this should be zero."""
        with journal_errors(self.path, "written"):
            self._db.execute(f"PRAGMA busy_timeout = {round(seconds * 1_000)}")

    # --- Writing ------------------------------------------------------------------------------------------------------

    def record(self, changes: Changes) -> None:
        """Store a step's changes, all or none. Once this returns, they survive the process.

        Raises JournalBusy, and JournalError (disk full, I/O error, damage): nothing is stored then, and the call may
        be repeated.
        """
        self._write(lambda: self._put(changes))
        self._records += 1
        self.is_used = self.is_used or bool(changes.orders or changes.fills or changes.facts)

    def swap_log_dir(self, log_dir: Path) -> LastRun | None:
        """Store the folder of this run, whose fills come from here on, and return the last one. Raises JournalError."""

        def swap() -> LastRun | None:
            folder, after = rows.read_meta(self._db, "log_dir"), rows.read_meta(self._db, "log_dir_after_fill")
            stored = {"log_dir": str(log_dir.absolute()), "log_dir_after_fill": str(rows.newest_fill_seq(self._db))}
            self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", stored.items())
            return None if folder is None else LastRun(Path(folder), None if after is None else int(after))

        return self._write(swap)

    def _put(self, changes: Changes) -> None:
        db, of = self._db, repeat(changes.product or self._product)
        if changes.orders:
            db.executemany(rows.PUT_ORDER, map(rows.ORDERS.row, changes.orders, of))
        if changes.fills:
            db.executemany(rows.PUT_FILL, map(rows.FILLS.row, changes.fills, of))
        if changes.facts:
            db.executemany(rows.PUT_FACT, map(rows.FACTS.row, changes.facts, of))
        if changes.memo is not None:
            db.execute(rows.PUT_MEMO, rows.MEMO.row(changes.memo, next(of)))
        if changes.account is not None:
            db.execute(rows.PUT_MEMO, rows.MEMO.row(changes.account, rows.ALL))

    def _write(self, change: Callable[[], _T]) -> _T:
        """Make a change in a transaction: all of it or nothing. Raises as :meth:`record`."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            result = change()
            self._db.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):
                if self._db.in_transaction:  # SQLite itself rolls back when the disk is full
                    self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error) and primary_code(error) in _NO_ROOM:
                self.reserve.release()
            with journal_errors(self.path, "written"):
                raise
        return result

    # --- Reading ------------------------------------------------------------------------------------------------------

    def load(self, product: str = "") -> Restored:
        """What the journal remembers of an instrument, by default of the first: memo, recent orders and fills.

        Raises JournalError.
        """
        product = product or self._product
        with journal_errors(self.path, "read"):
            return Restored(
                memo=rows.read_memo(self._db, product),
                orders=tuple(rows.recent_orders(self._db, product, RECENT_ORDERS)),
                exec_ids=tuple(rows.newest_exec_ids(self._db, product, RECENT_FILLS)),
                fills=tuple(rows.newest_fills(self._db, product, WHOLE_FILLS)),
            )

    def account(self) -> CoreMemo | None:
        """The memo of the account as a whole; None if it never traded several instruments. Raises JournalError."""
        with journal_errors(self.path, "read"):
            return rows.read_memo(self._db, rows.ALL)

    # --- Keeping it small: for another thread -------------------------------------------------------------------------

    @property
    def log_bytes(self) -> int:
        """Size of the write-ahead log's file, reusable space included; zero if there is none."""
        try:
            return _log_of(self.path).stat().st_size
        except OSError:
            return 0

    @property
    def unmoved(self) -> int:
        """Records and deleted rows since the log was last reset."""
        return self._records - self._checkpointed

    def checkpoint(self) -> bool:
        """Move the write-ahead log into the file. Returns whether the log was reset, or there was nothing to move.

        For a thread: it waits for the disk, with its own connection, while writers and readers go on. Once everything
        is moved, the next write resets the log, and SQLite waits for the disk once. That write is done here, so that
        the next record need not wait. If a writer interferes, it is tried again; if the log has grown long, finally
        with the writer locked out while the disk works. A reader that keeps its snapshot open keeps the log growing.
        Raises JournalError.
        """
        records = self._records
        if records == self._checkpointed:
            return True
        with (
            journal_errors(self.path, "written"),
            closing(_beside(self.path, _YIELD_S)) as db,
            closing(_beside(self.path, _YIELD_S)) as gate,
        ):
            was_reset = any(_reset_log(self.path, db) for _ in range(_PASSES))
            if not was_reset and self.log_bytes > _LOG_BYTES:
                with _unless_busy():
                    gate.execute("BEGIN IMMEDIATE")
                    _move(db)
                    gate.execute("ROLLBACK")
                    was_reset = _reset_log(self.path, db)
        if was_reset:
            self._checkpointed = records
        return was_reset

    def prune(self, keep_days: int, now_ns: int, *, batches: int = 1) -> int:
        """Delete ended orders, fills and facts older than ``keep_days`` days; return the number of deleted rows.

        The newest :data:`RECENT_ORDERS` and :data:`RECENT_FILLS` are kept at any age. Each batch is a transaction of
        about a millisecond on a separate connection, so this may run in a thread too. It ends early if a writer holds
        the lock. Raises JournalError.
        """
        keep = {
            "cutoff": now_ns - keep_days * _DAY_NS,
            "fills": RECENT_FILLS - 1,
            "orders": RECENT_ORDERS - 1,
            "batch": BATCH,
        }
        gone = 0
        with journal_errors(self.path, "pruned"), closing(_beside(self.path, _YIELD_S)) as db, _unless_busy():
            for statement in _PRUNE:
                for _ in range(batches):
                    count = db.execute(statement, keep).rowcount
                    gone += count
                    if count < BATCH:
                        break
        self._records += gone
        return gone


_PRUNE: Final = (
    "DELETE FROM facts WHERE seq IN (SELECT seq FROM facts WHERE ts_ns < :cutoff ORDER BY ts_ns LIMIT :batch)",
    """
    DELETE FROM fills WHERE seq IN (
        SELECT seq FROM fills
        WHERE ts_ns < :cutoff AND seq < (SELECT seq FROM fills ORDER BY seq DESC LIMIT 1 OFFSET :fills)
        ORDER BY ts_ns LIMIT :batch
    )
    """,
    """
    DELETE FROM orders WHERE seq IN (
        SELECT seq FROM orders
        WHERE sent_ns < :cutoff AND is_live = 0
            AND seq < (SELECT seq FROM orders WHERE is_live = 0 ORDER BY seq DESC LIMIT 1 OFFSET :orders)
        ORDER BY sent_ns LIMIT :batch
    )
    """,
)


def _connect(path: Path, timeout_s: float) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=timeout_s, isolation_level=None)


def _beside(path: Path, timeout_s: float) -> sqlite3.Connection:
    """A second connection, for a thread other than the writer's."""
    db = _connect(path, timeout_s)
    _set_pace(db)
    return db


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _move(db: sqlite3.Connection) -> bool:
    """Move as much of the log into the file as possible. Returns whether that was all of it."""
    busy, frames, moved = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return not busy and moved == frames


def _reset_log(path: Path, db: sqlite3.Connection) -> bool:
    """Move the log, then make the write that resets it. Returns whether it was reset."""
    before = _generation(path)
    if not _move(db):
        return False
    with _unless_busy():
        db.execute("INSERT OR REPLACE INTO meta VALUES ('checkpoints', ?)", (str(before),))
    return _generation(path) != before


def _generation(path: Path) -> int:
    """How often the log was reset since it was made (SQLite, "Database File Format", section 4.1)."""
    try:
        with _log_of(path).open("rb") as log:
            return int.from_bytes(log.read(16)[12:])
    except OSError:
        return 0


def _set_pace(db: sqlite3.Connection) -> None:
    """Wait for the disk only in a checkpoint, and never checkpoint automatically."""
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")


@contextmanager
def _unless_busy() -> Iterator[None]:
    """Leave the block quietly if another connection holds the lock: the caller tries again later."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if primary_code(error) not in BUSY:
            raise


def _check_whole(db: sqlite3.Connection, path: Path) -> None:
    """Check the tables that trading needs completely, the facts within a time limit: weeks of them are gigabytes."""
    for table in ("meta", "memo", "orders", "fills"):
        _check_table(db, path, table)
    limit_ns = perf_ns() + round(_CHECK_S * NS_PER_S)
    db.set_progress_handler(lambda: perf_ns() > limit_ns, 100_000)
    try:
        _check_table(db, path, "facts")
    except sqlite3.OperationalError as error:
        if primary_code(error) != sqlite3.SQLITE_INTERRUPT:
            raise
    finally:
        db.set_progress_handler(None, 0)


def _check_table(db: sqlite3.Connection, path: Path, table: str) -> None:
    for (verdict,) in db.execute(f"PRAGMA integrity_check({table})"):
        if verdict != "ok":
            raise damaged(path, " ".join(str(verdict).split()))


def _check_instruments(db: sqlite3.Connection, path: Path, products: Sequence[str]) -> None:
    """Refuse to leave a position or an order of another run's instrument alone, and to trade one of two journals."""
    for other in products[1:]:
        if (file := path.with_name(f"{other}{path.suffix}")) != path and file.exists():
            raise ConfigError(f"{file} is a journal of {other} alone; give {other} first, or move it away")
    for (of,) in db.execute(
        "SELECT product FROM memo WHERE position != 0 UNION SELECT product FROM orders WHERE is_live = 1"
    ):
        if of not in (*products, rows.ALL):
            raise ConfigError(
                f"{path} has a position or an order of {of}, which this run does not trade; add it to instruments"
            )


def _check_owner(db: sqlite3.Connection, path: Path, product_code: str, account: str) -> None:
    if (of := rows.read_meta(db, "product_code")) != product_code:
        raise ConfigError(f"{path} is the journal of {of}, not of {product_code}; set journal.dir to another folder")
    if rows.read_meta(db, "account") != account:
        raise ConfigError(
            f"{path} is the journal of another account, or of another API key; set journal.dir to another folder, or "
            "move it away"
        )
