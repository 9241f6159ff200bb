"""What a run did, apart from its result: quotes and their outcome, reasons, waiting times, use of the rate limits.

Computed from orders and decisions as columns. A quote belongs to the last strike with its side and price before it was
accepted. Times include both ways to the venue: the logs' stamps are those of received answers and events.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from stall_then_strike.engine.strategy import QUOTE_TAGS, QUOTE_WORDS
from stall_then_strike.engine.venue.rules import Limit
from stall_then_strike.infra.orderbook_view import OwnQuote
from stall_then_strike.research.figures.estimates import Estimate, share_of
from stall_then_strike.research.figures.log_rows import Fill
from stall_then_strike.research.figures.mid_path import MidPath, OwnSpan
from stall_then_strike.sim.paper import PAPER_PREFIX
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, Side
from stall_then_strike.types.instrument import Instrument, Lots

AGE_EDGES_MS: Final = (0, 250, 300, 400, 500, 750, 1_000, 1_500, 2_000, 3_000, 5_000)
SPREAD_EDGES: Final = (0, 100, 200, 300, 500, 750, 1_000, 1_250, 1_500, 1_750, 2_000, 2_500, 3_000, 5_000)
"""Lower ends of the bins; the last bin is open."""
MINUTE_TO_EXPIRE_NS: Final = 61 * NS_PER_S
_STRIKE_TO_PLACE_NS: Final = 30 * NS_PER_S
_CANCEL_TO_END_NS: Final = 30 * NS_PER_S
_ORDERS: Final = re.compile(r"(?:place_limit|close_market) (?:BUY|SELL) ([0-9.]+)@")
_CANCELS: Final = re.compile(r"cancel_all_stall (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Quotes of one bin, ``low`` to ``high`` (excluded; None: open), and the share with any fill."""

    low: int
    high: int | None
    filled: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Quotes of one bin of age and one bin of spread."""

    age: int
    spread: int
    filled: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteFate:
    """The outcome of quotes."""

    quotes: int
    touched: int
    """Quotes with any fill."""
    whole: int
    """Quotes filled completely."""
    by_age: list[Bin]
    by_spread: list[Bin]
    cells: list[Cell]

    @property
    def ratio(self) -> Estimate | None:
        """Share of quotes with any fill."""
        return share_of(self.touched, self.quotes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasons:
    """Reasons for doing nothing with their durations, and counts of what was done."""

    held_ns: dict[str, int]
    held_rows: dict[str, int]
    done: dict[tuple[str, str], int]
    """Decisions by type and reason, without holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitUse:
    """Use of one limit's rolling window after each call."""

    name: str
    limit: int
    reserve: int
    stamps: list[int]
    used: list[int]

    @property
    def peak(self) -> int:
        """The largest use."""
        return max(self.used, default=0)


def quote_fate(orders: pl.DataFrame, decisions: pl.DataFrame, fills: Sequence[Fill], units: Instrument) -> QuoteFate:
    """Match quotes with their strikes and their fills."""
    executed: dict[str, int] = {}
    for fill in fills:
        executed[fill.order_id] = executed.get(fill.order_id, 0) + fill.size
    quotes = orders.filter(
        (pl.col("action") == "place") & (pl.col("tag").is_in(QUOTE_TAGS)) & (pl.col("order_id") != "")
    ).select("ts_ns", "order_id", "side", "price", "size")
    strikes = decisions.filter(pl.col("decision_type").is_in(QUOTE_WORDS))
    offers = pl.concat(
        [
            strikes.filter(pl.col(column) != "").select(
                "ts_ns", pl.lit(side.value).alias("side"), pl.col(column).alias("price"), "best_age_ms", "spread_ticks"
            )
            for side, column in ((Side.BUY, "entry_bid_px"), (Side.SELL, "entry_ask_px"))
        ]
    )
    matched = quotes.sort("ts_ns", maintain_order=True).join_asof(
        offers.sort("ts_ns", maintain_order=True),
        on="ts_ns",
        by=["side", "price"],
        strategy="backward",
        tolerance=_STRIKE_TO_PLACE_NS,
        check_sortedness=False,  # polars cannot check it within groups; both were just sorted
    )
    rows = [
        (age, spread, executed.get(order_id, 0), units.to_lots(size))
        for order_id, size, age, spread in matched.select("order_id", "size", "best_age_ms", "spread_ticks").iter_rows()
    ]
    binned = [
        (bisect_right(AGE_EDGES_MS, age) - 1, bisect_right(SPREAD_EDGES, spread) - 1, done > 0)
        for age, spread, done, _ in rows
        if age is not None
    ]
    return QuoteFate(
        quotes=len(rows),
        touched=sum(done > 0 for _, _, done, _ in rows),
        whole=sum(done >= size for _, _, done, size in rows),
        by_age=_bins(AGE_EDGES_MS, ((age, hit) for age, _, hit in binned)),
        by_spread=_bins(SPREAD_EDGES, ((spread, hit) for _, spread, hit in binned)),
        cells=_cells(binned),
    )


