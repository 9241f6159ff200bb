"""Reads a journal for the commands, also while a daemon writes it.

A reader sees a snapshot: all its answers belong to the same step. It changes nothing and takes no lock that a writer
waits for. A journal of an older version is read from a renewed copy. While it is open, the write-ahead log cannot be
reset, so close it soon.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import quote

from stall_then_strike.infra.file_lock import holder
from stall_then_strike.infra.journal import journal_rows as rows
from stall_then_strike.infra.journal.instance_lock import journal_lock
from stall_then_strike.infra.journal.schema import MIGRATIONS, check_ours, journal_errors, migrate, primary_code
from stall_then_strike.types.dto import BookedFill, CoreMemo, Fact, OrderMemo
from stall_then_strike.types.errors import JournalError

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalInfo:
    """What kind of file a journal is, whom it belongs to and how much it holds."""

    path: Path
    version: int
    product_code: str
    """The first instrument."""
    products: tuple[str, ...]
    """All instruments of which something is remembered, the first one first."""
    account: str
    size_bytes: int
    """Size of the file and its write-ahead log."""
    orders: int
    fills: int
    facts: int
    held_by: str | None
    """The process that trades on it, as ``process 1234``; None if none does."""


class JournalReader:
    """A snapshot of a journal, of all instruments or of one. Made by :meth:`open`; a context manager.

    All its methods may raise JournalError.
    """

    def __init__(
        self, path: Path, db: sqlite3.Connection, version: int, stack: ExitStack, product: str = rows.ALL
    ) -> None:
        """Only for :meth:`open`. ``stack`` closes everything."""
        self.path = path
        self._db = db
        self._version = version
        self._stack = stack
        self._product = product

    @classmethod
    def open(cls, path: Path) -> JournalReader:
        """Open an existing journal. Raises JournalError: missing, not a journal, of another version, or damaged."""
        absent = JournalError(f"{path}: no journal yet; it is made when trading starts")
        try:
            if not path.is_file():
                raise absent
        except OSError as error:
            raise JournalError(f"{path} cannot be read: {error.strerror}") from error
        stack = ExitStack()
        try:
            with journal_errors(path, "read"):
                db = _connected(path, stack)
                db.execute("BEGIN")
                version = check_ours(db, path)
                if not version:
                    raise absent
                if version < len(MIGRATIONS):
                    db = _renewed(db, path, stack)
                return cls(path, db, version, stack.pop_all())
        except OSError as error:
            raise JournalError(f"{error.filename or path} cannot be read: {error.strerror or error}") from error
        finally:
            stack.close()

    def close(self) -> None:
        """Close the file; removes a temporary copy."""
        self._stack.close()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()

    def info(self) -> JournalInfo:
        """Facts about the file, and which process holds it."""
        with self._reading():
            counts = [
                int(self._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - one of three words
                for table in ("orders", "fills", "facts")
            ]
            files = (self.path, self.path.with_name(f"{self.path.name}-wal"))
            return JournalInfo(
                path=self.path,
                version=self._version,
                product_code=rows.read_meta(self._db, "product_code") or "",
                products=tuple(rows.products(self._db)),
                account=rows.read_meta(self._db, "account") or "",
                size_bytes=sum(os.stat(file).st_size for file in files if file.exists()),
                orders=counts[0],
                fills=counts[1],
                facts=counts[2],
                held_by=holder(journal_lock(self.path)),
            )

    def log_dir(self) -> Path | None:
        """The folder of the last run; None if none is stored."""
        with self._reading():
            folder = rows.read_meta(self._db, "log_dir")
            return None if folder is None else Path(folder)

    def of(self, product: str) -> Self:
        """The same snapshot, limited to an instrument. Close it only once."""
        return type(self)(self.path, self._db, self._version, self._stack, product)

    def memo(self) -> CoreMemo | None:
        """The memo of the instrument's core, by default of the first; None if none was ever stored."""
        with self._reading():
            product = rows.products(self._db)[0] if self._product == rows.ALL else self._product
            return rows.read_memo(self._db, product)

    def account_memo(self) -> CoreMemo | None:
        """The memo of the account as a whole; None if it never traded several instruments."""
        with self._reading():
            return rows.read_memo(self._db, rows.ALL)

    def product_of(self, name: str) -> str | None:
        """The instrument of the order with this id, ours or the venue's; None if there is none."""
        with self._reading():
            return rows.product_of(self._db, name)

    def live_orders(self) -> list[OrderMemo]:
        """Orders that are not known to have ended, in the order of sending."""
        with self._reading():
            return list(rows.live_orders(self._db, self._product))

    def orders(self, from_ns: int = 0, until_ns: int = rows.MAX_NS) -> Iterator[OrderMemo]:
        """Orders sent in ``[from_ns, until_ns)``, oldest first."""
        return self._each(rows.orders_sent(self._db, self._product, from_ns, until_ns))

    def order(self, name: str) -> OrderMemo | None:
        """The order with this id, ours or the venue's."""
        with self._reading():
            return next(iter(rows.orders_named(self._db, name)), None)

    def fills(self, from_ns: int = 0, until_ns: int = rows.MAX_NS, *, after_seq: int = 0) -> Iterator[BookedFill]:
        """Fills in ``[from_ns, until_ns)`` and stored after a row, oldest first."""
        return self._each(rows.fills_within(self._db, self._product, from_ns, until_ns, after_seq))

    def newest_fills(self, count: int) -> list[BookedFill]:
        """The newest fills, oldest first."""
        with self._reading():
            product = rows.products(self._db)[0] if self._product == rows.ALL else self._product
            return rows.newest_fills(self._db, product, count)

    def facts(self, from_ns: int = 0, until_ns: int = rows.MAX_NS) -> Iterator[Fact]:
        """Facts in ``[from_ns, until_ns)``, oldest first."""
        return self._each(rows.facts_within(self._db, self._product, from_ns, until_ns))

    def facts_of(self, name: str) -> list[Fact]:
        """Facts about the order with this id, ours or the venue's, found under either id, in the order of storing."""
        with self._reading():
            names = {name}
            for order in rows.orders_named(self._db, name):
                names |= {order.client_order_id} | ({order.order_id} if order.order_id else set())
            return rows.facts_named(self._db, names)

    def _each(self, values: Iterable[_Value]) -> Iterator[_Value]:
        with self._reading():
            yield from values

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            with journal_errors(self.path, "read"):
                yield
        except OSError as error:
            raise JournalError(f"{error.filename or self.path} cannot be read: {error.strerror}") from error


