"""Actions to gateway calls, and their answers to events.

The only module of ``engine`` that awaits. It knows only the gateway's protocols, never HTTP, and decides nothing: it
sends the calls of one batch concurrently and passes each answer to the sink as it arrives. An order without an answer
is reported as SEND_UNKNOWN and never repeated. A cancel is harmless to repeat, so one that may have had no effect is
reported as CANCEL_UNSENT, and the core tries again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import assert_never

from stall_then_strike.engine.gateway import AccountReader, EventSink, OrderGateway
from stall_then_strike.types.dto import (
    Action,
    CancelAllStall,
    ClientOrderId,
    CloseMarket,
    OrderEvent,
    OrderEventKind,
    OrderId,
    OrderRequest,
    PlaceLimit,
    Reconcile,
    RefusalKind,
    RenewFeed,
    ReportFailed,
    TimeInForce,
    VenueRefusal,
)
from stall_then_strike.types.errors import (
    AuthRefused,
    MarginRefused,
    OutcomeUnknown,
    Overloaded,
    Restricted,
    Retryable,
    Throttled,
    VenueError,
)


class OrderExecutor:
    """Sends actions through one gateway."""

    def __init__(
        self,
        gateway: OrderGateway,
        sink: EventSink,
        now_ns: Callable[[], int],
        account: AccountReader | None = None,
        *,
        is_instant: bool = False,
    ) -> None:
        """``now_ns`` stamps the answers, because the executor has no clock. ``account`` serves Reconcile.

        ``is_instant``: the gateway never waits, so the calls are made one after the other.
        """
        self._gateway = gateway
        self._account = account
        self._sink = sink
        self._now_ns = now_ns
        self._is_instant = is_instant

    async def execute(self, actions: Sequence[Action]) -> None:
        """Send all actions; return when each has been answered or has failed."""
        calls = [call for action in actions for call in self._calls(action)]
        if len(calls) > 1 and not self._is_instant:
            # If one fails, the others are in flight already, and their answers must be awaited.
            ends = await asyncio.gather(*calls, return_exceptions=True)
            failures = [end for end in ends if isinstance(end, BaseException)]
            if failures:
                raise BaseExceptionGroup("calls that failed", failures) if len(failures) > 1 else failures[0]
            return
        for call in calls:
            await call

    def _calls(self, action: Action) -> Iterator[Coroutine[None, None, None]]:
        if isinstance(action, PlaceLimit):
            yield self._place(action, TimeInForce.GTC)
        elif isinstance(action, CloseMarket):
            yield self._place(action, TimeInForce.IOC)
        elif isinstance(action, CancelAllStall):
            for order_id in action.order_ids:
                yield self._cancel(order_id)
        elif isinstance(action, Reconcile):
            yield self._report(action)
        elif isinstance(action, RenewFeed):
            if self._account is not None:
                self._account.renew(action.why)
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
        name = action.client_order_id
        try:
            order_id = await self._gateway.place(request)
        except OutcomeUnknown as error:
            self._tell(OrderEventKind.SEND_UNKNOWN, client_order_id=name, detail=str(error))
        except (Retryable, Throttled) as error:
            self._tell(OrderEventKind.NOT_SENT, client_order_id=name, detail=str(error))
            self._tell_refusal(error)
        except VenueError as error:
            is_margin = isinstance(error, MarginRefused)
            self._tell(OrderEventKind.REJECTED, client_order_id=name, detail=str(error), is_margin=is_margin)
            self._tell_refusal(error)
        else:
            self._tell(OrderEventKind.ACCEPTED, client_order_id=name, order_id=order_id)

    async def _cancel(self, order_id: OrderId) -> None:
        try:
            await self._gateway.cancel(order_id)
        except (Retryable, Throttled, AuthRefused, OutcomeUnknown) as error:
            self._tell(OrderEventKind.CANCEL_UNSENT, order_id=order_id, detail=str(error))
            self._tell_refusal(error)
        except VenueError as error:
            self._tell(OrderEventKind.CANCEL_FAILED, order_id=order_id, detail=str(error))

    async def _report(self, action: Reconcile) -> None:
        if self._account is None:
            raise AssertionError("a core that reconciles needs an account reader")
        try:
            report = await self._account.report(action.since)
        except VenueError as error:
            self._sink(ReportFailed(ts_ns=self._now_ns(), detail=str(error), calls=error.calls))
            self._tell_refusal(error)
        else:
            self._sink(report)

    def _tell(
        self,
        kind: OrderEventKind,
        *,
        client_order_id: ClientOrderId | None = None,
        order_id: OrderId | None = None,
        detail: str = "",
        is_margin: bool = False,
    ) -> None:
        self._sink(
            OrderEvent(
                ts_ns=self._now_ns(),
                kind=kind,
                client_order_id=client_order_id,
                order_id=order_id,
                detail=detail,
                is_margin=is_margin,
            )
        )

    def _tell_refusal(self, error: VenueError) -> None:
        """Report a refusal that also affects later requests."""
        now_ns = until_ns = self._now_ns()
        if isinstance(error, Throttled):
            kind = RefusalKind.RESTRICTED if isinstance(error, Restricted) else RefusalKind.THROTTLED
            until_ns = error.retry_at_ns
        elif isinstance(error, AuthRefused):
            kind = RefusalKind.UNAUTHORISED
        elif isinstance(error, Overloaded):
            kind = RefusalKind.OVERLOADED
        else:
            return
        self._sink(VenueRefusal(ts_ns=now_ns, kind=kind, until_ns=until_ns, detail=str(error)))
