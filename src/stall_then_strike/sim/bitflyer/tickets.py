"""Reads and checks the body of an order request. Pure: bytes in, a ticket or a refusal out.

Venue facts: the fields of `sendchildorder` (API documentation); numbers may come as JSON strings (a client in use); the
smallest order is 0.001 and sizes have eight decimals, else -110; prices are whole yen inside a band of unknown width,
-106 and -107 outside. The answer to a malformed field is not known: here -108. All are sent with HTTP 400.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Final, NoReturn, TypeVar

from stall_then_strike.types.dto import Side, TimeInForce
from stall_then_strike.types.instrument import Instrument, Lots, Ticks

LONGEST_MINUTES: Final = 43_200
_BIGGEST: Final = Decimal(10) ** 10
_LONGEST_FRACTION: Final = 16
"""Together with _BIGGEST, few enough digits for exact decimal arithmetic."""
_NUMBER: Final = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")
_MEMBER = TypeVar("_MEMBER", bound=Enum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why the venue refuses a request: its status and message, and the HTTP status."""

    status: int
    message: str
    http_status: int = 400


class RefusedError(Exception):
    """A request's body is refused."""

    def __init__(self, refusal: Refusal) -> None:
        """Keep the refusal."""
        super().__init__(refusal)
        self.refusal = refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """An order as requested. ``price`` None means MARKET."""

    side: Side
    price: Ticks | None
    size: Lots
    time_in_force: TimeInForce
    minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelTicket:
    """A request to cancel one order: exactly one of the two ids is given."""

    acceptance_id: str | None
    registered_id: str | None


def read_body(body: bytes) -> dict[str, Any]:
    """The JSON object of a request; numbers with a point are exact decimals. Raises RefusedError."""
    try:
        value: Any = json.loads(body, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError):
        refuse(-108, "Invalid JSON")
    if not isinstance(value, dict):
        refuse(-108, "Invalid parameter")
    return value


def read_ticket(fields: dict[str, Any], instrument: Instrument) -> Ticket:
    """Read an order request. Raises RefusedError."""
    kind = fields.get("child_order_type")
    if kind not in {"LIMIT", "MARKET"}:
        refuse(-108, "Invalid child_order_type")
    side = _member(Side, fields.get("side"), "side")
    tif = _member(TimeInForce, fields.get("time_in_force", TimeInForce.GTC.value), "time_in_force")
    minutes = _number(fields.get("minute_to_expire", LONGEST_MINUTES), "minute_to_expire")
    if minutes != int(minutes) or not 1 <= minutes <= LONGEST_MINUTES:
        refuse(-108, "Invalid minute_to_expire")
    return Ticket(
        side=side,
        price=None if kind == "MARKET" else _price(fields.get("price"), instrument),
        size=_size(fields.get("size"), instrument),
        time_in_force=tif,
        minutes=int(minutes),
    )


def read_cancel(fields: dict[str, Any]) -> CancelTicket:
    """Read a request to cancel one order. Raises RefusedError."""
    acceptance_id, registered_id = (fields.get(n) for n in ("child_order_acceptance_id", "child_order_id"))
    if (acceptance_id is None) == (registered_id is None) or not isinstance(acceptance_id or registered_id, str):
        refuse(-108, "Give one of child_order_id and child_order_acceptance_id")
    return CancelTicket(acceptance_id=acceptance_id, registered_id=registered_id)


def refuse(status: int, message: str) -> NoReturn:
    """Raise RefusedError with HTTP 400."""
    raise RefusedError(Refusal(status=status, message=message))


def _price(value: Any, instrument: Instrument) -> Ticks:
    price = _number(value, "price")
    if price <= 0:
        refuse(-106, "The price is too low.")
    try:
        return instrument.to_ticks(price)
    except ValueError:
        refuse(-108, "Invalid price")


def _size(value: Any, instrument: Instrument) -> Lots:
    size = _number(value, "size")
    try:
        lots = instrument.to_lots(size)
    except ValueError:
        refuse(-110, "The size has too many decimals.")
    if lots < instrument.min_size:
        refuse(-110, f"The minimum order size is {instrument.size(instrument.min_size)} {instrument.base}.")
    return lots


def _number(value: Any, name: str) -> Decimal:
    """A number, given as a JSON number or string."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        refuse(-108, f"Invalid {name}")
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        refuse(-108, f"Invalid {name}")
    number = Decimal(value)
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or abs(number) > _BIGGEST or exponent < -_LONGEST_FRACTION:
        refuse(-108, f"Invalid {name}")
    return number


def _member(kind: type[_MEMBER], value: Any, name: str) -> _MEMBER:
    try:
        return kind(value)
    except ValueError:
        refuse(-108, f"Invalid {name}")


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
