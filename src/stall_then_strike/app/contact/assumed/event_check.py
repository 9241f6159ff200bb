"""Checks the events of the private channel: forms, the parser, and whether the events of an order fit together."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeVar

from stall_then_strike.app.contact.assumed.deviations import Deviations
from stall_then_strike.app.contact.assumed.documented import EVENTS
from stall_then_strike.infra.bitflyer.private_feed import PrivateFeed
from stall_then_strike.infra.bitflyer.wire_time import wire_time_ns
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.instrument import Instrument

_V = TypeVar("_V")
_KEPT_ORDERS: Final = 2_000
_KEPT_IDS: Final = 5_000
_ENDS: Final = frozenset({"CANCEL", "EXPIRE", "ORDER_FAILED"})
_PUBLIC_NS: Final = 2 * NS_PER_S
"""How much later the public channel may tell an execution: 0.7 s in 95 of 100, by recordings of 2021."""
_HARMLESS: Final = frozenset({"other_product"})


@dataclass(slots=True)
class _Order:
    """What events have told of one order."""

    rest: Decimal | None = None
    """What is not executed; None if its ORDER was not heard."""
    ended: str = ""


class EventCheck:
    """Notes deviations of one product's events."""

    def __init__(self, instrument: Instrument, deviations: Deviations) -> None:
        """Nothing was heard yet."""
        self._found, self._add = deviations, deviations.add
        self._product = instrument.product_code
        self._feed = PrivateFeed(instrument, is_quiet=True)
        self._refused: dict[str, int] = {}
        self._orders: OrderedDict[str, _Order] = OrderedDict()
        self._own: OrderedDict[int, None] = OrderedDict()
        """Ids of our newest executions."""
        self._awaited: OrderedDict[int, int] = OrderedDict()
        """Those that the public channel has not told yet, with their receipt."""
        self._prints: OrderedDict[int, None] = OrderedDict()
        """The newest ids of the public channel."""
        self._owned = 0
        self.count = 0

    def printed(self, exec_id: int) -> None:
        """An execution was told on the public channel."""
        if self._awaited.pop(exec_id, None) is None:
            _keep(self._prints, exec_id, None)

    def take(self, content: Any, recv_ns: int) -> list[int]:
        """Check one message; returns the delays of its events."""
        self._feed.decode(content, recv_ns)
        refused = dict(self._feed.statistics().refused)
        for kind, count in refused.items():
            if kind not in _HARMLESS and count != self._refused.get(kind, 0):
                self._add(f"the private parser refuses: {kind}", "it reads every event", kind, content, is_grave=True)
        self._refused = refused
        delays = []
        for item in content if isinstance(content, list) else ():
            if isinstance(item, dict) and item.get("product_code", self._product) == self._product:
                self._check(item, recv_ns)
                try:
                    delays.append(recv_ns - wire_time_ns(item.get("event_date")))
                except ValueError:  # its form is told by the check
                    continue
        return delays

    def finish(self, now_ns: int) -> None:
        """Judge whether our executions were told on the public channel, too."""
        unseen = sum(now_ns - heard_ns >= _PUBLIC_NS for heard_ns in self._awaited.values())
        if unseen and self._prints:
            seen = f"{unseen} of {self._owned} were not"
            name = "an execution of ours is not among the public ones"
            self._add(name, "each is told on both channels, with one id", seen, None, is_grave=True)

    def _check(self, item: dict[str, Any], recv_ns: int) -> None:
        self.count += 1
        kind = item.get("event_type")
        form = EVENTS.get(kind) if isinstance(kind, str) else None
        if form is None:
            self._add("an event of an unknown type", f"one of {', '.join(EVENTS)}", str(kind), item, is_grave=True)
            return
        self._found.look_at(form, item, str(kind))
        name = item.get("child_order_acceptance_id")
        if isinstance(name, str):
            self._check_story(self._order(name), str(kind), item, recv_ns)

    def _order(self, name: str) -> _Order:
        order = self._orders.get(name)
        if order is None:
            order = self._orders[name] = _Order()
            if len(self._orders) > _KEPT_ORDERS:
                self._orders.popitem(last=False)
        return order

    def _check_story(self, order: _Order, kind: str, item: dict[str, Any], recv_ns: int) -> None:
        if order.ended and kind != "CANCEL_FAILED":
            self._add("an event after an order's end", "none", f"{kind} after {order.ended}", item, is_grave=True)
        if kind in _ENDS:
            order.ended = order.ended or kind
        elif kind == "ORDER":
            order.rest = _decimal(item.get("size"))
        elif kind == "EXECUTION":
            self._check_fill(order, item, recv_ns)

    def _check_fill(self, order: _Order, item: dict[str, Any], recv_ns: int) -> None:
        exec_id, size = item.get("exec_id"), _decimal(item.get("size"))
        if type(exec_id) is int:
            if exec_id in self._own:
                self._add("an execution was told twice", "once", "the same exec_id again", item)
                return
            self._owned += 1
            _keep(self._own, exec_id, None)
            if exec_id not in self._prints:
                _keep(self._awaited, exec_id, recv_ns)
        if order.rest is None or size is None:
            return
        order.rest -= size
        told = _decimal(item.get("outstanding_size"))
        if told is not None and told != order.rest:
            expected = f"{order.rest}, the order's size less its executions"
            self._add("outstanding_size is not what is left", expected, str(told), item)


def _keep(kept: OrderedDict[int, _V], exec_id: int, value: _V) -> None:
    kept[exec_id] = value
    if len(kept) > _KEPT_IDS:
        kept.popitem(last=False)


def _decimal(value: object) -> Decimal | None:
    return Decimal(repr(value)) if type(value) in (int, float) else None
