"""Converts values to journal rows and back, and holds the queries of the journal's writer and readers.

The columns of a table are the fields of the value that it stores, in the same order, and the instrument that it
belongs to; ``schema`` makes the tables. The memo of the account as a whole, if it trades several instruments, is the
memo of the instrument :data:`ALL`.

Values read back equal, except text from outside: it is cut to 2,000 characters, and invalid Unicode is replaced.
Functions raise sqlite3.Error, and ValueError or KeyError for a row that is not a valid value.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from operator import attrgetter
from types import UnionType
from typing import Any, Final, Generic, NamedTuple, TypeVar, get_args, get_type_hints

from stall_then_strike.types.dto import (
    BookedFill,
    CoreMemo,
    ExecId,
    Fact,
    InventoryMemo,
    OrderMemo,
    Reason,
    TradeLogRow,
)

DETAIL_CHARS: Final = 2_000
ALL: Final = "*"
"""Stands for all instruments of the account, where the name of one is expected."""
_ITS: Final = f"(?1 = '{ALL}' OR product = ?1)"
MAX_NS: Final = 2**63 - 1
"""Upper bound of all stamps."""

_REASONS: Final[Mapping[str, Reason]] = {reason.label: reason for reason in Reason}
_RENAMED: Final[Mapping[str, str]] = {"pnl_jpy": "pnl", "pnl_cum_jpy": "pnl_cum"}
"""Fields whose columns have another name."""
_OF_OUTSIDE: Final = frozenset({"detail", "halt_detail"})
"""Fields with text from outside: of any length, perhaps invalid Unicode."""
_Value = TypeVar("_Value")
_Convert = Callable[[Any], Any]


# --- Values and rows --------------------------------------------------------------------------------------------------


class _Column(NamedTuple):
    """One field of a value."""

    name: str
    path: str
    """Attribute path within the value: ``row.price``, ``side._value_``."""
    to_row: _Convert | None = None
    """Converts the attribute to what is stored; None: stored unchanged."""
    to_value: _Convert | None = None
    """Converts what is stored back to the field; None: unchanged."""


class Table(Generic[_Value]):
    """A table of values of one class, with a column for each field; the fields of nested values have columns too."""

    def __init__(self, name: str, kind: type[_Value]) -> None:
        """``kind`` is a class with type hints whose constructor takes keywords."""
        self._make = _maker(kind)
        columns = tuple(_columns(kind))
        self._get = attrgetter(*(column.path for column in columns))
        self._to_row = [(at, column.to_row) for at, column in enumerate(columns) if column.to_row is not None]
        self._to_value = [(at, column.to_value) for at, column in enumerate(columns) if column.to_value is not None]
        self.columns: Final = tuple(column.name for column in columns)
        names = ", ".join(self.columns)
        marks = ", ".join("?" * (len(self.columns) + 1))
        self.insert: Final = f"INSERT INTO {name} ({names}, product) VALUES ({marks})"  # noqa: S608 - names of our own
        self.select: Final = f"SELECT {names} FROM {name}"  # noqa: S608 - names of our own

    def row(self, value: _Value, product: str) -> Sequence[object]:
        """The parameters of :attr:`insert` for a value of an instrument."""
        fields = list(self._get(value))
        for at, convert in self._to_row:
            fields[at] = convert(fields[at])
        fields.append(product)
        return fields

    def value(self, row: Sequence[Any]) -> _Value:
        """The value of a row of :attr:`select`."""
        fields = list(row)
        for at, convert in self._to_value:
            fields[at] = convert(fields[at])
        return self._make(iter(fields))


def _maker(kind: type[_Value]) -> Callable[[Iterator[Any]], _Value]:
    """Return a function that builds a value, nested ones included, from an iterator over its fields."""
    hints = get_type_hints(kind)
    if not any(hint in _NESTED for hint in hints.values()):
        names = tuple(hints)
        return lambda fields: kind(**dict(zip(names, fields, strict=False)))  # the rest belongs to outer values
    parts = [(name, _maker(hint) if hint in _NESTED else next) for name, hint in hints.items()]
    return lambda fields: kind(**{name: take(fields) for name, take in parts})


def _columns(kind: type[Any], path: str = "") -> Iterator[_Column]:
    for name, hint in get_type_hints(kind).items():
        if hint in _NESTED:
            yield from _columns(hint, f"{path}{name}.")
        else:
            yield _column(name, path + name, hint)


def _column(field: str, path: str, hint: Any) -> _Column:
    """The column for a field of a type."""
    name = _RENAMED.get(field, field)
    if isinstance(hint, UnionType):
        return _optional(name, path, get_args(hint)[0])
    if field in _OF_OUTSIDE:
        return _Column(name, path, to_row=_text)
    if hint is Reason:
        return _Column(name, f"{path}.label", to_value=_REASONS.__getitem__)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _Column(name, f"{path}._value_", to_value=hint)  # in 3.11 `value` costs two calls
    if hint is bool:
        return _Column(name, path, to_row=int, to_value=bool)
    return _Column(name, path, to_row=str if hint is str else None)  # a str field may hold a str enum


def _optional(name: str, path: str, hint: Any) -> _Column:
    """The column for a field that may be None."""
    if hint is not Reason:
        return _Column(name, path)
    return _Column(
        name,
        path,
        to_row=lambda reason: None if reason is None else reason.label,
        to_value=lambda label: None if label is None else _REASONS[label],
    )


def _text(text: str) -> str:
    return text[:DETAIL_CHARS].encode("utf-8", "replace").decode()


_NESTED: Final = (InventoryMemo, TradeLogRow)
MEMO: Final = Table("memo", CoreMemo)
ORDERS: Final = Table("orders", OrderMemo)
FILLS: Final = Table("fills", BookedFill)
FACTS: Final = Table("facts", Fact)

PUT_MEMO: Final = f"INSERT OR REPLACE{MEMO.insert.removeprefix('INSERT')}"
PUT_ORDER: Final = (
    f"{ORDERS.insert} ON CONFLICT (client_order_id) DO UPDATE SET "
    f"{', '.join(f'{name} = excluded.{name}' for name in ORDERS.columns[1:])}"
)
PUT_FILL: Final = f"{FILLS.insert} ON CONFLICT (product, exec_id) DO NOTHING"
PUT_FACT: Final = FACTS.insert
_RECENT: Final = """
    WHERE seq IN (
        SELECT seq FROM orders WHERE is_live = 1 AND product = ?1
        UNION ALL SELECT seq FROM (
            SELECT seq FROM orders WHERE is_live = 0 AND product = ?1 ORDER BY seq DESC LIMIT ?2
        )
    )