def _connected(path: Path, stack: ExitStack) -> sqlite3.Connection:
    """A connection for reading. Raises sqlite3.Error, OSError, JournalError.

    If this user may not write in the journal's folder, SQLite can only read it while a daemon has it open. If no daemon
    has, nobody changes it: it is then read in place or, if it has a write-ahead log, from a temporary copy of both.
    """
    try:
        db = _connect(path, "mode=ro", stack)
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return db
    except sqlite3.OperationalError as error:
        if primary_code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        if (process := holder(journal_lock(path))) is not None:
            raise JournalError(f"{path} is in use by {process}, and this user may not write beside it") from error
    log = path.with_name(f"{path.name}-wal")
    if not log.exists() or not log.stat().st_size:
        return _connect(path, "mode=ro&immutable=1", stack)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="journal-")))
    for file in (path, log):
        shutil.copyfile(file, folder / file.name)
    return _connect(folder / path.name, "mode=rw", stack)


def _renewed(old: sqlite3.Connection, path: Path, stack: ExitStack) -> sqlite3.Connection:
    """A connection to a temporary copy of the newest version."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="journal-")))
    db = _connect(folder / path.name, "mode=rwc", stack)
    old.backup(db)
    migrate(db, folder / path.name)
    db.execute("BEGIN")
    return db


def _connect(path: Path, mode: str, stack: ExitStack) -> sqlite3.Connection:
    db = sqlite3.connect(f"file:{quote(str(path.absolute()))}?{mode}", uri=True, isolation_level=None)
    stack.callback(db.close)
    return db
