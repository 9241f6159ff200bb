"""One account at the exchange: its orders as the venue knows them, its ledger, its margin. Pure values and sums.

Margin is counted in ticks x lots like all money. An account that trades several products has an :class:`Account` for
each; they share cash, margin and limits, and each counts margin in the money units of its own product.

Venue facts: leverage is 2 for individuals; the available margin is the appraised margin less what positions and orders
require (product rules). An order requires margin for the size that it would open beyond closing the position, and
orders of both sides are summed: the strictest reading, because the exact rule is not published.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum, unique
from typing import Final

from stall_then_strike.sim.bitflyer.ledger import Ledger
from stall_then_strike.sim.bitflyer.limits import AccountCalls
from stall_then_strike.sim.bitflyer.tickets import Ticket
from stall_then_strike.types.dto import NS_PER_S, OrderId, Side, TimeInForce
from stall_then_strike.types.instrument import Lots, Money, Ticks

LEVERAGE: Final = 2


@unique
class ChildState(StrEnum):
    """State of an order; all but ACCEPTED are states of `getchildorders`."""

    ACCEPTED = "ACCEPTED"
    """Answered with 200 and queued; not listed."""
    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    """Refused at registration. Never executed, so never listed."""


LIVE_STATES: Final = frozenset({ChildState.ACCEPTED, ChildState.ACTIVE})


@dataclass(slots=True, kw_only=True)
class ChildOrder:
    """One order of an account. Mutable and owned by the desk: read it, never write it."""

    acceptance_id: OrderId
    side: Side
    price: Ticks | None
    """None for MARKET."""
    size: Lots
    time_in_force: TimeInForce
    accepted_ns: int
    expires_ns: int
    """In whole seconds: the second of acceptance plus the order's minutes (client logs)."""
    state: ChildState = ChildState.ACCEPTED
    registered_id: str = ""
    """``JFX...F``, from registration on."""
    registered_ns: int = 0
    listed_ns: int = 0
    """From when `getchildorders` shows it."""
    ended_ns: int = 0
    """When it could no longer trade; zero while it can."""
    executed: Lots = Lots(0)
    value: int = 0
    """Sum of price x size over its executions."""
    cancelled: Lots = Lots(0)
    """Remaining size when it was cancelled or expired."""
    row_id: int = 0
    """Its id in `getchildorders` when it is no longer ACTIVE."""

    @property
    def remaining(self) -> Lots:
        """Size that has not traded."""
        return Lots(self.size - self.executed)

    def at(self, time_ns: int, executed: int, value: int) -> ChildOrder:
        """The order as it was at a time after its acceptance, with the size and value executed by then."""
        state = ChildState.ACTIVE
        if self.ended_ns and self.ended_ns <= time_ns:
            state = self.state
        elif not self.registered_ns or self.registered_ns > time_ns:
            state = ChildState.ACCEPTED
        left = Lots(0) if state in LIVE_STATES else self.cancelled
        return replace(self, state=state, executed=Lots(executed), value=value, cancelled=left)

    @property
    def order_type(self) -> str:
        """``child_order_type`` on the wire."""
        return "MARKET" if self.price is None else "LIMIT"


