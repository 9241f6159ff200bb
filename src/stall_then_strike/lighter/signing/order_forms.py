"""Calls of the dealer as intents: exact integers for one market, minimums checked. Pure.

Positive sizes buy, negative ones sell.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final

from stall_then_strike.lighter.markets import Market, Number, exact
from stall_then_strike.lighter.signing.intents import (
    IN_28_DAYS,
    NO_EXPIRY,
    ORDER_INDEX_MAX,
    ModifyOrder,
    NewOrder,
    OrderType,
    Tif,
    require,
)
from stall_then_strike.lighter.signing.own_orders import OwnOrder
from stall_then_strike.types.errors import Rejected, UnfitOrder
from stall_then_strike.types.instrument import Ticks

MARKET_BOUND: Final = Decimal("0.05")
"""How far from the best opposite price the average of a market order may be, if the caller gives no bound."""


def index_from(order_id: str | int) -> int:
    """A client order index or order index as given by a caller. Raises UnfitOrder."""
    try:
        index = int(order_id) if isinstance(order_id, str) else order_id
    except ValueError:
        raise UnfitOrder(f"order id {order_id!r}; accepted: a client order index or an order index") from None
    require("order id", index, 1, ORDER_INDEX_MAX)
    return index


def limit_order(
    market: Market,
    client_order_index: int,
    price: Number,
    size: Number,
    *,
    post_only: bool = False,
    reduce_only: bool = False,
    is_ioc: bool = False,
    nonce: int | None = None,
) -> NewOrder:
    """A limit order that rests, or takes what it can (``is_ioc``). Raises UnfitOrder."""
    given = exact(size, f"{market.symbol}: size")
    base, raw = market.base_amount(abs(given)), market.raw_price(price)
    market.require_quote(base, raw, is_resting=not is_ioc)
    rests = Tif.POST_ONLY if post_only else Tif.GTT
    return NewOrder(
        market_index=market.market_index,
        client_order_index=client_order_index,
        base_amount=base,
        price=raw,
        is_ask=given < 0,
        tif=Tif.IOC if is_ioc else rests,
        reduce_only=reduce_only,
        order_expiry=NO_EXPIRY if is_ioc else IN_28_DAYS,
        nonce=nonce,
    )


def market_order(
    market: Market, client_order_index: int, size: Number, average: Number, *, reduce_only: bool = False
) -> NewOrder:
    """A market order (IOC) whose average price is bounded by ``average``. Raises UnfitOrder."""
    given = exact(size, f"{market.symbol}: size")
    base, raw = market.base_amount(abs(given)), market.raw_price(average, "avg_execution_price")
    market.require_quote(base, raw, is_resting=False)
    return NewOrder(
        market_index=market.market_index,
        client_order_index=client_order_index,
        base_amount=base,
        price=raw,
        is_ask=given < 0,
        order_type=OrderType.MARKET,
        tif=Tif.IOC,
        reduce_only=reduce_only,
        order_expiry=NO_EXPIRY,
    )


def market_bound(market: Market, book: Mapping[str, Any], size: Number) -> Decimal:
    """The default bound of a market order's average price, from an answer of ``orderBookOrders``.

    Raises Rejected if nobody is on the other side, or the answer cannot be read.
    """
    is_ask = exact(size, f"{market.symbol}: size") < 0
    opposite = book.get("bids" if is_ask else "asks") or []
    if not opposite:
        raise Rejected("create_market_order", "the book has no opposite order")
    try:
        best = market.raw_price(opposite[0]["price"], "best price")
    except (KeyError, TypeError) as error:
        raise Rejected("create_market_order", f"the book's best price cannot be read ({error!r})") from None
    return market.instrument.price(beyond(best, is_ask=is_ask))


def beyond(best: int, *, is_ask: bool) -> Ticks:
    """The default bound, given the best opposite price in ticks."""
    bound = best * (1 - MARKET_BOUND if is_ask else 1 + MARKET_BOUND)
    return Ticks(max(1, int(bound.to_integral_value(ROUND_CEILING if is_ask else ROUND_FLOOR))))


def modification(
    market: Market,
    index: int,
    known: OwnOrder | None,
    *,
    price: Number | None,
    quantity: Number | None,
    trigger_price: Number | None,
) -> ModifyOrder:
    """A change of an order; what is None stays as ``known`` says. Raises UnfitOrder."""
    if price is None and quantity is None and trigger_price is None:
        raise UnfitOrder("update_order: nothing is to change; accepted: price, quantity or trigger_price")
    known = known or OwnOrder()
    if trigger_price is not None and known.is_plain:
        raise UnfitOrder(f"update_order: order {index} has no trigger; accepted: trigger_price None")
    base = known.base_amount if quantity is None else market.base_amount(quantity)
    raw = known.price if price is None else market.raw_price(price)
    if base is None or raw is None:
        raise UnfitOrder(f"update_order: order {index} is not listed; accepted: price and quantity together")
    market.require_quote(base, raw, is_resting=True)
    trigger = known.trigger_price if trigger_price is None else market.raw_price(trigger_price, "trigger_price")
    return ModifyOrder(
        market_index=market.market_index, index=index, base_amount=base, price=raw, trigger_price=trigger
    )
