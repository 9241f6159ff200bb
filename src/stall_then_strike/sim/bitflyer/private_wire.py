"""The private side's JSON, written from integers: order events, and the rows of private calls.

Venue facts: REST writes numbers as floats (``5000000.0``) and times without ``Z``; events write whole numbers without a
point (``3000000``, ``0``) and times with seven decimals and ``Z``, except `expire_date`, which has whole seconds and no
``Z`` (logged messages). The fields are those of the documentation and of logged messages, in their order. Whether
CANCEL carries a price and a size is not known; here it does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import orjson

from stall_then_strike.sim.bitflyer.ledger import Fill, Lot, Rounding
from stall_then_strike.sim.bitflyer.venue_account import LEVERAGE, ChildOrder, ChildState, Margin
from stall_then_strike.sim.bitflyer.wire import Wire, rest_time, second_text, ws_time
from stall_then_strike.types.dto import NS_PER_S, Side
from stall_then_strike.types.instrument import Instrument, Lots, Ticks
from stall_then_strike.types.text import plain

EVENTS_CHANNEL: Final = "child_order_events"
LISTS: Final = tuple(f"/v1/me/{name}" for name in ("getexecutions", "getpositions", "getchildorders", "getcollateral"))
"""Paths of the calls that show an account's state; a fault can make their answers stale."""
_AVERAGE_STEP: Final = Decimal("1e-8")


class Number(str):
    """A number's digits, written to the wire unchanged."""

    __slots__ = ()


Value = str | int | bool | Number | None
Row = Mapping[str, Value]


