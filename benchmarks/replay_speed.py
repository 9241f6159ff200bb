"""Compiled replay against hftbacktest on the same tape, on one core, in one run: ``python -m benchmarks.replay_speed``.

*Compiled*: `research.replay.compiled` over prepared columns, without and with its log of every row. *hash*, *roi*:
hftbacktest with HashMapMarketDepth and ROIVectorMarketDepth over the same changes, trades and stamps, prepared too (an
array in memory), with a stall strategy written for it: quotes around the mid once the best stood still, TTL, cancel
when the best moves, close on a reverse move. Twice: asked at each feed event (``feed``), as ours is at each message,
and polled each 100 ms (``poll``), which decides late but runs faster. Ours does more: calendar, rate limits, kill
switch, funding, closings in steps. An event is a changed level on the wire (or a trade, for both alike left out of the
count).

*interpreted* is the trader of paper trading itself over the same columns, in CPython; two builds of one version can
differ by a fifth.

Rounds are taken in turns and the best of each counts, so that a busy machine hurts all alike. Ratios are the result.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from hftbacktest import (
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    GTC,
    LIMIT,
    LOCAL_EVENT,
    MARKET,
    SELL_EVENT,
    TRADE_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
    ROIVectorMarketDepthBacktest,
)
from hftbacktest.types import event_dtype
from loguru import logger
from numba import njit

from benchmarks import messages
from stall_then_strike.app.shell.prompt import leave_out_what_lasts
from stall_then_strike.app.trader.trader import PaperTrader
from stall_then_strike.app.trader.virtual import VirtualRun
from stall_then_strike.config.loader import load_app_config
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.research.replay.compiled import CompiledReplay
from stall_then_strike.research.tables.column_feed import ColumnFeed
from stall_then_strike.research.tables.columns import Columns
from stall_then_strike.research.tables.prepare import write_columns
from stall_then_strike.tapes.tape_reader import read_tape

MS = 1_000_000
SETS_RUN = 20


# --- hftbacktest


def events(columns: Columns) -> Any:
    """The columns as hftbacktest's events. What a snapshot changed is among the changes, the snapshot itself is not."""
    parts = []
    for chunk in columns.chunks():
        stamps = np.maximum.accumulate(chunk.recv)
        order = np.argsort(chunk.level_at, kind="stable")
        depth = np.zeros(len(order), event_dtype)
        is_bid = chunk.level_rank[order] < 0
        depth["ev"] = DEPTH_EVENT | EXCH_EVENT | LOCAL_EVENT | np.where(is_bid, BUY_EVENT, SELL_EVENT)
        depth["exch_ts"] = depth["local_ts"] = stamps[chunk.level_at[order]]
        depth["px"] = np.abs(chunk.level_rank[order])
        depth["qty"] = chunk.level_size[order] / 1e8
        trades = np.zeros(len(chunk.trade_at), event_dtype)
        trades["ev"] = TRADE_EVENT | EXCH_EVENT | LOCAL_EVENT | np.where(chunk.trade_taker > 0, BUY_EVENT, SELL_EVENT)
        trades["exch_ts"] = trades["local_ts"] = stamps[chunk.trade_at]
        trades["px"], trades["qty"] = chunk.trade_price, chunk.trade_size / 1e8
        both = np.concatenate((trades, depth))
        parts.append(both[np.argsort(both["local_ts"], kind="stable")])
    return np.concatenate(parts)


@njit
def stall(hbt: Any, per_feed: bool, gap_ns: int) -> int:  # noqa: C901 - one function, as their examples are
    """The stall strategy in hftbacktest's terms; returns its strikes."""
    bid = ask = since = struck = struck_bid = struck_ask = cost = 0
    number, strikes, wait = 1, 0, 100 * MS
    while True:
        if per_feed:
            if hbt.wait_next_feed(True, wait) == 1:
                return strikes
        elif hbt.elapse(100 * MS) != 0:
            return strikes
        now, depth = hbt.current_timestamp, hbt.depth(0)
        if depth.best_bid_tick != bid or depth.best_ask_tick != ask:
            bid, ask, since = depth.best_bid_tick, depth.best_ask_tick, now
        wait = 100 * MS
        if bid >= ask:
            continue
        position = hbt.position(0)
        hbt.clear_inactive_orders(0)
        live = len(hbt.orders(0))
        if live > 0:
            if now - struck >= 800 * MS or bid != struck_bid or ask != struck_ask:
                orders = hbt.orders(0).values()
                while orders.has_next():
                    order = orders.get()
                    if order.cancellable:
                        hbt.cancel(0, order.order_id, False)
            continue
        if abs(position) > 0.0005:
            moved = (bid + ask) / 2 - cost if position > 0 else cost - (bid + ask) / 2
            if moved <= -2:
                if position > 0:
                    hbt.submit_sell_order(0, number, bid, abs(position), GTC, MARKET, False)
                else:
                    hbt.submit_buy_order(0, number, ask, abs(position), GTC, MARKET, False)
                number += 1
                continue
        if now - since >= 250 * MS and now - struck >= gap_ns and now > 0:
            cost = (bid + ask) // 2
            hbt.submit_buy_order(0, number, cost - 1, 0.001, GTC, LIMIT, False)
            hbt.submit_sell_order(0, number + 1, cost + 1, 0.001, GTC, LIMIT, False)
            number += 2
            strikes += 1
            struck, struck_bid, struck_ask = now, bid, ask
        elif since + 250 * MS > now:
            wait = min(wait, since + 250 * MS - now)


