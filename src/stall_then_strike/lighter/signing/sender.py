"""All keys of the account: which key sends what.

Order between two keys is not kept: a cancel over one may overtake a create over another. So a cancel or modify goes
over the key that placed its order, creates that accompany one go with it, and a cancel of all goes over every key that
has placed anything. Keys take turns only for messages that consist of creates alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, assert_never

from stall_then_strike.lighter.signing.intents import CancelAll, CancelOrder, Intent, ModifyOrder, NewOrder
from stall_then_strike.lighter.signing.key_line import Item, KeyLine, Status
from stall_then_strike.lighter.signing.own_orders import OwnOrders
from stall_then_strike.lighter.signing.signer import SignedTx


class Sender:
    """Sends intents over one or more keys and books what was sent."""

    def __init__(self, lines: Sequence[KeyLine], orders: OwnOrders) -> None:
        """``lines`` must not be empty; the first takes what has no key of its own."""
        self._lines: Final = {line.api_key_index: line for line in lines}
        self._keys: Final = list(self._lines)
        self._used: set[int] = set()
        self._turn = 0
        self._orders = orders

    async def route(self, send: Callable[[Sequence[SignedTx]], Awaitable[None]], batch_limit: int) -> None:
        """Send over another connection from now on."""
        for line in self._lines.values():
            await line.route(send, batch_limit)

    async def send(self, intents: Sequence[Intent]) -> list[Item]:
        """Send in order; returns one decided item per intent (a cancel of all may have several, the worst is given)."""
        parts, items = self._parts(intents)
        try:
            async with asyncio.TaskGroup() as group:
                for key, part in parts.items():
                    group.create_task(self._lines[key].send_all(part))
        finally:
            for key, part in parts.items():
                self._book(key, part)
        return [_worst(copies) for copies in items]

    def _parts(self, intents: Sequence[Intent]) -> tuple[dict[int, list[Item]], list[list[Item]]]:
        """What each key sends, and for each intent its items."""
        leader = self._leader(intents)
        parts: dict[int, list[Item]] = {}
        items: list[list[Item]] = []
        creates = 0
        for intent in intents:
            match intent:
                case NewOrder() if leader is None:
                    keys = [self._next_in_turn(creates)]
                    creates += 1
                case NewOrder():
                    keys = [leader if leader is not None else self._keys[0]]
                case CancelOrder() | ModifyOrder():
                    keys = [self._key_of(intent.index)]
                case CancelAll():
                    keys = sorted(self._used | parts.keys()) or [self._keys[0]]
                case _:
                    assert_never(intent)
            copies = [Item(intent) for _ in keys]
            items.append(copies)
            for key, copy in zip(keys, copies, strict=True):
                parts.setdefault(key, []).append(copy)
        if leader is None:
            self._turn += -(-creates // self._limit)
        return parts, items

    @property
    def _limit(self) -> int:
        return self._lines[self._keys[0]].batch_limit

    def _next_in_turn(self, create: int) -> int:
        """The key of the n-th create of a message of creates: a full batch each, in turn."""
        return self._keys[(self._turn + create // self._limit) % len(self._keys)]

    def _leader(self, intents: Sequence[Intent]) -> int | None:
        """The key that keeps order among creates and other transactions; None if there are only creates."""
        for intent in intents:
            if isinstance(intent, CancelOrder | ModifyOrder):
                return self._key_of(intent.index)
        return self._keys[0] if any(isinstance(intent, CancelAll) for intent in intents) else None

    def _key_of(self, index: int) -> int:
        order = self._orders.find(index)
        key = None if order is None else order.api_key_index
        return key if key in self._lines else self._keys[0]

    def _book(self, key: int, part: Sequence[Item]) -> None:
        self._used.add(key)
        for item in part:
            intent = item.intent
            if isinstance(intent, NewOrder) and item.status is not Status.REFUSED:
                self._orders.on_sent(intent, key)
            elif isinstance(intent, NewOrder | ModifyOrder) and item.status is not Status.ACCEPTED:
                self._orders.on_refused(intent)


def _worst(copies: Sequence[Item]) -> Item:
    ranks = (Status.REFUSED, Status.UNKNOWN, Status.ACCEPTED)
    return min(copies, key=lambda item: ranks.index(item.status) if item.status in ranks else 0)