def new_order(acceptance_id: OrderId, ticket: Ticket, now_ns: int) -> ChildOrder:
    """An order as accepted."""
    return ChildOrder(
        acceptance_id=acceptance_id,
        side=ticket.side,
        price=ticket.price,
        size=ticket.size,
        time_in_force=ticket.time_in_force,
        accepted_ns=now_ns,
        expires_ns=(now_ns // NS_PER_S + ticket.minutes * 60) * NS_PER_S,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """Margin that is required and available, at a mark."""

    collateral: Money
    open_profit: Money
    for_positions: Money
    for_orders: Money

    @property
    def available(self) -> Money:
        """Margin for new orders; negative when there is too little."""
        return Money(self.collateral + self.open_profit - self.for_positions - self.for_orders)

    def plus(self, other: Margin, units: int, others_units: int) -> Margin:
        """The sum of two products' margins. ``units`` are the money units of one yen; what is lost is rounded up.

        The sum is exact if this product's units are at least as fine as the other's.
        """

        def less(amount: int) -> int:
            return amount * units // others_units

        return Margin(
            collateral=Money(self.collateral + less(other.collateral)),
            open_profit=Money(self.open_profit + less(other.open_profit)),
            for_positions=Money(self.for_positions - less(-other.for_positions)),
            for_orders=Money(self.for_orders - less(-other.for_orders)),
        )


def _alone(margin: Margin, _time_ns: int | None) -> Margin:
    return margin


@dataclass(slots=True)
class Account:
    """An account in one product. ``orders`` keeps the live orders and every executed one, in order of acceptance."""

    name: str
    ledger: Ledger
    calls: AccountCalls
    orders: dict[OrderId, ChildOrder] = field(default_factory=dict)
    registered: dict[str, ChildOrder] = field(default_factory=dict)
    live: dict[OrderId, ChildOrder] = field(default_factory=dict)
    with_others: Callable[[Margin, int | None], Margin] = _alone
    """Adds the account's margin in its other products, now or at a past time."""
    past_ns: int | None = None
    """The time that a past account shows; None for the account itself."""

    def margin(self, mark: Ticks, *extra: tuple[Side, Ticks | None, Lots]) -> Margin:
        """The account's margin, over all its products, with its live orders and the orders in ``extra`` as if live.

        An order of ``extra`` is a side, a price and a size.
        """
        return self.with_others(self.margin_here(mark, *extra), self.past_ns)

    def margin_here(self, mark: Ticks, *extra: tuple[Side, Ticks | None, Lots]) -> Margin:
        """The part of :meth:`margin` that belongs to this product."""
        orders = [(o.side, o.price, o.remaining) for o in self.live.values()]
        return Margin(
            collateral=self.ledger.cash,
            open_profit=self.ledger.open_profit(mark),
            for_positions=Money(-(-abs(self.ledger.position) * mark // LEVERAGE)),
            for_orders=Money(_for_orders(self.ledger.position, mark, [*orders, *extra])),
        )

    def opens(self, mark: Ticks, side: Side, price: Ticks | None, size: Lots, *, but: ChildOrder | None = None) -> bool:
        """Whether an order would open more than it closes, given the live orders except ``but``."""
        others = [(o.side, o.price, o.remaining) for o in self.live.values() if o is not but]
        position = self.ledger.position
        with_it = _for_orders(position, mark, [*others, (side, price, size)])
        return with_it != _for_orders(position, mark, others)

    def may_open(self, ticket: Ticket, mark: Ticks) -> bool:
        """Whether there is margin for an order. An order that only closes needs none."""
        order = (ticket.side, ticket.price, ticket.size)
        return not self.opens(mark, *order) or self.margin(mark, order).available >= 0

    def at(self, time_ns: int) -> Account:
        """The account as it was at a time within the last ten minutes, ledger and orders alike; read only."""
        ledger = self.ledger.at(time_ns)
        executed: defaultdict[OrderId, int] = defaultdict(int)
        value: defaultdict[OrderId, int] = defaultdict(int)
        for fill in ledger.fills:
            executed[fill.order_id] += fill.size
            value[fill.order_id] += fill.price * fill.size
        orders = {
            name: order.at(time_ns, executed[name], value[name])
            for name, order in self.orders.items()
            if order.accepted_ns <= time_ns
        }
        live = {name: order for name, order in orders.items() if order.state in LIVE_STATES}
        return Account(self.name, ledger, self.calls, orders, live=live, with_others=self.with_others, past_ns=time_ns)


def _for_orders(position: Lots, mark: Ticks, orders: Iterable[tuple[Side, Ticks | None, Lots]]) -> int:
    """Margin for the size that orders would open; earlier orders close the position first."""
    closable = {Side.BUY: max(0, -position), Side.SELL: max(0, position)}
    value = 0
    for side, price, size in orders:
        closing = min(closable[side], size)
        closable[side] -= closing
        value += (size - closing) * (mark if price is None else price)
    return -(-value // LEVERAGE)