def hft(data: Any, make: Callable[[list[Any]], Any], low: float, high: float, *, per_feed: bool, gap_ns: int) -> int:
    """One run of hftbacktest."""
    asset = (
        BacktestAsset()
        .data(data)
        .linear_asset(1.0)
        .constant_order_latency(100 * MS, 0)
        .power_prob_queue_model(2.0)
        .no_partial_fill_exchange()
        .trading_value_fee_model(0.0, 0.0)
        .tick_size(1.0)
        .lot_size(1e-8)
        .roi_lb(low)
        .roi_ub(high)
        .last_trades_capacity(0)
    )
    hbt = make([asset])
    strikes: int = stall(hbt, per_feed, gap_ns)
    hbt.close()
    return strikes


# --- measuring


def timed(work: Callable[[], object]) -> float:
    """Seconds that it took."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class NoLog:
    """Rows to nowhere."""

    def write(self, row: object) -> None:
        """Take one."""


def interpreted(columns: Columns, cfg: AppConfig) -> float:
    """Seconds of an interpreted replay of prepared columns: the trader of paper trading, with every row made."""
    leave_out_what_lasts()
    clock, feed = VirtualClock(0), ColumnFeed(columns)
    run = VirtualRun(PaperTrader(cfg, clock, feed, NoLog()), clock, feed, is_timed=False)
    return timed(lambda: asyncio.run(run.run(feed.messages())))


def from_text(tape: Path, cfg: AppConfig, limit: int) -> tuple[float, int]:
    """Seconds and levels of a replay that is told every message of the tape's first ones, parsing included."""
    lines = list(islice(read_tape(tape), limit))
    clock, feed = VirtualClock(0), MarketFeed(cfg)
    run = VirtualRun(PaperTrader(cfg, clock, feed, NoLog()), clock, feed)
    seconds = timed(lambda: asyncio.run(run.run(lines)))
    board = '"channel":"lightning_board_FX'
    return seconds, sum(line.text.count('"price"') for line in lines if board in line.text)


def compare(name: str, tape: Path, cfg: AppConfig, rounds: int) -> None:
    """All engines on one tape."""
    with tempfile.TemporaryDirectory(dir=tape.parent) as folder:
        manifest = write_columns([tape], cfg, Path(folder))  # compiles, too
        prepare = min(timed(lambda: write_columns([tape], cfg, Path(folder))) for _ in range(2))
        columns = Columns(Path(folder))
        data = events(columns)
        middle = float(np.median(data["px"]))
        low, high = middle * 0.9, middle * 1.1  # what it leaves out costs it nothing
        gap_ns = (manifest.last_ns - manifest.first_ns) // max(1, CompiledReplay(cfg, columns).run().tally["strikes"])
        strikes: dict[str, int] = {}

        def ours(*, logging: bool) -> Callable[[], object]:
            return lambda: CompiledReplay(cfg, columns, logging=logging).run(lambda *_: None)

        def theirs(label: str, make: Callable[[list[Any]], Any], *, per_feed: bool) -> Callable[[], object]:
            def work() -> None:
                strikes[label] = hft(data, make, low, high, per_feed=per_feed, gap_ns=gap_ns)

            return work

        engines = {
            "compiled": ours(logging=False),
            "compiled, all rows": ours(logging=True),
            "hash, poll": theirs("hash, poll", HashMapMarketDepthBacktest, per_feed=False),
            "hash, feed": theirs("hash, feed", HashMapMarketDepthBacktest, per_feed=True),
            "roi, poll": theirs("roi, poll", ROIVectorMarketDepthBacktest, per_feed=False),
            "roi, feed": theirs("roi, feed", ROIVectorMarketDepthBacktest, per_feed=True),
        }
        best = dict.fromkeys(engines, float("inf"))
        for turn in range(rounds + 1):
            for label, work in engines.items():
                seconds = timed(work)
                if turn:  # the first one compiles
                    best[label] = min(best[label], seconds)
        levels = manifest.level_changes
        print(f"\n{name}: {levels:,} level changes in {manifest.messages:,} messages, load {os.getloadavg()[0]:.1f}")
        for label, seconds in best.items():
            times = best["compiled"] / seconds
            struck = f", {strikes[label]:,} strikes" if label in strikes else ""
            print(f"  {label:<20}{levels / seconds / 1e6:8.2f} M level events/s   {times:5.2f} of compiled{struck}")
        roi = min(best["roi, poll"], best["roi, feed"])
        print(
            f"  compiled is {min(best['hash, poll'], best['hash, feed']) / best['compiled']:.1f} times hash, "
            f"{roi / best['compiled']:.1f} times roi (their faster ways)"
        )
        print(f"  preparation {prepare:.1f} s ({levels / prepare / 1e6:.2f} M level events/s)")
        many = prepare + SETS_RUN * best["compiled"]
        print(
            f"  {SETS_RUN} parameter sets take {many:.1f} s with it, roi without any of its own {SETS_RUN * roi:.1f} s"
        )
        seconds = min(interpreted(columns, cfg) for _ in range(rounds))
        print(f"  interpreted: {levels / seconds / 1e6:.2f} M level events/s after preparation", end="")
        print(f", {levels / (seconds + prepare) / 1e6:.2f} with it")
    seconds, some = from_text(tape, cfg, 60_000)
    print(f"  interpreted, told every message from its text: {some / seconds / 1e6:.3f} M level events/s")