"""


# --- Queries ----------------------------------------------------------------------------------------------------------


def read_meta(db: sqlite3.Connection, name: str) -> str | None:
    """An entry of the table ``meta``; None if there is none."""
    row = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def products(db: sqlite3.Connection) -> list[str]:
    """The instruments with a memo, the one that the journal was made for first."""
    first = read_meta(db, "product_code") or ""
    found = {name for (name,) in db.execute("SELECT product FROM memo WHERE product != ?", (ALL,))} - {first}
    return [first, *sorted(found)]


def read_memo(db: sqlite3.Connection, product: str) -> CoreMemo | None:
    """The memo of an instrument's core; None if none was ever stored."""
    row = db.execute(f"{MEMO.select} WHERE product = ?", (product,)).fetchone()
    return None if row is None else MEMO.value(row)


def live_orders(db: sqlite3.Connection, product: str) -> Iterator[OrderMemo]:
    """Orders of an instrument, or of all, that may still be filled, in the order of sending."""
    return map(ORDERS.value, db.execute(f"{ORDERS.select} WHERE is_live = 1 AND {_ITS} ORDER BY seq", (product,)))


def recent_orders(db: sqlite3.Connection, product: str, newest: int) -> Iterator[OrderMemo]:
    """Orders of an instrument that may still be filled, and the newest of the others, in the order of sending."""
    return map(ORDERS.value, db.execute(f"{ORDERS.select} {_RECENT} ORDER BY seq", (product, newest)))


