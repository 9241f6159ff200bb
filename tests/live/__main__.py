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
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from tests.lighter import trader_chaos
from tests.live.chaos import CATALOGUES, ROOMS, SPEED, Scenario, dealt, run_all, workers
from tests.live.recovery import Outcome

USUAL = {"bitflyer": (SPEED, ROOMS), "lighter": (trader_chaos.SPEED, trader_chaos.ROOMS)}
"""Times real time, and runs at once in a process."""


def _defaults(number: int) -> str:
    return ", ".join(f"{usual[number]:g} on {venue}" for venue, usual in USUAL.items())


def main() -> int:
    """The long version, as a table; 1 if anything did not hold."""
    flags = argparse.ArgumentParser(prog="python -m tests.live", description="The live daemon under faults.")
    flags.add_argument("--seeds", type=int, default=1_000, help="mixtures of faults (default: %(default)s)")
    flags.add_argument("--first", type=int, default=0, help="seed of the first one (default: %(default)s)")
    flags.add_argument("--only", metavar="GLOB", default="*", help="faults alone: these (default: all)")
    flags.add_argument("--repeat", type=int, default=3, help="runs of each fault alone (default: %(default)s)")
    flags.add_argument("--venue", choices=sorted(CATALOGUES), default="bitflyer", help="default: %(default)s")
    flags.add_argument("--speed", type=float, help=f"times real time, at most (default: {_defaults(0)})")
    flags.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    flags.add_argument("--rooms", type=int, help=f"runs at once in each (default: {_defaults(1)})")
    flags.add_argument("--instruments", type=int, choices=(1, 2), default=1, help="on bitFlyer (default: 1)")
    flags.add_argument("--strategy", choices=("stall", "grid"), default="stall", help="default: %(default)s")
    flags.add_argument("--hour", action="store_true", help="funding is paid meanwhile: on Lighter")
    args = flags.parse_args()
    speed, rooms = (given or usual for given, usual in zip((args.speed, args.rooms), USUAL[args.venue], strict=True))
    if args.hour and args.venue != "lighter":
        flags.error("--hour: with --venue lighter")
    if args.strategy == "grid" and args.venue == "bitflyer" and args.instruments == 2:
        flags.error("--strategy grid: on bitFlyer with one instrument")
    recipes = CATALOGUES[args.venue]
    names = [name for name in recipes if fnmatchcase(name, args.only)]
    of_all: dict[str, Any] = {
        "venue": args.venue,
        "is_double": args.instruments == 2 or args.venue == "lighter",
        "strategy": args.strategy,
        "is_at_hour": args.hour,
    }
    alone = [Scenario(recipe=n, seed=7 + turn, **of_all) for n in names for turn in range(args.repeat)]
    scenarios = alone + [Scenario(seed=args.first + number, **of_all) for number in range(args.seeds)]
    folder, outcomes = Path(mkdtemp(prefix="chaos-")), list[Outcome]()
    started_s = time.monotonic()
    with workers(args.jobs) as pool:
        hands = dealt(scenarios, args.jobs)
        futures = [
            pool.submit(run_all, hand, folder / str(number), speed=speed, rooms=rooms)
            for number, hand in enumerate(hands)
        ]
        for future in as_completed(futures):
            outcomes += future.result()
            wrong = sum(not outcome.is_good for outcome in outcomes)
            sys.stderr.write(f"{len(outcomes)} of {len(scenarios)} runs, {wrong} wrong\n")
    groups = {name: [o for o in outcomes if o.scenario.recipe == name] for name in recipes}
    groups[f"mixtures {args.first} to {args.first + args.seeds - 1}"] = [o for o in outcomes if not o.scenario.recipe]
    Console(width=120).print(table(groups))
    bad = [outcome for outcome in outcomes if not outcome.is_good]
    for outcome in bad:
        sys.stdout.write(f"\n{outcome}\n")
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
    sys.stdout.write(
        f"{len(outcomes)} runs, {len(bad)} wrong; {time.monotonic() - started_s:.0f} s,"
        f" {cpu.ru_utime + cpu.ru_stime:.0f} s of CPU; speed {speed:g}, {args.jobs} x {rooms} at once\n"
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
