"""From one message of ``child_order_events`` to order events and fills, in the venue's order.

The parser does not know our orders: the order table decides whether an event makes sense for its order. An event that
is not as documented, or of an unknown type, is refused: it is counted by kind and logged now and then, and the other
events of its message are still used. A reconciliation is better than a guess.

Venue facts (Realtime API documentation, logged messages): every event has product_code, child_order_acceptance_id,
event_date and event_type; ORDER has our side, price (0 for a market order) and size; EXECUTION has exec_id, our side,
price, size of the fill, commission, sfd and the outstanding size; one message may contain several events. On the CFD
the commission is 0 and SFD is abolished. On spot products the commission is in the base currency, so a non-zero one is
converted at the fill's price; that the CFD would do the same is not verified. A fill counts even if its commission is
unreadable: a fee can be corrected later, while a lost fill hurts at once.

If an account trades several products, an event that does not name its product is read as one of each. Its order id
decides whose it is; its terms, in the ticks of an unknown product, prove nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum, unique
from typing import Any, Final

from stall_then_strike.engine.venue.corrections import MAX_EXEC_ID
from stall_then_strike.infra.bitflyer.wire_name import order_name
from stall_then_strike.infra.bitflyer.wire_time import wire_time_ns
from stall_then_strike.infra.line.refusals import Absences, Refusals, plain
from stall_then_strike.types.dto import (
    NS_PER_S,
    ExecId,
    FillEvent,
    OrderEvent,
    OrderEventKind,
    OrderId,
    OrderTerms,
    Side,
)
from stall_then_strike.types.instrument import NO_MONEY, Instrument, Lots, Money, Ticks

MAX_EVENTS: Final = 10_000
"""A message with more events is refused."""
MAX_PRICE: Final = 10**12
MAX_SIZE: Final = 10**8
"""More than exists, in quote and in base currency."""
MAX_DELAY_NS: Final = 86_400 * NS_PER_S
"""A stamp that differs by more is invalid and gives no delay."""

_KINDS: Final = {
    "ORDER": OrderEventKind.REGISTERED,
    "ORDER_FAILED": OrderEventKind.REJECTED,
    "CANCEL": OrderEventKind.CANCELLED,
    "CANCEL_FAILED": OrderEventKind.CANCEL_FAILED,
    "EXPIRE": OrderEventKind.EXPIRED,
}

_MARGIN: Final = re.compile(r"-20[05]\b|margin|insufficient (funds|fund|balance|collateral)|証拠金|残高", re.IGNORECASE)
"""Matches the reason of an ORDER_FAILED for insufficient collateral. (REST answers say ``Margin amount is insufficient
for this order.``; the text in the event is not documented.)"""

AccountEvent = OrderEvent | FillEvent


@unique
class PrivateRefusal(StrEnum):
    """Kinds of invalid events and fields on the private channel."""

    BAD_MESSAGE = "bad_message"
    BAD_EVENT = "bad_event"
    OTHER_PRODUCT = "other_product"
    """An event of another product of the account: counted, never logged."""
    UNKNOWN_TYPE = "unknown_type"
    BAD_ORDER_ID = "bad_order_id"
    BAD_TERMS = "bad_terms"
    """The event was accepted, but cannot identify an order whose acknowledgement was lost."""
    BAD_FILL = "bad_fill"
    BAD_COMMISSION = "bad_commission"
    """The fill was accepted, without its fee."""
    BAD_DATE = "bad_date"
    """The event was accepted, but gives no delay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateStatistics:
    """Counts since the feed was created."""

    messages: int
    order_events: int
    fills: int
    refused: Mapping[str, int]
    """Invalid events and fields, by kind."""
    delay_ns: int | None
    """Receipt minus the venue's stamp of the latest event; None before the first. Includes the clock skew."""


