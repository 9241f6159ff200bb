"""A sweep beside hftbacktest, in one run: ``python -m benchmarks.sweep_speed``, after ``scripts/setup crosscheck``.

*sweep* is the command itself: it prepares the tape, starts its processes, replays each set, writes its results.
*hftbacktest* runs the same strategy, written against its interface (`studies.crosscheck.their_strategy`), with
ROIVectorMarketDepth in two processes, on the same market, which was prepared for it outside of the time. Both have the
terms of the cross-check: latency, queue model, no fees. *polled* is a simpler strategy that looks each 100 ms and so
decides late: hftbacktest's fastest way. It runs ``--theirs`` sets, spread over the grid; the time of a set counts.

What must be equal: with quotes that nothing fills, and orders that arrive at once, both engines must strike at the same
moments, and just as often over the whole tape. Where orders are filled, rules of hftbacktest differ
(docs/crosscheck.md).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hftbacktest import ROIVectorMarketDepthBacktest

from benchmarks import messages, replay_speed
from benchmarks.sweep_work import STALLS, Work, grids, measure
from stall_then_strike.config.loader import effective_tree
from stall_then_strike.config.models import AppConfig
from stall_then_strike.research.replay.compiled import CompiledReplay
from stall_then_strike.research.replay.kernel_state import DID_STRIKE, LOG_DECISION, MOST_CALLS
from stall_then_strike.research.tables.columns import BOARD_STATES, KIND_BOARD, KIND_STATE, Columns
from stall_then_strike.research.tables.prepare import write_columns
from stall_then_strike.types.dto import NS_PER_MS, BoardState
from studies.crosscheck import their_engine, their_events, their_strategy
from studies.crosscheck.same_terms import latency_ns, settings
from studies.crosscheck.their_rules import ANSWER_NS, Law, Theirs

PROCESSES = 2
LAW = Theirs(law=Law.POWER)
_AT_ONCE = {"kind": "constant", "median_ms": Decimal("0.000003"), "spread_ms": 0}
_OUT_OF_REACH = 1_000_000


@dataclass(frozen=True, slots=True)
class TheirSets:
    """Some sets in hftbacktest, in two processes."""

    sets: int
    wall_s: float
    """Until both processes had done theirs."""
    processor_s: float
    strikes: dict[int, int]
    """By set."""

    def scaled(self, seconds: float, sets: int) -> float:
        """What so many sets take, if these took so long."""
        return seconds * sets / self.sets


def terms(*, far: bool = False, **strategy: Any) -> AppConfig:
    """The cross-check's terms; ``far``: quotes that nothing fills, and orders that arrive at once."""
    offset = {"quote_offset_ticks": _OUT_OF_REACH} if far else {}
    cfg = settings(Law.POWER, **strategy, **offset)
    names = ("address_per_5min", "private_per_5min", "orders_per_5min", "small_orders_per_min")
    limits = cfg.exchange.limits.model_copy(update=dict.fromkeys(names, MOST_CALLS))
    tree = effective_tree(cfg.model_copy(update={"exchange": cfg.exchange.model_copy(update={"limits": limits})}))
    if far:
        tree["paper"] |= {"order_latency": _AT_ONCE, "cancel_latency": _AT_ONCE}
    return AppConfig.model_validate(tree)


def written(cfg: AppConfig, path: Path) -> tuple[str, str]:
    """The arguments of a command that shall have these settings."""
    text = json.dumps(effective_tree(cfg), default=lambda exact: f"#{exact:f}#")
    path.write_text(text.replace('"#', "").replace('#"', ""))
    return "--config", str(path)


def prepare(tape: Path, folder: Path) -> Path:
    """The market as hftbacktest wants it: events, and beside them what they cannot carry."""
    write_columns([tape], terms(), folder)
    columns = Columns(folder)
    boards, running_ns = [], 1 << 62
    for chunk in columns.chunks():
        is_board = chunk.kind == KIND_BOARD
        boards.append(np.stack((chunk.recv[is_board], chunk.status[is_board].astype(np.int64)), axis=1))
        runs = (chunk.kind == KIND_STATE) & (chunk.status == BOARD_STATES.index(BoardState.RUNNING))
        running_ns = min(running_ns, *chunk.recv[runs][:1].tolist(), 1 << 62)
    np.save(folder / "events.npy", their_events.with_an_end(replay_speed.events(columns)))
    np.save(folder / "boards.npy", np.concatenate(boards))
    (folder / "stamps.json").write_text(json.dumps([running_ns, columns.manifest.last_ns]))
    return folder


def loaded(folder: Path) -> tuple[Any, Any, list[int]]:
    """What `prepare` wrote: events, boards, and since when the venue runs and when the tape ends."""
    stamps = json.loads((folder / "stamps.json").read_text())
    return np.load(folder / "events.npy"), np.load(folder / "boards.npy"), stamps


def _backtest(data: Any, cfg: AppConfig) -> Any:
    middle = float(np.median(data["px"][:-1]))
    entry_ns = latency_ns(cfg)
    answer_ns = 0 if entry_ns < NS_PER_MS else ANSWER_NS  # where all must be equal, no answer is late
    asset = their_engine.asset_of(data, LAW, entry_ns, answer_ns).roi_lb(middle * 0.9).roi_ub(middle * 1.1)
    return ROIVectorMarketDepthBacktest([asset])


