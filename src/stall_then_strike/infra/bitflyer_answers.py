"""bitFlyer's REST answers as values in our units. Pure: text in, frozen values out, :class:`BadAnswer` otherwise.

Numbers are read from their digits, never through a binary float. Nothing is guessed: a missing field, a word that the
documentation does not have or a number off the grid makes the whole answer unusable.

Venue facts (API documentation; logged answers): numbers come as floats (``5000000.0``) or whole; times are UTC without
a zone, their fraction has any length or is absent; `price` is 0 for a market order; `getpositions` has a row for each
open lot and is empty when flat; `commission` of an execution is in the base currency, and 0 on the CFD; words of
`state` and `health` may be added.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from enum import Enum
from typing import Any, Final, NoReturn, TypeVar

from stall_then_strike.infra.wire_time import wire_time_ns
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

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_BIGGEST: Final = 10**12
_FINEST: Final = -20
_LONGEST_INT: Final = 20
_FLOAT_DUST: Final = Decimal("0.01")
"""Part of a lot that a size may be off: sums that went through binary floats (``0.30000000000000004``)."""
_MEMBER = TypeVar("_MEMBER", bound=Enum)


class BadAnswer(Exception):
    """The text is not the answer that was asked for. The words name the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One fill of the account, as `me/getexecutions` lists it."""

    exec_id: ExecId
    order_id: OrderId
    side: Side
    price: Ticks
    size: Lots
    fee: Money
    """The commission at the fill's price, rounded against us."""
    executed_ns: int
    """The venue's stamp."""

    def to_fill(self) -> FillEvent:
        """As an event. Its stamp is the venue's: a list that is asked for late says nothing by its receipt."""
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
    """The open lots as one."""

    size: Lots
    """Signed."""
    basis: Money
    """Sum of price x size, with the position's sign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """The account's margin."""

    collateral: Money
    """Without what is open."""
    open_pnl: Money
    required: Money
    keep_rate: Decimal
    """A ratio; zero while nothing needs margin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """One currency of the account."""

    currency: str
    amount: Decimal
    available: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingRate:
    """The rate that is fixed for the next settlement: share of notional, longs pay when positive."""

    rate: Decimal
    settles_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardCondition:
    """What the venue says of its board and of its load."""

    state: BoardState
    health: Health


def read_json(text: str) -> Any:
    """The value of a JSON text, numbers with a point as exact decimals. Raises BadAnswer."""
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

    def acceptance(self, value: object) -> OrderId:
        """`sendchildorder`."""
        return OrderId(_Row(value).name("child_order_acceptance_id"))

    def orders(self, value: object) -> tuple[ReportedOrder, ...]:
        """`getchildorders`, in the venue's order."""
        return tuple(self._order(row) for row in _rows(value))

    def executions(self, value: object) -> tuple[Execution, ...]:
        """`me/getexecutions`, in the venue's order: newest first."""
        return tuple(self._execution(row) for row in _rows(value))

    def position(self, value: object) -> Position:
        """`getpositions`, summed. Prices of lots need not be on the grid: the roll-over re-bases them."""
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
            open_pnl=self._money(row.number("open_position_pnl")),
            required=self._money(row.number("require_collateral")),
            keep_rate=row.number("keep_rate"),
        )

    def balances(self, value: object) -> tuple[Balance, ...]:
        """`getbalance`."""
        return tuple(
            Balance(currency=row.name("currency_code"), amount=row.number("amount"), available=row.number("available"))
            for row in _rows(value)
        )

    def commission(self, value: object) -> Decimal:
        """`gettradingcommission`: a share of the size."""
        return _Row(value).number("commission_rate")

    def permissions(self, value: object) -> frozenset[str]:
        """`getpermissions`: paths."""
        if not isinstance(value, list) or not all(isinstance(path, str) for path in value):
            raise BadAnswer("not a list of paths")
        return frozenset(value)

    def funding_rate(self, value: object) -> FundingRate:
        """`getfundingrate`."""
        row = _Row(value)
        settles = row.get("next_funding_rate_settledate")
        return FundingRate(
            rate=row.number("current_funding_rate"), settles_ns=None if settles is None else read_time(settles)
        )

    def condition(self, value: object) -> BoardCondition:
        """`getboardstate`. A word that is not documented reads as UNKNOWN."""
        row = _Row(value)
        return BoardCondition(
            state=_word(row.text("state"), BoardState, BoardState.UNKNOWN),
            health=_word(row.text("health"), Health, Health.UNKNOWN),
        )

    def health(self, value: object) -> Health:
        """`gethealth`."""
        return _word(_Row(value).text("status"), Health, Health.UNKNOWN)

    # --- rows and units ---------------------------------------------------------------------------------------------

    def _order(self, row: _Row) -> ReportedOrder:
        kind = row.text("child_order_type")
        if kind not in {"LIMIT", "MARKET"}:
            raise BadAnswer("child_order_type is unknown")
        return ReportedOrder(
            order_id=OrderId(row.name("child_order_acceptance_id")),
            side=row.member("side", Side),
            price=self._ticks(row, "price") if kind == "LIMIT" else None,
            size=self._lots(row, "size"),
            executed=self._lots(row, "executed_size"),
            state=row.member("child_order_state", ReportedState),
            placed_ns=read_time(row.get("child_order_date")),
        )

    def _execution(self, row: _Row) -> Execution:
        price, size = self._ticks(row, "price"), self._lots(row, "size")
        if price <= 0 or size <= 0:
            raise BadAnswer("an execution of nothing")
        commission = row.number("commission") * self._instrument.lots_per_one * price
        return Execution(
            exec_id=ExecId(row.whole("id")),
            order_id=OrderId(row.name("child_order_acceptance_id")),
            side=row.member("side", Side),
            price=price,
            size=size,
            fee=Money(int(commission.to_integral_value(ROUND_CEILING))),
            executed_ns=read_time(row.get("exec_date")),
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
        """Money units; what is finer is cut off, downwards."""
        scaled = amount * self._instrument.ticks_per_one * self._instrument.lots_per_one
        return Money(int(scaled.to_integral_value(ROUND_FLOOR)))


class _Row:
    """One JSON object, read field by field."""

    def __init__(self, value: object) -> None:
        if not isinstance(value, dict):
            raise BadAnswer("not an object")
        self._fields: dict[str, object] = value

    def get(self, field: str) -> object:
        """The raw value; None if it is absent."""
        return self._fields.get(field)

    def text(self, field: str) -> str:
        """A text."""
        value = self._fields.get(field)
        if not isinstance(value, str):
            raise BadAnswer(f"{field} is no text")
        return value

    def name(self, field: str) -> str:
        """A short name of letters, digits and hyphens: it may go into logs and queries."""
        value = self.text(field)
        if not _NAME.fullmatch(value):
            raise BadAnswer(f"{field} is no name")
        return value

    def number(self, field: str) -> Decimal:
        """A number of a size that money can have."""
        value = self._fields.get(field)
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise BadAnswer(f"{field} is no number")
        number = Decimal(value)
        exponent = number.as_tuple().exponent
        if not isinstance(exponent, int) or abs(number) > _BIGGEST or exponent < _FINEST:
            raise BadAnswer(f"{field} is no sensible number")
        return number

    def whole(self, field: str) -> int:
        """A whole number above zero."""
        number = self.number(field)
        if number <= 0 or number != int(number):
            raise BadAnswer(f"{field} is no number of a row")
        return int(number)

    def member(self, field: str, kind: type[_MEMBER]) -> _MEMBER:
        """A documented word."""
        try:
            return kind(self.text(field))
        except ValueError:
            raise BadAnswer(f"{field} is unknown") from None


def _rows(value: object) -> list[_Row]:
    if not isinstance(value, list):
        raise BadAnswer("not a list")
    return [_Row(item) for item in value]


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
