"""The exact result of a run: totals, equity over time, and the parts of the result.

All money here is *doubled*, in half money units, because a mid may be half a tick; :func:`jpy` converts it to decimals.
The source is the trade log. A run's result is the cash moved by fills, less fees, plus funding, plus the final position
at its mark, less a position carried in at its mark of then. With q a fill's signed size, p its price, m the mid just
before it, m' the mid a horizon later and M the last mark, the parts are, each an exact integer:

    spread      q (m - p)      adverse    q (m' - m)     inventory  q (M - m')  and carried positions' moves
    fees        -fee           funding    as booked      unpriced   q (M - p)   of fills without a known mid

The parts add up to the total, to the unit. If m' is unknown, a fill has no adverse part, and its inventory part has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from stall_then_strike.engine.strategy import QUOTE_TAGS
from stall_then_strike.engine.venue.calendar import TradingCalendar
from stall_then_strike.research.figures.log_rows import Fill
from stall_then_strike.research.figures.mid_path import MidPath
from stall_then_strike.types.instrument import Instrument

QUOTES: Final = "quotes"
CLOSES: Final = "closes"
GROUPS: Final = (QUOTES, CLOSES)
"""Fills of the strategy's resting quotes, and all other fills: closes, and fills found by reconciliation."""

PARTS: Final = (
    "spread_quotes", "spread_closes", "adverse_quotes", "adverse_closes", "inventory", "unpriced", "fees", "funding",
)  # fmt: skip


def group_of(fill: Fill) -> str:
    """``quotes`` or ``closes``."""
    return QUOTES if fill.tag in QUOTE_TAGS else CLOSES


def jpy(doubled: int, units: Instrument) -> Decimal:
    """Doubled money as a decimal of quote currency."""
    return units.amount(doubled) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """Funding or another carry, as booked; doubled money."""

    ts_ns: int
    amount: int
    before_fill: int
    """Index of the fill before which it was booked; the number of fills if it was booked after all of them."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Fills ``first`` to ``last`` (excluded) with consistent inventories, and the position before them."""

    first: int
    last: int
    carried: int


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """The result so far, after a fill or a move of the price; doubled money since the beginning of the logs."""

    ts_ns: int
    equity: int
    realised: int
    position: int
    fill: int
    """Index of the fill before this point; -1 if only the price moved."""


@dataclass(slots=True, kw_only=True)
class Books:
    """The result of a run in doubled money."""

    total: int = 0
    realised: int = 0
    """Sum of the trade log's ``pnl_jpy``, and funding."""
    fees: int = 0
    """Positive if paid."""
    funding: int = 0
    max_drawdown: int = 0
    """Deepest drawdown of equity, zero or negative."""
    position: int = 0
    volume: int = 0
    """Lots."""
    points: list[EquityPoint] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    jumps: int = 0
    """Jumps of the inventory between fills: rows are missing, or another paper run began."""
    trips: list[tuple[int, int]] = field(default_factory=list)
    """Round trips from flat to flat: stamp of the end and realised profit, doubled."""

    @property
    def unrealised(self) -> int:
        """The total less the realised part: the open position, and the cost of a carried one."""
        return self.total - self.realised


Mark = Callable[[int], int | None]
"""The doubled price at which a position is valued at a time; None if unknown."""


def segments_of(fills: Sequence[Fill]) -> list[Segment]:
    """Split the fills where the inventory jumps."""
    found: list[Segment] = []
    first, carried = 0, 0
    for at, fill in enumerate(fills):
        before = fill.inventory_after - fill.signed
        if at == 0:
            carried = before
        elif before != fills[at - 1].inventory_after:
            found.append(Segment(first, at, carried))
            first, carried = at, before
    if fills:
        found.append(Segment(first, len(fills), carried))
    return found


def payments_in_rows(fills: Sequence[Fill], calendar: TradingCalendar) -> list[Payment]:
    """Payments that show in the trade log's running sum, as moves beyond the fill's own result.

    Payments after the last fill of a trading day, or before a jump of the inventory, do not show.
    """
    found: list[Payment] = []
    for at in range(1, len(fills)):
        past, fill = fills[at - 1], fills[at]
        if fill.inventory_after - fill.signed != past.inventory_after:
            continue
        same_day = calendar.day(past.ts_ns) == calendar.day(fill.ts_ns)
        if fill.pnl_cum == fill.pnl and past.pnl_cum:
            continue  # the sum restarted: a new trading day, or a new paper run that began flat
        amount = fill.pnl_cum - fill.pnl - (past.pnl_cum if same_day else 0)
        if amount:
            found.append(Payment(ts_ns=fill.ts_ns, amount=2 * amount, before_fill=at))
    return found


