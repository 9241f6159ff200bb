"""Runs of the daemon under fault plans, and what must hold of each. `make chaos` runs many (`__main__.py`)."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from loguru import logger

from stall_then_strike.app.shell import cli
from stall_then_strike.infra.bitflyer.credentials import sign_for
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.sim.exchange.request_log import Audit
from stall_then_strike.sim.faults.catalogue import RECIPES, Recipes, random_plan, single_plans
from stall_then_strike.sim.faults.kinds import FaultKind, FaultPlan
from stall_then_strike.sim.faults.lighter_catalogue import LIGHTER_RECIPES
from stall_then_strike.types.dto import NS_PER_S
from tests.lighter import trader_chaos
from tests.live.pace import scaled_constants, steady_clock
from tests.live.recovery import PLAN_S, Outcome, trade_through
from tests.live.rig import SHORT, TWO, live_room
from tests.live.witness import Witness, to_all

RECOVERY_S = 300.0
"""By then, after the last fault, it has to trade again."""
LAST_S = 5.0
"""How long it goes on trading after it has recovered."""
FINDING_OUT_S = 140.0
"""The same where executions were made up: so long it may take to find them out."""
LIFE_S = 61.0
"""Longest life of an order: its minute counts from a whole second, and the clock ticks."""
HANGING_S = {"bitflyer": 120.0, "lighter": 400.0}
"""Real seconds after which a run counts as one that does not end."""
SPEED = 15.0
ROOMS = 6
"""Runs at once in one process: most of a run is waiting."""
HAND = 40
"""Scenarios that a worker takes at once."""
KEEP = "KEEP_CHAOS"
"""Environment variable: keep the folders of good runs, too."""
SECTIONS = {"strategy": {"max_inventory_btc": Decimal("0.004")}, "account": {"reconcile_sec": Decimal(10)}}
"""Four quotes: a limit that is reached. The account is looked at within each fault's window."""
GRID: Mapping[str, Mapping[str, Any]] = {
    **SECTIONS,
    "strategy": {"name": "grid", "max_inventory_btc": Decimal("0.02")},
    "parameters": {
        "lower": Decimal(13_560_000),
        "upper": Decimal(13_640_000),
        "zones": 400,
        "size": Decimal("0.001"),
        "resting": 5,
        "rebuild_sec": 60,
    },
}
"""Ten orders and more rest at once, and a fill comes every few seconds."""
CATALOGUES: Mapping[str, Recipes] = {"bitflyer": RECIPES, "lighter": LIGHTER_RECIPES}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A plan by its name: a recipe's, or the seed of a mixture."""

    recipe: str = ""
    seed: int = 7
    is_double: bool = False
    """Whether two instruments are traded."""
    venue: str = "bitflyer"
    strategy: str = "stall"
    """Or grid."""
    is_at_hour: bool = False
    """On Lighter: whether funding is paid while the faults last."""

    @property
    def name(self) -> str:
        grid = " of a grid" * (self.strategy == "grid")
        return (self.recipe or f"seed {self.seed}") + " with two instruments" * self.is_double + grid

    def plan(self) -> FaultPlan:
        recipes = CATALOGUES[self.venue]
        if self.recipe:
            plan = single_plans(PLAN_S, recipes)[self.recipe]
            return trader_chaos.alone(plan) if self.venue == "lighter" else plan
        return random_plan(self.seed, PLAN_S, recipes=recipes)


async def run_under(scenario: Scenario, folder: Path, clock: ScaledClock) -> Outcome:
    """Trade under the plan, and judge. Raises nothing."""
    plan = scenario.plan()
    outcome = Outcome(scenario, str(folder), faults=tuple(fault.label for fault in plan.faults))
    try:
        async with asyncio.timeout(HANGING_S[scenario.venue]):
            if scenario.venue == "lighter":
                await trader_chaos.run_under(scenario, folder, outcome, clock.speed)
            else:
                await _trade(scenario, plan, folder, clock, outcome)
    except TimeoutError:
        outcome.wrong = f"not over after {HANGING_S[scenario.venue]:g} real seconds"
    except AssertionError as error:
        outcome.wrong = str(error)
    except Exception:  # noqa: BLE001 - whatever it is, it is this scenario's result
        outcome.wrong = traceback.format_exc()
    return outcome


