"""Numbers and stamps as text, the same in logs, in settings and on the screen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

_NS_PER_S: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def plain(value: Decimal | int) -> str:
    """A number without exponent, trailing zeros or negative zero: ``0.001``, ``-12.345678``, ``13600000``."""
    if isinstance(value, int):
        return str(value)
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def money(amount: Decimal, *, signed: bool = True) -> str:
    """Money with thousands separators, ``+1,234``; below a thousand with two decimals, ``-3.41``."""
    shown = round(amount, 0 if abs(amount) >= 1000 or amount == amount.to_integral_value() else 2)
    if not shown:
        return f"{abs(shown):f}"  # never -0
    return f"{shown:+,f}" if signed else f"{shown:,f}"


def utc_iso(ts_ns: int) -> str:
    """Nanoseconds since the Unix epoch as ``2026-11-21T07:30:13.123456Z``, cut to whole microseconds."""
    seconds, rest = divmod(ts_ns, _NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


def iso_ns(text: str) -> int:
    """Nanoseconds since the Unix epoch of an ISO 8601 stamp with its offset, cut to microseconds. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000


def utc_day(ts_ns: int) -> str:
    """The UTC day of a stamp as ``20261121``."""
    return f"{datetime.fromtimestamp(ts_ns // _NS_PER_S, UTC):%Y%m%d}"


def utc_clock(ts_ns: int) -> str:
    """The UTC time of day of a stamp as ``07:30:13.123``."""
    seconds, rest = divmod(ts_ns, _NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}.{rest // 1_000_000:03d}"
