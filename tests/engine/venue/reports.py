"""Reports on an account, made by hand. Times are milliseconds after the start."""

from __future__ import annotations

from collections.abc import Iterable

from stall_then_strike.types.dto import (
    AccountReport,
    ExecId,
    FillEvent,
    OrderId,
    ReportedOrder,
    ReportedState,
    Side,
)
from stall_then_strike.types.instrument import Lots, Money, Ticks
from tests.engine.core_rig import BUY, MIN, at

UNIT = 10**8
"""One JPY in money units."""


def listed(
    order_id: str,
    *,
    side: Side = BUY,
    price: int | None = 10_049,
    size: int = MIN,
    executed: int = 0,
    state: ReportedState = ReportedState.ACTIVE,
    placed_ms: float = 0,
) -> ReportedOrder:
    return ReportedOrder(
        order_id=OrderId(order_id),
        side=side,
        price=None if price is None else Ticks(price),
        size=Lots(size),
        executed=Lots(executed),
        state=state,
        placed_ns=at(placed_ms),
    )


def report(
    ms: float,
    *orders: ReportedOrder,
    fills: Iterable[FillEvent] = (),
    asked_ms: float | None = None,
    since: int = 0,
    is_complete: bool = True,
    position: int = 0,
    basis: int = 0,
    collateral: int = 1_000_000 * UNIT,
) -> AccountReport:
    """A report that arrived at ``ms`` and was requested 100 ms earlier by default."""
    return AccountReport(
        ts_ns=at(ms),
        asked_ns=at(ms - 100 if asked_ms is None else asked_ms),
        orders=orders,
        since=ExecId(since),
        fills=tuple(fills),
        is_complete=is_complete,
        position=Lots(position),
        basis=Money(basis),
        collateral=Money(collateral),
    )
