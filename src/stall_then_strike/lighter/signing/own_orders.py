"""What the dealer knows of its account's orders: from what it sent, and from what the venue listed.

Maps a client order index (COI) to the order index, and remembers market, key, price and size of each, so that a cancel
goes to the right market and over the key that placed the order: over another key it might overtake it. Bounded: the
oldest entries are forgotten, and then an order counts as one of the configured market and the first key.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from stall_then_strike.infra.clock import Clock
from stall_then_strike.lighter.signing.intents import ModifyOrder, NewOrder, market_of
from stall_then_strike.types.names import NS_PER_MS

MOST_KEPT: Final = 20_000
_PER_MS: Final = 64
_PLAIN: Final = frozenset({"limit", "market"})


@dataclass(slots=True)
class OwnOrder:
    """One order. Integers as on the wire; None is unknown."""

    client_order_index: int | None = None
    order_index: int | None = None
    market_index: int | None = None
    api_key_index: int | None = None
    base_amount: int | None = None
    """Total size, the filled part included."""
    price: int | None = None
    trigger_price: int = 0
    is_plain: bool | None = None
    """Whether it has no trigger."""


class ClientIndexes:
    """New client order indexes: unique in this process, and practically between processes of one account.

    Milliseconds since the epoch times 64 plus a random part stay below the venue's 2^48 until the year 2109.
    """

    def __init__(self, clock: Clock) -> None:
        """None is drawn yet."""
        self._clock = clock
        self._rng = random.Random()
        self._last = 0

    def new(self) -> int:
        """The next one."""
        drawn = self._clock.now_ns() // NS_PER_MS * _PER_MS + self._rng.randrange(_PER_MS)
        self._last = max(self._last + 1, drawn)
        return self._last


class OwnOrders:
    """Orders by either index."""

    def __init__(self) -> None:
        """Start empty."""
        self._by_index: dict[int, OwnOrder] = {}

    def find(self, index: int) -> OwnOrder | None:
        """The order of a client order index or order index."""
        return self._by_index.get(index)

    def order_index(self, client_order_index: int) -> int | None:
        """The venue's index of an order of ours; None if it is not resolved."""
        order = self._by_index.get(client_order_index)
        return None if order is None else order.order_index

    def market(self, index: int, otherwise: int) -> int:
        """The market of an order: its index tells, or what we know, or else ``otherwise``."""
        told = market_of(index)
        if told is not None:
            return told
        order = self._by_index.get(index)
        return otherwise if order is None or order.market_index is None else order.market_index

    def on_planned(self, intent: NewOrder | ModifyOrder) -> None:
        """An order or a change of one is queued: from now on its terms are what later changes start from."""
        if isinstance(intent, NewOrder):
            entry = self._entry(intent.client_order_index)
            entry.client_order_index, entry.is_plain = intent.client_order_index, True
        else:
            entry = self._entry(intent.index)
        entry.market_index = intent.market_index
        entry.base_amount, entry.price = intent.base_amount, intent.price

    def on_sent(self, order: NewOrder, api_key_index: int) -> None:
        """An order of ours was accepted by this key, or may have been."""
        self._entry(order.client_order_index).api_key_index = api_key_index

    def on_refused(self, intent: NewOrder | ModifyOrder) -> None:
        """It did not come to that: the order's terms are unknown until it is listed."""
        entry = self._by_index.get(intent.client_order_index if isinstance(intent, NewOrder) else intent.index)
        if entry is not None:
            entry.base_amount = entry.price = None

    def on_listed(self, orders: Iterable[Mapping[str, Any]]) -> None:
        """The venue listed these orders."""
        for order in orders:
            coi, index = _whole(order.get("client_order_index")), _whole(order.get("order_index"))
            if index is None:
                continue
            entry = (self._by_index.get(coi) if coi else None) or self._entry(index)
            entry.order_index = index
            entry.market_index = _whole(order.get("market_index"))
            entry.base_amount, entry.price = _raw(order.get("initial_base_amount")), _raw(order.get("price"))
            entry.trigger_price = _raw(order.get("trigger_price")) or 0
            entry.is_plain = order.get("type") in _PLAIN
            self._keep(index, entry)
            if coi:
                entry.client_order_index = coi
                self._keep(coi, entry)

    def _entry(self, index: int) -> OwnOrder:
        entry = self._by_index.get(index)
        if entry is None:
            entry = OwnOrder()
            self._keep(index, entry)
        return entry

    def _keep(self, index: int, entry: OwnOrder) -> None:
        self._by_index.pop(index, None)
        self._by_index[index] = entry
        while len(self._by_index) > MOST_KEPT:
            del self._by_index[next(iter(self._by_index))]


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _raw(text: object) -> int | None:
    """The wire's integer of a decimal text, which always has all decimals of its market."""
    digits = text.replace(".", "", 1) if isinstance(text, str) else ""
    return int(digits) if digits.isascii() and digits.isdigit() else None
