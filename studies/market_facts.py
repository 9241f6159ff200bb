"""What a market is like, in figures: how takers come, what a print does to the price, spreads, quiet, sizes, delays.

The same measures are taken of recorded and of generated markets, from best prices and prints alone. Intervals are of
95 % and leave out one minute after the other (jackknife), because what happens within a minute is not independent.

A taker order is all prints of one side with one execution stamp. The mid before a print is that of the last board
message received before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stall_then_strike.research.figures.estimates import Estimate, t_quantile
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

_BLOCK_NS: Final = 60 * NS_PER_S
_SETTLED_NS: Final = 500 * NS_PER_MS
"""How long after a print its effect on the spread is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One stretch of a market without holes. Prices in quote currency, sizes in base, stamps in UTC nanoseconds."""

    recv: I64
    """Receive stamp of each message that shows the best prices, ascending."""
    bid: F64
    ask: F64
    bid_size: F64
    ask_size: F64
    print_recv: I64
    print_exec: I64
    """The venue's execution stamp, ascending."""
    side: I64
    """The taker's: 1 buys, -1 sells."""

    def mid(self) -> F64:
        """The mid after each message."""
        return (self.bid + self.ask) / 2

    def takers(self) -> I64:
        """The place of each taker order's first print."""
        new = np.ones(len(self.side), bool)
        new[1:] = (np.diff(self.print_exec) != 0) | (np.diff(self.side) != 0)
        return np.flatnonzero(new)

    def at(self, stamps: I64) -> I64:
        """The last message received by each stamp; -1 before the first."""
        return np.searchsorted(self.recv, stamps, "right") - 1

    def changed(self) -> NDArray[np.bool_]:
        """Whether a message showed another best price than the one before it."""
        new = np.ones(len(self.bid), bool)
        new[1:] = (np.diff(self.bid) != 0) | (np.diff(self.ask) != 0)
        return new

    def states(self) -> tuple[I64, I64]:
        """Begin and length of each stretch in which both best prices stood still; the last is not over and left out."""
        begins = self.recv[self.changed()]
        return begins[:-1], np.diff(begins)

    def stood_since(self) -> I64:
        """After each message: since when both best prices have stood still."""
        new = self.changed()
        return np.asarray(self.recv[np.maximum.accumulate(np.where(new, np.arange(len(new)), 0))])


