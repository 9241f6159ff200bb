"""The interface of a venue that the executor can trade on: the only seam of the order path.

A gateway answers requests, and it passes :class:`OrderEvent` and :class:`FillEvent` to the sink that it was given, in
the venue's order as far as it is known. Answers and events may overtake each other, arrive twice or not at all; the
core handles all of this. Every method has its own time limit.

Implementations: the live one uses HTTP; ``sim.paper`` fills by rule against public data.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Generic, Protocol, TypeVar

from stall_then_strike.types.dto import AccountReport, CancelRequest, Event, ExecId, OrderId, OrderRequest
from stall_then_strike.types.errors import VenueError

_T = TypeVar("_T")

EventSink = Callable[[Event], None]
"""Where events go: never blocks, never raises."""

Request = OrderRequest | CancelRequest

Reply = OrderId | VenueError
"""Of an order: the venue's id of it, an acceptance, not yet an order on the book. Of a cancel: the id of the order, the
request was accepted and its outcome arrives as an event. Or else the error, which says what may have happened: a
Retryable, Rejected, AuthRefused, Throttled or OutcomeUnknown."""


class Later(Generic[_T]):
    """What is called when it is awaited. One that nobody awaits is no mistake, as a coroutine's would be."""

    def __init__(self, call: Callable[[], Awaitable[_T]]) -> None:
        """Nothing is called yet."""
        self._call = call

    def __await__(self) -> Generator[object, None, _T]:
        """Call, and wait for the result."""
        return self._call().__await__()


class OrderGateway(Protocol):
    """Order entry at one venue."""

    def send(self, batch: Sequence[Request]) -> Awaitable[Sequence[Reply]]:
        """Send orders and cancels, at most `VenueRules.batch` of them; one answer for each, in the same order.

        A gateway that can send without waiting does so before it returns. Await the result for the answers.
        An error of the venue is an answer and not raised. What is sent after a failed request of the same batch, and
        in which call, is the gateway's affair; each answer is of its own request.
        """
        ...


class AccountReader(Protocol):
    """The account at the venue, for reconciliation. Paper trading needs none: its gateway is the account."""

    async def report(self, since: ExecId) -> AccountReport:
        """Query orders, executions after ``since``, positions and collateral, in this order.

        Raises Retryable, Rejected, AuthRefused or Throttled, with the number of calls made.
        """
        ...

    def renew(self, why: str) -> None:
        """Reconnect the event channel. Returns at once; the outcome arrives as a PrivateChannel event."""
        ...
