"""State that outlives the process: what the journal stores of a step and returns to a later run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from stall_then_strike.types.actions import TimeInForce
from stall_then_strike.types.instrument import Lots, Ticks
from stall_then_strike.types.names import ClientOrderId, ExecId, OrderId, Reason, Side
from stall_then_strike.types.rows import TradeLogRow


class OrderMemo(NamedTuple):
    """An order as the journal stores it: fields of ``engine.orders.Order``, frozen."""

    client_order_id: ClientOrderId
    order_id: OrderId | None
    side: Side
    price: Ticks | None
    size: Lots
    time_in_force: TimeInForce
    ttl_ms: int
    tag: str
    reason: Reason
    sent_ns: int
    state: str
    """Value of ``engine.orders.OrderState``."""
    executed: Lots
    cancel_reason: Reason | None
    cancel_sent_ns: int | None
    registered_ns: int | None
    """When it was first known to be on the book."""
    is_live: bool


class InventoryMemo(NamedTuple):
    """What ``engine.inventory.InventoryManager`` needs to go on, in lots and money units."""

    position: int
    basis: int
    realised: int
    realised_at_roll: int
    equity_at_roll: int
    peak: int
    max_drawdown: int
    mid2: int


class CoreMemo(NamedTuple):
    """What a later run needs of this one, apart from its orders and fills."""

    ts_ns: int
    day: str
    """Trading day as YYYY-MM-DD, empty before the first event."""
    inventory: InventoryMemo
    halted: Reason | None
    halt_ns: int
    halt_detail: str
    pnl_base: int
    """Result from which the day's loss counts since the last resume, in money units."""
    cash_base: int | None
    """The venue's collateral less what fills explain, in money units; None before the first report."""
    since: ExecId | None
    """Executions up to this one are all accounted for; None before the first report."""
    paused: Reason | None = None
    """PAUSED if the operator paused trading, FLATTEN if no position may be held meanwhile, otherwise None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedFill:
    """A fill with its execution id, and its row in the trade log."""

    exec_id: ExecId
    client_order_id: ClientOrderId | None
    """None for a fill that is not of an order of ours."""
    row: TradeLogRow


class Fact(NamedTuple):
    """One line of the account's story, for ``why``: a request, an answer, an event, a report, a halt."""

    ts_ns: int
    what: str
    """One word: ``send``, ``cancel``, an event's kind, ``report``, ``halt``, ``resume``, ``refusal``, ``channel``."""
    client_order_id: ClientOrderId | None = None
    order_id: OrderId | None = None
    detail: str = ""


class Changes(NamedTuple):
    """What a step changed that must outlive the process. Stored as one, before the step's actions are sent."""

    ts_ns: int
    product: str = ""
    """The instrument of orders, fills, facts and memo; empty for the first one of the account."""
    orders: tuple[OrderMemo, ...] = ()
    """Every order that the step touched, as it is now."""
    fills: tuple[BookedFill, ...] = ()
    facts: tuple[Fact, ...] = ()
    memo: CoreMemo | None = None
    """None if nothing of it changed."""
    account: CoreMemo | None = None
    """The memo of the account as a whole, if it trades several instruments and the memo changed."""
