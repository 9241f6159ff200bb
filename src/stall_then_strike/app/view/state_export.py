"""A journal as CSV, in the units and words of the CSV logs: BTC and JPY as plain decimals, stamps in ISO 8601, UTC."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.logs.csv_dialects import csv_line
from stall_then_strike.types.dto import BookedFill, Fact, OrderMemo
from stall_then_strike.types.instrument import Instrument
from stall_then_strike.types.text import plain, utc_iso

ORDER_COLUMNS: Final = (
    "sent", "client_order_id", "order_id", "side", "price", "size", "executed", "tif", "ttl_ms", "tag", "reason",
    "state", "registered", "cancel_reason", "cancel_sent",
)  # fmt: skip
FILL_COLUMNS: Final = (
    "ts", "exec_id", "client_order_id", "order_id", "side", "price", "size", "fee", "tag", "pnl_jpy", "pnl_cum_jpy",
    "inventory_after",
)  # fmt: skip
FACT_COLUMNS: Final = ("ts", "what", "client_order_id", "order_id", "detail")


def export(reader: JournalReader, units: Instrument, folder: Path) -> dict[str, int]:
    """Write ``orders.csv``, ``fills.csv`` and ``facts.csv``, in place of those that are there; return their row counts.

    A file appears when it is whole. Raises OSError and JournalError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "orders.csv": _write(folder / "orders.csv", ORDER_COLUMNS, (_order(o, units) for o in reader.orders())),
        "fills.csv": _write(folder / "fills.csv", FILL_COLUMNS, (_fill(f, units) for f in reader.fills())),
        "facts.csv": _write(folder / "facts.csv", FACT_COLUMNS, map(_fact, reader.facts())),
    }


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    part = path.with_name(f"{path.name}.part")
    count = 0
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            file.write(csv_line(columns))
            for row in rows:
                file.write(csv_line(row))
                count += 1
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return count


def _order(order: OrderMemo, units: Instrument) -> tuple[str, ...]:
    return (
        utc_iso(order.sent_ns),
        order.client_order_id,
        order.order_id or "",
        order.side.value,
        "" if order.price is None else plain(units.price(order.price)),
        plain(units.size(order.size)),
        plain(units.size(order.executed)),
        order.time_in_force.value,
        str(order.ttl_ms) if order.ttl_ms else "",
        order.tag,
        order.reason.label,
        order.state,
        "" if order.registered_ns is None else utc_iso(order.registered_ns),
        "" if order.cancel_reason is None else order.cancel_reason.label,
        "" if order.cancel_sent_ns is None else utc_iso(order.cancel_sent_ns),
    )


def _fill(fill: BookedFill, units: Instrument) -> tuple[str, ...]:
    row = fill.row
    return (
        utc_iso(row.ts_ns),
        str(fill.exec_id),
        fill.client_order_id or "",
        row.order_id,
        row.side.value,
        plain(units.price(row.price)),
        plain(units.size(row.size)),
        plain(units.amount(row.fee)),
        row.tag,
        plain(units.amount(row.pnl_jpy)),
        plain(units.amount(row.pnl_cum_jpy)),
        plain(units.size(row.inventory_after)),
    )


def _fact(fact: Fact) -> tuple[str, ...]:
    return utc_iso(fact.ts_ns), fact.what, fact.client_order_id or "", fact.order_id or "", fact.detail
