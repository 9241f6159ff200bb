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
    found: dict[tuple[date, str], Result] = {}
    for product, row in fills:
        key = (day_of(row.ts_ns), product)
        one = found.setdefault(key, Result(*key))
        one.fills += 1
        one.volume += row.size
        one.fees += row.fee
        one.pnl += row.pnl
    return _newest_first(found.values())


def together(days: Iterable[Result], first_of: Callable[[date], date]) -> list[Result]:
    """Days as longer periods, the newest first."""
    found: dict[tuple[date, str], Result] = {}
    for day in days:
        key = (first_of(day.first), day.product)
        one = found.setdefault(key, Result(*key))
        one.fills += day.fills
        one.volume += day.volume
        one.fees += day.fees
        one.pnl += day.pnl
    return _newest_first(found.values())


def _newest_first(results: Iterable[Result]) -> list[Result]:
    return sorted(results, key=lambda one: (-one.first.toordinal(), one.product))
