"""Journals for tests: values by hand and by hypothesis, and a journal whose account locks stay in the test's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from stall_then_strike.engine.orders import OrderState
from stall_then_strike.infra.journal.writer import Journal, journal_path
from stall_then_strike.types.dto import (
    BookedFill,
    Changes,
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

PRODUCT = "FX_BTC_JPY"
ACCOUNT = "5f0c2a9b"
TS = 1_795_246_213_123_456_789  # 2026-11-21T07:30:13.123456789Z
DAY_NS = 86_400_000_000_000


def path_in(folder: Path) -> Path:
    return journal_path(folder / "journal", PRODUCT)


def open_in(folder: Path, **changes: Any) -> Journal:
    arguments: dict[str, Any] = {
        "product_code": PRODUCT,
        "account": ACCOUNT,
        "now_ns": TS,
        "locks": folder / "locks",
    }
    return Journal.open(path_in(folder), **(arguments | changes))


def order(name: str = "k1-1b", **changes: Any) -> OrderMemo:
    values: dict[str, Any] = {
        "client_order_id": ClientOrderId(name),
        "order_id": None,
        "side": Side.BUY,
        "price": Ticks(13_600_000),
        "size": Lots(100_000),
        "time_in_force": TimeInForce.GTC,
        "ttl_ms": 800,
        "tag": "stall",
        "reason": Reason.STRIKE,
        "sent_ns": TS,
        "state": OrderState.PENDING_NEW.value,
        "executed": Lots(0),
        "cancel_reason": None,
        "cancel_sent_ns": None,
        "registered_ns": None,
        "is_live": True,
    }
    return OrderMemo(**(values | changes))


def ended(name: str, **changes: Any) -> OrderMemo:
    return order(name, **({"state": OrderState.CANCELLED.value, "is_live": False} | changes))


def trade(**changes: Any) -> TradeLogRow:
    values: dict[str, Any] = {
        "ts_ns": TS,
        "order_id": "JRF20261121-073013-000001",
        "side": Side.BUY,
        "price": Ticks(13_600_000),
        "size": Lots(100_000),
        "fee": Money(0),
        "tag": "stall",
        "pnl_jpy": Money(-1_234_567_800),
        "pnl_cum_jpy": Money(1_000_000_000),
        "inventory_after": Lots(-100_000),
    }
    return TradeLogRow(**(values | changes))


def fill(exec_id: int = 1, name: str | None = "k1-1b", **changes: Any) -> BookedFill:
    client_order_id = None if name is None else ClientOrderId(name)
    return BookedFill(exec_id=ExecId(exec_id), client_order_id=client_order_id, row=trade(**changes))


def fact(what: str = "send", ts_ns: int = TS, name: str | None = None, order_id: str | None = None) -> Fact:
    return Fact(
        ts_ns=ts_ns,
        what=what,
        client_order_id=None if name is None else ClientOrderId(name),
        order_id=None if order_id is None else OrderId(order_id),
        detail="in words",
    )


def inventory(**changes: int) -> InventoryMemo:
    values = {
        "position": 100_000,
        "basis": 1_360_000_000_000,
        "realised": 5_000_000_000,
        "realised_at_roll": 1_000_000_000,
        "equity_at_roll": 1_000_000_000,
        "peak": 6_000_000_000,
        "max_drawdown": -3_000_000_000,
        "mid2": 27_160_000,
    }
    return InventoryMemo(**(values | changes))


def memo(**changes: Any) -> CoreMemo:
    values: dict[str, Any] = {
        "ts_ns": TS,
        "day": "2026-11-21",
        "inventory": inventory(),
        "halted": None,
        "halt_ns": 0,
        "halt_detail": "",
        "pnl_base": 0,
        "cash_base": None,
        "since": None,
    }
    return CoreMemo(**(values | changes))


def changes(**parts: Any) -> Changes:
    return Changes(**({"ts_ns": TS} | parts))


# --- Everything that the types allow ----------------------------------------------------------------------------------

_INTS = st.integers(-(2**63), 2**63 - 1)
_STAMPS = st.integers(0, 2**63 - 1)
_WORDS = st.text(max_size=20)
_REASONS = st.sampled_from(Reason)
_IDS = st.none() | _WORDS


def orders(names: st.SearchStrategy[str]) -> st.SearchStrategy[OrderMemo]:
    return st.builds(
        OrderMemo,
        client_order_id=names.map(ClientOrderId),
        order_id=_IDS,
        side=st.sampled_from(Side),
        price=st.none() | _INTS,
        size=_INTS,
        time_in_force=st.sampled_from(TimeInForce),
        ttl_ms=_INTS,
        tag=_WORDS,
        reason=_REASONS,
        sent_ns=_STAMPS,
        state=st.sampled_from([state.value for state in OrderState]),
        executed=_INTS,
        cancel_reason=st.none() | _REASONS,
        cancel_sent_ns=st.none() | _STAMPS,
        registered_ns=st.none() | _STAMPS,
        is_live=st.booleans(),
    )


TRADES = st.builds(
    TradeLogRow,
    ts_ns=_STAMPS,
    order_id=_WORDS,
    side=st.sampled_from(Side),
    price=_INTS,
    size=_INTS,
    fee=_INTS,
    tag=_WORDS,
    pnl_jpy=_INTS,
    pnl_cum_jpy=_INTS,
    inventory_after=_INTS,
)
FILLS = st.builds(BookedFill, exec_id=st.integers(-30, 30), client_order_id=_IDS, row=TRADES)
FACTS = st.builds(Fact, ts_ns=_STAMPS, what=_WORDS, client_order_id=_IDS, order_id=_IDS, detail=_WORDS)
MEMOS = st.builds(
    CoreMemo,
    ts_ns=_STAMPS,
    day=_WORDS,
    inventory=st.builds(InventoryMemo, **dict.fromkeys(InventoryMemo._fields, _INTS)),
    halted=st.none() | _REASONS,
    halt_ns=_STAMPS,
    halt_detail=_WORDS,
    pnl_base=_INTS,
    cash_base=st.none() | _INTS,
    since=st.none() | _INTS,
    paused=st.none() | _REASONS,
)
CHANGES = st.builds(
    Changes,
    ts_ns=_STAMPS,
    orders=st.lists(orders(st.sampled_from("abcdef")), max_size=4).map(tuple),
    fills=st.lists(FILLS, max_size=4).map(tuple),
    facts=st.lists(FACTS, max_size=4).map(tuple),
    memo=st.none() | MEMOS,
    product=st.just(""),
    account=st.none(),
)
