"""Actions: what the core wants done, and requests as a gateway sends them."""

from __future__ import annotations

from enum import StrEnum, unique
from typing import NamedTuple

from stall_then_strike.types.instrument import Lots, Ticks
from stall_then_strike.types.names import ClientOrderId, ExecId, OrderId, Reason, Side


@unique
class TimeInForce(StrEnum):
    """How long an order may rest (bitFlyer API documentation)."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class PlaceLimit(NamedTuple):
    """``place_limit``: rest one order at a price. The core, not the venue, ends it after ``ttl_ms``."""

    client_order_id: ClientOrderId
    side: Side
    price: Ticks
    size: Lots
    ttl_ms: int
    tag: str
    reason: Reason


class CancelAllStall(NamedTuple):
    """``cancel_all_stall``: cancel the named working quotes of this strategy, and no other order of the account."""

    order_ids: tuple[OrderId, ...]
    reason: Reason


class CloseMarket(NamedTuple):
    """``close_market``: take liquidity, at market (``price`` None) or as IOC limit at ``price``."""

    client_order_id: ClientOrderId
    side: Side
    price: Ticks | None
    size: Lots
    tag: str
    reason: Reason


class Reconcile(NamedTuple):
    """Ask the venue for the account; the answer is an :class:`AccountReport` or a :class:`ReportFailed`."""

    since: ExecId
    """Executions after this one are wanted."""
    why: str


class RenewFeed(NamedTuple):
    """Renew the connection: the private channel did not tell what it should have told."""

    why: str


Action = PlaceLimit | CancelAllStall | CloseMarket | Reconcile | RenewFeed


class OrderRequest(NamedTuple):
    """One order as a gateway sends it. ``price`` None means MARKET."""

    client_order_id: ClientOrderId
    side: Side
    price: Ticks | None
    size: Lots
    time_in_force: TimeInForce
    post_only: bool = False
    """It must not take: the venue ends it instead."""


class CancelRequest(NamedTuple):
    """One cancel as a gateway sends it."""

    order_id: OrderId
