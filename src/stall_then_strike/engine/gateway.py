"""What a venue must offer so that the executor can trade on it: the one seam of the order path.

A gateway takes requests and, apart from its answers, tells what becomes of the orders through the sink that it was
given: :class:`OrderEvent` and :class:`FillEvent`, in the venue's order as far as it is known. Answers and events may
overtake each other, come twice or not at all; the core copes. Every method has a time limit of its own.

Implementations: the live one speaks HTTP, ``sim.paper`` fills by rule against public data.
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
        """Send an order and return the venue's name for it. That is an acceptance, not yet an order on the book.

        Raises Retryable, Rejected, AuthRefused, Throttled or OutcomeUnknown.
        """
        ...

    async def cancel(self, order_id: OrderId) -> None:
        """Ask for a cancel. Returning means that the venue took the request; the outcome comes as an event.

        Raises Retryable, Rejected, AuthRefused, Throttled or OutcomeUnknown.
        """
        ...


class AccountReader(Protocol):
    """What a venue shows of the account, for reconciliation. Paper trading has none: there the gateway is the truth."""

    async def report(self, since: ExecId) -> AccountReport:
        """Ask for orders, executions after ``since``, positions and collateral, in this order.

        Raises Retryable, Rejected, AuthRefused or Throttled.
        """
        ...

    def renew(self, why: str) -> None:
        """Have the event channel connected anew. Returns at once; the outcome comes as a PrivateChannel event."""
        ...