def _timed(folder: Path, todo: Sequence[tuple[int, AppConfig]], *, polled: bool) -> tuple[float, float, dict[int, int]]:
    """In a process of its own, after a run that compiles: seconds, processor seconds, and strikes by set."""
    data, boards, (running_ns, last_ns) = loaded(folder)
    middle = float(np.median(data["px"]))

    def run(cfg: AppConfig, until_ns: int) -> int:
        if polled:
            make = ROIVectorMarketDepthBacktest
            gap_ns = 500 * replay_speed.MS
            return replay_speed.hft(data, make, middle * 0.9, middle * 1.1, per_feed=False, gap_ns=gap_ns)
        traded = their_strategy.trade(_backtest(data, cfg), boards, running_ns, cfg, until_ns)
        if traded.code:
            raise SystemExit(f"hftbacktest: error {traded.code}")
        return len(traded.struck_ns)

    run(todo[0][1], int(boards[min(len(boards) - 1, 1_000), 0]))
    wall, used, strikes = time.perf_counter(), time.process_time(), {n: run(cfg, last_ns) for n, cfg in todo}
    return time.perf_counter() - wall, time.process_time() - used, strikes


def theirs(folder: Path, sets: Sequence[tuple[int, AppConfig]], *, polled: bool = False) -> TheirSets:
    """These numbered sets in two processes."""
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        parts = [pool.submit(_timed, folder, sets[n::PROCESSES], polled=polled) for n in range(PROCESSES)]
        found = [part.result() for part in parts]
    strikes = {number: count for _, _, counts in found for number, count in counts.items()}
    return TheirSets(len(sets), max(wall for wall, *_ in found), sum(used for _, used, _ in found), strikes)


def some(sets: int, count: int) -> list[tuple[int, AppConfig]]:
    """So many sets of the grid of ``sets``, spread over it, with their numbers."""
    chosen = [n * sets // count for n in range(count)]
    ttls = sets // STALLS
    return [(n, terms(stall_T_ms=200 + 50 * (n // ttls), ttl_ms=300 + 50 * (n % ttls))) for n in chosen]


def strikes_of_both(prepared: Path) -> tuple[list[int], list[int]]:
    """The moments of all strikes in both engines, where they must be equal."""
    cfg = terms(far=True, stall_T_ms=250, ttl_ms=800)
    log = CompiledReplay(cfg, Columns(prepared)).run().log
    struck = (log["kind"] == LOG_DECISION) & (log["decision"]["did"] == DID_STRIKE)
    data, boards, (running_ns, last_ns) = loaded(prepared)
    other = their_strategy.trade(_backtest(data, cfg), boards, running_ns, cfg, last_ns)
    return log["ts_ns"][struck].tolist(), other.struck_ns


def told(ours: Work, other: TheirSets, sets: int, name: str) -> str:
    """Ratios of wall and of processor time."""
    wall, used = other.scaled(other.wall_s, sets), other.scaled(other.processor_s, sets)
    return (
        f"  {name:<28}{wall:9.1f} s wall {used:9.1f} s cpu, {other.processor_s / other.sets:6.2f} s cpu a set "
        f"({other.sets} sets run): {wall / ours.wall_s:.1f} times the wall, {used / ours.processor_s:.1f} times the cpu"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print everything; end with 1 if the engines differ where they must not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep_speed", description=__doc__)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--theirs", type=int, default=6, help="sets that hftbacktest really runs (default: 6)")
    args = parser.parse_args(arguments)
    sets = -(-args.sets // STALLS) * STALLS
    with TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("warm", "columns"):
            (folder / part).mkdir()
        messages.generated(tape := folder / "generated.jsonl", hours=args.hours)
        print(f"{args.hours:g} hours of generated market, {sets} sets, {os.cpu_count()} cores, {PROCESSES} processes")
        config = written(terms(), folder / "terms.yml")
        measure(tape, folder / "warm", grids(STALLS), 1, *config)  # compiles
        prepared = prepare(tape, folder / "columns")
        ours = measure(tape, folder, grids(sets), PROCESSES, *config)
        print(
            f"  {'sweep, all of it':<28}{ours.wall_s:9.1f} s wall {ours.processor_s:9.1f} s cpu, "
            f"{ours.processor_s / sets:6.2f} s cpu a set ({ours.runs_s:.1f} s of it runs)"
        )
        same, polled = theirs(prepared, some(sets, args.theirs)), theirs(prepared, some(sets, args.theirs), polled=True)
        print(told(ours, same, sets, "hftbacktest, same strategy"))
        print(told(ours, polled, sets, "hftbacktest, polled"))
        pairs = ", ".join(f"{ours.strikes[n]:,} / {count:,}" for n, count in sorted(same.strikes.items()))
        print(f"  strikes, ours / theirs, where fills differ by their rules: {pairs}")
        one, other = strikes_of_both(prepared)
    print(
        f"  strikes where both must be equal: {len(one):,} and {len(other):,}, {len(set(one) & set(other)):,} the same"
    )
    if one != other:
        sys.exit("the engines differ where they must not")


if __name__ == "__main__":
    main()
