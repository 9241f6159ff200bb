"""A journal as CSV, in the format of the CSV logs: sizes and money as plain decimals, stamps in ISO 8601, UTC."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.logs.csv_dialects import csv_line
from stall_then_strike.types.dto import BookedFill, Fact, OrderMemo
from stall_then_strike.types.instrument import Instrument
from stall_then_strike.types.text import plain, utc_iso

_Value = TypeVar("_Value")
Columns = Mapping[str, Callable[[_Value, Instrument], str]]
"""Names of columns, and how their texts are made."""

ORDERS: Final[Columns[OrderMemo]] = {
    "sent": lambda order, units: utc_iso(order.sent_ns),
    "client_order_id": lambda order, units: order.client_order_id,
    "order_id": lambda order, units: order.order_id or "",
    "side": lambda order, units: order.side.value,
    "price": lambda order, units: "" if order.price is None else plain(units.price(order.price)),
    "size": lambda order, units: plain(units.size(order.size)),
    "executed": lambda order, units: plain(units.size(order.executed)),
    "tif": lambda order, units: order.time_in_force.value,
    "ttl_ms": lambda order, units: str(order.ttl_ms) if order.ttl_ms else "",
    "tag": lambda order, units: order.tag,
    "reason": lambda order, units: order.reason.label,
    "state": lambda order, units: order.state,
    "registered": lambda order, units: "" if order.registered_ns is None else utc_iso(order.registered_ns),
    "cancel_reason": lambda order, units: "" if order.cancel_reason is None else order.cancel_reason.label,
    "cancel_sent": lambda order, units: "" if order.cancel_sent_ns is None else utc_iso(order.cancel_sent_ns),
}
FILLS: Final[Columns[BookedFill]] = {
    "ts": lambda fill, units: utc_iso(fill.row.ts_ns),
    "exec_id": lambda fill, units: str(fill.exec_id),
    "client_order_id": lambda fill, units: fill.client_order_id or "",
    "order_id": lambda fill, units: fill.row.order_id,
    "side": lambda fill, units: fill.row.side.value,
    "price": lambda fill, units: plain(units.price(fill.row.price)),
    "size": lambda fill, units: plain(units.size(fill.row.size)),
    "fee": lambda fill, units: plain(units.amount(fill.row.fee)),
    "tag": lambda fill, units: fill.row.tag,
    "pnl_jpy": lambda fill, units: plain(units.amount(fill.row.pnl_jpy)),
    "pnl_cum_jpy": lambda fill, units: plain(units.amount(fill.row.pnl_cum_jpy)),
    "inventory_after": lambda fill, units: plain(units.size(fill.row.inventory_after)),
}
FACTS: Final[Columns[Fact]] = {
    "ts": lambda fact, units: utc_iso(fact.ts_ns),
    "what": lambda fact, units: fact.what,
    "client_order_id": lambda fact, units: fact.client_order_id or "",
    "order_id": lambda fact, units: fact.order_id or "",
    "detail": lambda fact, units: fact.detail,
}


def export(reader: JournalReader, units: Instrument, folder: Path) -> dict[str, int]:
    """Write ``orders.csv``, ``fills.csv`` and ``facts.csv``, replacing existing ones; return their row counts.

    A file appears only when it is complete. Raises OSError and JournalError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "orders.csv": _write(folder / "orders.csv", ORDERS, reader.orders(), units),
        "fills.csv": _write(folder / "fills.csv", FILLS, reader.fills(), units),
        "facts.csv": _write(folder / "facts.csv", FACTS, reader.facts(), units),
    }


def _write(path: Path, columns: Columns[_Value], values: Iterable[_Value], units: Instrument) -> int:
    part = path.with_name(f"{path.name}.part")
    count = 0
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            file.write(csv_line(tuple(columns)))
            for value in values:
                file.write(csv_line([text(value, units) for text in columns.values()]))
                count += 1
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return count
