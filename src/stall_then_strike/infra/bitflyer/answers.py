"""bitFlyer's REST answers as values in our units. Pure: text in, frozen values out, :class:`BadAnswer` otherwise.

Numbers are read from their digits, never through a binary float. A field that is not essential may be missing: that is
counted and logged (`refusals.Absences`), and a documented default is used. Nothing else is guessed. An unreadable
execution or lot makes the whole answer unusable, because a position without it would be wrong. An unreadable order is
left out and counted; then its absence from the list no longer proves that an order is gone.

Venue facts (API documentation; logged answers): numbers are floats (``5000000.0``) or integers; times are UTC without a
zone, with a fraction of any length or none; `price` is 0 for a market order; `getpositions` has a row for each open lot
and is empty when flat; `commission` of an execution is in the base currency, and 0 on the CFD; the venue may add values
of `state` and `health`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from enum import Enum
from typing import Any, Final, NoReturn, TypeVar, overload

from stall_then_strike.infra.bitflyer.wire_name import accepted_ns, order_name
from stall_then_strike.infra.bitflyer.wire_time import wire_time_ns
from stall_then_strike.infra.line.refusals import Absences
from stall_then_strike.types.dto import (
    BoardState,
    ExecId,
    FillEvent,
    Health,
    OrderId,
    ReportedOrder,
    ReportedState,
    Side,
)
from stall_then_strike.types.instrument import Instrument, Lots, Money, Ticks

_BIGGEST: Final = 10**12
_FINEST: Final = -20
_LONGEST_INT: Final = 20
_FLOAT_DUST: Final = Decimal("0.01")
"""Rounding error allowed in a size, in lots: the venue sums binary floats (``0.30000000000000004``)."""
_MEMBER = TypeVar("_MEMBER", bound=Enum)


class BadAnswer(Exception):
    """The text is not a valid answer to the request. The message names the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One fill of the account from `me/getexecutions`."""

    exec_id: ExecId
    order_id: OrderId
    side: Side
    price: Ticks
    size: Lots
    fee: Money
    """The commission, converted at the fill's price and rounded against us."""
    executed_ns: int
    """The venue's stamp."""

    def to_fill(self) -> FillEvent:
        """The fill as an event. It carries the venue's stamp: the time at which a list is received says nothing."""
        return FillEvent(
            ts_ns=self.executed_ns,
            exec_id=self.exec_id,
            side=self.side,
            price=self.price,
            size=self.size,
            fee=self.fee,
            order_id=self.order_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The net position: the sum of the open lots."""

    size: Lots
    """Signed."""
    basis: Money
    """Sum of price x size, with the position's sign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """The account's margin."""

    collateral: Money
    """Without the profit or loss of open positions."""
    open_pnl: Money
    """Zero if the answer lacks it, as for the next two."""
    required: Money
    keep_rate: Decimal
    """The margin ratio; zero while no position needs margin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """One currency of the account."""

    currency: str
    amount: Decimal
    available: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardCondition:
    """The state of the venue's board, and its load; None for a field that the answer lacks."""

    state: BoardState | None
    health: Health | None


def read_json(text: str) -> Any:
    """The value of a JSON text, with fractional numbers as exact decimals. Raises BadAnswer."""
    if not text.strip():
        raise BadAnswer("empty")
    try:
        return json.loads(text, parse_float=Decimal, parse_int=_int, parse_constant=_no_number)
    except (ValueError, RecursionError):
        pass
    raise BadAnswer("not JSON")


def read_time(text: object) -> int:
    """A REST stamp in nanoseconds since the Unix epoch. Raises BadAnswer."""
    try:
        return wire_time_ns(text)
    except ValueError:
        pass
    raise BadAnswer("a time is none")


class AnswerReader:
    """Reads parsed answers of one product."""

    def __init__(self, instrument: Instrument) -> None:
        """``instrument`` gives the units."""
        self._instrument = instrument
        self.absent: Final = Absences()
        self.unreadable_orders = 0
        """Unreadable rows of `getchildorders` that were left out so far."""

    def acceptance(self, value: object) -> OrderId:
        """`sendchildorder`."""
        return _Row(value).order_name()

    def orders(self, value: object) -> tuple[ReportedOrder, ...]:
        """`getchildorders`, in the venue's order, without the rows that cannot be read."""
        orders = []
        for row in _rows(value):
            try:
                orders.append(self._order(row))
            except BadAnswer as bad:
                self.unreadable_orders += 1
                self.absent.add("an order of getchildorders", str(bad).partition(" ")[0], f"left out ({bad})")
        return tuple(orders)

    def executions(self, value: object) -> tuple[Execution, ...]:
        """`me/getexecutions`, in the venue's order: newest first."""
        return tuple(self._execution(row) for row in _rows(value))

    def position(self, value: object) -> Position:
        """`getpositions`, summed. Prices of lots may be off the tick grid, because the roll-over changes them."""
        size, basis = 0, Decimal(0)
        for row in _rows(value):
            signed = row.member("side", Side).sign * self._lots(row, "size")
            size += signed
            basis += row.number("price") * signed
        unit = self._instrument.ticks_per_one
        return Position(size=Lots(size), basis=Money(int((basis * unit).to_integral_value(ROUND_HALF_EVEN))))

    def collateral(self, value: object) -> Collateral:
        """`getcollateral`."""
        row = _Row(value)
        return Collateral(
            collateral=self._money(row.number("collateral")),
            open_pnl=self._money(self._optional(row, "getcollateral", "open_position_pnl")),
            required=self._money(self._optional(row, "getcollateral", "require_collateral")),
            keep_rate=self._optional(row, "getcollateral", "keep_rate"),
        )

    def balances(self, value: object) -> tuple[Balance, ...]:
        """`getbalance`."""
        return tuple(
            Balance(currency=row.name("currency_code"), amount=amount, available=row.number_or("available", amount))
            for row in _rows(value)
            for amount in (row.number("amount"),)
        )

    def permissions(self, value: object) -> frozenset[str]:
        """`getpermissions`: API paths."""
        paths = frozenset(path for path in _items(value) if isinstance(path, str))
        if value and not paths:
            raise BadAnswer("not a list of paths")
        return paths

    def condition(self, value: object) -> BoardCondition:
        """`getboardstate`. An undocumented value becomes UNKNOWN; either of the two fields may be missing."""
        row = _Row(value)
        state, health = row.get("state"), row.get("health")
        if state is None and health is None:
            raise BadAnswer("neither state nor health")
        for field, word in (("state", state), ("health", health)):
            if word is None:
                self.absent.add("getboardstate", field, "as it was")
        return BoardCondition(
            state=None if state is None else _word(row.text("state"), BoardState, BoardState.UNKNOWN),
            health=None if health is None else _word(row.text("health"), Health, Health.UNKNOWN),
        )

    def last_price(self, value: object) -> Decimal:
        """`getticker`: the price of the last trade."""
        price = _Row(value).number("ltp")
        if price <= 0:
            raise BadAnswer("ltp is no price")
        return price

    # --- rows and units ---------------------------------------------------------------------------------------------

    def _order(self, row: _Row) -> ReportedOrder:
        name, state, size = row.order_name(), row.member("child_order_state", ReportedState), self._lots(row, "size")
        is_limit = row.get("child_order_type") == "LIMIT" or (
            row.get("child_order_type") != "MARKET" and row.number_or("price", Decimal(0)) != 0
        )
        placed_ns = row.time("child_order_date")
        if placed_ns is None:
            self.absent.add("an order of getchildorders", "child_order_date", "the date in its name")
            placed_ns = accepted_ns(name) or 0
        return ReportedOrder(
            order_id=name,
            side=row.member("side", Side),
            price=self._ticks(row, "price") if is_limit else None,
            size=size,
            executed=self._executed(row, state, size),
            state=state,
            placed_ns=placed_ns,
        )

    def _executed(self, row: _Row, state: ReportedState, size: Lots) -> Lots:
        """The executed size. If the row lacks it, the size that is neither outstanding nor cancelled."""
        if row.get("executed_size") is not None:
            return self._lots(row, "executed_size")
        self.absent.add("an order of getchildorders", "executed_size", "what its other sizes leave")
        if row.get("outstanding_size") is None or row.get("cancel_size") is None:
            return size if state is ReportedState.COMPLETED else Lots(0)
        return Lots(max(0, size - self._lots(row, "outstanding_size") - self._lots(row, "cancel_size")))

    def _optional(self, row: _Row, where: str, field: str) -> Decimal:
        """A number, zero if it is missing."""
        if row.number_or(field, None) is None:
            self.absent.add(where, field, "taken as 0")
        return row.number_or(field, Decimal(0))

    def _execution(self, row: _Row) -> Execution:
        price, size = self._ticks(row, "price"), self._lots(row, "size")
        if price <= 0 or size <= 0:
            raise BadAnswer("an execution of nothing")
        name, executed_ns = row.order_name(), row.time("exec_date")
        if executed_ns is None:
            # The private channel brings the fill with our own stamp; here the order's date is near enough.
            self.absent.add("an execution of getexecutions", "exec_date", "the date in its order's name")
            if (executed_ns := accepted_ns(name)) is None:
                raise BadAnswer("exec_date is no time")
        commission = self._optional(row, "an execution of getexecutions", "commission")
        commission *= self._instrument.lots_per_one * price
        return Execution(
            exec_id=ExecId(row.whole("id")),
            order_id=name,
            side=row.member("side", Side),
            price=price,
            size=size,
            fee=Money(int(commission.to_integral_value(ROUND_CEILING))),
            executed_ns=executed_ns,
        )

    def _ticks(self, row: _Row, field: str) -> Ticks:
        try:
            return self._instrument.to_ticks(row.number(field))
        except ValueError:
            raise BadAnswer(f"{field} is off the grid") from None

    def _lots(self, row: _Row, field: str) -> Lots:
        scaled = row.number(field) * self._instrument.lots_per_one
        lots = int(scaled.to_integral_value(ROUND_HALF_EVEN))
        if abs(scaled - lots) > _FLOAT_DUST:
            raise BadAnswer(f"{field} is off the grid")
        if lots < 0:
            raise BadAnswer(f"{field} is negative")
        return Lots(lots)

    def _money(self, amount: Decimal) -> Money:
        """The amount in money units, rounded down."""
        scaled = amount * self._instrument.ticks_per_one * self._instrument.lots_per_one
        return Money(int(scaled.to_integral_value(ROUND_FLOOR)))


class _Row:
    """One JSON object, read field by field."""

    def __init__(self, value: object) -> None:
        if not isinstance(value, dict):
            raise BadAnswer("not an object")
        self._fields: dict[str, object] = value

    def get(self, field: str) -> object:
        """The raw value; None if it is missing."""
        return self._fields.get(field)

    def text(self, field: str) -> str:
        """A string field."""
        value = self._fields.get(field)
        if not isinstance(value, str):
            raise BadAnswer(f"{field} is no text")
        return value

    def name(self, field: str) -> str:
        """A valid order id (see `order_name`): it may go into logs and queries."""
        name = order_name(self.text(field))
        if name is None:
            raise BadAnswer(f"{field} is no name")
        return name

    def order_name(self) -> OrderId:
        """The venue's id of the order that the row belongs to."""
        return OrderId(self.name("child_order_acceptance_id"))

    def time(self, field: str) -> int | None:
        """A stamp in nanoseconds since the Unix epoch; None if it is missing or invalid."""
        try:
            return read_time(self._fields.get(field))
        except BadAnswer:
            return None

    def number(self, field: str) -> Decimal:
        """A number within the range that amounts of money can have."""
        value = self._fields.get(field)
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise BadAnswer(f"{field} is no number")
        number = Decimal(value)
        exponent = number.as_tuple().exponent
        if not isinstance(exponent, int) or abs(number) > _BIGGEST or exponent < _FINEST:
            raise BadAnswer(f"{field} is no sensible number")
        return number

    @overload
    def number_or(self, field: str, instead: Decimal) -> Decimal: ...

    @overload
    def number_or(self, field: str, instead: None) -> Decimal | None: ...

    def number_or(self, field: str, instead: Decimal | None) -> Decimal | None:
        """A number that is not essential; ``instead`` if it is missing or invalid."""
        try:
            return self.number(field)
        except BadAnswer:
            return instead

    def whole(self, field: str) -> int:
        """A whole number above zero."""
        number = self.number(field)
        if number <= 0 or number != int(number):
            raise BadAnswer(f"{field} is no number of a row")
        return int(number)

    def member(self, field: str, kind: type[_MEMBER]) -> _MEMBER:
        """A documented value of an enumeration."""
        try:
            return kind(self.text(field))
        except ValueError:
            raise BadAnswer(f"{field} is unknown") from None


def _items(value: object) -> list[object]:
    if not isinstance(value, list):
        raise BadAnswer("not a list")
    return value


def _rows(value: object) -> list[_Row]:
    return [_Row(item) for item in _items(value)]


def _word(text: str, kind: type[_MEMBER], unknown: _MEMBER) -> _MEMBER:
    try:
        return kind(text)
    except ValueError:
        return unknown


def _int(digits: str) -> int:
    if len(digits) > _LONGEST_INT:
        raise ValueError("too many digits")
    return int(digits)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