def orders_sent(db: sqlite3.Connection, product: str, from_ns: int, until_ns: int) -> Iterator[OrderMemo]:
    """Orders of an instrument, or of all, sent in ``[from_ns, until_ns)``, oldest first."""
    query = f"{ORDERS.select} WHERE {_ITS} AND sent_ns >= ?2 AND sent_ns < ?3 ORDER BY sent_ns, seq"
    return map(ORDERS.value, db.execute(query, (product, from_ns, until_ns)))


def orders_named(db: sqlite3.Connection, name: str) -> list[OrderMemo]:
    """The orders with this id, ours or the venue's; empty if there is none."""
    query = f"{ORDERS.select} WHERE client_order_id = ?1 OR order_id = ?1 ORDER BY seq"
    return [ORDERS.value(row) for row in db.execute(query, (name,))]


def product_of(db: sqlite3.Connection, name: str) -> str | None:
    """The instrument of the order with this id, ours or the venue's; None if there is none."""
    query = "SELECT product FROM orders WHERE client_order_id = ?1 OR order_id = ?1 ORDER BY seq LIMIT 1"
    row = db.execute(query, (name,)).fetchone()
    return None if row is None else str(row[0])


def fills_within(
    db: sqlite3.Connection, product: str, from_ns: int, until_ns: int, after_seq: int = 0
) -> Iterator[BookedFill]:
    """Fills of an instrument, or of all, in ``[from_ns, until_ns)`` and stored after a row, oldest first."""
    query = f"{FILLS.select} WHERE {_ITS} AND ts_ns >= ?2 AND ts_ns < ?3 AND seq > ?4 ORDER BY ts_ns, seq"
    return map(FILLS.value, db.execute(query, (product, from_ns, until_ns, after_seq)))


def newest_fill_seq(db: sqlite3.Connection) -> int:
    """The row that was stored last; 0 if there is none."""
    return int(db.execute("SELECT coalesce(max(seq), 0) FROM fills").fetchone()[0])


def newest_fills(db: sqlite3.Connection, product: str, newest: int) -> list[BookedFill]:
    """The fills of an instrument booked last, oldest first."""
    rows = db.execute(f"{FILLS.select} WHERE product = ? ORDER BY seq DESC LIMIT ?", (product, newest))
    return [FILLS.value(row) for row in rows][::-1]


def newest_exec_ids(db: sqlite3.Connection, product: str, newest: int) -> list[ExecId]:
    """The execution ids of an instrument booked last, in the order of booking."""
    rows = db.execute("SELECT exec_id FROM fills WHERE product = ? ORDER BY seq DESC LIMIT ?", (product, newest))
    return [ExecId(number) for (number,) in rows][::-1]


def facts_within(db: sqlite3.Connection, product: str, from_ns: int, until_ns: int) -> Iterator[Fact]:
    """Facts of an instrument, or of all, in ``[from_ns, until_ns)``, oldest first."""
    query = f"{FACTS.select} WHERE {_ITS} AND ts_ns >= ?2 AND ts_ns < ?3 ORDER BY ts_ns, seq"
    return map(FACTS.value, db.execute(query, (product, from_ns, until_ns)))


def facts_named(db: sqlite3.Connection, names: set[str]) -> list[Fact]:
    """Facts about orders with any of these ids, ours or the venue's, in the order of storing."""
    found: dict[int, Fact] = {}
    for name in names:
        for column in ("client_order_id", "order_id"):
            for seq, *row in db.execute(
                f"SELECT seq, {', '.join(FACTS.columns)} FROM facts WHERE {column} = ?",  # noqa: S608 - names of our own
                (name,),
            ):
                found[seq] = FACTS.value(row)
    return [found[seq] for seq in sorted(found)]