Rows = tuple[F64, I64]
"""Observations, one a row, and the stamp of each."""
Figure = Callable[[F64], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One figure: what it reads from a piece of a market, and what it makes of all of it."""

    read: Callable[[Piece], Rows]
    make: Figure

    def of(self, pieces: Sequence[Piece], *, has_interval: bool = True) -> Estimate | None:
        """The figure with its interval, which takes most of the time; None without observations."""
        found = [self.read(piece) for piece in pieces]
        values = np.concatenate([rows for rows, _ in found])
        if not has_interval and len(values) > 1:
            return Estimate(n=len(values), value=self.make(values), low=None, high=None, blocks=0)
        blocks = np.concatenate([stamps // _BLOCK_NS for _, stamps in found])
        return jackknifed(values, blocks, self.make)


def jackknifed(values: F64, blocks: I64, make: Figure) -> Estimate | None:
    """A figure of all values, with an interval from leaving out each block."""
    if len(values) < 2:
        return None
    whole, names = make(values), np.unique(blocks)
    if len(names) < 3:
        return Estimate(n=len(values), value=whole, low=None, high=None, blocks=len(names))
    parts = np.asarray([make(values[blocks != name]) for name in names])
    error = float(np.sqrt((len(names) - 1) / len(names) * np.sum((parts - parts.mean()) ** 2)))
    half = t_quantile(len(names) - 1) * error
    return Estimate(n=len(values), value=whole, low=whole - half, high=whole + half, blocks=len(names))


def echo(pairs: Sequence[tuple[Piece, Piece]], *, step_ns: int, lag: int) -> Estimate | None:
    """How much the second market's moves are like the first's: their correlation, ``lag`` steps later.

    ``pairs`` are two markets at the same time. A move is that of the mid over ``step_ns``, relative to it. The lag may
    be negative: then it is the second market that moves first.
    """
    found, blocks = [], []
    for first, second in pairs:
        stamps = np.arange(max(first.recv[0], second.recv[0]), min(first.recv[-1], second.recv[-1]), step_ns)
        if len(stamps) < abs(lag) + 3:
            continue
        one, other = (np.diff(np.log(piece.mid()[piece.at(stamps)])) for piece in (first, second))
        kept = len(one) - abs(lag)
        early, late = max(0, -lag), max(0, lag)
        found.append(np.stack((one[early : early + kept], other[late : late + kept]), axis=1))
        blocks.append(stamps[early : early + kept] // _BLOCK_NS)
    return jackknifed(np.concatenate(found), np.concatenate(blocks), _correlation) if found else None


def facts(pieces: Sequence[Piece], *, has_intervals: bool = True) -> dict[str, Estimate]:
    """All figures by name, of pieces that have both prices and prints."""
    found = {name: measure.of(pieces, has_interval=has_intervals) for name, measure in MEASURES.items()}
    return {name: estimate for name, estimate in found.items() if estimate is not None}


# --- what is read from a piece


def _moves(piece: Piece, *, after_ns: int) -> Rows:
    """For each taker order: the mid's move in its direction until ``after_ns`` later, and half of the spread before."""
    first, mid = piece.takers(), piece.mid()
    heard, side = piece.print_recv[first], piece.side[first]
    before = piece.at(heard - 1)
    inside = (before >= 0) & (heard + after_ns <= piece.recv[-1])
    at, to = before[inside], piece.at(heard[inside] + after_ns)
    halves = (piece.ask[at] - piece.bid[at]) / 2
    return np.stack((side[inside] * (mid[to] - mid[at]), halves), axis=1), heard[inside]


def _marked_out(piece: Piece, *, stood_ns: int, after_ns: int) -> Rows:
    """What a quote one tick from the mid gains until ``after_ns`` after a taker's order has met it, a unit.

    The quote is on the side that the order meets, and only orders count that come when both best prices have stood
    still for ``stood_ns``, because the strategy quotes then. A tick is 1, as it is of FX_BTC_JPY and BTC_JPY.
    """
    first, mid = piece.takers(), piece.mid()
    heard, side = piece.print_recv[first], piece.side[first]
    before = piece.at(heard - 1)
    counts = (before >= 0) & (heard + after_ns <= piece.recv[-1])
    counts &= heard - piece.stood_since()[np.maximum(before, 0)] >= stood_ns
    at, to, side = before[counts], piece.at(heard[counts] + after_ns), side[counts]
    price = np.where(side < 0, np.floor(mid[at]) - 1, np.ceil(mid[at]) + 1)
    return side * (price - mid[to]), heard[counts]


def _gaps(piece: Piece) -> Rows:
    stamps = piece.print_exec[piece.takers()]
    return np.diff(stamps) / NS_PER_S, stamps[1:]


def _counts(piece: Piece, *, every_s: int) -> Rows:
    """Taker orders in each whole interval."""
    edges = np.arange(piece.recv[0], piece.recv[-1], every_s * NS_PER_S)
    counts, _ = np.histogram(piece.print_exec[piece.takers()], edges)
    return counts.astype(np.float64), edges[:-1]


def _followed(piece: Piece, *, lag: int) -> Rows:
    """Pairs of sides, ``lag`` taker orders apart."""
    first = piece.takers()
    side = piece.side[first].astype(np.float64)
    return np.stack((side[:-lag], side[lag:]), axis=1), piece.print_exec[first][lag:]


def _spreads(piece: Piece) -> Rows:
    return (piece.ask - piece.bid) / piece.mid() * 1e4, piece.recv


def _widened(piece: Piece) -> Rows:
    """The spread half a second after each taker order, against the piece's median."""
    first, spread = piece.takers(), piece.ask - piece.bid
    heard = piece.print_recv[first]
    heard = heard[(heard >= piece.recv[0]) & (heard + _SETTLED_NS <= piece.recv[-1])]
    return spread[piece.at(heard + _SETTLED_NS)] / np.median(spread), heard


def _stills(piece: Piece) -> Rows:
    begins, lengths = piece.states()
    return lengths / NS_PER_MS, begins


def _sizes(piece: Piece) -> Rows:
    return np.concatenate((piece.bid_size, piece.ask_size)), np.concatenate((piece.recv, piece.recv))


def _delays(piece: Piece) -> Rows:
    return (piece.print_recv - piece.print_exec) / NS_PER_MS, piece.print_recv


# --- what is made of it


def _ratio(rows: F64) -> float:
    return float(rows[:, 0].sum() / rows[:, 1].sum())


def _variation(values: F64) -> float:
    return float(values.std() / values.mean())


def _fano(counts: F64) -> float:
    return float(counts.var(ddof=1) / counts.mean())


def _correlation(pairs: F64) -> float:
    return float(np.corrcoef(pairs.T)[0, 1])


def _mean_widening(ratios: F64) -> float:
    return float(np.mean(ratios) - 1)


def _above(values: F64, *, least: float) -> float:
    return float(np.mean(values >= least))


def _below(values: F64, *, most: float) -> float:
    return float(np.mean(values < most))


def _quantile(values: F64, *, share: float) -> float:
    return float(np.quantile(values, share))


MEASURES: Final[dict[str, Measure]] = {
    "impact_1s": Measure(read=partial(_moves, after_ns=NS_PER_S), make=_ratio),
    "impact_10s": Measure(read=partial(_moves, after_ns=10 * NS_PER_S), make=_ratio),
    "markout_1s": Measure(
        read=partial(_marked_out, stood_ns=250 * NS_PER_MS, after_ns=NS_PER_S), make=lambda gains: float(gains.mean())
    ),
    "takers_a_second": Measure(read=partial(_counts, every_s=1), make=lambda counts: float(counts.mean())),
    "gap_cv": Measure(read=_gaps, make=_variation),
    "gap_below_100ms": Measure(read=_gaps, make=partial(_below, most=0.1)),
    "fano_1s": Measure(read=partial(_counts, every_s=1), make=_fano),
    "fano_10s": Measure(read=partial(_counts, every_s=10), make=_fano),
    "fano_60s": Measure(read=partial(_counts, every_s=60), make=_fano),
    "side_lag_1": Measure(read=partial(_followed, lag=1), make=_correlation),
    "side_lag_2": Measure(read=partial(_followed, lag=2), make=_correlation),
    "side_lag_3": Measure(read=partial(_followed, lag=3), make=_correlation),
    "side_lag_5": Measure(read=partial(_followed, lag=5), make=_correlation),
    "spread_bps_5": Measure(read=_spreads, make=partial(_quantile, share=0.05)),
    "spread_bps_50": Measure(read=_spreads, make=partial(_quantile, share=0.5)),
    "spread_bps_95": Measure(read=_spreads, make=partial(_quantile, share=0.95)),
    "spread_after_print": Measure(read=_widened, make=_mean_widening),
    "still_500ms": Measure(read=_stills, make=partial(_above, least=500.0)),
    "still_1s": Measure(read=_stills, make=partial(_above, least=1_000.0)),
    "best_size_50": Measure(read=_sizes, make=partial(_quantile, share=0.5)),
    "receipt_ms_5": Measure(read=_delays, make=partial(_quantile, share=0.05)),
    "receipt_ms_50": Measure(read=_delays, make=partial(_quantile, share=0.5)),
    "receipt_ms_95": Measure(read=_delays, make=partial(_quantile, share=0.95)),
}
"""All figures, by name."""