def keep_books(
    fills: Sequence[Fill], payments: Sequence[Payment], mark: Mark, path: MidPath | None, end_ns: int
) -> Books:
    """Compute the result of all fills. With ``path``, equity also follows the mid while a position is held."""
    books = Books(segments=segments_of(fills))
    books.jumps = max(0, len(books.segments) - 1)
    paid = _by_fill(payments)
    done = realised = peak = trip = 0
    for segment in books.segments:
        start = _segment_start(fills, segment, mark)
        cash, position = -segment.carried * start, segment.carried
        for at in range(segment.first, segment.last):
            fill = fills[at]
            received = sum(payment.amount for payment in paid.get(at, ()))
            realised += 2 * fill.pnl + received
            cash += received - 2 * fill.fee - 2 * fill.signed * fill.price
            position = fill.inventory_after
            trip += 2 * fill.pnl
            if position == 0:
                books.trips.append((fill.ts_ns, trip))
                trip = 0
            price = mark(fill.ts_ns)
            worth = done + cash + position * (2 * fill.price if price is None else price)
            peak = _note(books, EquityPoint(fill.ts_ns, worth, realised, position, at), peak)
            if path is not None and position:
                until = fills[at + 1].ts_ns if at + 1 < segment.last else _segment_end(fills, segment, end_ns)
                for ts_ns, moved in path.between(fill.ts_ns, until):
                    worth = done + cash + position * moved
                    peak = _note(books, EquityPoint(ts_ns, worth, realised, position, -1), peak)
        done += cash + position * _segment_mark(fills, segment, mark, end_ns)
        trip = 0
    late = sum(payment.amount for payment in paid.get(len(fills), ()))
    books.total, books.realised = done + late, realised + late
    if fills:
        _note(
            books, EquityPoint(max(end_ns, fills[-1].ts_ns), books.total, books.realised, position_of(fills), -1), peak
        )
    books.fees = 2 * sum(fill.fee for fill in fills)
    books.funding = sum(payment.amount for payment in payments)
    books.position = position_of(fills)
    books.volume = sum(fill.size for fill in fills)
    return books


def split(
    fills: Sequence[Fill], books: Books, mark: Mark, path: MidPath, horizon_ns: int, end_ns: int
) -> dict[str, int]:
    """The total split into :data:`PARTS`, doubled money."""
    parts = dict.fromkeys(PARTS, 0)
    for segment in books.segments:
        last = _segment_mark(fills, segment, mark, end_ns)
        parts["inventory"] += segment.carried * (last - _segment_start(fills, segment, mark))
        for fill in fills[segment.first : segment.last]:
            signed, mid = fill.signed, path.before(fill.ts_ns)
            parts["fees"] -= 2 * fill.fee
            if mid is None:
                parts["unpriced"] += signed * (last - 2 * fill.price)
                continue
            later = path.at(fill.ts_ns + horizon_ns)
            if later is None:
                later = mid
            group = group_of(fill)
            parts[f"spread_{group}"] += signed * (mid - 2 * fill.price)
            parts[f"adverse_{group}"] += signed * (later - mid)
            parts["inventory"] += signed * (last - later)
    parts["funding"] = books.funding
    return parts


def markouts(fills: Sequence[Fill], path: MidPath, horizon_ns: int) -> Iterator[tuple[Fill, float]]:
    """Fills with a known mid, and the mid's move in their favour after ``horizon_ns``, in ticks."""
    for fill in fills:
        mid = path.at(fill.ts_ns + horizon_ns) if horizon_ns else path.before(fill.ts_ns)
        if mid is not None:
            yield fill, fill.side.sign * (mid - 2 * fill.price) / 2


def position_of(fills: Sequence[Fill]) -> int:
    """Position at the end, in lots."""
    return fills[-1].inventory_after if fills else 0


def _note(books: Books, point: EquityPoint, peak: int) -> int:
    books.points.append(point)
    peak = max(peak, point.equity)
    books.max_drawdown = min(books.max_drawdown, point.equity - peak)
    return peak


def _by_fill(payments: Sequence[Payment]) -> dict[int, list[Payment]]:
    found: dict[int, list[Payment]] = {}
    for payment in payments:
        found.setdefault(payment.before_fill, []).append(payment)
    return found


def _segment_start(fills: Sequence[Fill], segment: Segment, mark: Mark) -> int:
    """Doubled mark of the carried position: just before the first fill, or else that fill's price."""
    fill = fills[segment.first]
    price = mark(fill.ts_ns - 1)
    return 2 * fill.price if price is None else price


def _segment_mark(fills: Sequence[Fill], segment: Segment, mark: Mark, end_ns: int) -> int:
    """Doubled mark of the position at the end of a segment."""
    price = mark(_segment_end(fills, segment, end_ns))
    return 2 * fills[segment.last - 1].price if price is None else price


def _segment_end(fills: Sequence[Fill], segment: Segment, end_ns: int) -> int:
    final = fills[segment.last - 1].ts_ns
    return max(end_ns, final) if segment.last == len(fills) else final
