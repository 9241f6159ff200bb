"""`make facts`: the generated market beside recorded ones, figure by figure, each with its interval and its band.

    python -m studies.facts            prints the table
    python -m studies.facts --write    writes it to docs/facts.md, and the recorded figures to studies/real_facts.json

The recordings are no part of the project: they are read from the folder STS_SHARED, or from ``shared`` beside the
repository. Where they are absent, the recorded figures are those of `real_facts.json`, and the output says so.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
import orjson
import zstandard

from stall_then_strike.research.figures.estimates import Estimate, mean_of, share_of
from stall_then_strike.sim.bitflyer.desk import Delays
from stall_then_strike.sim.exchange.flow_model import REGIMES, FlowModel
from stall_then_strike.sim.exchange.several_markets import Markets
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import NS_PER_S
from studies.choices import START_NS
from studies.market_facts import Piece, echo, facts

REAL: Final = Path(__file__).with_name("real_facts.json")
PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "facts.md"
SEEDS: Final = (1, 2, 3)
SECONDS: Final = 1_500
_2025: Final = "FX_BTC_JPY+BTC_JPY-20250716T0512Z-0700Z"
_TAPES: Final = "FX_BTC_JPY-2021*.jsonl"
_HOLE_NS: Final = 3 * NS_PER_S
_LATE_S: Final = 1.17
_DRAWS: Final = 20_000
_FEWEST: Final = 100
"""Shorter pieces of the recording are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: a figure of :data:`MEASURES`, and where a generated market has to be."""

    name: str
    words: str
    low: float
    high: float
    source: str = "2025"
    """The recording that it is compared with."""


ROWS: Final = (
    Row(name="impact_1s", words="mid 1 s after a taker's order, half spreads", low=0.65, high=1.1),
    Row(name="impact_10s", words="mid 10 s after it", low=0.7, high=1.5),
    Row(name="markout_1s", words="1 s markout of a quote one tick from the mid, JPY per BTC", low=-1_100, high=-500),
    Row(name="takers_a_second", words="taker orders a second", low=0.25, high=0.45),
    Row(name="gap_cv", words="gaps between taker orders: CV", low=1.3, high=1.9),
    Row(name="gap_below_100ms", words="share of gaps below 0.1 s", low=0.12, high=0.24),
    Row(name="fano_1s", words="Fano factor of their number in 1 s", low=1.5, high=2.5),
    Row(name="fano_10s", words="in 10 s", low=2.2, high=4.4),
    Row(name="fano_60s", words="in 60 s", low=2.2, high=8.0),
    Row(name="side_lag_1", words="autocorrelation of their side, lag 1", low=0.28, high=0.48),
    Row(name="side_lag_2", words="lag 2", low=0.16, high=0.36),
    Row(name="side_lag_3", words="lag 3", low=0.1, high=0.31),
    Row(name="side_lag_5", words="lag 5", low=0.0, high=0.22),
    Row(name="spread_bps_5", words="spread, bps of the price: 5 %", low=0.35, high=0.7),
    Row(name="spread_bps_50", words="50 %", low=1.1, high=1.7),
    Row(name="spread_bps_95", words="95 %", low=1.9, high=3.0),
    Row(name="spread_after_print", words="spread 0.5 s after a taker's order against its median", low=0.04, high=0.3),
    Row(name="still_500ms", words="states of the best of 500 ms and more", low=0.17, high=0.25),
    Row(name="still_1s", words="of 1 s and more", low=0.055, high=0.1),
    Row(name="best_size_50", words="size at the best, median, BTC", low=0.01, high=0.06),
    Row(name="receipt_ms_5", words="receipt less execution stamp, ms: 5 %", low=25, high=60, source="2021"),
    Row(name="receipt_ms_50", words="50 %", low=60, high=160, source="2021"),
    Row(name="receipt_ms_95", words="95 %", low=200, high=700, source="2021"),
    Row(name="accept_to_match_s", words="acceptance to match of an order that takes, mean, s", low=0.09, high=0.17,
        source="2021"),
    Row(name="accept_late", words="matched more than 1.17 s after the second of the acceptance id", low=0.01,
        high=0.06, source="2021"),
    Row(name="spot_same_5s", words="BTC_JPY's moves of 5 s against FX_BTC_JPY's: correlation in the same 5 s", low=0.2,
        high=0.65),
    Row(name="spot_next_5s", words="in the next 5 s", low=0.15, high=0.55),
    Row(name="spot_before_5s", words="in the 5 s before", low=-0.1, high=0.2),
)  # fmt: skip

SPOT_LAGS: Final = {"spot_same_5s": 0, "spot_next_5s": 1, "spot_before_5s": -1}
"""How many steps later the spot market is looked at."""
SPOT_STEP_NS: Final = 5 * NS_PER_S


# --- recordings


def shared_folder() -> Path | None:
    """The folder of recordings; None where it is absent."""
    folder = Path(os.environ.get("STS_SHARED") or Path(__file__).resolve().parents[2] / "shared") / "data" / "bitflyer"
    return folder if folder.is_dir() else None


def recorded(folder: Path) -> dict[str, dict[str, Estimate]]:
    """The figures of each recording."""
    tapes = [tape_piece(tape_frames(path)) for path in sorted(folder.glob(_TAPES))]
    found = {
        "2025": facts(best_and_trades(folder, "FX_BTC_JPY")),
        "2025 spot": facts(best_and_trades(folder, "BTC_JPY")),
        "2021": facts(tapes),
    }
    found["2025"] |= spot_figures(pairs_of(*(best_and_trades(folder, code) for code in ("FX_BTC_JPY", "BTC_JPY"))))
    found["2021"] |= acceptances(accept_to_match(folder))
    return found


def pairs_of(first: Sequence[Piece], second: Sequence[Piece]) -> list[tuple[Piece, Piece]]:
    """Pieces of two markets that have a time in common."""
    return [
        (one, other)
        for one in first
        for other in second
        if min(one.recv[-1], other.recv[-1]) > max(one.recv[0], other.recv[0])
    ]


def spot_figures(pairs: Sequence[tuple[Piece, Piece]]) -> dict[str, Estimate]:
    """Whether the spot market moves with FX_BTC_JPY, after it or before it."""
    found = {name: echo(pairs, step_ns=SPOT_STEP_NS, lag=lag) for name, lag in SPOT_LAGS.items()}
    return {name: estimate for name, estimate in found.items() if estimate is not None}


def acceptances(seconds: Sequence[float]) -> dict[str, Estimate]:
    """What times from the second of an acceptance id to the match tell of those from acceptance to match.

    The id tells the second only: half of one is taken off the mean. More than 1.17 s are left by nobody who is matched
    within 0.17 s.
    """
    mean = mean_of([one - 0.5 for one in seconds], range(len(seconds)))
    late = share_of(sum(one > _LATE_S for one in seconds), len(seconds))
    if mean is None or late is None:
        raise ValueError("no acceptances")
    return {"accept_to_match_s": mean, "accept_late": late}


def accept_to_match(folder: Path) -> list[float]:
    """Time from the second of the acceptance id to the match, of each order that took in 2021."""
    with (folder / "accept_to_match_s.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["date"].startswith("2021")]
    return [float(row["exec_minus_id_second"]) for row in rows]


def best_and_trades(folder: Path, product: str) -> list[Piece]:
    """The best prices and prints of 2025-07-16, cut at holes."""
    best, prints = (
        [row for row in _rows(folder / f"{_2025}-{kind}.csv.zst") if row["product"] == product]
        for kind in ("best", "trades")
    )
    stamps = np.asarray([int(row["recv_ns"]) for row in best])
    ends = [*(np.flatnonzero(np.diff(stamps) > _HOLE_NS) + 1), len(best)]
    pieces = []
    for begin, end in zip([0, *ends], ends, strict=False):
        if end - begin < _FEWEST:
            continue
        first, last = stamps[begin], stamps[end - 1]
        inside = sorted(
            (row for row in prints if first <= int(row["recv_ns"]) <= last), key=lambda row: int(row["exec_ns"])
        )
        columns = [[float(row[name]) for row in best[begin:end]] for name in _BEST]
        pieces.append(
            piece(
                stamps[begin:end].tolist(),
                columns,
                [(int(row["recv_ns"]), int(row["exec_ns"]), row["side"]) for row in inside],
            )
        )
    return pieces


_BEST: Final = ("best_bid", "best_ask", "bid_size", "ask_size")


def piece(
    stamps: Sequence[int] | Any, best: Sequence[Sequence[float]], prints: Sequence[tuple[int, int, str]]
) -> Piece:
    """A piece from columns of the best prices and their sizes, and prints with their stamps and sides."""
    bid, ask, bid_size, ask_size = (np.asarray(column, np.float64) for column in best)
    return Piece(
        recv=np.asarray(stamps, np.int64),
        bid=bid,
        ask=ask,
        bid_size=bid_size,
        ask_size=ask_size,
        print_recv=np.asarray([recv for recv, _, _ in prints], np.int64),
        print_exec=np.asarray([stamp for _, stamp, _ in prints], np.int64),
        side=np.asarray([1 if side == "BUY" else -1 for _, _, side in prints], np.int64),
    )


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open("rb") as file:
        text = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8")
        yield from csv.DictReader(text)


def tape_frames(path: Path) -> Iterator[tuple[int, Any]]:
    """The messages of a tape that is not compressed, with their receive stamps."""
    for line in path.read_bytes().splitlines():
        found = orjson.loads(line)
        yield found["recv_ns"], found["msg"]


# --- frames


def tape_piece(frames: Iterable[tuple[int, Any]]) -> Piece:
    """A piece from the messages of one product."""
    sides: tuple[dict[float, float], dict[float, float]] = ({}, {})
    stamps: list[int] = []
    best: tuple[list[float], ...] = ([], [], [], [])
    prints: list[tuple[int, int, str]] = []
    is_known = False
    for recv_ns, message in frames:
        channel, content = message["params"]["channel"], message["params"]["message"]
        if channel.startswith("lightning_executions"):
            prints += [(recv_ns, _stamp_ns(row["exec_date"]), row["side"]) for row in content if row["side"]]
        elif channel.startswith("lightning_board"):
            if channel.startswith("lightning_board_snapshot"):
                sides, is_known = ({}, {}), True
            if not is_known:
                continue
            for side, name in zip(sides, ("bids", "asks"), strict=True):
                for row in content[name]:
                    if row["size"]:
                        side[row["price"]] = row["size"]
                    else:
                        side.pop(row["price"], None)
            bid, ask = max(sides[0]), min(sides[1])
            stamps.append(recv_ns)
            for column, value in zip(best, (bid, ask, sides[0][bid], sides[1][ask]), strict=True):
                column.append(value)
    inside = [one for one in prints if stamps and stamps[0] <= one[0] <= stamps[-1]]
    return piece(stamps, best, inside)


def _stamp_ns(text: str) -> int:
    """An ``exec_date``: ISO, UTC, up to nanoseconds."""
    whole, _, part = text.rstrip("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    return seconds * NS_PER_S + int(f"{part:<09.9}".replace(" ", "0"))


def generated(
    model: FlowModel, seeds: Sequence[int] = SEEDS, seconds: int = SECONDS, *, has_intervals: bool = True
) -> dict[str, Estimate]:
    """The figures of generated markets."""
    pairs = [_generated_pair(model, seed, seconds) for seed in seeds]
    found = facts([fx for fx, _ in pairs], has_intervals=has_intervals) | spot_figures(pairs)
    return found | acceptances(_drawn_acceptances())


def _drawn_acceptances() -> list[float]:
    """Drawn delays, each from somewhere within the second that its id tells."""
    rng, delays = Random(1), Delays()
    return [delays.registration_ns(rng) / NS_PER_S + rng.random() for _ in range(_DRAWS)]


def _generated_pair(model: FlowModel, seed: int, seconds: int) -> tuple[Piece, Piece]:
    """FX_BTC_JPY and the spot market that follows it."""
    first = Market(seed=seed, start_ns=START_NS, model=model)
    spot = replace(first.instrument, product_code="BTC_JPY")
    markets = Markets([first, Market(seed=seed, start_ns=START_NS, model=model, instrument=spot, leader=first)])
    heard: dict[str, list[tuple[int, Any]]] = {code: [] for code in markets.products}
    for frame in markets.advance(START_NS + seconds * NS_PER_S):
        message = orjson.loads(frame.text)
        channel = message["params"]["channel"]
        heard["FX_BTC_JPY" if channel.endswith("_FX_BTC_JPY") else "BTC_JPY"].append((frame.time_ns, message))
    one, other = (tape_piece(frames) for frames in heard.values())
    return one, other


# --- the table


def committed() -> dict[str, dict[str, Estimate]]:
    """The recorded figures that the project keeps."""
    held = json.loads(REAL.read_text(encoding="utf-8"))
    return {name: {key: Estimate(**value) for key, value in one.items()} for name, one in held["figures"].items()}


def outside(found: Mapping[str, Estimate]) -> list[str]:
    """The figures of a generated market that are not within their bands."""
    return [row.name for row in ROWS if row.name in found and not row.low <= found[row.name].value <= row.high]


def table(real: Mapping[str, Mapping[str, Estimate]], made: Mapping[str, Estimate]) -> str:
    """Recorded against generated, as Markdown."""
    lines = ["| figure | recorded | generated | band | |", "| --- | ---: | ---: | ---: | --- |"]
    for row in ROWS:
        one, other = real.get(row.source, {}).get(row.name), made.get(row.name)
        verdict = "outside" if other is not None and not row.low <= other.value <= row.high else ""
        band = f"{_number(row.low)} to {_number(row.high)}"
        lines.append(f"| {row.words} | {_text(one)} ({row.source}) | {_text(other)} | {band} | {verdict} |")
    return "\n".join(lines)


def _text(found: Estimate | None) -> str:
    if found is None:
        return "unknown"
    ends = "" if found.low is None or found.high is None else f" [{_number(found.low)}, {_number(found.high)}]"
    return f"{_number(found.value)}{ends}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


_ABOUT: Final = """# What the market is like: recorded and generated