async def _trade(scenario: Scenario, plan: FaultPlan, folder: Path, clock: ScaledClock, outcome: Outcome) -> None:
    witnesses = [Witness(number) for number in range(1 + scenario.is_double)]
    audit = Audit(sink=to_all([witness.on_received for witness in witnesses]))
    quiet_ns = clock.now_ns() + round((plan.quiet_from_s or 0.0) * NS_PER_S)
    market: dict[str, Any] = {"seed": scenario.seed, "instruments": TWO if scenario.is_double else ()}
    sections = GRID if scenario.strategy == "grid" else SECTIONS
    hasty = {"pybotters": SHORT, **sections}
    async with live_room(folder, clock=clock, sections=hasty, faults=plan, audit=audit, **market) as room:
        for witness in witnesses:
            witness.enter(room)
        room.attend = to_all([witness.attend for witness in witnesses])
        phantoms = sum(fault.kind is FaultKind.PHANTOM_EXECUTION for fault in plan.faults)
        last_s = FINDING_OUT_S if phantoms else LAST_S
        await trade_through(room, witnesses, outcome, quiet_ns, limit_s=RECOVERY_S, last_s=last_s)
        venues = list(room.venue.products.values())
        await room.wait(lambda: not any(venue.accounts["main"].live for venue in venues), LIFE_S)
        outcome.fills = sum(len(venue.ledger().fills) for venue in venues)
        outcome.longest_s = max(venue.desk.counters.longest_life_ns for venue in venues) / NS_PER_S
        room.check(is_truth_known=not (phantoms and outcome.halted))
        unit = room.cfg.exchange.instrument()
        late_ns = round(float(SHORT["timeout_sec"]) * room.speed * NS_PER_S)
        for witness in witnesses:
            witness.check(late_ns=late_ns, slack=phantoms * int(unit.to_lots(room.cfg.strategy.size_min)))
        assert outcome.longest_s <= LIFE_S, f"an order lived for {outcome.longest_s:.1f} s"
        assert not room.exchange.http_refused, "calls over a limit"
        outcome.judge(plan)


# --- many of them -----------------------------------------------------------------------------------------------------


def run_all(scenarios: Sequence[Scenario], folder: Path, *, speed: float, rooms: int) -> list[Outcome]:
    """Run scenarios in this process, so many at once; for an executor's worker. Folders of those that held are gone."""
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", message="The 'auth' parameter is deprecated", category=DeprecationWarning)
    logger.remove()
    logger.add(_write_line, level="DEBUG", format="{time:HH:mm:ss.SSS} {level:8} {message}")
    with sign_for("127.0.0.1"), scaled_constants(speed), asyncio.Runner(loop_factory=cli.loop_factory()) as runner:
        return runner.run(_run_all(scenarios, folder, speed, rooms))


async def _run_all(scenarios: Iterable[Scenario], folder: Path, speed: float, rooms: int) -> list[Outcome]:
    slots = asyncio.Semaphore(rooms)
    unheard: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(repr(context)))
    sys.unraisablehook = lambda told: unheard.append(f"{told.exc_value!r} in {told.object!r}")

    async def run(scenario: Scenario) -> Outcome:
        async with slots:
            kind = "-double" * scenario.is_double + "-grid" * (scenario.strategy == "grid")
            place = folder / f"{scenario.recipe or 'mixture'}-{scenario.seed}{kind}"
            place.mkdir(parents=True)
            with logger.contextualize(place=str(place)):
                before = len(unheard)
                outcome = await run_under(scenario, place, clock)
                outcome.unheard = tuple(unheard[before:])
            if outcome.is_good and KEEP not in os.environ:
                shutil.rmtree(place)
            return outcome

    async with steady_clock(speed) as clock:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(run(scenario)) for scenario in scenarios]
        return [task.result() for task in running]


def _write_line(message: object) -> None:
    """A line of the runtime log, into the folder of the run that said it."""
    place = message.record["extra"].get("place")  # type: ignore[attr-defined]  # loguru's message is a str with more
    if place:
        with (Path(place) / "runtime.log").open("a") as file:
            file.write(str(message))


@contextmanager
def workers(jobs: int) -> Iterator[Executor]:
    """Processes that run scenarios. Spawned: nothing of the parent's loops, sockets and logs is in them."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


def dealt(scenarios: Sequence[Scenario], jobs: int) -> list[list[Scenario]]:
    """Hands of scenarios for so many workers: long ones, for the last runs of each have the process to themselves."""
    count = max(jobs, -(-len(scenarios) // HAND))
    return [hand for hand in (list(scenarios[start::count]) for start in range(count)) if hand]