_COLD = """
import sys, time
started = time.perf_counter()
from pathlib import Path
from stall_then_strike.config.loader import load_app_config
from stall_then_strike.research.tables.column_feed import ColumnFeed
from stall_then_strike.research.tables.columns import Columns
from stall_then_strike.research.replay.compiled import CompiledReplay
cfg = load_app_config(Path("configs/base.yml"), Path("configs/sim.yml"), [])
CompiledReplay(cfg, Columns(Path(sys.argv[1])), logging=False).run()
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(f"{time.perf_counter() - started:.2f} {int(peak) / 1024:.0f}")
"""


def cold(name: str, folder: Path, *, empty_cache: bool) -> None:
    """A fresh process, from its start to the end of a replay."""
    with tempfile.TemporaryDirectory() as cache:
        env = {**os.environ, **({"XDG_CACHE_HOME": cache} if empty_cache else {})}
        command = [sys.executable, "-c", _COLD, str(folder)]
        out = subprocess.run(command, env=env, capture_output=True, text=True, check=True)  # noqa: S603 - our own words
    seconds, peak = out.stdout.split()
    print(f"  {name:<46}{seconds:>7} s, peak memory {peak} MB")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay_speed", description=__doc__)
    parser.add_argument("--levels", type=int, default=10_000_000, help="level changes of the generated tape")
    parser.add_argument("--tape", type=Path, help="a tape that was generated before")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-compile", action="store_true", help="leave out the start with an empty cache")
    args = parser.parse_args(arguments)
    logger.remove()
    cfg = load_app_config(Path("configs/base.yml"), Path("configs/sim.yml"), [])
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(dir=args.tape.parent if args.tape else None) as folder:
        work = Path(folder)
        tape = args.tape or work / "generated.jsonl"
        if args.tape is None:
            seconds = timed(lambda: messages.generated(tape, levels=args.levels))
            print(f"generated {args.levels:,} level changes in {seconds:.0f} s")
        compare("generated tape", tape, cfg, args.rounds)
        if (recorded := messages.recorded_tape()) is not None:
            messages.looped(recorded, work / "looped.jsonl", 400)
            compare("recorded tape, looped", work / "looped.jsonl", cfg, args.rounds)
        small, large = work / "small", work / "large"
        head = work / "head.jsonl"
        with tape.open() as lines, head.open("w") as file:
            file.writelines(islice(lines, 100_000))
        print("\none replay in a process of its own")
        for path, source in ((small, head), (large, tape)):
            path.mkdir()
            write_columns([source], cfg, path)
        if not args.no_compile:
            cold("100,000 messages, nothing compiled yet", small, empty_cache=True)
        cold("100,000 messages, compiled before", small, empty_cache=False)
        cold(f"{Columns(large).manifest.messages:,} messages, compiled before", large, empty_cache=False)
        shutil.rmtree(large)
    print(f"\npeak memory of this benchmark {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


if __name__ == "__main__":
    main()
