"""The live orders of one market, in the market's own table and in their accounts'. Pure.

Every change of an order goes through here, so that both tables, the client order indices, and the events of an
operation always agree.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from stall_then_strike.sim.lighter.clearing.accounts import Account, Accounts
from stall_then_strike.sim.lighter.clearing.records import LighterOrder, LighterTrade, Party, Status
from stall_then_strike.sim.lighter.venue_events import (
    CollateralChanged,
    OrderChanged,
    PositionChanged,
    Traded,
    VenueEvent,
)


class Outcome:
    """What one operation has changed so far, for the events in the venue's order."""

    def __init__(self, market: int, now_ns: int, tx_hash: str) -> None:
        """Nothing has changed yet. ``tx_hash`` is that of the transaction that the operation belongs to."""
        self.now_ns = now_ns
        self.tx_hash = tx_hash
        self.flipped: dict[int, None] = {}
        """Accounts whose position has closed or changed its side, in order."""
        self.loose: deque[LighterOrder] = deque()
        """Orders of groups that have ended or been triggered: others depend on them."""
        self._market = market
        self._orders: dict[int, LighterOrder] = {}
        self._trades: list[LighterTrade] = []
        self._accounts: dict[int, None] = {}

    def changed(self, order: LighterOrder) -> None:
        """An order has a new state."""
        self._orders[order.order_index] = order

    def traded(self, trade: LighterTrade, taker: Account, maker: Account) -> None:
        """A trade was booked; the accounts remember it."""
        self._trades.append(trade)
        for account, party in ((taker, trade.taker), (maker, trade.maker)):
            account.trades.append(trade)
            self._accounts[account.index] = None
            if _has_flipped(party):
                self.flipped[account.index] = None

    def events(self) -> Iterator[VenueEvent]:
        """The events, orders first."""
        for order in self._orders.values():
            yield OrderChanged(order.account, self._market, order)
        for trade in self._trades:
            yield Traded(self._market, trade)
        for account in self._accounts:
            yield PositionChanged(account, self._market)
            yield CollateralChanged(account)


def _has_flipped(party: Party) -> bool:
    """Whether a position is not on the side any more on which it was."""
    return party.has_sign_changed and party.size_before != 0


class OrderTable:
    """The live orders of one market."""

    def __init__(self, market: int, accounts: Accounts) -> None:
        """Start empty."""
        self.live: dict[int, LighterOrder] = {}
        """Open and pending orders by order index."""
        self.pending: dict[int, LighterOrder] = {}
        """Those that wait for a trigger price."""
        self._market = market
        self._accounts = accounts

    def owner(self, order: LighterOrder) -> Account:
        """The order's account."""
        return self._accounts.by_index[order.account]

    def keep(self, order: LighterOrder, outcome: Outcome) -> None:
        """Keep an order's new state; it is live."""
        account = self.owner(order)
        self.live[order.order_index] = account.orders[order.order_index] = order
        if order.status is Status.PENDING and not order.waits_for_parent:
            self.pending[order.order_index] = order
        if order.client_index:
            account.client_indices[order.client_index] = order.order_index
        outcome.changed(order)

    def suspend(self, order: LighterOrder) -> None:
        """Take an order out while it is matched anew; its account still has it."""
        self.live.pop(order.order_index, None)
        self.pending.pop(order.order_index, None)

    def end(self, order: LighterOrder, status: Status, outcome: Outcome) -> None:
        """End an order, live or new."""
        self.suspend(order)
        account = self.owner(order)
        account.orders.pop(order.order_index, None)
        if account.client_indices.get(order.client_index) == order.order_index:
            del account.client_indices[order.client_index]
        ended = replace(order, status=status, remaining=0, updated_ns=outcome.now_ns)
        account.closed.append(ended)
        outcome.changed(ended)
        if ended.children:
            outcome.loose.append(ended)

    def follow(self, outcome: Outcome) -> list[LighterOrder]:
        """Set the children of parents going, or end them; return the siblings that a triggered order cancels.

        What a parent has filled is its children's size. The children of one that has filled nothing, or that its owner
        has cancelled, end.
        """
        doomed: list[LighterOrder] = []
        while outcome.loose:
            order = outcome.loose.popleft()
            for child in (self.live.get(index) for index in order.children):
                if child is None:
                    continue
                if order.filled and order.status is not Status.CANCELED:
                    self.keep(
                        replace(child, waits_for_parent=False, size=order.filled, remaining=order.filled), outcome
                    )
                else:
                    self.end(child, Status.CANCELED_CHILD, outcome)
            if order.is_live and (sibling := self.live.get(order.sibling_index)) is not None:
                doomed.append(sibling)
        return doomed

    def reducible(self, order: LighterOrder) -> int:
        """How much of the position an order that may only reduce can close."""
        held = self.owner(order).size_in(self._market)
        return max(0, held if order.is_ask else -held)
