"""What was earned and lost by day, week and month, from the logged fills."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from stall_then_strike.infra.logs.log_reader import TradeLine

ZERO: Final = Decimal(0)
DayOf = Callable[[int], date]


@dataclass(slots=True)
class Result:
    """Of one instrument in one period."""

    first: date
    """The period's first day."""
    product: str
    fills: int = 0
    volume: Decimal = ZERO
    fees: Decimal = ZERO
    pnl: Decimal = ZERO
    """Realised, with fees."""


def monday(day: date) -> date:
    """The first day of its week."""
    return day - timedelta(days=day.weekday())


def first_of_month(day: date) -> date:
    """The first day of its month."""
    return day.replace(day=1)


def by_day(fills: Iterable[tuple[str, TradeLine]], day_of: DayOf) -> list[Result]:
    """Results of each trading day and instrument, the newest first."""
    each = (Result(day_of(row.ts_ns), product, 1, row.size, row.fee, row.pnl) for product, row in fills)
    return together(each, lambda day: day)


def together(results: Iterable[Result], first_of: Callable[[date], date]) -> list[Result]:
    """Results as longer periods, the newest first."""
    found: dict[tuple[date, str], Result] = {}
    for part in results:
        key = (first_of(part.first), part.product)
        one = found.setdefault(key, Result(*key))
        one.fills += part.fills
        one.volume += part.volume
        one.fees += part.fees
        one.pnl += part.pnl
    return sorted(found.values(), key=lambda one: (-one.first.toordinal(), one.product))
