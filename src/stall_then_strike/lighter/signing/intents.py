"""What is to be done, before it has a nonce and a signature. Pure.

An intent can be signed again, with another nonce, as long as the venue has not accepted it; an order keeps its client
order index meanwhile, so that it can never be placed twice. Ranges are checked here, because the native signer wraps
integers silently (its C types; seen by signing 2^32 + 5).

Venue facts (lighter-go's checks and the rollup circuits): a client order index is 1 to 2^48 - 1; an order index is
(market + 1) x 2^48 + n; cancels and modifies take either. ``-1`` as the expiry of a resting order means 28 days and is
replaced by the signer; an IOC order, limit or market, needs 0. A resting order must expire 5 minutes to 30 days ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final

from stall_then_strike.lighter.markets import BASE_MAX, PRICE_MAX
from stall_then_strike.types.errors import UnfitOrder

COI_MAX: Final = 2**48 - 1
"""Largest client order index; larger numbers are order indexes."""
ORDER_INDEX_MAX: Final = 2**56 - 1
MARKET_MAX: Final = 4094
ALL_MARKETS: Final = 255
"""In questions, in place of a market index."""
IN_28_DAYS: Final = -1
"""Expiry of a resting order: the signer puts now + 28 days in its place."""
NO_EXPIRY: Final = 0
"""Expiry of an IOC order."""


@unique
class OrderType(IntEnum):
    """Order types that a client may send and this adapter uses."""

    LIMIT = 0
    MARKET = 1


@unique
class Tif(IntEnum):
    """Time in force."""

    IOC = 0
    GTT = 1
    POST_ONLY = 2


def market_of(order_index: int) -> int | None:
    """The market of an order index; None for a client order index, which does not tell."""
    return (order_index >> 48) - 1 if order_index > COI_MAX else None


def require(name: str, value: object, least: int, most: int) -> None:
    """Raise UnfitOrder unless the value is an int within the bounds."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise UnfitOrder(f"{name} {value!r} is out of range; accepted: a whole number from {least} to {most}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """Place an order. Sizes and prices are the wire's integers."""

    market_index: int
    client_order_index: int
    base_amount: int
    price: int
    """Limit of each trade; of a market order, limit of the average price."""
    is_ask: bool
    order_type: OrderType = OrderType.LIMIT
    tif: Tif = Tif.GTT
    reduce_only: bool = False
    order_expiry: int = IN_28_DAYS
    """Milliseconds since the epoch, or a constant above."""
    nonce: int | None = None
    """Given by the caller; None: the next of its key."""

    def __post_init__(self) -> None:
        """Check every range and the expiry's rule. Raises UnfitOrder."""
        require("market_index", self.market_index, 0, MARKET_MAX)
        require("client_order_index", self.client_order_index, 1, COI_MAX)
        require("base_amount", self.base_amount, 1, BASE_MAX)
        require("price", self.price, 1, PRICE_MAX)
        if self.nonce is not None:
            require("nonce_override", self.nonce, 0, COI_MAX)
        is_ioc = self.tif is Tif.IOC
        if self.order_type is OrderType.MARKET and not is_ioc:
            raise UnfitOrder("a market order must be IOC")
        if is_ioc != (self.order_expiry == NO_EXPIRY):
            raise UnfitOrder(
                f"order_expiry {self.order_expiry}: an IOC order needs {NO_EXPIRY}, and no other may have it"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder:
    """Cancel one order, by its order index or its client order index."""

    market_index: int
    index: int

    def __post_init__(self) -> None:
        """Check the ranges. Raises UnfitOrder."""
        require("market_index", self.market_index, 0, MARKET_MAX)
        require("order id", self.index, 1, ORDER_INDEX_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifyOrder:
    """Change an order. ``base_amount`` is the new total size, the filled part included; time priority is lost."""

    market_index: int
    index: int
    base_amount: int
    price: int
    trigger_price: int = 0
    """Zero for an order without a trigger."""

    def __post_init__(self) -> None:
        """Check the ranges. Raises UnfitOrder."""
        require("market_index", self.market_index, 0, MARKET_MAX)
        require("order id", self.index, 1, ORDER_INDEX_MAX)
        require("base_amount", self.base_amount, 1, BASE_MAX)
        require("price", self.price, 1, PRICE_MAX)
        require("trigger_price", self.trigger_price, 0, PRICE_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAll:
    """Cancel all orders of all markets: at once, or at a time as the venue's dead man's switch.

    An account has one such time; each new one replaces it. It is 5 minutes to 15 days ahead.
    """

    at_ms: int | None = None
    """When, in milliseconds since the Unix epoch; None: at once; 0: the time that was set is taken back."""


Intent = NewOrder | CancelOrder | ModifyOrder | CancelAll


def index_of(intent: Intent) -> int | None:
    """The index by which the intent names its order; None for a cancel of all."""
    match intent:
        case NewOrder():
            return intent.client_order_index
        case CancelOrder() | ModifyOrder():
            return intent.index
        case CancelAll():
            return None
