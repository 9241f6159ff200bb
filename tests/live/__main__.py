"""``make chaos``: the daemon under every fault alone and under many mixtures, and a table of what came of it."""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import median
from tempfile import mkdtemp

from rich import box
from rich.console import Console
from rich.table import Table

from stall_then_strike.sim.faults.catalogue import RECIPES
from tests.live.chaos import ROOMS, SPEED, Outcome, Scenario, dealt, run_all, workers


def main() -> int:
    """The long version, as a table; 1 if anything did not hold."""
    flags = argparse.ArgumentParser(prog="python -m tests.live", description="The live daemon under faults.")
    flags.add_argument("--seeds", type=int, default=1_000, help="mixtures of faults (default: %(default)s)")
    flags.add_argument("--first", type=int, default=0, help="seed of the first one (default: %(default)s)")
    flags.add_argument("--only", metavar="GLOB", default="*", help="faults alone: these (default: all)")
    flags.add_argument("--repeat", type=int, default=3, help="runs of each fault alone (default: %(default)s)")
    flags.add_argument("--speed", type=float, default=SPEED, help="times real time, at most (default: %(default)g)")
    flags.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    flags.add_argument("--rooms", type=int, default=ROOMS, help="runs at once in each (default: %(default)s)")
    flags.add_argument("--instruments", type=int, choices=(1, 2), default=1, help="traded at once (default: 1)")
    args = flags.parse_args()
    names = [name for name in RECIPES if fnmatchcase(name, args.only)]
    both = args.instruments == 2
    alone = [Scenario(recipe=n, seed=7 + turn, is_double=both) for n in names for turn in range(args.repeat)]
    scenarios = alone + [Scenario(seed=args.first + number, is_double=both) for number in range(args.seeds)]
    folder, outcomes = Path(mkdtemp(prefix="chaos-")), list[Outcome]()
    started_s = time.monotonic()
    with workers(args.jobs) as pool:
        hands = dealt(scenarios, args.jobs)
        futures = [
            pool.submit(run_all, hand, folder / str(number), speed=args.speed, rooms=args.rooms)
            for number, hand in enumerate(hands)
        ]
        for future in as_completed(futures):
            outcomes += future.result()
            wrong = sum(not outcome.is_good for outcome in outcomes)
            sys.stderr.write(f"{len(outcomes)} of {len(scenarios)} runs, {wrong} wrong\n")
    groups = {name: [o for o in outcomes if o.scenario.recipe == name] for name in RECIPES}
    groups[f"mixtures {args.first} to {args.first + args.seeds - 1}"] = [o for o in outcomes if not o.scenario.recipe]
    Console(width=120).print(table(groups))
    bad = [outcome for outcome in outcomes if not outcome.is_good]
    for outcome in bad:
        sys.stdout.write(f"\n{outcome}\n")
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
    sys.stdout.write(
        f"{len(outcomes)} runs, {len(bad)} wrong; {time.monotonic() - started_s:.0f} s,"
        f" {cpu.ru_utime + cpu.ru_stime:.0f} s of CPU; speed {args.speed:g}, {args.jobs} x {args.rooms} at once\n"
    )
    return 1 if bad else 0


def table(groups: Mapping[str, Sequence[Outcome]]) -> Table:
    """A row for each group of runs."""
    drawn = Table(
        box=box.SIMPLE_HEAD,
        title="The daemon under faults, in venue seconds",
        title_justify="left",
        padding=(0, 1, 0, 0),
    )
    drawn.add_column("fault", min_width=23, vertical="top")
    heads = (
        "runs",
        "faults\nstruck",
        "strikes",
        "fills",
        "re-\nstarts",
        "recovery\nmedian",
        "\nworst",
        "oldest\norder",
    )
    for head in heads:
        drawn.add_column(head, justify="right")
    drawn.add_column("result", min_width=7)
    drawn.add_column("halts", min_width=22)
    for name, group in groups.items():
        if not group:
            continue
        recoveries = [o.recovery_s for o in group if o.recovery_s is not None]
        halts = Counter(o.halted for o in group if o.halted)
        wrong = sum(not o.is_good for o in group)
        drawn.add_row(
            name,
            str(len(group)),
            str(sum(o.struck for o in group)),
            str(sum(o.strikes for o in group)),
            str(sum(o.fills for o in group)),
            str(sum(o.starts - 1 for o in group)),
            f"{median(recoveries):.1f}" if recoveries else "-",
            f"{max(recoveries):.1f}" if recoveries else "-",
            f"{max(o.longest_s for o in group):.1f}",
            f"{wrong} WRONG" if wrong else "held",
            "\n".join(f"{reason} {count}" for reason, count in halts.items()),
        )
    return drawn


if __name__ == "__main__":
    sys.exit(main())