Written by `make facts` (`python -m studies.facts --write`). Not to be edited: run it again.

Recorded: *2025* is FX_BTC_JPY of 2025-07-16, 2,671 s in three pieces, best prices and prints; *2021* are three whole
tapes of 2021-04-05, 2021-04-17 and 2021-12-12, 179 s. Generated: the embedded exchange, {seconds:,} s of each of the
seeds {seeds}. In brackets: 95 % intervals that leave out one minute after the other, and for acceptances those of
independent orders. The markout is that of orders that come when the best stood still for 250 ms, against a quote on
their way; the backtest of the project, which knows its own orders, had -697 [-777, -615] on this recording and 30
more minutes. The bands are what a test holds a generated market to; they were chosen around the recorded figures and
their intervals.

"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code: 1 if a figure is outside its band."""
    flags = argparse.ArgumentParser(prog="python -m studies.facts", description=(__doc__ or "").partition("\n")[0])
    flags.add_argument("--write", action="store_true", help=f"write {PAGE.name} and {REAL.name}")
    flags.add_argument("--market", choices=tuple(REGIMES), default="real", help="generated market (default: real)")
    args = flags.parse_args(argv)
    folder = shared_folder()
    if folder is None:
        sys.stderr.write(f"facts: no recordings here; the recorded figures are those of {REAL.name}\n")
    real = committed() if folder is None else recorded(folder)
    made = generated(REGIMES[args.market])
    text = table(real, made)
    sys.stdout.write(f"{text}\n")
    if args.write:
        PAGE.write_text(
            _ABOUT.format(seconds=SECONDS, seeds=", ".join(map(str, SEEDS))) + text + "\n", encoding="utf-8"
        )
        figures = {name: {key: asdict(value) for key, value in one.items()} for name, one in real.items()}
        REAL.write_text(json.dumps({"sources": _SOURCES, "figures": figures}, indent=1) + "\n", encoding="utf-8")
    return 1 if args.market == "real" and outside(made) else 0


_SOURCES: Final = {
    "2025": "FX_BTC_JPY, 2025-07-16 05:12 to 07:00 UTC in pieces: fintech-llc-jp/BitcoinMarketRecorder, commit a62852f",
    "2025 spot": "BTC_JPY, the same",
    "2021": "three tapes of FX_BTC_JPY, 2021-04-05, 2021-04-17 and 2021-12-12: sample data of bmoscon/cryptofeed",
}


if __name__ == "__main__":
    sys.exit(main())
