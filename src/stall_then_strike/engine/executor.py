"""Actions to gateway calls, and their answers to events.

The one module of ``engine`` that awaits. It knows only the gateway's protocol, never HTTP, and it decides nothing: it
sends what it is given, the calls of one batch side by side, and reports each answer to the sink as it comes. A send
without answer is reported as unknown and never repeated here; a cancel is harmless to repeat, so any failure of one
is reported as a failed cancel, which the core tries again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import assert_never

from stall_then_strike.engine.gateway import EventSink, OrderGateway
from stall_then_strike.types.dto import (
    Action,
    CancelAllStall,
    CloseMarket,
    OrderEvent,
    OrderEventKind,
    OrderId,
    OrderRequest,
    PlaceLimit,
    TimeInForce,
)
from stall_then_strike.types.errors import OutcomeUnknown, VenueError


class OrderExecutor:
    """Sends actions through one gateway."""

    def __init__(self, gateway: OrderGateway, sink: EventSink, now_ns: Callable[[], int]) -> None:
        """``now_ns`` stamps the answers; the executor has no clock of its own."""
        self._gateway = gateway
        self._sink = sink
        self._now_ns = now_ns

    async def execute(self, actions: Sequence[Action]) -> None:
        """Send all actions; return when each has its answer or is known to have none."""
        calls = [call for action in actions for call in self._calls(action)]
        if len(calls) == 1:
            await calls[0]
        elif calls:
            await asyncio.gather(*calls)

    def _calls(self, action: Action) -> Iterator[Coroutine[None, None, None]]:
        if isinstance(action, PlaceLimit):
            yield self._place(action, TimeInForce.GTC)
        elif isinstance(action, CloseMarket):
            yield self._place(action, TimeInForce.IOC)
        elif isinstance(action, CancelAllStall):
            for order_id in action.order_ids:
                yield self._cancel(order_id)
        else:
            assert_never(action)

    async def _place(self, action: PlaceLimit | CloseMarket, time_in_force: TimeInForce) -> None:
        request = OrderRequest(
            client_order_id=action.client_order_id,
            side=action.side,
            price=action.price,
            size=action.size,
            time_in_force=time_in_force,
        )
        order_id: OrderId | None = None
        detail = ""
        try:
            order_id = await self._gateway.place(request)
            kind = OrderEventKind.ACCEPTED
        except OutcomeUnknown as error:
            kind, detail = OrderEventKind.SEND_UNKNOWN, str(error)
        except VenueError as error:
            kind, detail = OrderEventKind.REJECTED, str(error)
        self._sink(
            OrderEvent(
                ts_ns=self._now_ns(),
                kind=kind,
                client_order_id=action.client_order_id,
                order_id=order_id,
                detail=detail,
            )
        )

    async def _cancel(self, order_id: OrderId) -> None:
        try:
            await self._gateway.cancel(order_id)
        except VenueError as error:
            self._sink(
                OrderEvent(
                    ts_ns=self._now_ns(), kind=OrderEventKind.CANCEL_FAILED, order_id=order_id, detail=str(error)
                )
            )
