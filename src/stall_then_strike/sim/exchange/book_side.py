"""One side of a book: a queue of orders for each price, and the prices that changed. Pure.

Market orders waiting for an auction are kept beside the levels and shown at price zero, as the venue does.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import NewType

from stall_then_strike.sim.exchange.source import Level
from stall_then_strike.types.dto import OrderId, Side
from stall_then_strike.types.instrument import Lots, Ticks

Owner = NewType("Owner", str)
"""Whose order it is. The engine only carries it."""


class Order:
    """A resting order. Mutable and owned by the engine: read it, never write it."""

    __slots__ = ("expires_ns", "order_id", "owner", "price", "remaining", "side", "size")

    def __init__(
        self, order_id: OrderId, owner: Owner, side: Side, price: Ticks, size: Lots, expires_ns: int | None
    ) -> None:
        """Start with all of the size open."""
        self.order_id = order_id
        self.owner = owner
        self.side = side
        self.price = price
        self.size = size
        """As submitted."""
        self.remaining = size
        self.expires_ns = expires_ns


class Queue:
    """The orders at one price, oldest first, and their total."""

    __slots__ = ("orders", "total")

    def __init__(self) -> None:
        self.orders: dict[OrderId, Order] = {}
        self.total = 0


class BookSide:
    """One side: levels by price, best price in O(1), and the set of changed prices.

    ``keys`` is ascending with the best price last. A key is the price on the bid side, the negated price on the ask
    side.
    """

    __slots__ = ("changed", "has_waiting_changed", "keys", "levels", "sign", "total", "waiting")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.levels: dict[int, Queue] = {}
        self.changed: set[int] = set()
        self.total = 0
        self.waiting: dict[OrderId, Order] = {}
        """Market orders waiting for an auction; shown at price zero."""
        self.has_waiting_changed = False

    def wait(self, order: Order) -> None:
        """Keep a market order for the auction."""
        self.waiting[order.order_id] = order
        self.has_waiting_changed = True

    def waiting_total(self) -> int:
        """Size of the waiting market orders."""
        return sum(order.remaining for order in self.waiting.values())

    def queue(self, worst_key: int) -> list[Order]:
        """Orders that trade in an auction at that price, by priority."""
        orders = list(self.waiting.values())
        for key in reversed(self.keys):
            if key < worst_key:
                break
            orders.extend(self.levels[key].orders.values())
        return orders

    def add(self, order: Order) -> None:
        """Append an order to the queue of its price."""
        key = self.sign * order.price
        queue = self.levels.get(key)
        if queue is None:
            queue = self.levels[key] = Queue()
            insort(self.keys, key)
        queue.orders[order.order_id] = order
        queue.total += order.remaining
        self.total += order.remaining
        self.changed.add(key)

    def shrink(self, order: Order, lots: int) -> None:
        """Reduce an order; an empty order leaves its queue and an empty level leaves the book."""
        if order.order_id in self.waiting:
            order.remaining = Lots(order.remaining - lots)
            self.has_waiting_changed = True
            if not order.remaining:
                del self.waiting[order.order_id]
            return
        key = self.sign * order.price
        queue = self.levels[key]
        order.remaining = Lots(order.remaining - lots)
        queue.total -= lots
        self.total -= lots
        self.changed.add(key)
        if not order.remaining:
            del queue.orders[order.order_id]
            if not queue.orders:
                del self.levels[key]
                if self.keys[-1] == key:
                    self.keys.pop()
                else:
                    del self.keys[bisect_left(self.keys, key)]

    def available(self, worst_key: int | None, wanted: int) -> int:
        """Size resting at ``worst_key`` or better, counted until ``wanted`` is reached."""
        found = 0
        for key in reversed(self.keys):
            if (worst_key is not None and key < worst_key) or found >= wanted:
                break
            found += self.levels[key].total
        return found

    def top(self, limit: int | None) -> list[Level]:
        """Levels, best first, at most ``limit``."""
        keys = self.keys if limit is None else self.keys[-limit:] if limit else []
        return [(Ticks(self.sign * key), Lots(self.levels[key].total)) for key in reversed(keys)]

    def drain(self) -> list[Level]:
        """Levels changed since the last call, best first, with their current size (zero: the level is gone)."""
        changed, self.changed = self.changed, set()
        levels = self.levels
        drained = [
            (Ticks(self.sign * key), Lots(queue.total if (queue := levels.get(key)) is not None else 0))
            for key in sorted(changed, reverse=True)
        ]
        if self.has_waiting_changed:
            self.has_waiting_changed = False
            drained.append((Ticks(0), Lots(self.waiting_total())))
        return drained
