"""What paper fills are like on recorded markets, and where their defaults come from.

    python -m studies.paper_fills            prints docs/paper-fills.md
    python -m studies.paper_fills --write    writes it

The recordings are no part of the project (see :mod:`studies.facts`). Where they are absent, nothing is measured, and
the output says so.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np

from stall_then_strike.app.trader.virtual import Message
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.research.figures.estimates import Estimate, mean_of
from stall_then_strike.research.figures.mid_path import MidPath
from stall_then_strike.tapes.tape_reader import read_tape
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, BoardSnapshot, BookStatus, PublicTrades, Side
from studies.crosscheck.order_script import Order, play_plainly
from studies.facts import best_and_trades, shared_folder, tape_frames, tape_piece
from studies.market_facts import Piece, jackknifed

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "paper-fills.md"
TAPES: Final = {
    "2021, whole tapes": "FX_BTC_JPY-2021*.jsonl",
    "2025, derived tapes": "derived-FX_BTC_JPY-2025*.jsonl.zst",
}
"""Those of which quotes are tried, by name."""
MINUTE_NS: Final = 60 * NS_PER_S
BLOCK_NS: Final = 10 * NS_PER_S
"""Of quotes: the whole tapes of 2021 last three minutes only."""


# --- competition: how long the best stays the best -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Improvements:
    """Each time that a best price was improved. Columns of equal length."""

    stamps: np.ndarray[Any, np.dtype[np.int64]]
    lasted_s: np.ndarray[Any, np.dtype[np.float64]]
    """Until the same side's best changed again, or the piece ended."""
    is_outbid: np.ndarray[Any, np.dtype[np.bool_]]
    """Whether the change was a further improvement."""
    room: np.ndarray[Any, np.dtype[np.float64]]
    """The spread that it left, in median spreads."""


def improvements(pieces: Sequence[Piece]) -> Improvements:
    """All improvements of both sides."""
    usual = float(np.median(np.concatenate([piece.ask - piece.bid for piece in pieces])))
    columns = [
        _improved(piece, best, spread=piece.ask - piece.bid, usual=usual)
        for piece in pieces
        for best in (piece.bid, -piece.ask)
    ]
    return Improvements(*(np.concatenate(parts) for parts in zip(*columns, strict=True)))


def _improved(piece: Piece, best: Any, *, spread: Any, usual: float) -> tuple[Any, ...]:
    changes = np.flatnonzero(np.diff(best) != 0) + 1
    ends = np.append(changes[1:], len(best) - 1)
    is_better = best[changes] > best[changes - 1]
    at, to = changes[is_better], ends[is_better]
    stamps = piece.recv[at]
    return stamps, (piece.recv[to] - stamps) / NS_PER_S, best[to] > best[at], spread[at] / usual