def _bins(edges: Sequence[int], marked: Iterable[tuple[int, bool]]) -> list[Bin]:
    counts: dict[int, list[int]] = {}
    for at, hit in marked:
        pair = counts.setdefault(at, [0, 0])
        pair[0] += hit
        pair[1] += 1
    found = []
    for at in sorted(counts):
        filled = share_of(*counts[at])
        if filled is not None:
            high = edges[at + 1] if at + 1 < len(edges) else None
            found.append(Bin(low=edges[at], high=high, filled=filled))
    return found


def _cells(binned: Iterable[tuple[int, int, bool]]) -> list[Cell]:
    counts: dict[tuple[int, int], list[int]] = {}
    for age, spread, hit in binned:
        pair = counts.setdefault((age, spread), [0, 0])
        pair[0] += hit
        pair[1] += 1
    return [
        Cell(age=age, spread=spread, filled=filled)
        for (age, spread), pair in sorted(counts.items())
        if (filled := share_of(*pair)) is not None
    ]


def reasons(decisions: pl.DataFrame) -> Reasons:
    """Durations of reasons: each holds until the next row. ``stopping`` is left out, because nothing runs after it."""
    timed = decisions.with_columns((pl.col("ts_ns").shift(-1) - pl.col("ts_ns")).fill_null(0).alias("held_ns"))
    holding = timed.filter((pl.col("decision_type") == "hold") & (pl.col("reason") != "stopping"))
    held = holding.group_by("reason").agg(pl.col("held_ns").sum(), pl.len().alias("rows")).sort("reason")
    acts = timed.filter(pl.col("decision_type") != "hold")
    done = acts.group_by("decision_type", "reason").agg(pl.len().alias("rows")).sort("decision_type", "reason")
    return Reasons(
        held_ns={str(reason): int(ns) for reason, ns, _ in held.iter_rows()},
        held_rows={str(reason): int(rows) for reason, _, rows in held.iter_rows()},
        done={(str(kind), str(reason)): int(rows) for kind, reason, rows in done.iter_rows()},
    )


def waits(orders: pl.DataFrame, decisions: pl.DataFrame, fills: Sequence[Fill]) -> dict[str, list[float]]:
    """Waiting times in ms, ascending: ``place`` (strike to acceptance), ``cancel`` (request to confirmation), ``fill``
    (acceptance to the first fill of a quote)."""
    placed = orders.filter((pl.col("action") == "place") & (pl.col("order_id") != ""))
    strikes = decisions.filter(pl.col("decision_type").is_in(QUOTE_WORDS)).select(
        "ts_ns", pl.col("ts_ns").alias("asked_ns")
    )
    struck = (
        placed.filter(pl.col("tag").is_in(QUOTE_TAGS))
        .select("ts_ns")
        .join_asof(strikes, on="ts_ns", strategy="backward", tolerance=_STRIKE_TO_PLACE_NS, check_sortedness=False)
    )
    asked = decisions.filter(pl.col("actions").str.contains("cancel_all_stall")).select(
        "ts_ns", "reason", pl.col("ts_ns").alias("asked_ns")
    )
    ended = (
        orders.filter(pl.col("action") == "cancel")
        .select("ts_ns", "reason")
        .join_asof(
            asked, on="ts_ns", by="reason", strategy="backward", tolerance=_CANCEL_TO_END_NS, check_sortedness=False
        )
    )
    since = dict(placed.filter(pl.col("tag").is_in(QUOTE_TAGS)).select("order_id", "ts_ns").iter_rows())
    first_fill: dict[str, float] = {}
    for fill in fills:
        began = since.get(fill.order_id)
        if began is not None:
            first_fill.setdefault(fill.order_id, (fill.ts_ns - began) / NS_PER_MS)
    found = {
        "place": _spans(struck),
        "cancel": _spans(ended),
        "fill": sorted(max(0.0, ms) for ms in first_fill.values()),
    }
    return {name: spans for name, spans in found.items() if spans and spans[-1] > 0}


def _spans(joined: pl.DataFrame) -> list[float]:
    spans = joined.filter(pl.col("asked_ns").is_not_null()).select((pl.col("ts_ns") - pl.col("asked_ns")) / NS_PER_MS)
    return sorted(spans.to_series().to_list())


