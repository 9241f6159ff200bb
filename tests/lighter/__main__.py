"""``make lighter``: orders under each of Lighter's faults and under many mixtures, and a table of what came of them."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from fnmatch import fnmatchcase

from loguru import logger
from rich import box
from rich.console import Console
from rich.table import Table

from stall_then_strike.sim.faults.catalogue import random_plan, single_plans
from stall_then_strike.sim.faults.kinds import FaultPlan
from stall_then_strike.sim.faults.lighter_catalogue import LIGHTER_RECIPES
from tests.lighter.fault_trial import SPEED, Outcome, duration_s, trial

NO_FAULT = "(none)"
LIMIT_S = 600.0


def plans(names: Sequence[str], seeds: range, lasts_s: float) -> dict[str, FaultPlan]:
    """No fault, each of these alone, and a mixture for each seed."""
    alone = single_plans(lasts_s, LIGHTER_RECIPES)
    found = {NO_FAULT: FaultPlan()} if NO_FAULT in names else {}
    found |= {name: alone[name] for name in names if name in alone}
    return found | {f"mixture {seed}": random_plan(seed, lasts_s, recipes=LIGHTER_RECIPES) for seed in seeds}


def run_one(name: str, plan: FaultPlan, orders: int, speed: float) -> Outcome:
    """One trial, in a process of its own pool."""
    logger.remove()

    async def limited() -> Outcome:
        async with asyncio.timeout(LIMIT_S):
            return await trial(name, plan, orders, speed)

    return asyncio.run(limited())


def main() -> int:
    """The table; 1 if anything did not hold."""
    flags = argparse.ArgumentParser(prog="python -m tests.lighter", description="Orders on Lighter under faults.")
    flags.add_argument("--orders", type=int, default=1_000, help="orders of each trial (default: %(default)s)")
    flags.add_argument("--seeds", type=int, default=50, help="mixtures of faults (default: %(default)s)")
    flags.add_argument("--first", type=int, default=0, help="seed of the first one (default: %(default)s)")
    flags.add_argument("--only", metavar="GLOB", default="*", help="faults alone: these (default: all)")
    flags.add_argument("--speed", type=float, default=SPEED, help="times real time (default: %(default)g)")
    flags.add_argument("--jobs", type=int, default=6, help="processes, which mostly wait (default: %(default)s)")
    args = flags.parse_args()
    names = [name for name in (NO_FAULT, *LIGHTER_RECIPES) if fnmatchcase(name, args.only)]
    seeds = range(args.first, args.first + args.seeds)
    wanted = plans(names, seeds, duration_s(args.orders, args.speed))
    outcomes: dict[str, Outcome] = {}
    failures: dict[str, str] = {}
    started_s = time.monotonic()
    with ProcessPoolExecutor(args.jobs) as pool:
        futures = {pool.submit(run_one, name, plan, args.orders, args.speed): name for name, plan in wanted.items()}
        for future in as_completed(futures):
            name = futures[future]
            error = future.exception()
            if error is None:
                outcomes[name] = future.result()
            else:
                failures[name] = f"{type(error).__name__}: {error}"
            wrong = sum(not outcome.is_good for outcome in outcomes.values()) + len(failures)
            sys.stderr.write(f"{len(outcomes) + len(failures)} of {len(wanted)} trials, {wrong} wrong: {name}\n")
    Console(width=120).print(table({name: outcomes[name] for name in wanted if name in outcomes}))
    bad = [name for name, outcome in outcomes.items() if not outcome.is_good]
    for name, failure in failures.items():
        sys.stdout.write(f"{name}: {failure}\n")
    orders = sum(outcome.orders for outcome in outcomes.values())
    sys.stdout.write(
        f"{len(wanted)} trials with {orders:,} orders, {len(bad)} wrong, {len(failures)} unfinished;"
        f" {time.monotonic() - started_s:.0f} s\n"
    )
    return 1 if bad or failures else 0


def table(outcomes: Mapping[str, Outcome]) -> Table:
    """A row for each trial."""
    drawn = Table(
        box=box.SIMPLE_HEAD, title="Orders on Lighter under faults", title_justify="left", padding=(0, 1, 0, 0)
    )
    drawn.add_column("fault", min_width=24)
    heads = (
        "orders",
        "strikes",
        "refused",
        "in doubt",
        "re-\nplaced",
        "lost",
        "doubled",
        "left",
        "false\nreports",
        "s",
    )
    for head in heads:
        drawn.add_column(head, justify="right", vertical="bottom")
    for name, one in outcomes.items():
        counts = (one.orders, one.strikes, one.refused, one.in_doubt, one.replaced)
        bad = (one.lost, one.doubled, one.left, one.false_reports)
        cells = [*(f"{count:,}" for count in counts), *(str(count) for count in bad), f"{one.seconds:.0f}"]
        drawn.add_row(name, *cells, style="" if one.is_good else "red")
    return drawn


if __name__ == "__main__":
    sys.exit(main())