def to_json(value: Row | Sequence[Row | str]) -> str:
    """JSON of a row, or of a list of rows or texts, without blanks."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f'"{name}":{_text(item)}' for name, item in value.items()) + "}"
    return "[" + ",".join(to_json(item) if isinstance(item, Mapping) else _text(item) for item in value) + "]"


def _text(value: Value) -> str:
    return str(value) if isinstance(value, Number) else orjson.dumps(value).decode()


def second_of(time_ns: int) -> str:
    """A stamp in whole seconds, without ``Z``."""
    return second_text(time_ns // NS_PER_S, "%Y-%m-%dT%H:%M:%S")


class PrivateWire:
    """Encoder for one product's orders and positions."""

    def __init__(self, instrument: Instrument, *, shown: Rounding | None = None) -> None:
        """Amounts of money are exact unless ``shown`` says how they are rounded to whole yen.

        Raises ValueError for an instrument whose steps are not powers of ten.
        """
        self._shown = shown
        self._yen = int(instrument.to_money(1))
        self._instrument = instrument
        self._product = instrument.product_code
        self._wire = Wire(instrument)

    # --- events ---------------------------------------------------------------------------------------------------

    def message(self, events: Iterable[Row]) -> str:
        """A channel message as one text frame."""
        return (
            f'{{"jsonrpc":"2.0","method":"channelMessage","params":{{"channel":"{EVENTS_CHANNEL}"'
            f',"message":{to_json(list(events))}}}}}'
        )

    def event(self, order: ChildOrder, now_ns: int, kind: str) -> dict[str, Value]:
        """The fields common to all events; CANCEL, CANCEL_FAILED and EXPIRE have no others."""
        return {
            "product_code": self._product,
            "child_order_id": order.registered_id,
            "child_order_acceptance_id": order.acceptance_id,
            "event_date": ws_time(now_ns),
            "event_type": kind,
        }

    def registered(self, order: ChildOrder, now_ns: int) -> dict[str, Value]:
        """ORDER."""
        return {
            **self.event(order, now_ns, "ORDER"),
            "child_order_type": order.order_type,
            "side": order.side.value,
            "price": self._whole(self._instrument.price(order.price or 0)),
            "size": self._whole(self._instrument.size(order.size)),
            "expire_date": second_of(order.expires_ns),
        }

    def failed(self, order: ChildOrder, now_ns: int, reason: str) -> dict[str, Value]:
        """ORDER_FAILED."""
        return {**self.event(order, now_ns, "ORDER_FAILED"), "reason": reason}

    def executed(self, order: ChildOrder, fill: Fill) -> dict[str, Value]:
        """EXECUTION; ``outstanding_size`` is the order's remaining size after it."""
        return {
            **self.event(order, fill.time_ns, "EXECUTION"),
            "exec_id": fill.exec_id,
            "side": fill.side.value,
            "price": self._whole(self._instrument.price(fill.price)),
            "size": self._whole(self._instrument.size(fill.size)),
            "commission": 0,
            "sfd": 0,
            "outstanding_size": self._whole(self._instrument.size(order.remaining)),
        }

    # --- rows of REST ---------------------------------------------------------------------------------------------

    def child_order(self, order: ChildOrder) -> dict[str, Value]:
        """A row of `getchildorders`."""
        is_active = order.state is ChildState.ACTIVE
        average = Decimal(0)
        if order.executed:
            average = self._instrument.price(1) * (Decimal(order.value) / order.executed).quantize(_AVERAGE_STEP)
        return {
            "id": 0 if is_active else order.row_id,
            "child_order_id": order.registered_id,
            "product_code": self._product,
            "side": order.side.value,
            "child_order_type": order.order_type,
            "price": self._price(order.price or Ticks(0)),
            "average_price": self._float(average),
            "size": self._size(order.size),
            "child_order_state": order.state.value,
            "expire_date": second_of(order.expires_ns),
            "child_order_date": rest_time(order.accepted_ns),
            "child_order_acceptance_id": order.acceptance_id,
            "outstanding_size": self._size(order.remaining if is_active else Lots(0)),
            "cancel_size": self._size(order.cancelled),
            "executed_size": self._size(order.executed),
            "total_commission": Number("0.0"),
            "time_in_force": order.time_in_force.value,
        }

    def fill(self, fill: Fill) -> dict[str, Value]:
        """A row of ``me/getexecutions``."""
        return {
            "id": fill.exec_id,
            "child_order_id": fill.registered_id,
            "side": fill.side.value,
            "price": self._price(fill.price),
            "size": self._size(fill.size),
            "commission": Number("0.0"),
            "exec_date": rest_time(fill.time_ns),
            "child_order_acceptance_id": fill.order_id,
        }

    def lot(self, lot: Lot, side: Side, mark: Ticks) -> dict[str, Value]:
        """A row of `getpositions`."""
        return {
            "product_code": self._product,
            "side": side.value,
            "price": self._price(lot.price),
            "size": self._size(lot.size),
            "commission": Number("0.0"),
            "swap_point_accumulate": Number("0.0"),
            "require_collateral": self.money(-(-lot.size * mark // LEVERAGE)),
            "open_date": rest_time(lot.opened_ns),
            "leverage": Number(f"{LEVERAGE}.0"),
            "pnl": self.money(side.sign * (mark - lot.price) * lot.size),
            "sfd": Number("0.0"),
        }

    def collateral(self, margin: Margin) -> dict[str, Value]:
        """The answer to `getcollateral`; ``keep_rate`` is a ratio, zero while no margin is required."""
        needed = margin.for_positions
        worth = margin.collateral + margin.open_profit
        rate = (Decimal(worth) / needed).quantize(Decimal("0.001")) if needed else Decimal(0)
        return {
            "collateral": self.money(margin.collateral),
            "open_position_pnl": self.money(margin.open_profit),
            "require_collateral": self.money(needed),
            "keep_rate": self._float(rate),
            "margin_call_amount": Number("0.0"),
            "margin_call_due_date": None,
        }

    def money(self, amount: int) -> Number:
        """An amount of quote currency, with all decimals or in whole yen."""
        if self._shown is not None:
            amount = self._shown.whole(amount, self._yen)
        return self._float(self._instrument.amount(amount))

    # --- numbers --------------------------------------------------------------------------------------------------

    def _price(self, price: Ticks) -> Number:
        return Number(self._wire.price(price))

    def _size(self, size: Lots) -> Number:
        return Number(self._wire.size(size))

    def _float(self, value: Decimal) -> Number:
        text = plain(value)
        return Number(text if "." in text else f"{text}.0")

    def _whole(self, value: Decimal) -> Number:
        return Number(plain(value))
