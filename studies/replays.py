"""Markets, recorded and generated, each prepared once, and the compiled replay of every setting over them."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from loguru import logger

from stall_then_strike.config.models import AppConfig
from stall_then_strike.research.replay.compiled import CompiledReplay
from stall_then_strike.research.replay.kernel_state import LOG_NEW, LOG_TRADE, TAG_STALL
from stall_then_strike.research.report.run_data import SPLIT_HORIZON_NS
from stall_then_strike.research.tables.columns import I64, KIND_BOARD, Columns, Ints, Manifest
from stall_then_strike.research.tables.prepare import write_columns
from stall_then_strike.sim.exchange.source import iter_frames
from stall_then_strike.sim.market import Market
from stall_then_strike.tapes.tape_files import DERIVED, market_of_tapes
from stall_then_strike.types.dto import NS_PER_S, BookStatus, Reason
from studies.choices import START_NS, Settings, Study

Floats = npt.NDArray[np.float64]
BLOCK_NS: Final = 60 * NS_PER_S
"""A minute of a market is one observation: fills within it share the market's move."""
RECORDED, GENERATED = "recorded", "generated"
_PROBE_S: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one setting made on one market. Arrays have a number for each minute; money is in JPY."""

    pnl: Floats
    """With the position counted at the mid at each minute's end."""
    spread_quotes: Floats
    """What fills of quotes had against the mid, in the words of ``research.figures.profit``."""
    adverse_quotes: Floats
    spread_closes: Floats
    adverse_closes: Floats
    volume: Floats
    """BTC."""
    fills: Floats
    """Fills of quotes."""
    counts: dict[str, float]
    """Of the whole run: strikes, quotes, closes, moved and timed_out (why strikes were cancelled), and budget_s, the
    seconds in which only the rate limits' budget held quotes back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One market: what it was like."""

    name: str
    source: str
    """recorded, derived or generated."""
    begins: str
    """UTC."""
    seconds: float
    messages: int
    trades: int
    median_spread: float
    """JPY, over all board messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketFigures(Piece):
    """One market, and what each setting made on it."""

    runs: list[Run]
    """One for each of ``Study.all_settings``."""


def market_figures(study: Study, market: int | Path) -> MarketFigures:
    """Prepare a market, the generated one of a seed or a tape, and replay all settings over it."""
    return _figures(market, study.seconds, study.all_settings(), study.draws)


def probe(study: Study) -> str:
    """A few minutes of the first market at the base settings, in figures: it changes with anything that the study's
    results depend on, and takes no time."""
    seconds = min(study.seconds, _PROBE_S)
    market = _figures(study.seeds[0], seconds, [Settings()], 1)
    run = market.runs[0]
    return (
        f"{market.messages} messages, {market.trades} trades, {run.counts['strikes']:.0f} strikes, "
        f"{run.fills.sum():.0f} fills of quotes and {run.pnl.sum():.4f} JPY"
    )


def _figures(market: int | Path, seconds: int, settings: Sequence[Settings], draws: int) -> MarketFigures:
    logger.disable("stall_then_strike")
    cfg = settings[0].config()
    with tempfile.TemporaryDirectory() as folder:
        held = _prepared(market, seconds, cfg, Path(folder))
        columns = Columns(Path(folder))
        mids, spreads = prices(columns)
        if isinstance(market, Path):
            name, source = market.name.partition(".")[0], market_of_tapes([market])
            source = DERIVED if source == DERIVED else RECORDED
        else:
            name, source, draws = f"seed {market}", GENERATED, 1
        return MarketFigures(
            name=name,
            source=source,
            begins=f"{datetime.fromtimestamp(held.first_ns // NS_PER_S, UTC):%Y-%m-%d %H:%M:%S}",
            seconds=(held.last_ns - held.first_ns) / NS_PER_S,
            messages=held.messages,
            trades=held.trades,
            median_spread=float(np.median(spreads)) / cfg.exchange.instrument().ticks_per_one,
            runs=[replay(one, columns, mids, draws) for one in settings],
        )


def _prepared(market: int | Path, seconds: int, cfg: AppConfig, folder: Path) -> Manifest:
    if isinstance(market, Path):
        return write_columns([market], cfg, folder)
    generated = Market(seed=market, start_ns=START_NS, instrument=cfg.exchange.instrument())
    frames = iter_frames(generated, START_NS + seconds * NS_PER_S)
    return write_columns(((frame.time_ns, frame.text) for frame in frames), cfg, folder)


@dataclass(frozen=True, slots=True)
class Mids:
    """Doubled mids at rising stamps; each holds until the next. Zero: unknown."""

    stamps: I64
    doubled: I64

    def before(self, ts_ns: Ints) -> Ints:
        """The mids just before these times."""
        return self._get(np.searchsorted(self.stamps, ts_ns, "left") - 1)

    def at(self, ts_ns: Ints) -> Ints:
        """The mids after all messages up to these times."""
        return self._get(np.searchsorted(self.stamps, ts_ns, "right") - 1)

    def _get(self, at: Any) -> Ints:
        known: Ints = np.where(at >= 0, self.doubled[np.maximum(at, 0)], 0)
        return known


def prices(columns: Columns) -> tuple[Mids, I64]:
    """The mid over time, and the spread at each board message, ticks; of books that can be believed."""
    stamps, doubled, spreads, latest = list[Ints](), list[Ints](), list[Ints](), 0
    for chunk in columns.chunks():
        times = np.maximum.accumulate(np.maximum(chunk.recv, latest))
        latest = int(times[-1])
        is_book = chunk.kind == KIND_BOARD
        known = is_book & (chunk.status == BookStatus.OK)
        bid, ask = chunk.bid.astype(np.int64), chunk.ask.astype(np.int64)
        stamps.append(times[is_book])
        doubled.append(np.where(known, bid + ask, 0)[is_book])
        spreads.append((ask - bid)[known])
    return Mids(np.concatenate(stamps), np.concatenate(doubled)), np.concatenate(spreads)


def replay(settings: Settings, columns: Columns, mids: Mids, draws: int = 1) -> Run:
    """The mean over draws of latencies; a constant latency needs one only. Raises CannotCompile."""
    several = range(1, 2 if settings.latency_ms else draws + 1)
    return mean_of_runs([_run(settings.config(draw), columns, mids) for draw in several])


def mean_of_runs(runs: Sequence[Run]) -> Run:
    """Minute by minute."""
    arrays = {name: np.mean([getattr(run, name) for run in runs], axis=0) for name in ARRAYS}
    counts = {name: sum(run.counts[name] for run in runs) / len(runs) for name in runs[0].counts}
    return Run(**arrays, counts=counts)


ARRAYS: Final = ("pnl", "spread_quotes", "adverse_quotes", "spread_closes", "adverse_closes", "volume", "fills")


def _run(cfg: AppConfig, columns: Columns, mids: Mids) -> Run:
    unit, held = cfg.exchange.instrument(), columns.manifest
    outcome = CompiledReplay(cfg, columns, sample_ns=BLOCK_NS).run()
    blocks = max(1, -(-(held.last_ns - held.first_ns) // BLOCK_NS))
    totals = np.concatenate([[0], outcome.samples[: blocks - 1], [outcome.total]])
    if len(totals) != blocks + 1:  # a run that halted early: nothing more happens
        totals = np.concatenate([totals, np.full(blocks + 1 - len(totals), outcome.total)])
    amount, lot = float(unit.amount(1)), float(unit.size(1))
    tags = {int(row["number"]): int(row["tag"]) for row in outcome.log["new"][outcome.log["kind"] == LOG_NEW]}
    rows = outcome.log[outcome.log["kind"] == LOG_TRADE]
    fills, stamps = rows["trade"], rows["ts_ns"]
    is_quote = np.array([tags[int(number)] == TAG_STALL for number in fills["number"]], bool)
    minute = np.minimum((stamps - held.first_ns) // BLOCK_NS, blocks - 1)

    def by_minute(values: Any, which: Any) -> Floats:
        return np.bincount(minute[which], np.asarray(values, np.float64)[which], minlength=blocks).astype(np.float64)

    signed, mid = fills["size"] * fills["side"], mids.before(stamps)
    later = mids.at(stamps + SPLIT_HORIZON_NS)
    later, is_priced = np.where(later == 0, mid, later), mid != 0
    spread, adverse = signed * (mid - 2 * fills["price"]) * amount / 2, signed * (later - mid) * amount / 2
    return Run(
        pnl=np.diff(totals).astype(np.float64) * amount,
        spread_quotes=by_minute(spread, is_quote & is_priced),
        adverse_quotes=by_minute(adverse, is_quote & is_priced),
        spread_closes=by_minute(spread, ~is_quote & is_priced),
        adverse_closes=by_minute(adverse, ~is_quote & is_priced),
        volume=by_minute(fills["size"] * lot, np.ones(len(fills), bool)),
        fills=by_minute(np.ones(len(fills)), is_quote),
        counts={
            "strikes": outcome.tally["strikes"],
            "quotes": outcome.tally["quotes"],
            "closes": outcome.tally["closes"],
            "moved": outcome.reason_rows.get(Reason.BEST_MOVED, 0),
            "timed_out": outcome.reason_rows.get(Reason.TTL, 0),
            "budget_s": outcome.reason_ns.get(Reason.BUDGET, 0) / NS_PER_S,
        },
    )


def all_markets(
    study: Study,
    tapes: Iterable[Path] = (),
    *,
    processes: int = 2,
    told: Callable[[MarketFigures], object] = lambda market: None,
) -> list[MarketFigures]:
    """The tapes, then the study's generated markets, in order. ``told`` hears of each as it is done."""
    found = []
    for market in _each(study, [*tapes, *study.seeds], processes):
        told(market)
        found.append(market)
    return found


def _each(study: Study, markets: Sequence[int | Path], processes: int) -> Iterator[MarketFigures]:
    if processes == 1:
        yield from (market_figures(study, market) for market in markets)
        return
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(market_figures, [study] * len(markets), markets)
