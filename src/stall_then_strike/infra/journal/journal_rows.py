"""Journal rows from values and back, and the questions that both its writer and its readers ask.

Everything reads back equal, but for text from outside: of that, 2,000 characters are kept, and what is not Unicode is
replaced. Raises sqlite3.Error, and ValueError or KeyError for a row that holds no such value.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any, Final

from stall_then_strike.types.dto import (
    BookedFill,
    ClientOrderId,
    CoreMemo,
    ExecId,
    Fact,
    InventoryMemo,
    OrderId,
    OrderMemo,
    Reason,
    Side,
    TimeInForce,
    TradeLogRow,
)
from stall_then_strike.types.instrument import Lots, Money, Ticks

DETAIL_CHARS: Final = 2_000
MAX_NS: Final = 2**63 - 1
"""Later than every stamp."""

PUT_MEMO: Final = "INSERT OR REPLACE INTO memo VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
PUT_ORDER: Final = """
    INSERT INTO orders (
        client_order_id, order_id, side, price, size, time_in_force, ttl_ms, tag, reason, sent_ns, state, executed,
        cancel_reason, cancel_sent_ns, registered_ns, is_live
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (client_order_id) DO UPDATE SET
        order_id = excluded.order_id, side = excluded.side, price = excluded.price, size = excluded.size,
        time_in_force = excluded.time_in_force, ttl_ms = excluded.ttl_ms, tag = excluded.tag, reason = excluded.reason,
        sent_ns = excluded.sent_ns, state = excluded.state, executed = excluded.executed,
        cancel_reason = excluded.cancel_reason, cancel_sent_ns = excluded.cancel_sent_ns,
        registered_ns = excluded.registered_ns, is_live = excluded.is_live
"""
PUT_FILL: Final = """
    INSERT INTO fills (
        exec_id, client_order_id, ts_ns, order_id, side, price, size, fee, tag, pnl, pnl_cum, inventory_after
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (exec_id) DO NOTHING
"""
PUT_FACT: Final = "INSERT INTO facts (ts_ns, what, client_order_id, order_id, detail) VALUES (?, ?, ?, ?, ?)"

_ORDERS: Final = """
    SELECT client_order_id, order_id, side, price, size, time_in_force, ttl_ms, tag, reason, sent_ns, state, executed,
        cancel_reason, cancel_sent_ns, registered_ns, is_live
    FROM orders
"""
_RECENT: Final = """
    WHERE seq IN (
        SELECT seq FROM orders WHERE is_live = 1
        UNION ALL SELECT seq FROM (SELECT seq FROM orders WHERE is_live = 0 ORDER BY seq DESC LIMIT ?)
    )
"""
_FILLS: Final = """
    SELECT exec_id, client_order_id, ts_ns, order_id, side, price, size, fee, tag, pnl, pnl_cum, inventory_after
    FROM fills
"""
_FACTS: Final = "SELECT ts_ns, what, client_order_id, order_id, detail FROM facts "
_REASONS: Final[Mapping[str, Reason]] = {reason.label: reason for reason in Reason}


# --- Values to rows ---------------------------------------------------------------------------------------------------


def memo_row(memo: CoreMemo) -> tuple[object, ...]:
    """For :data:`PUT_MEMO`."""
    held = memo.inventory
    return (
        memo.ts_ns,
        memo.day,
        held.position,
        held.basis,
        held.realised,
        held.realised_at_roll,
        held.equity_at_roll,
        held.peak,
        held.max_drawdown,
        held.mid2,
        None if memo.halted is None else memo.halted.label,
        memo.halt_ns,
        _text(memo.halt_detail),
        memo.pnl_base,
        memo.cash_base,
        memo.since,
    )


def order_row(order: OrderMemo) -> tuple[object, ...]:
    """For :data:`PUT_ORDER`."""
    return (
        order.client_order_id,
        order.order_id,
        order.side.value,
        order.price,
        order.size,
        order.time_in_force.value,
        order.ttl_ms,
        order.tag,
        order.reason.label,
        order.sent_ns,
        str(order.state),
        order.executed,
        None if order.cancel_reason is None else order.cancel_reason.label,
        order.cancel_sent_ns,
        order.registered_ns,
        1 if order.is_live else 0,
    )


def fill_row(fill: BookedFill) -> tuple[object, ...]:
    """For :data:`PUT_FILL`."""
    row = fill.row
    return (
        fill.exec_id,
        fill.client_order_id,
        row.ts_ns,
        row.order_id,
        row.side.value,
        row.price,
        row.size,
        row.fee,
        row.tag,
        row.pnl_jpy,
        row.pnl_cum_jpy,
        row.inventory_after,
    )


def fact_row(fact: Fact) -> tuple[object, ...]:
    """For :data:`PUT_FACT`."""
    return fact.ts_ns, str(fact.what), fact.client_order_id, fact.order_id, _text(fact.detail)


def _text(text: str) -> str:
    return text[:DETAIL_CHARS].encode("utf-8", "replace").decode()


# --- Rows to values ---------------------------------------------------------------------------------------------------


def read_meta(db: sqlite3.Connection, name: str) -> str | None:
    """A note on the journal as a whole."""
    row = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def read_memo(db: sqlite3.Connection) -> CoreMemo | None:
    """What the core remembers; None before it ever said."""
    row = db.execute("SELECT * FROM memo").fetchone()
    if row is None:
        return None
    (
        _, ts_ns, day, position, basis, realised, realised_at_roll, equity_at_roll, peak, max_drawdown, mid2,
        halted, halt_ns, halt_detail, pnl_base, cash_base, since,
    ) = row  # fmt: skip
    return CoreMemo(
        ts_ns=ts_ns,
        day=day,
        inventory=InventoryMemo(
            position=position,
            basis=basis,
            realised=realised,
            realised_at_roll=realised_at_roll,
            equity_at_roll=equity_at_roll,
            peak=peak,
            max_drawdown=max_drawdown,
            mid2=mid2,
        ),
        halted=None if halted is None else _REASONS[halted],
        halt_ns=halt_ns,
        halt_detail=halt_detail,
        pnl_base=pnl_base,
        cash_base=cash_base,
        since=None if since is None else ExecId(since),
    )


def live_orders(db: sqlite3.Connection) -> Iterator[OrderMemo]:
    """Orders that may still be filled, in the order of sending."""
    return map(_order, db.execute(f"{_ORDERS} WHERE is_live = 1 ORDER BY seq"))


def recent_orders(db: sqlite3.Connection, newest: int) -> Iterator[OrderMemo]:
    """Orders that may still be filled, and the newest of the others, in the order of sending."""
    return map(_order, db.execute(f"{_ORDERS} {_RECENT} ORDER BY seq", (newest,)))


def orders_sent(db: sqlite3.Connection, from_ns: int, until_ns: int) -> Iterator[OrderMemo]:
    """Orders sent in ``[from_ns, until_ns)``, oldest first."""
    query = f"{_ORDERS} WHERE sent_ns >= ? AND sent_ns < ? ORDER BY sent_ns, seq"
    return map(_order, db.execute(query, (from_ns, until_ns)))


def orders_named(db: sqlite3.Connection, name: str) -> list[OrderMemo]:
    """The order of a name, ours or the venue's; empty if there is none."""
    query = f"{_ORDERS} WHERE client_order_id = ?1 OR order_id = ?1 ORDER BY seq"
    return [_order(row) for row in db.execute(query, (name,))]


def fills_within(db: sqlite3.Connection, from_ns: int, until_ns: int) -> Iterator[BookedFill]:
    """Fills in ``[from_ns, until_ns)``, oldest first."""
    query = f"{_FILLS} WHERE ts_ns >= ? AND ts_ns < ? ORDER BY ts_ns, seq"
    return map(_fill, db.execute(query, (from_ns, until_ns)))


def newest_fills(db: sqlite3.Connection, newest: int) -> list[BookedFill]:
    """The fills booked last, oldest first."""
    rows = db.execute(f"{_FILLS} ORDER BY seq DESC LIMIT ?", (newest,))
    return [_fill(row) for row in rows][::-1]


def newest_exec_ids(db: sqlite3.Connection, newest: int) -> list[ExecId]:
    """The execution ids booked last, in the order of booking."""
    rows = db.execute("SELECT exec_id FROM fills ORDER BY seq DESC LIMIT ?", (newest,))
    return [ExecId(number) for (number,) in rows][::-1]


def facts_within(db: sqlite3.Connection, from_ns: int, until_ns: int) -> Iterator[Fact]:
    """Facts in ``[from_ns, until_ns)``, in the order in which they became known."""
    query = f"{_FACTS} WHERE ts_ns >= ? AND ts_ns < ? ORDER BY ts_ns, seq"
    return map(_fact, db.execute(query, (from_ns, until_ns)))


def facts_named(db: sqlite3.Connection, names: set[str]) -> list[Fact]:
    """Facts that name an order by any of these names, in the order in which they became known."""
    found: dict[int, Fact] = {}
    for name in names:
        for column in ("client_order_id", "order_id"):
            for seq, *row in db.execute(
                f"SELECT seq, ts_ns, what, client_order_id, order_id, detail FROM facts WHERE {column} = ?",  # noqa: S608 - one of two words above
                (name,),
            ):
                found[seq] = _fact(row)
    return [found[seq] for seq in sorted(found)]


def _order(row: Any) -> OrderMemo:
    (
        client_order_id, order_id, side, price, size, tif, ttl_ms, tag, reason, sent_ns, state, executed,
        cancel_reason, cancel_sent_ns, registered_ns, is_live,
    ) = row  # fmt: skip
    return OrderMemo(
        client_order_id=ClientOrderId(client_order_id),
        order_id=None if order_id is None else OrderId(order_id),
        side=Side(side),
        price=None if price is None else Ticks(price),
        size=Lots(size),
        time_in_force=TimeInForce(tif),
        ttl_ms=ttl_ms,
        tag=tag,
        reason=_REASONS[reason],
        sent_ns=sent_ns,
        state=state,
        executed=Lots(executed),
        cancel_reason=None if cancel_reason is None else _REASONS[cancel_reason],
        cancel_sent_ns=cancel_sent_ns,
        registered_ns=registered_ns,
        is_live=bool(is_live),
    )


def _fill(row: Any) -> BookedFill:
    exec_id, client_order_id, ts_ns, order_id, side, price, size, fee, tag, pnl, pnl_cum, inventory_after = row
    return BookedFill(
        exec_id=ExecId(exec_id),
        client_order_id=None if client_order_id is None else ClientOrderId(client_order_id),
        row=TradeLogRow(
            ts_ns=ts_ns,
            order_id=order_id,
            side=Side(side),
            price=Ticks(price),
            size=Lots(size),
            fee=Money(fee),
            tag=tag,
            pnl_jpy=Money(pnl),
            pnl_cum_jpy=Money(pnl_cum),
            inventory_after=Lots(inventory_after),
        ),
    )


def _fact(row: Any) -> Fact:
    ts_ns, what, client_order_id, order_id, detail = row
    return Fact(
        ts_ns=ts_ns,
        what=what,
        client_order_id=None if client_order_id is None else ClientOrderId(client_order_id),
        order_id=None if order_id is None else OrderId(order_id),
        detail=detail,
    )
