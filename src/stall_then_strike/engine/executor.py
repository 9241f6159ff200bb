"""Actions to gateway calls, and their answers to events.

The only module of ``engine`` that awaits. It knows only the gateway's protocols, never HTTP, and decides nothing: it
cuts the requests of a step into the venue's batches, sends these concurrently and passes each answer to the sink as it
arrives. An order without an answer is reported as SEND_UNKNOWN and never repeated. A cancel is harmless to repeat, so
one that may have had no effect is reported as CANCEL_UNSENT, and the core tries again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial

from stall_then_strike.engine.gateway import AccountReader, EventSink, Later, OrderGateway, Reply, Request
from stall_then_strike.types.dto import (
    Action,
    CancelAllStall,
    CancelRequest,
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
        batch: int = 1,
        post_only: bool = False,
    ) -> None:
        """``now_ns`` stamps the answers, because the executor has no clock. ``account`` serves Reconcile.

        ``batch`` and ``post_only`` are as in `VenueRules`. A batch is answered as a whole.
        """
        self._gateway = gateway
        self._account = account
        self._sink = sink
        self._now_ns = now_ns
        self._batch = batch
        self._post_only = post_only

    async def execute(self, actions: Sequence[Action]) -> None:
        """Send all actions; return when each has been answered or has failed."""
        await self.begin(actions)

    def begin(self, actions: Sequence[Action]) -> Later[None]:
        """Send all actions, at once as far as the gateway can; await the result for their answers."""
        requests: list[Request] = []
        reports: list[Reconcile] = []
        for action in actions:
            if isinstance(action, Reconcile):
                reports.append(action)
            elif isinstance(action, RenewFeed):
                if self._account is not None:
                    self._account.renew(action.why)
            else:
                requests += self._requests(action)
        batches = [requests[at : at + self._batch] for at in range(0, len(requests), self._batch)]
        return Later(partial(self._finish, [(batch, self._gateway.send(batch)) for batch in batches], reports))

    async def _finish(
        self, sent: Sequence[tuple[Sequence[Request], Awaitable[Sequence[Reply]]]], reports: Sequence[Reconcile]
    ) -> None:
        await _side_by_side([*(self._take(*one) for one in sent), *map(self._report, reports)])

    def _requests(self, action: PlaceLimit | CancelAllStall | CloseMarket) -> Iterable[Request]:
        if isinstance(action, CancelAllStall):
            return [CancelRequest(order_id=order_id) for order_id in action.order_ids]
        is_quote = isinstance(action, PlaceLimit)
        return [
            OrderRequest(
                client_order_id=action.client_order_id,
                side=action.side,
                price=action.price,
                size=action.size,
                time_in_force=TimeInForce.GTC if is_quote else TimeInForce.IOC,
                post_only=is_quote and self._post_only,
            )
        ]

    async def _take(self, batch: Sequence[Request], answers: Awaitable[Sequence[Reply]]) -> None:
        for request, answer in zip(batch, await answers, strict=True):
            error = answer if isinstance(answer, VenueError) else None
            order_id = None if isinstance(answer, VenueError) else answer
            if isinstance(request, OrderRequest):
                self._tell(_of_order(error), request.client_order_id, order_id, error)
            elif error is not None:
                self._tell(_of_cancel(error), None, request.order_id, error)
            if error is not None:
                self._tell_refusal(error)

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
        self, kind: OrderEventKind, name: ClientOrderId | None, order_id: OrderId | None, error: VenueError | None
    ) -> None:
        self._sink(
            OrderEvent(
                ts_ns=self._now_ns(),
                kind=kind,
                client_order_id=name,
                order_id=order_id,
                detail="" if error is None else str(error),
                is_margin=kind is OrderEventKind.REJECTED and isinstance(error, MarginRefused),
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


def _of_order(error: VenueError | None) -> OrderEventKind:
    """What an answer to an order means."""
    if error is None:
        return OrderEventKind.ACCEPTED
    if isinstance(error, OutcomeUnknown):
        return OrderEventKind.SEND_UNKNOWN
    return OrderEventKind.NOT_SENT if isinstance(error, Retryable | Throttled) else OrderEventKind.REJECTED


def _of_cancel(error: VenueError) -> OrderEventKind:
    """What a failed cancel means: only a definite refusal is not repeated."""
    may_repeat = isinstance(error, Retryable | Throttled | AuthRefused | OutcomeUnknown)
    return OrderEventKind.CANCEL_UNSENT if may_repeat else OrderEventKind.CANCEL_FAILED


async def _side_by_side(calls: Sequence[Coroutine[None, None, None]]) -> None:
    """Make calls concurrently. If one fails, the others are in flight already: it is raised once they have ended."""
    if len(calls) < 2:
        for call in calls:
            await call
        return
    ends = await asyncio.gather(*calls, return_exceptions=True)
    failures = [end for end in ends if end is not None]
    if failures:
        raise BaseExceptionGroup("calls that failed", failures) if len(failures) > 1 else failures[0]
