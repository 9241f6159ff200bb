"""LighterBroker: orders of one account, for the engine and for programs of one's own.

For the engine it makes one gateway per market (``gateway``), whose requests and replies are the engine's. A message has
up to 15 requests and one sender per key. Time counts here, so what did not arrive is told at once, and only what is in
doubt is resolved before the key goes on: the next message of a key takes the nonce of the one that is in doubt, so at
most one of the two ever has an effect. The state of orders is the engine's; nothing here remembers it.

Messages go over the socket. While it is down, and for a while after it left one unanswered, they go over REST.

Programs of their own use the methods named in the specification: ``send_order``, ``cancel_order``, ``cancel_orders``,
``update_order``. Those that end in ``_async`` return at once; what goes wrong then is told to ``on_error``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum, unique
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from loguru import logger
from pydantic import ValidationError

from stall_then_strike.engine.gateway import Later, Reply, Request
from stall_then_strike.infra.clock import Clock
from stall_then_strike.infra.line.socket_line import first_of_group
from stall_then_strike.lighter.client import LighterClient
from stall_then_strike.lighter.limiter import Limiter
from stall_then_strike.lighter.markets import Market, Markets, Number
from stall_then_strike.lighter.messages import Order
from stall_then_strike.lighter.private.order_requests import cancel_of, error_of, order_of, reply_of, unfit
from stall_then_strike.lighter.signing import order_forms
from stall_then_strike.lighter.signing.intents import CancelOrder, Intent, NewOrder
from stall_then_strike.lighter.signing.key_line import Item, KeyLine, Status
from stall_then_strike.lighter.signing.own_orders import ClientIndexes, OwnOrders
from stall_then_strike.lighter.signing.sender import Sender
from stall_then_strike.lighter.signing.signer import SignedTx, Signer
from stall_then_strike.lighter.ws import WS_BATCH, LighterWebSocketManager
from stall_then_strike.types.dto import NS_PER_S, BookReader, CancelRequest, OrderId, Side, TimeInForce
from stall_then_strike.types.errors import (
    AuthRefused,
    NotSent,
    OutcomeUnknown,
    Rejected,
    UnfitOrder,
    VenueError,
)
from stall_then_strike.types.instrument import Ticks

_PATIENCE_S: Final = 2.0
"""How long a message that is in doubt is repeated and enquired about, on the venue's clock: a quote that is older is
not wanted any more."""
_BETWEEN_S: Final = 0.3
"""Between two readings of the venue's counter."""
_SHUNNED_NS: Final = 30 * NS_PER_S
"""How long the socket is not used for messages after it left one unanswered."""
_ENDS_WITHIN_S: Final = 10.0
"""How long a cancel may take until a list shows it."""
_LOOK_EVERY_S: Final = 0.5
_MOST_ASYNC: Final = 64
_log = logger.bind(channel="orders")


@unique
class ErrorLevel(StrEnum):
    """How bad it is."""

    HIGH = "high"
    """It is not known what became of it, or the key is refused: look at the account."""
    MEDIUM = "medium"
    """It was refused or did not leave."""
    LOW = "low"
    """The call was wrong, and nothing was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerError:
    """What went wrong with a call that had returned already."""

    level: ErrorLevel
    what: str
    """The method."""
    order: str
    """The order's client order index or order index; empty if it has none."""
    detail: str