def calls_of(decisions: pl.DataFrame, units: Instrument) -> list[tuple[int, int, int]]:
    """Requests by decision: stamp, order size in lots (0: a cancel or a query), number of private calls."""
    found: list[tuple[int, int, int]] = []
    for ts_ns, actions in decisions.filter(pl.col("actions") != "").select("ts_ns", "actions").iter_rows():
        found.extend((ts_ns, int(units.to_lots(size)), 1) for size in _ORDERS.findall(actions))
        found.extend((ts_ns, 0, 1) for count in _CANCELS.findall(actions) for _ in range(int(count)))
    return found


def limit_use(calls: Sequence[tuple[int, int, int]], limits: Sequence[Limit]) -> list[LimitUse]:
    """Use of a venue's limits as rolling windows; ``calls`` are in order of time.

    A call with a size is a send, one of a single call a cancel, any other a query. Of two limits that count the same,
    the later one is shown.
    """
    shown = {(limit.window_ns, limit.send, limit.cancel, limit.query, limit.up_to): limit for limit in limits}
    found = []
    for limit in sorted(shown.values(), key=limits.index):
        weighed = ((ts_ns, _weight(limit, size, count)) for ts_ns, size, count in calls)
        spent = [(ts_ns, weight) for ts_ns, weight in weighed if weight]
        found.append(_rolling(limit, spent))
    return found


def _weight(limit: Limit, size: int, count: int) -> int:
    if size:
        return limit.sends(count, Lots(size))
    return count * (limit.cancel if count == 1 else limit.query)


def _rolling(limit: Limit, spent: Sequence[tuple[int, int]]) -> LimitUse:
    stamps: list[int] = []
    used: list[int] = []
    live: deque[tuple[int, int]] = deque()
    total = 0
    for ts_ns, count in spent:
        while live and live[0][0] <= ts_ns - limit.window_ns:
            total -= live.popleft()[1]
        live.append((ts_ns, count))
        total += count
        if stamps and stamps[-1] == ts_ns:
            used[-1] = total
        else:
            stamps.append(ts_ns)
            used.append(total)
    name = str(limit.name).partition(" ")[0]
    return LimitUse(name=name, limit=limit.most, reserve=limit.reserve, stamps=stamps, used=used)


def own_spans(orders: pl.DataFrame, fills: Sequence[Fill], units: Instrument) -> list[OwnSpan]:
    """Quotes of a live run, which the venue's public book showed; without those that are on paper by their ids.

    Each begins a second before its acceptance, because an order may be displayed before it is answered; an order that
    is not displayed yet removes nothing from the book.
    """
    live = orders.filter((pl.col("order_id") != "") & ~pl.col("order_id").str.starts_with(PAPER_PREFIX))
    ends = dict(live.filter(pl.col("action") != "place").select("order_id", "ts_ns").iter_rows())
    last_fill = {fill.order_id: fill.ts_ns for fill in fills}
    executed: dict[str, int] = {}
    for fill in fills:
        executed[fill.order_id] = executed.get(fill.order_id, 0) + fill.size
    quotes = live.filter((pl.col("action") == "place") & (pl.col("tag").is_in(QUOTE_TAGS)) & (pl.col("price") != ""))
    found = []
    for ts_ns, order_id, side, price, size_text in quotes.select(
        "ts_ns", "order_id", "side", "price", "size"
    ).iter_rows():
        size = units.to_lots(size_text)
        until = ends.get(order_id, ts_ns + MINUTE_TO_EXPIRE_NS)
        if executed.get(order_id, 0) >= size:
            until = min(until, last_fill[order_id])
        quote = OwnQuote(side=Side(side), price=units.to_ticks(price), remaining=size)
        found.append(OwnSpan(from_ns=ts_ns - NS_PER_S, until_ns=until, quote=quote))
    return found


def prices_in_logs(decisions: pl.DataFrame, fills: Sequence[Fill], units: Instrument) -> MidPath:
    """Prices from the logs alone: the middle of a strike's two quotes, and the prices of fills."""
    known: list[tuple[int, int]] = [(fill.ts_ns, 2 * fill.price) for fill in fills]
    both = decisions.filter((pl.col("entry_bid_px") != "") & (pl.col("entry_ask_px") != ""))
    for ts_ns, bid, ask in both.select("ts_ns", "entry_bid_px", "entry_ask_px").iter_rows():
        known.append((ts_ns, units.to_ticks(bid) + units.to_ticks(ask)))
    path = MidPath()
    for ts_ns, doubled in sorted(known, key=lambda pair: pair[0]):
        path.add(ts_ns, doubled)
    return path
