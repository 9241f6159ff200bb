"""The interface of a venue that the executor can trade on: the only seam of the order path.

A gateway answers requests, and it passes :class:`OrderEvent` and :class:`FillEvent` to the sink that it was given, in
the venue's order as far as it is known. Answers and events may overtake each other, arrive twice or not at all; the
core handles all of this. Every method has its own time limit.

Implementations: the live one uses HTTP; ``sim.paper`` fills by rule against public data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from stall_then_strike.types.dto import AccountReport, Event, ExecId, OrderId, OrderRequest

EventSink = Callable[[Event], None]
"""Where events go: never blocks, never raises."""


class OrderGateway(Protocol):
    """Order entry at one venue for one product."""

    async def place(self, order: OrderRequest) -> OrderId:
        """Send an order and return the venue's order id: an acceptance, not yet an order on the book.

        Raises Retryable, Rejected, AuthRefused, Throttled or OutcomeUnknown.
        """
        ...

    async def cancel(self, order_id: OrderId) -> None:
        """Request a cancel. A return means that the venue accepted the request; its outcome arrives as an event.

        Raises Retryable, Rejected, AuthRefused, Throttled or OutcomeUnknown.
        """
        ...


class AccountReader(Protocol):
    """The account at the venue, for reconciliation. Paper trading needs none: its gateway is the account."""

    async def report(self, since: ExecId) -> AccountReport:
        """Query orders, executions after ``since``, positions and collateral, in this order.

        Raises Retryable, Rejected, AuthRefused or Throttled.
        """
        ...

    def renew(self, why: str) -> None:
        """Reconnect the event channel. Returns at once; the outcome arrives as a PrivateChannel event."""
        ...