class LighterBroker:
    """Sends orders for one account. Use ``async with`` for the methods that end in ``_async``."""

    def __init__(
        self,
        signer: Signer,
        keys: Sequence[int],
        calls: LighterClient,
        limiter: Limiter,
        clock: Clock,
        *,
        markets: Markets,
        socket: LighterWebSocketManager | None = None,
        on_error: Callable[[BrokerError], None] = lambda error: None,
    ) -> None:
        """``keys`` are indexes of API keys that ``signer`` has. Without ``socket`` everything goes over REST."""
        self.markets: Final = markets
        self.orders: Final = OwnOrders()
        self.clock: Final = clock
        self._calls, self._limiter = calls, limiter
        self._socket = socket
        self._shunned_until_ns = 0
        self._on_error = on_error
        self._indexes = ClientIndexes(clock)
        lines = [
            KeyLine(
                key,
                signer,
                self._deliver,
                calls,
                clock,
                batch_limit=WS_BATCH,
                on_trouble=lambda line: _log.warning("{}", line),
                patience_s=_PATIENCE_S,
                between_s=_BETWEEN_S,
                repeats=False,
            )
            for key in keys
        ]
        self._sender = Sender(lines, self.orders)
        self._tasks: asyncio.TaskGroup | None = None
        self._under_way = 0

    async def __aenter__(self) -> Self:
        """Open the group of calls that return at once."""
        self._tasks = await asyncio.TaskGroup().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for what is under way; after an error, cancel it."""
        tasks, self._tasks = self._tasks, None
        if tasks is None:
            return
        try:
            await tasks.__aexit__(kind, error, trace)
        except BaseExceptionGroup as errors:
            raise first_of_group(errors) from None

    # --- sending -----------------------------------------------------------------------------------------------------

    async def submit(self, intents: Sequence[Intent]) -> list[Item]:
        """Send in order; afterwards each has a status."""
        return await self._sender.send(intents)

    async def _deliver(self, batch: Sequence[SignedTx]) -> None:
        """One message: over the socket if it works, or else over REST. Raises VenueError."""
        socket = self._socket
        if socket is not None and socket.is_connected and self.clock.now_ns() >= self._shunned_until_ns:
            self._limiter.count("sendTx")  # also if it is refused
            try:
                await socket.send_signed(batch)
            except NotSent:
                pass  # it has just gone down, or its queue is full
            except OutcomeUnknown:
                self._shunned_until_ns = self.clock.now_ns() + _SHUNNED_NS
                raise
            else:
                return
        await self._calls.send(batch)

    def gateway(self, market: Market, book: BookReader | None = None) -> MarketGateway:
        """What the engine sends one market's orders through.

        ``book`` is the displayed book, beyond whose best price an order at market is bounded.
        """
        return MarketGateway(self, market, book)

    async def bound(self, market: Market, side: Side, book: BookReader | None = None) -> Ticks:
        """The worst average price of an order at market. Raises VenueError if there is nobody on the other side."""
        best = 0 if book is None else book.best(side.opposite)
        if best:
            return order_forms.beyond(best, is_ask=side is Side.SELL)
        shown = await self._calls.book_orders(market.market_index, 1)
        price = order_forms.market_bound(market, shown, -1 if side is Side.SELL else 1)
        return market.instrument.to_ticks(price)

    # --- for programs of one's own -----------------------------------------------------------------------------------

    async def send_order(
        self,
        symbol: str,
        side: Side,
        size: Number,
        price: Number | None = None,
        *,
        time_in_force: TimeInForce = TimeInForce.GTC,
        post_only: bool = False,
        reduce_only: bool = False,
        client_order_index: int | None = None,
    ) -> OrderId:
        """Send one order; return its client order index when the venue has accepted it.

        Without ``price`` it is at market, its average bounded 5 % beyond the best price. Raises UnfitOrder, ConfigError
        for an unknown symbol, and VenueError: after OutcomeUnknown the order may be there.
        """
        intent = await self._intent(
            symbol, side, size, price, time_in_force, client_order_index, post_only=post_only, reduce_only=reduce_only
        )
        await self._insist(intent)
        return OrderId(str(intent.client_order_index))

    def send_order_async(self, symbol: str, side: Side, size: Number, price: Number | None = None, **more: Any) -> str:
        """Send one order, as ``send_order``; return its client order index at once."""
        index = more.pop("client_order_index", None) or self._indexes.new()
        self._go("send_order", str(index), self.send_order(symbol, side, size, price, client_order_index=index, **more))
        return str(index)

    async def cancel_order(self, order_id: str | int, symbol: str | None = None) -> None:
        """Ask for a cancel, by client order index or order index. That of an unknown order is accepted in silence.

        ``symbol`` is needed for an order that this broker did not send. Raises UnfitOrder and VenueError.
        """
        index = order_forms.index_from(order_id)
        await self._insist(CancelOrder(market_index=self._market_of(index, symbol).market_index, index=index))

    def cancel_order_async(self, order_id: str | int, symbol: str | None = None) -> None:
        """Ask for a cancel, as ``cancel_order``; return at once."""
        self._go("cancel_order", str(order_id), self.cancel_order(order_id, symbol))

    async def cancel_orders(self, symbol: str) -> int:
        """Cancel all open orders of a market, whoever sent them; return how many. Raises VenueError."""
        market = self.markets.named(symbol)
        listed = await self._calls.active_orders(market.market_index)
        self.orders.on_listed(listed)
        names = [row["order_index"] for row in listed if isinstance(row.get("order_index"), int)]
        items = await self.submit([CancelOrder(market_index=market.market_index, index=name) for name in names])
        _raise_first(items)
        return len(items)

    async def update_order(
        self,
        order_id: str | int,
        price: Number | None = None,
        quantity: Number | None = None,
        symbol: str | None = None,
    ) -> OrderId:
        """Change price or total size, the filled part included. The order loses its time priority. Returns its name.

        If the venue refuses the change, the order is cancelled and, once a list shows its end, the rest is sent anew,
        so that never more than one of the two can trade. Raises UnfitOrder and VenueError; after OutcomeUnknown nothing
        new was sent.
        """
        index = order_forms.index_from(order_id)
        market = self._market_of(index, symbol)
        known = self.orders.find(index)
        if (price is None or quantity is None) and (known is None or known.price is None or known.base_amount is None):
            self.orders.on_listed(await self._calls.active_orders(market.market_index))
            known = self.orders.find(index)
        change = order_forms.modification(market, index, known, price=price, quantity=quantity, trigger_price=None)
        try:
            await self._insist(change)
        except Rejected as refused:
            _log.warning("{}: cancel and send anew", refused)
            return await self._replace(market, index, change.price, change.base_amount)
        return OrderId(str(index))

    async def _replace(self, market: Market, index: int, price: int, size: int) -> OrderId:
        """Cancel, wait for the end, and send what is left."""
        await self._insist(CancelOrder(market_index=market.market_index, index=index))
        ended = await self._end_of(index)
        left = size - market.base_amount(ended.filled_base_amount) if ended.filled_base_amount else size
        if left <= 0:
            return OrderId(str(index))
        unit = market.instrument
        return await self.send_order(
            market.symbol,
            Side.SELL if ended.is_ask else Side.BUY,
            unit.size(left),
            unit.price(price),
            post_only=ended.time_in_force == "post-only",
            reduce_only=ended.reduce_only,
        )

    async def _end_of(self, index: int) -> Order:
        """The order once a list shows that it is over. Raises OutcomeUnknown."""
        until_ns = self.clock.now_ns() + int(_ENDS_WITHIN_S * NS_PER_S)
        while self.clock.now_ns() < until_ns:
            for row in await self._calls.inactive_orders():
                if index in (row.get("client_order_index"), row.get("order_index")):
                    with suppress(ValidationError):  # the next list may have it whole
                        return Order.model_validate(row)
            await self.clock.sleep_until(self.clock.now_ns() + int(_LOOK_EVERY_S * NS_PER_S))
        raise OutcomeUnknown("update_order", f"no list shows the end of order {index}: nothing new was sent")

    async def _intent(
        self,
        symbol: str,
        side: Side,
        size: Number,
        price: Number | None,
        time_in_force: TimeInForce,
        client_order_index: int | None,
        *,
        post_only: bool,
        reduce_only: bool,
    ) -> NewOrder:
        market, index = self.markets.named(symbol), client_order_index or self._indexes.new()
        signed = f"-{size}" if side is Side.SELL else size
        if price is None:
            bound = market.instrument.price(await self.bound(market, side))
            return order_forms.market_order(market, index, signed, bound, reduce_only=reduce_only)
        if time_in_force is TimeInForce.FOK or (post_only and time_in_force is not TimeInForce.GTC):
            raise UnfitOrder(f"time_in_force {time_in_force}, post_only {post_only}; accepted: GTC, IOC, GTC post_only")
        return order_forms.limit_order(
            market,
            index,
            price,
            signed,
            post_only=post_only,
            reduce_only=reduce_only,
            is_ioc=time_in_force is TimeInForce.IOC,
        )

    def _market_of(self, index: int, symbol: str | None) -> Market:
        if symbol is not None:
            return self.markets.named(symbol)
        found = self.orders.market(index, -1)
        if found < 0:
            raise UnfitOrder(f"order {index} is not known here; accepted: its symbol beside it")
        return self.markets.indexed(found)

    async def _insist(self, intent: Intent) -> None:
        """Send one intent. Raises UnfitOrder and VenueError unless it is accepted."""
        if isinstance(intent, NewOrder):
            self.orders.on_planned(intent)
        _raise_first(await self.submit([intent]))

    def _go(self, what: str, order: str, call: Coroutine[Any, Any, object]) -> None:
        if self._tasks is None or self._under_way >= _MOST_ASYNC:
            call.close()
            why = "the broker is not open" if self._tasks is None else f"{_MOST_ASYNC} calls are under way already"
            self._on_error(BrokerError(level=ErrorLevel.MEDIUM, what=what, order=order, detail=why))
            return
        self._under_way += 1
        self._tasks.create_task(self._tell(what, order, call))

    async def _tell(self, what: str, order: str, call: Coroutine[Any, Any, object]) -> None:
        try:
            await call
        except (VenueError, ValueError) as error:
            self._on_error(BrokerError(level=level_of(error), what=what, order=order, detail=str(error)))
        finally:
            self._under_way -= 1


class MarketGateway:
    """One market's orders, as the engine sends them: an ``OrderGateway``."""

    def __init__(self, broker: LighterBroker, market: Market, book: BookReader | None = None) -> None:
        """See `LighterBroker.gateway`."""
        self.market: Final = market
        self._broker, self._book, self._clock = broker, book, broker.clock

    def send(self, batch: Sequence[Request]) -> Later[Sequence[Reply]]:
        """Send orders and cancels in one message; each reply is of its own request."""
        return Later(partial(self._send, batch))

    async def _send(self, batch: Sequence[Request]) -> Sequence[Reply]:
        replies: list[Reply | None] = [None] * len(batch)
        intents: list[tuple[int, Intent]] = []
        for place, request in enumerate(batch):
            try:
                intents.append((place, await self._intent(request)))
            except UnfitOrder as error:
                replies[place] = unfit(error)
            except VenueError as error:
                replies[place] = NotSent("order", f"its bound is not known: {error}")
        if intents:
            items = await self._broker.submit([intent for _, intent in intents])
            for (place, _), item in zip(intents, items, strict=True):
                replies[place] = reply_of(batch[place], item)
        return [reply for reply in replies if reply is not None]

    async def _intent(self, request: Request) -> Intent:
        if isinstance(request, CancelRequest):
            return cancel_of(request, self.market)
        bound = None
        if request.price is None:
            bound = await self._broker.bound(self.market, request.side, self._book)
        return order_of(request, self.market, bound, self._clock.now_ns())


def level_of(error: Exception) -> ErrorLevel:
    """How bad an error is."""
    if isinstance(error, OutcomeUnknown | AuthRefused):
        return ErrorLevel.HIGH
    return ErrorLevel.MEDIUM if isinstance(error, VenueError) else ErrorLevel.LOW


def _raise_first(items: Sequence[Item]) -> None:
    """Raise the error of the first that was not accepted."""
    for item in items:
        if item.status is not Status.ACCEPTED:
            raise item.error if isinstance(item.error, UnfitOrder) else error_of(item)
