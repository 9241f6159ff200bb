"""What each kind of message costs an interpreted replay, for each strategy: ``python -m benchmarks.replay_kinds``.

A message's time goes from its being handed out to the request for the next one: the deadlines before it, the paper
venue, the core, what is sent and its answers. The median of each kind hardly depends on what else the machine does, so
versions can be compared on a busy one; the sum of the medians stands for the run. The same run is made without stamps,
for the processor time of all of it. The last column is the ratio to the first table's board from which nothing follows.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, Final

from loguru import logger

from stall_then_strike.app.shell.prompt import leave_out_what_lasts
from stall_then_strike.app.trader.trader import PaperTrader
from stall_then_strike.app.trader.virtual import VirtualRun
from stall_then_strike.config.loader import app_config, load_app_config, read_layers
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import VirtualClock, perf_ns
from stall_then_strike.research.tables.column_feed import ColumnFeed
from stall_then_strike.research.tables.columns import Columns
from stall_then_strike.research.tables.prepare import write_columns
from stall_then_strike.sim.exchange.source import iter_frames
from stall_then_strike.sim.market import Market
from stall_then_strike.tapes.tape_reader import read_tape
from stall_then_strike.types.instrument import fx_btc_jpy
from stall_then_strike.venues.choice import venue_of
from stall_then_strike.venues.lighter_units import with_units

BASE: Final = Path("configs/base.yml")
QUOTES: Final = ("strategy.stall_T_ms=250", "strategy.ttl_ms=3000", "strategy.quote_mode=inside")
START_NS: Final = 1_767_571_200 * 10**9
QUIET: Final = "board, nothing follows"
WOKEN: Final = "board after a deadline, nothing follows"


class CountingLog:
    """Counts rows and drops them."""

    rows = 0

    def write(self, row: object) -> None:
        """Take one."""
        self.rows += 1


class Kinds:
    """The times of one replay's messages, by kind."""

    def __init__(self, trader: PaperTrader, log: CountingLog) -> None:
        """Nothing is measured yet."""
        self._tally, self._trader, self._log = trader.core.record.tally, trader, log
        self.times: defaultdict[str, list[int]] = defaultdict(list)
        self._steps = 0

    def _count(self) -> None:
        self._steps += 1

    def measured(self, messages: Iterable[Any]) -> Iterator[Any]:
        """The messages, each timed until the next is asked for."""
        tally, log = self._tally, self._log
        self._trader.on_input = lambda *_: self._count()
        for message in messages:
            before = (tally.strikes, tally.fills, log.rows, tally.boards)
            self._steps = 0
            started_ns = perf_ns()
            yield message
            taken_ns = perf_ns() - started_ns
            strikes, fills, rows, boards = (tally.strikes, tally.fills, log.rows, tally.boards)
            is_board = boards > before[3]
            if fills > before[1]:
                kind = "fill"
            elif strikes > before[0]:
                kind = "strike: two orders sent and accepted"
            elif rows > before[2]:
                kind = "other rows: orders arrive, end; reasons change"
            elif not is_board:
                kind = "print or ticker, nothing follows"
            else:
                kind = QUIET if self._steps == 1 else WOKEN
            self.times[kind].append(taken_ns)


def generated(path: Path, messages: int) -> None:
    """A tape of the embedded market."""
    market = Market(seed=7, start_ns=START_NS, instrument=fx_btc_jpy())
    with path.open("w") as file:
        for frame in islice(iter_frames(market), messages):
            file.write(f'{{"recv_ns":{frame.time_ns},"msg":{frame.text}}}\n')


def of_lighter(messages: int) -> tuple[AppConfig, list[tuple[int, str]], int]:
    """A market of the embedded Lighter: its configuration, frames, and the level changes in them."""
    sets = ("exchange.name=lighter", "exchange.plan=premium", "exchange.product_code=ETH-USDC", *QUOTES)
    cfg = app_config(with_units(read_layers(BASE, None, sets)))
    frames = list(islice(venue_of(cfg).simulated(cfg, START_NS), messages))
    return cfg, frames, sum(text.count('"price"') for _, text in frames if '"update/order_book"' in text)


def replay(cfg: AppConfig, feed: Any, messages: Iterable[Any], *, is_stamped: bool) -> tuple[Kinds, float]:
    """Trade all messages; return their times, if stamped, and the processor's seconds."""
    log, clock = CountingLog(), VirtualClock(0)
    trader = PaperTrader(cfg, clock, feed, log)
    run: VirtualRun[Any] = VirtualRun(trader, clock, feed, is_timed=not isinstance(feed, ColumnFeed))
    leave_out_what_lasts()
    kinds = Kinds(trader, log)
    started = time.process_time()
    asyncio.run(run.run(kinds.measured(messages) if is_stamped else messages))
    return kinds, time.process_time() - started


def show(name: str, kinds: Kinds, levels: int, seconds: float, unit_ns: float) -> None:
    """Print one table. ``unit_ns`` is the time that the ratios are to."""
    sums = {kind: median(times) * len(times) for kind, times in kinds.times.items()}
    whole, count = sum(sums.values()), sum(map(len, kinds.times.values()))
    print(f"\n{name}: {levels / whole * 1e3:.3f} M level changes/s by medians, {levels / seconds / 1e6:.3f} by time")
    print(f"{'':<50}{'messages':>10}{'median us':>11}{'share':>8}{'ratio':>8}")
    for kind, total in sorted(sums.items(), key=lambda item: -item[1]):
        middle_ns, number = median(kinds.times[kind]), len(kinds.times[kind])
        print(f"{kind:<50}{number:>10,}{middle_ns / 1e3:>11.1f}{total / whole:>8.0%}{middle_ns / unit_ns:>8.1f}")
    print(f"{'all':<50}{count:>10,}{whole / count / 1e3:>11.1f}{'':>8}{whole / count / unit_ns:>8.1f}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table for each strategy and source of messages."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay_kinds", description=__doc__)
    parser.add_argument("--messages", type=int, default=60_000, help="of the generated tape; a third of Lighter's")
    args = parser.parse_args(arguments)
    logger.remove()
    stall, grid = (load_app_config(BASE, Path("configs") / name, []) for name in ("sim.yml", "grid.yml"))
    unit_ns = 0.0
    with tempfile.TemporaryDirectory() as folder:
        tape, columns = Path(folder) / "tape.jsonl", Path(folder) / "columns"
        generated(tape, args.messages)
        columns.mkdir()
        levels = write_columns([tape], stall, columns).level_changes
        text = list(read_tape(tape))
        lighter, frames, changed = of_lighter(args.messages // 3)
        print(f"load {os.getloadavg()[0]:.1f}")
        for name, cfg, is_prepared in (
            ("stall, prepared columns", stall, True),
            ("stall, text", stall, False),
            ("grid, prepared columns", grid, True),
            ("grid, text", grid, False),
            ("stall, Lighter's text", lighter, False),
        ):
            is_lighter = cfg is lighter
            runs = []
            for is_stamped in (True, False):
                feed: Any = ColumnFeed(Columns(columns)) if is_prepared else venue_of(cfg).recorded(cfg)[0]
                messages = feed.messages() if is_prepared else frames if is_lighter else text
                runs.append(replay(cfg, feed, messages, is_stamped=is_stamped))
            (kinds, _), (_, seconds) = runs
            unit_ns = unit_ns or median(kinds.times[QUIET])
            show(name, kinds, changed if is_lighter else levels, seconds, unit_ns)


if __name__ == "__main__":
    main()