class PrivateFeed:
    """Decoder of the order events of one product."""

    def __init__(self, instrument: Instrument, others: Collection[str] = (), *, is_quiet: bool = False) -> None:
        """Start without any messages. Events of the products ``others`` are read by their own decoders.

        ``is_quiet``: count what is refused, but do not log it.
        """
        self._instrument = instrument
        self._others = frozenset(others)
        self._refusals = Refusals("private event(s)", is_quiet=is_quiet)
        self.absent: Final = Absences(is_quiet=is_quiet)
        self._messages = 0
        self._order_events = 0
        self._fills = 0
        self._delay_ns: int | None = None

    def decode(self, content: Any, recv_ns: int) -> tuple[AccountEvent, ...]:
        """The valid events of our product in one message, all stamped ``recv_ns``; never raises."""
        self._messages += 1
        if type(content) is not list or len(content) > MAX_EVENTS:
            self._refusals.add(PrivateRefusal.BAD_MESSAGE, "not an array, or too long", plain(content), recv_ns)
            return ()
        events = []
        for item in content:
            try:
                event = self._event(item, recv_ns)
            except _Refused as refused:
                if refused.kind is PrivateRefusal.OTHER_PRODUCT:
                    if item["product_code"] not in self._others:
                        self._refusals.count(refused.kind)
                else:
                    self._refusals.add(refused.kind, refused.why, _shown(item), recv_ns)
                continue
            self._time(item, recv_ns)
            events.append(event)
        return tuple(events)

    def statistics(self) -> PrivateStatistics:
        """Counts so far."""
        return PrivateStatistics(
            messages=self._messages,
            order_events=self._order_events,
            fills=self._fills,
            refused=self._refusals.counts(),
            delay_ns=self._delay_ns,
        )

    # --- Events ------------------------------------------------------------------------------------------------------

    def _event(self, item: Any, recv_ns: int) -> AccountEvent:
        if type(item) is not dict:
            raise _Refused(PrivateRefusal.BAD_EVENT, "not an object")
        product, kind = item.get("product_code"), item.get("event_type")
        if product is None:
            self.absent.add("a private event", "product_code", "whose order it is of tells")
        elif type(product) is not str:
            raise _Refused(PrivateRefusal.BAD_EVENT, "product_code is no word")
        elif product != self._instrument.product_code:
            raise _Refused(PrivateRefusal.OTHER_PRODUCT)
        if type(kind) is not str or (kind != "EXECUTION" and kind not in _KINDS):
            raise _Refused(PrivateRefusal.UNKNOWN_TYPE)
        if (name := order_name(item.get("child_order_acceptance_id"))) is None:
            raise _Refused(PrivateRefusal.BAD_ORDER_ID)
        if kind == "EXECUTION":
            fill = self._fill(item, name, recv_ns)
            self._fills += 1
            return fill
        self._order_events += 1
        reason = item.get("reason") if kind == "ORDER_FAILED" else None
        return OrderEvent(
            ts_ns=recv_ns,
            kind=_KINDS[kind],
            order_id=name,
            detail="" if reason is None else plain(reason),
            is_margin=reason is not None and _MARGIN.search(plain(reason)) is not None,
            terms=self._terms(item, recv_ns) if kind == "ORDER" and (product or not self._others) else None,
        )

    def _terms(self, item: dict[str, Any], recv_ns: int) -> OrderTerms | None:
        """Side, price and size in an ORDER event; None if they cannot be read."""
        side = item.get("side")
        try:
            if side not in ("BUY", "SELL"):
                raise ValueError("side is neither BUY nor SELL")
            price, size = self._price_and_size(item)
        except ValueError as error:
            self._refusals.add(PrivateRefusal.BAD_TERMS, str(error), _shown(item), recv_ns)
            return None
        at_market = item.get("child_order_type") == "MARKET" or price == 0
        return OrderTerms(Side(side), None if at_market else price, size)

    def _price_and_size(self, item: dict[str, Any]) -> tuple[Ticks, Lots]:
        """Price and size in ticks and lots. Raises ValueError."""
        return (
            self._instrument.to_ticks(_number(item.get("price"), MAX_PRICE)),
            self._instrument.to_lots(_number(item.get("size"), MAX_SIZE)),
        )

    def _fill(self, item: dict[str, Any], order_id: OrderId, recv_ns: int) -> FillEvent:
        exec_id, side = item.get("exec_id"), item.get("side")
        if type(exec_id) is not int or not 0 < exec_id <= MAX_EXEC_ID:
            raise _Refused(PrivateRefusal.BAD_FILL, "exec_id is not a positive integer")
        if side not in ("BUY", "SELL"):
            raise _Refused(PrivateRefusal.BAD_FILL, "side is neither BUY nor SELL")
        try:
            price, size = self._price_and_size(item)
        except ValueError as error:
            raise _Refused(PrivateRefusal.BAD_FILL, f"price or size: {error}") from None
        if price <= 0 or size <= 0:
            raise _Refused(PrivateRefusal.BAD_FILL, "price or size is not positive")
        return FillEvent(
            ts_ns=recv_ns,
            exec_id=ExecId(exec_id),
            side=Side(side),
            price=price,
            size=size,
            fee=self._fee(item, price, recv_ns),
            order_id=order_id,
        )

    def _fee(self, item: dict[str, Any], price: Ticks, recv_ns: int) -> Money:
        """The base-currency commission converted at the fill's price, rounded against us; zero if unreadable."""
        commission = item.get("commission")
        if commission is None:
            self.absent.add("a private execution", "commission", "taken as 0")
        if commission is None or commission == 0:
            return NO_MONEY
        try:
            base = _number(commission, MAX_SIZE)
        except ValueError as error:
            self._refusals.add(PrivateRefusal.BAD_COMMISSION, str(error), _shown(item), recv_ns)
            return NO_MONEY
        money = base * self._instrument.lots_per_one * price
        return Money(int(money.to_integral_value(ROUND_CEILING)))

    # --- Time --------------------------------------------------------------------------------------------------------

    def _time(self, item: dict[str, Any], recv_ns: int) -> None:
        """Record the event's delay."""
        try:
            delay_ns = recv_ns - wire_time_ns(item.get("event_date"))
        except ValueError as error:
            self._refusals.add(PrivateRefusal.BAD_DATE, str(error), _shown(item), recv_ns)
            return
        if abs(delay_ns) > MAX_DELAY_NS:
            self._refusals.add(PrivateRefusal.BAD_DATE, "more than a day off", _shown(item), recv_ns)
            return
        self._delay_ns = delay_ns


class _Refused(Exception):
    """An invalid event, which ``decode`` counts; never leaves this module."""

    def __init__(self, kind: PrivateRefusal, why: str = "") -> None:
        super().__init__(kind, why)
        self.kind = kind
        self.why = why


def _number(value: Any, limit: int) -> Decimal:
    """A number exactly as it was written: the shortest text of a float is the text it was parsed from."""
    if type(value) not in (int, float) or not -limit <= value <= limit:
        raise ValueError(f"{plain(value) if type(value) is float else type(value).__name__} is not a number in range")
    return Decimal(repr(value))


def _shown(item: Any) -> str:
    """The fields that identify an event, for a log line."""
    if type(item) is not dict:
        return plain(item)
    names = ("event_type", "child_order_acceptance_id", "exec_id", "event_date")
    return ", ".join(f"{name} {plain(item[name])}" for name in names if name in item)