def outbid_rate(found: Improvements, chosen: Any) -> Estimate | None:
    """How often a second an improved best is outbid while it lasts; those that go otherwise count until then."""
    rows = np.stack((found.is_outbid[chosen].astype(np.float64), found.lasted_s[chosen]), axis=1)
    return jackknifed(rows, found.stamps[chosen] // MINUTE_NS, lambda kept: float(kept[:, 0].sum() / kept[:, 1].sum()))


def outbid_within(found: Improvements, chosen: Any, seconds: float) -> float:
    """The share that is outbid by then, of those that do not go otherwise (Kaplan and Meier's estimate)."""
    order = np.argsort(found.lasted_s[chosen], kind="stable")
    lasted, is_outbid = found.lasted_s[chosen][order], found.is_outbid[chosen][order]
    left = len(lasted) - np.arange(len(lasted))
    return float(1 - np.prod(np.where(is_outbid & (lasted <= seconds), 1 - 1 / left, 1.0)))


ROOMS: Final = {"all": (-9.0, 99.0), "at most half of the median spread": (-9.0, 0.5), "half to once": (0.5, 1.0),
                "more": (1.0, 99.0)}  # fmt: skip


def competition(markets: Mapping[str, Sequence[Piece]]) -> Iterator[str]:
    """The table of outbidding."""
    yield "| market | spread that the improvement left | n | outbid | a second | within 1 s |"
    yield "| --- | --- | ---: | ---: | ---: | ---: |"
    for name, pieces in markets.items():
        found = improvements(pieces)
        for words, (low, high) in ROOMS.items():
            chosen = (found.room > low) & (found.room <= high)
            yield (
                f"| {name} | {words} | {chosen.sum():,} | {found.is_outbid[chosen].sum():,} "
                f"| {text(outbid_rate(found, chosen), 2)} | {outbid_within(found, chosen, 1.0):.0%} |"
            )


# --- prints past a displayed price ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Passed:
    """Prints that went past displayed prices."""

    prints: int = 0
    past: int = 0
    explained: int = 0
    """Of ``past``: prints at those prices, since the book's last message, made up for all that was displayed there."""
    displayed: int = 0
    left: int = 0
    """Of what was displayed, in lots: not explained by prints."""


def passed(tapes: Iterable[Path], cfg: AppConfig) -> Passed:
    """Count them over tapes."""
    found = Passed()
    for path in tapes:
        feed, printed = MarketFeed(cfg), dict[tuple[Side, int], int]()
        for line in read_tape(path):
            event = feed.on_text(line.text, line.recv_ns) if line.text is not None else None
            if isinstance(event, BoardSnapshot):
                printed.clear()
            elif isinstance(event, PublicTrades):
                for trade in event.trades:
                    if trade.taker is not None and feed.board.best(trade.taker.opposite):
                        _pass(found, feed, printed, trade.taker.opposite, trade.price)
                        at = (trade.taker.opposite, int(trade.price))
                        printed[at] = printed.get(at, 0) + trade.size
    return found


def _pass(found: Passed, feed: MarketFeed, printed: Mapping[tuple[Side, int], int], side: Side, price: int) -> None:
    found.prints += 1
    shown = left = 0
    for level, size in feed.board.levels(side):
        if (level - price) * side.sign <= 0:
            break
        shown += size
        left += max(0, size - printed.get((side, int(level)), 0))
    if shown:
        found.past += 1
        found.explained += left == 0
        found.displayed += shown
        found.left += left


# --- latencies --------------------------------------------------------------------------------------------------------

QUANTILES: Final = (5, 25, 50, 75, 95, 99)


def latencies(folder: Path) -> Iterator[str]:
    """The table of recorded times."""
    yield f"| what | n | {' | '.join(f'{q} %' for q in QUANTILES)} |"
    yield f"| --- | ---: |{' ---: |' * len(QUANTILES)}"
    calls: dict[tuple[str, str], list[float]] = {}
    with (folder / "latency_ms.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            calls.setdefault((row["kind"], row["date"][:4]), []).append(float(row["ms"]))
    for (kind, year), values in calls.items():
        yield f"| `{kind}`, {year} | {_quantiles(values)} |"
    ids: dict[str, list[float]] = {}
    with (folder / "accept_to_match_s.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            ids.setdefault(row["date"][:4], []).append(float(row["exec_minus_id_second"]) * 1_000)
    for year, values in sorted(ids.items()):
        yield f"| match less the second of the acceptance id, {year} | {_quantiles(values)} |"


def _quantiles(values: Sequence[float]) -> str:
    return " | ".join([f"{len(values):,}", *(f"{np.percentile(values, q):,.0f}" for q in QUANTILES)])


# --- quotes -----------------------------------------------------------------------------------------------------------

EVERY_NS: Final = 1_500 * NS_PER_MS
LIFE_NS: Final = 800 * NS_PER_MS
SIZE: Final = 100_000
"""Lots: 0.001 BTC, the smallest order and the default of ``strategy.size_min``."""
HORIZONS_NS: Final = (1 * NS_PER_S, 10 * NS_PER_S)
MODES: Final = {
    "mid, 1 tick": ("mid", 1),
    "mid, 700 ticks": ("mid", 700),
    "inside": ("inside", 1),
    "join": ("inside", 0),
}
"""Kind of price and offset."""
_FAST: Final = {"median_ms": Decimal(100), "spread_ms": Decimal(60)}
_BEFORE: Final = {"order_latency": _FAST, "cancel_latency": _FAST, "print_through": "all", "outbid_per_s": 0}
RULES: Final[Mapping[str, Mapping[str, Any]]] = {
    "100 ms, no competition, past prints fill": _BEFORE,
    "190 ms, no competition, past prints fill": {"print_through": "all", "outbid_per_s": 0},
    "190 ms, no competition, queue": {"outbid_per_s": 0},
    "**defaults**: 190 ms, competition, queue": {},
}
"""What is laid over the defaults of ``paper``."""


@dataclass(slots=True)
class Heard:
    """A tape as the study needs it."""

    messages: list[Message]
    path: MidPath
    bests: list[tuple[int, int, int]]
    """Stamp, best bid and ask, after each message that left the book OK."""
    prints: list[tuple[int, int, int, int]]
    """Stamp, the taker's side as +1 or -1, price and size."""


def heard(tape: Path, cfg: AppConfig) -> Heard:
    """Read a tape."""
    found = Heard([(line.recv_ns, line.text) for line in read_tape(tape)], MidPath(), [], [])
    feed = MarketFeed(cfg)
    for recv_ns, frame in found.messages:
        event = None if frame is None else feed.on_text(frame, recv_ns)
        if isinstance(event, PublicTrades):
            found.prints += [(recv_ns, t.taker.sign, int(t.price), int(t.size)) for t in event.trades if t.taker]
        elif isinstance(event, BoardSnapshot):
            is_good = event.status is BookStatus.OK
            bid, ask = int(event.best_bid_price), int(event.best_ask_price)
            found.path.add(recv_ns, bid + ask if is_good else 0)
            if is_good:
                found.bests.append((recv_ns, bid, ask))
    return found


def quotes(market: Heard, kind: str, offset: int) -> list[Order]:
    """A bid and an ask every 1.5 s, each cancelled 0.8 s after it was sent."""
    found: list[Order] = []
    next_ns = 0
    for stamp, bid, ask in market.bests:
        if stamp < next_ns:
            continue
        next_ns = stamp + EVERY_NS
        if kind == "mid":
            prices = ((bid + ask) // 2 - offset, (bid + ask + 1) // 2 + offset)
        else:
            prices = (bid + offset, ask - offset)
        if prices[0] < prices[1]:
            found += [
                Order(stamp + 1, stamp + 1 + LIFE_NS, side, price, SIZE)
                for side, price in zip((1, -1), prices, strict=True)
            ]
    return found


@dataclass(slots=True)
class Tally:
    """Quotes and their fills."""

    parts: list[float]
    """Of each quote, the filled part."""
    blocks: list[int]
    moves: dict[int, list[tuple[float, int]]]
    """By horizon: the mid then, less the price, in the fill's favour, and its block."""

    def add(self, market: Heard, order: Order, size: int, fill_ns: int) -> None:
        """Note a quote with its fills, the first of which was at that time."""
        self.parts.append(size / order.size)
        self.blocks.append(order.at_ns // BLOCK_NS)
        for horizon, moves in self.moves.items():
            mid = market.path.at(fill_ns + horizon) if size else None
            if mid is not None:
                moves.append((order.side * (mid - 2 * order.price) / 2, fill_ns // BLOCK_NS))

    def row(self) -> str:
        """Its cells."""
        moves = [mean_of([move for move, _ in rows], [at for _, at in rows]) for rows in self.moves.values()]
        ratio = mean_of([100 * part for part in self.parts], self.blocks)
        return " | ".join([text(ratio, 1), str(len(self.moves[HORIZONS_NS[0]])), *(text(move, 0) for move in moves)])


def new_tally() -> Tally:
    """One without quotes."""
    return Tally([], [], {horizon: [] for horizon in HORIZONS_NS})


def allowed(market: Heard, orders: Sequence[Order], delay_ns: int) -> Iterator[tuple[int, int]]:
    """Of each quote, what prints at its price or past it would fill while it is on the book; and the first's time.

    As if nobody were ahead: no rule fills more by prints.
    """
    stamps = [stamp for stamp, _, _, _ in market.prints]
    for order in orders:
        first, last = np.searchsorted(stamps, [order.at_ns + delay_ns, order.until_ns + delay_ns])
        met = [
            (stamp, size)
            for stamp, taker, price, size in market.prints[first:last]
            if taker != order.side and (order.price - price) * order.side >= 0
        ]
        yield min(order.size, sum(size for _, size in met)), met[0][0] if met else 0


def filled(market: Heard, orders: Sequence[Order], cfg: AppConfig) -> Iterator[tuple[int, int]]:
    """Of each quote, what the paper venue fills; and the first fill's time."""
    found: dict[int, tuple[int, int]] = {}
    for fill in play_plainly(market.messages, cfg, orders):
        size, first_ns = found.get(fill.order, (0, fill.ts_ns))
        found[fill.order] = size + fill.size, first_ns
    return (found.get(number, (0, 0)) for number in range(len(orders)))


def tried(markets: Sequence[Heard]) -> Iterator[str]:
    """The table of quotes."""
    yield "| quotes | rules | filled, % | n | 1 s later, JPY | 10 s later, JPY |"
    yield "| --- | --- | ---: | ---: | ---: | ---: |"
    for mode, (kind, offset) in MODES.items():
        scripts = [quotes(market, kind, offset) for market in markets]
        bound = new_tally()
        for market, orders in zip(markets, scripts, strict=True):
            for order, (size, first_ns) in zip(orders, allowed(market, orders, _median_ns()), strict=True):
                bound.add(market, order, size, first_ns)
        yield f"| {mode}, {sum(map(len, scripts)):,} | what prints allow | {bound.row()} |"
        for rules, over in RULES.items():
            tally, cfg = new_tally(), AppConfig.model_validate({"paper": over})
            for market, orders in zip(markets, scripts, strict=True):
                for order, (size, first_ns) in zip(orders, filled(market, orders, cfg), strict=True):
                    tally.add(market, order, size, first_ns)
            yield f"| | {rules} | {tally.row()} |"


def _median_ns() -> int:
    return int(AppConfig().paper.order_latency.median_ms * NS_PER_MS)


# --- the page ---------------------------------------------------------------------------------------------------------


def text(found: Estimate | None, digits: int) -> str:
    """A figure with its interval."""
    if found is None:
        return "–"
    ends = "" if found.low is None or found.high is None else f" [{found.low:,.{digits}f}, {found.high:,.{digits}f}]"
    return f"{found.value:,.{digits}f}{ends}".replace("-", "−")


_ABOUT: Final = """# Paper fills beside recorded markets

Written by `python -m studies.paper_fills --write` from recordings that are no part of the project. Not to be edited:
run it again. [design/replay.md](design/replay.md) has the rules of paper fills, `configs/base.yml` their settings.

*2021* are three whole tapes of FX_BTC_JPY, 179 s (sample data of bmoscon/cryptofeed). *2025* is FX_BTC_JPY of
2025-07-16, 2,671 s in three pieces (fintech-llc-jp/BitcoinMarketRecorder): best prices and prints are real, and in the
tapes derived of them the board behind the best is made up. In brackets: 95 % intervals.

## How long a request takes

`paper.order_latency` and `paper.cancel_latency` are lognormal with median {median} ms and a 95 % quantile of {high} ms:
half of the requests take 157 to 229 ms. An order's way is a part of an HTTP call, then the time from acceptance to
match. An acceptance id tells its second only, so half a second comes off the last rows: 0.13 s on average in 2021,
hardly ever below 0.09 s. The whole call and that make 0.21 s, half of the call and that 0.17 s; the default lies
between. Nothing recorded tells when a cancel takes effect: its call is shorter, but it waits in the same line, and it
gets the same latency. In the crowded market of 2019 one order in fifteen waited for more than a second; `spike_share`,
`spike_sec` and `spike_ms` make such spells, and are off by default. Milliseconds:

{latencies}

## How often a quote inside the spread is outbid

Each time that a best price improves, somebody quotes inside the spread. He is outbid when the same side's best improves
again; otherwise his quote ends when its price is cancelled or traded. The rate is the number outbid over the time that
the improved prices stood: those that ended otherwise count for as long as they lasted. Intervals leave out one minute
after the other. `paper.outbid_per_s` is {outbid}, the rate over all improvements of 2025. A quote that leaves little of
the spread was outbid less often in 2025; in the 50 cases of 2021 it was not. The share within a second is that of
quotes that do not end otherwise (Kaplan and Meier).

{competition}

On paper the order that outbids is as large as the best that our quote improved, and stays until it is filled. In 2025
the orders that outbid had 0.020 BTC in the middle and the best prices 0.011 BTC; in 2021 both had 0.050 BTC.

## Prints past a price

In the 2021 tapes {past} of {prints} prints went past a price that the board still displayed. For {explained} of them,
prints at that price had made up for everything displayed there. For the others some was left, {left:.0%} of all that
was displayed: orders that went between two messages, or came after the trade. `paper.print_through: queue` (default)
lets such a print serve first those who were displayed ahead of us. With `all` it fills us at once, because nobody can
have been left ahead of us at a price that was traded past. The tables below show that it makes hardly a difference.

## The same quotes under several rules

A bid and an ask of 0.001 BTC every 1.5 s, each cancelled 0.8 s after it was sent, whatever was filled before: all rows
of one kind of quote are the same quotes. *What prints allow*: what was printed at the price or past it from {median} ms
after the sending until {median} ms after the cancel's, as if nobody were ahead. *n* is the number of filled quotes
whose mid 1 s later is known. The mid less the fill's price, in the fill's favour, is in JPY per BTC. Blocks are of
10 s.

{tables}

- Quotes at the best (`join`) are filled less often than prints allow, because others stand ahead, and at worse moments:
  who stands behind others is filled when the price moves through them.
- Quotes inside the spread are filled more often than prints allow. The rest are orders that the other side displayed
  past the quote's price: they would have met it. Without such fills paper would miss that the market moved through us.
- Competition takes an eighth of the fills of quotes inside the spread, and latency makes those that stay worse. The
  markouts of the defaults lie within the intervals of what prints allow, except where a queue stands ahead.
- The rules do not know that a print was executed before it was received, 0.13 s in the middle and up to 0.7 s in 2021:
  an order that has just arrived can be filled by a trade that was over. Nor do they know whom our quote would have
  drawn or driven away.
"""


def page(folder: Path) -> str:
    """The whole page."""
    cfg = AppConfig()
    latency, paper = cfg.paper.order_latency, cfg.paper
    whole = sorted(folder.glob(TAPES["2021, whole tapes"]))
    pieces = {
        "2025": best_and_trades(folder, "FX_BTC_JPY"),
        "2021": [tape_piece(tape_frames(path)) for path in whole],
    }
    gone = passed(whole, cfg)
    tables = []
    for name, pattern in TAPES.items():
        markets = [heard(path, cfg) for path in sorted(folder.glob(pattern))]
        tables.append(f"### {name}\n\n" + "\n".join(tried(markets)))
    return _ABOUT.format(
        median=latency.median_ms,
        high=latency.median_ms + latency.spread_ms,
        outbid=paper.outbid_per_s,
        latencies="\n".join(latencies(folder)),
        competition="\n".join(competition(pieces)),
        past=gone.past,
        prints=gone.prints,
        explained=gone.explained,
        left=gone.left / gone.displayed,
        tables="\n\n".join(tables),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    flags = argparse.ArgumentParser(
        prog="python -m studies.paper_fills", description=(__doc__ or "").partition("\n")[0]
    )
    flags.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    args = flags.parse_args(argv)
    folder = shared_folder()
    if folder is None:
        sys.stderr.write(f"paper_fills: no recordings here; {PAGE.name} holds what was measured where they are\n")
        return 0
    found = page(folder)
    sys.stdout.write(found)
    if args.write:
        PAGE.write_text(found, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
