"""The engine's requests as intents, and what became of these as the engine's replies. Pure.

An order's client order index is the engine's own name of it, which is in the journal before anything is sent. A quote
gets the venue's shortest expiry. What takes is IOC and only reduces: the engine takes to close, and at this venue a
close may be as small as what is left.

Venue facts: an order without a price is bounded by an average price; an index that is taken is refused with 21728.
"""

from __future__ import annotations

from typing import Final

from stall_then_strike.engine.gateway import Reply, Request
from stall_then_strike.lighter.client import INVALID_NONCE
from stall_then_strike.lighter.lighter_rules import EXPIRY_NS
from stall_then_strike.lighter.markets import Market
from stall_then_strike.lighter.signing.intents import NO_EXPIRY, CancelOrder, NewOrder, OrderType, Tif, market_of
from stall_then_strike.lighter.signing.key_line import Item, Status
from stall_then_strike.types.dto import NS_PER_MS, CancelRequest, OrderId, OrderRequest, Side, TimeInForce
from stall_then_strike.types.errors import NotSent, OutcomeUnknown, Rejected, UnfitOrder, VenueError
from stall_then_strike.types.instrument import Ticks

_INDEX_TAKEN: Final = 21728


def cancel_of(request: CancelRequest, market: Market) -> CancelOrder:
    """A cancel by client order index or order index. Raises UnfitOrder for a name that is neither."""
    try:
        index = int(request.order_id)
    except ValueError:
        raise UnfitOrder(f"order {request.order_id}; accepted: a client order index or an order index") from None
    told = market_of(index)
    return CancelOrder(market_index=market.market_index if told is None else told, index=index)


def order_of(request: OrderRequest, market: Market, bound: Ticks | None, now_ns: int) -> NewOrder:
    """An order; ``bound`` is the worst average price of one without a price. Raises UnfitOrder."""
    price = bound if request.price is None else request.price
    if price is None:
        raise UnfitOrder(f"{market.symbol}: an order at market needs a bound of its average price")
    if request.time_in_force is TimeInForce.FOK:
        raise UnfitOrder(f"{market.symbol}: time_in_force FOK is not the venue's; accepted: GTC or IOC")
    if not request.client_order_id.isdecimal():
        raise UnfitOrder(f"client order id {request.client_order_id}; accepted: a number")
    takes = request.time_in_force is TimeInForce.IOC or request.price is None
    market.require_quote(request.size, price, is_resting=not takes)
    rests = Tif.POST_ONLY if request.post_only else Tif.GTT
    return NewOrder(
        market_index=market.market_index,
        client_order_index=int(request.client_order_id),
        base_amount=request.size,
        price=price,
        is_ask=request.side is Side.SELL,
        order_type=OrderType.MARKET if request.price is None else OrderType.LIMIT,
        tif=Tif.IOC if takes else rests,
        reduce_only=takes,
        order_expiry=NO_EXPIRY if takes else (now_ns + EXPIRY_NS) // NS_PER_MS,
    )


def reply_of(request: Request, item: Item) -> Reply:
    """What became of a request."""
    if item.status is Status.ACCEPTED:
        return OrderId(request.client_order_id) if isinstance(request, OrderRequest) else request.order_id
    return error_of(item)


def error_of(item: Item) -> VenueError:
    """Why an intent was not accepted, or that this is not known."""
    error = item.error
    if isinstance(error, UnfitOrder):
        return unfit(error)
    if error is None:
        return OutcomeUnknown("send", "nothing is known of it")
    if error.code == INVALID_NONCE and item.status is Status.REFUSED:
        return NotSent(error.request, error.detail, code=error.code)
    if error.code == _INDEX_TAKEN:
        return OutcomeUnknown(error.request, "an order has this client order index, perhaps this one", code=error.code)
    return error


def unfit(error: UnfitOrder) -> Rejected:
    """An order that the market cannot take, as a refusal."""
    return Rejected("order", str(error))
