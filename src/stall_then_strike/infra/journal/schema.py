"""The journal's tables, the errors of a journal file, and the migration of older versions.

``PRAGMA user_version`` is the number of migrations applied to a file. Each migration sets it in its own transaction, so
a file is always of exactly one version. Before an older file is migrated, a copy is kept beside it. Never change a
released migration; append a new one.

Integers are INTEGER (prices in ticks, sizes in lots, money in ticks x lots, stamps in nanoseconds; all within 63 bits),
enums are stored as text, nothing is a float or a pickle.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from stall_then_strike.infra.journal.lock_holders import writers
from stall_then_strike.types.errors import JournalBusy, JournalError

APPLICATION_ID: Final = 0x53545331
"""Marks the file as ours (``PRAGMA application_id``; "STS1")."""

OLDEST_SQLITE: Final = (3, 37, 0)
"""The first version with STRICT tables."""

BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
"""Result codes that mean that another connection holds the lock."""

Migration = Sequence[str]
"""SQL statements."""

_FIRST: Final[Migration] = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    """
    CREATE TABLE memo (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        ts_ns INTEGER NOT NULL,
        day TEXT NOT NULL,
        position INTEGER NOT NULL,
        basis INTEGER NOT NULL,
        realised INTEGER NOT NULL,
        realised_at_roll INTEGER NOT NULL,
        equity_at_roll INTEGER NOT NULL,
        peak INTEGER NOT NULL,
        max_drawdown INTEGER NOT NULL,
        mid2 INTEGER NOT NULL,
        halted TEXT,
        halt_ns INTEGER NOT NULL,
        halt_detail TEXT NOT NULL,
        pnl_base INTEGER NOT NULL,
        cash_base INTEGER,
        since INTEGER
    ) STRICT
    """,
    """
    CREATE TABLE orders (
        seq INTEGER PRIMARY KEY,
        client_order_id TEXT NOT NULL UNIQUE,
        order_id TEXT,
        side TEXT NOT NULL,
        price INTEGER,
        size INTEGER NOT NULL,
        time_in_force TEXT NOT NULL,
        ttl_ms INTEGER NOT NULL,
        tag TEXT NOT NULL,
        reason TEXT NOT NULL,
        sent_ns INTEGER NOT NULL,
        state TEXT NOT NULL,
        executed INTEGER NOT NULL,
        cancel_reason TEXT,
        cancel_sent_ns INTEGER,
        registered_ns INTEGER,
        is_live INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE INDEX orders_by_order_id ON orders (order_id)",
    "CREATE INDEX orders_by_sent_ns ON orders (sent_ns)",
    "CREATE INDEX orders_live ON orders (seq) WHERE is_live = 1",
    """
    CREATE TABLE fills (
        seq INTEGER PRIMARY KEY,
        exec_id INTEGER NOT NULL UNIQUE,
        client_order_id TEXT,
        ts_ns INTEGER NOT NULL,
        order_id TEXT NOT NULL,
        side TEXT NOT NULL,
        price INTEGER NOT NULL,
        size INTEGER NOT NULL,
        fee INTEGER NOT NULL,
        tag TEXT NOT NULL,
        pnl INTEGER NOT NULL,
        pnl_cum INTEGER NOT NULL,
        inventory_after INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE INDEX fills_by_ts_ns ON fills (ts_ns)",
    """
    CREATE TABLE facts (
        seq INTEGER PRIMARY KEY,
        ts_ns INTEGER NOT NULL,
        what TEXT NOT NULL,
        client_order_id TEXT,
        order_id TEXT,
        detail TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX facts_by_ts_ns ON facts (ts_ns)",
    "CREATE INDEX facts_by_client_order_id ON facts (client_order_id) WHERE client_order_id IS NOT NULL",
    "CREATE INDEX facts_by_order_id ON facts (order_id) WHERE order_id IS NOT NULL",
)

_OF_PRODUCT: Final = "(SELECT value FROM meta WHERE name = 'product_code')"
_SECOND: Final[Migration] = (
    # One file for each product becomes one for each account: every row has its product.
    "ALTER TABLE orders ADD COLUMN product TEXT NOT NULL DEFAULT ''",
    f"UPDATE orders SET product = {_OF_PRODUCT}",  # noqa: S608 - no text from outside
    "CREATE INDEX orders_ended_of_product ON orders (product, seq) WHERE is_live = 0",
    "ALTER TABLE facts ADD COLUMN product TEXT NOT NULL DEFAULT ''",
    f"UPDATE facts SET product = {_OF_PRODUCT}",  # noqa: S608 - no text from outside
    "ALTER TABLE memo RENAME TO memo_of_first",
    """
    CREATE TABLE memo (
        product TEXT PRIMARY KEY,
        ts_ns INTEGER NOT NULL,
        day TEXT NOT NULL,
        position INTEGER NOT NULL,
        basis INTEGER NOT NULL,
        realised INTEGER NOT NULL,
        realised_at_roll INTEGER NOT NULL,
        equity_at_roll INTEGER NOT NULL,
        peak INTEGER NOT NULL,
        max_drawdown INTEGER NOT NULL,
        mid2 INTEGER NOT NULL,
        halted TEXT,
        halt_ns INTEGER NOT NULL,
        halt_detail TEXT NOT NULL,
        pnl_base INTEGER NOT NULL,
        cash_base INTEGER,
        since INTEGER
    ) STRICT, WITHOUT ROWID
    """,
    f"""
    INSERT INTO memo SELECT {_OF_PRODUCT}, ts_ns, day, position, basis, realised, realised_at_roll, equity_at_roll,
        peak, max_drawdown, mid2, halted, halt_ns, halt_detail, pnl_base, cash_base, since FROM memo_of_first
    """,  # noqa: S608 - no text from outside
    "DROP TABLE memo_of_first",
    "ALTER TABLE fills RENAME TO fills_of_first",
    """
    CREATE TABLE fills (
        seq INTEGER PRIMARY KEY,
        exec_id INTEGER NOT NULL,
        client_order_id TEXT,
        ts_ns INTEGER NOT NULL,
        order_id TEXT NOT NULL,
        side TEXT NOT NULL,
        price INTEGER NOT NULL,
        size INTEGER NOT NULL,
        fee INTEGER NOT NULL,
        tag TEXT NOT NULL,
        pnl INTEGER NOT NULL,
        pnl_cum INTEGER NOT NULL,
        inventory_after INTEGER NOT NULL,
        product TEXT NOT NULL,
        UNIQUE (product, exec_id)
    ) STRICT
    """,
    f"INSERT INTO fills SELECT *, {_OF_PRODUCT} FROM fills_of_first",  # noqa: S608 - no text from outside
    "DROP TABLE fills_of_first",
    "CREATE INDEX fills_by_ts_ns ON fills (ts_ns)",
    "CREATE INDEX fills_of_product ON fills (product, seq)",
)

_THIRD: Final[Migration] = ("ALTER TABLE memo ADD COLUMN paused TEXT",)

MIGRATIONS: Final[Sequence[Migration]] = (_FIRST, _SECOND, _THIRD)


def version_of(db: sqlite3.Connection) -> int:
    """The number of migrations applied to a file; zero for an empty one."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def check_ours(db: sqlite3.Connection, path: Path, newest: int = len(MIGRATIONS)) -> int:
    """The version of a journal, zero for an empty file. Raises JournalError for another database or a newer version."""
    version = version_of(db)
    mark = db.execute("PRAGMA application_id").fetchone()[0]
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if mark != APPLICATION_ID and (mark or version or tables):
        raise JournalError(f"{path} is a database, but no journal; move it away")
    if version > newest:
        raise JournalError(
            f"{path} was written by a newer version of this program (journal version {version}, known up to {newest}); "
            "use that version again, or move the file away"
        )
    return version


def migrate(
    db: sqlite3.Connection,
    path: Path,
    migrations: Sequence[Migration] = MIGRATIONS,
    meta: Sequence[tuple[str, str]] = (),
) -> Path | None:
    """Apply the missing migrations; return the copy that was kept of an older file, or None.

    ``meta`` is written into a new file in the transaction that makes it a journal. A copy of the same version, left by
    a failed attempt, is replaced. Raises sqlite3.Error; the file is then as the last successful migration left it.
    """
    version = version_of(db)
    kept: Path | None = None
    if 0 < version < len(migrations):
        kept = path.with_name(f"{path.name}.v{version}.bak")
        kept.unlink(missing_ok=True)
        with closing(sqlite3.connect(kept)) as copy:
            db.backup(copy)
    for number, statements in enumerate(migrations[version:], version + 1):
        db.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                db.execute(statement)
            if number == 1:
                db.executemany("INSERT INTO meta VALUES (?, ?)", meta)
            db.execute(f"PRAGMA user_version = {number}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    return kept


@contextmanager
def journal_errors(path: Path, what: str) -> Iterator[None]:
    """Turn errors of the block into JournalError or JournalBusy: "``path`` cannot be ``what``"."""
    try:
        yield
    except sqlite3.Error as error:
        if (code := primary_code(error)) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise damaged(path, str(error)) from error
        if code in BUSY:
            raise JournalBusy(f"{path} cannot be {what}: locked by {writers(path) or 'another program'}") from error
        raise JournalError(f"{path} cannot be {what}: {error}") from error
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise JournalError(f"{path} cannot be {what}: {error!r}") from error


def damaged(path: Path, why: str) -> JournalError:
    """The error for a damaged file."""
    return JournalError(
        f"{path} is damaged ({why}); move it away together with its -wal file. A new journal knows no halt and no "
        "result of the day: compare position and orders with the venue before trading on"
    )


def primary_code(error: sqlite3.Error) -> int | None:
    """SQLite's primary result code; None for an error of Python's own module."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
