"""Generated hours, each prepared once, and the compiled replay of every setting over them."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from loguru import logger

from stall_then_strike.config.models import AppConfig
from stall_then_strike.research.figures.log_rows import Fill
from stall_then_strike.research.figures.mid_path import MidPath
from stall_then_strike.research.figures.profit import QUOTES, group_of, keep_books, split
from stall_then_strike.research.replay import kernel_state as x
from stall_then_strike.research.replay.compiled import CompiledReplay
from stall_then_strike.research.replay.kernel_rows import RowReader
from stall_then_strike.research.replay.kernel_state import I64
from stall_then_strike.research.report.run_data import SPLIT_HORIZON_NS
from stall_then_strike.research.tables.columns import Columns
from stall_then_strike.research.tables.prepare import write_columns
from stall_then_strike.sim.exchange.source import iter_frames
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import NS_PER_S, BookStatus, Reason, TradeLogRow
from studies.choices import START_NS, Settings, Study

_PROBE_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """What one setting made on one market, per hour. Money is in JPY."""

    pnl: float
    """With the position at the end counted at the mid."""
    parts: dict[str, float]
    """What the result is made of, in the words of ``research.figures.profit``; they add up to it."""
    drawdown: float
    """Deepest fall from a peak, of the whole run."""
    strikes: float
    quotes: float
    quote_fills: float
    closes: float
    volume: float
    """BTC."""
    moved: float
    """Times that quotes were cancelled because the best moved, and"""
    timed_out: float
    """because their time was up."""
    budget_share: float
    """Share of the time in which only the rate limits' budget held quotes back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketFigures:
    """One generated market: what it was like, and what each setting made on it."""

    seed: int
    messages: int
    trades: int
    median_spread: float
    """JPY, over all board messages."""
    hours: list[Hour]
    """One for each of ``Study.all_settings``."""


def market_figures(study: Study, seed: int) -> MarketFigures:
    """Generate a market, prepare it and replay all settings over it."""
    return _figures(seed, study.seconds, study.all_settings())


def probe(study: Study) -> str:
    """A few minutes of the first market at the base settings, in figures: it changes with anything that the study's
    results depend on, and takes no time."""
    market = _figures(study.seeds[0], min(study.seconds, _PROBE_S), [Settings(latency_ms=study.latencies_ms[0])])
    hour = market.hours[0]
    return (
        f"{market.messages} messages, {market.trades} trades, {hour.strikes:.0f} strikes, "
        f"{hour.quote_fills:.0f} fills of quotes and {hour.pnl:.2f} JPY an hour"
    )


def _figures(seed: int, seconds: int, settings: Sequence[Settings]) -> MarketFigures:
    logger.disable("stall_then_strike")
    cfg = settings[0].config()
    unit = cfg.exchange.instrument()
    with tempfile.TemporaryDirectory() as folder:
        frames = iter_frames(Market(seed=seed, start_ns=START_NS, instrument=unit), START_NS + seconds * NS_PER_S)
        manifest = write_columns(((frame.time_ns, frame.text) for frame in frames), cfg, Path(folder))
        columns = Columns(Path(folder))
        mids, spreads = prices(columns)
        hours = [replay(one.config(), columns, mids, seconds / 3_600) for one in settings]
    return MarketFigures(
        seed=seed,
        messages=manifest.messages,
        trades=manifest.trades,
        median_spread=float(np.median(spreads)) / unit.ticks_per_one,
        hours=hours,
    )


def prices(columns: Columns) -> tuple[MidPath, I64]:
    """The mid over time, and the spread at each board message, ticks; of books that can be believed."""
    path, spreads, latest = MidPath(), [], 0
    for chunk in columns.chunks():
        stamps = np.maximum.accumulate(np.maximum(chunk.recv, latest))
        latest = int(stamps[-1])
        is_book = chunk.kind == x.KIND_BOARD
        known = is_book & (chunk.status == BookStatus.OK)
        spreads.append((chunk.ask.astype(np.int64) - chunk.bid)[known])
        doubled = np.where(known, chunk.bid.astype(np.int64) + chunk.ask, 0)
        for ts_ns, mid in zip(stamps[is_book].tolist(), doubled[is_book].tolist(), strict=True):
            path.add(ts_ns, mid)
    return path, np.concatenate(spreads)


def replay(cfg: AppConfig, columns: Columns, mids: MidPath, hours: float) -> Hour:
    """One run and its books. Raises CannotCompile."""
    unit = cfg.exchange.instrument()
    outcome = CompiledReplay(cfg, columns).run()
    kinds = outcome.log[:, 0]
    log = outcome.log[(kinds == x.LOG_NEW) | (kinds == x.LOG_TRADE)]
    fills = [
        fill_of(row)
        for row in RowReader(cfg).read(log, outcome.started_ns, outcome.first_order_ns)
        if isinstance(row, TradeLogRow)
    ]
    books = keep_books(fills, [], mids.at, None, outcome.end_ns)
    parts = split(fills, books, mids.at, mids, SPLIT_HORIZON_NS, outcome.end_ns)

    def an_hour(doubled: int) -> float:
        return float(unit.amount(doubled) / 2) / hours

    return Hour(
        pnl=an_hour(books.total),
        parts={name: an_hour(amount) for name, amount in parts.items()},
        drawdown=-float(unit.amount(outcome.inventory.max_drawdown)),
        strikes=outcome.tally["strikes"] / hours,
        quotes=outcome.tally["quotes"] / hours,
        quote_fills=sum(group_of(fill) == QUOTES for fill in fills) / hours,
        closes=outcome.tally["closes"] / hours,
        volume=float(unit.size(books.volume)) / hours,
        moved=outcome.reason_rows.get(Reason.BEST_MOVED, 0) / hours,
        timed_out=outcome.reason_rows.get(Reason.TTL, 0) / hours,
        budget_share=outcome.reason_ns.get(Reason.BUDGET, 0) / NS_PER_S / 3_600 / hours,
    )


def fill_of(row: TradeLogRow) -> Fill:
    """A row of the trade log as the books take it."""
    return Fill(
        ts_ns=row.ts_ns,
        order_id=row.order_id,
        side=row.side,
        price=row.price,
        size=row.size,
        fee=row.fee,
        tag=row.tag,
        pnl=row.pnl_jpy,
        pnl_cum=row.pnl_cum_jpy,
        inventory_after=row.inventory_after,
    )


def all_markets(
    study: Study, *, processes: int = 2, told: Callable[[MarketFigures], object] = lambda market: None
) -> list[MarketFigures]:
    """Every market of the study, in the order of its seeds. ``told`` hears of each as it is done."""
    found = []
    for market in _each(study, processes):
        told(market)
        found.append(market)
    return found


def _each(study: Study, processes: int) -> Iterator[MarketFigures]:
    if processes == 1:
        yield from (market_figures(study, seed) for seed in study.seeds)
        return
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(market_figures, [study] * len(study.seeds), study.seeds)


def by_settings(study: Study, markets: Sequence[MarketFigures]) -> dict[Settings, list[Hour]]:
    """Each setting's hours, one for each market."""
    return {one: [market.hours[at] for market in markets] for at, one in enumerate(study.all_settings())}
