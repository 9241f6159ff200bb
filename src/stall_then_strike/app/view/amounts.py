"""Prices and times as an operator reads them."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

UNKNOWN: Final = "-"


def price(value: Decimal | None) -> str:
    """A price with thousands separators."""
    return UNKNOWN if value is None else f"{value:,f}"


def span(seconds: float) -> str:
    """A duration as ``1:02:03``, without days."""
    whole = max(0, int(seconds))
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def micros(value: float | None) -> str:
    """A time in microseconds, or in milliseconds from 10 ms on."""
    if value is None:
        return UNKNOWN
    return f"{value / 1000:,.1f} ms" if value >= 10_000 else f"{value:,.0f} µs"


def millis(value: int | None) -> str:
    """A time in milliseconds, or in seconds from 10 s on."""
    if value is None:
        return UNKNOWN
    return f"{value / 1000:,.1f} s" if value >= 10_000 else f"{value:,} ms"
