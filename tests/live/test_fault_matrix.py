"""The daemon under every fault alone and under mixtures drawn from seeds: what `chaos` says must hold of each.

``make chaos`` runs a thousand mixtures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack

import pytest

from stall_then_strike.sim.faults.catalogue import RECIPES
from tests.live.chaos import ROOMS, SPEED, Scenario, dealt, run_all, workers
from tests.live.recovery import Outcome

pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(900)]  # it has two processes of its own

MIXTURES = 5
BATCH = 5
JOBS = 2

Results = Mapping[Scenario, "Future[list[Outcome]]"]


def scenarios_of(item: pytest.Item) -> list[Scenario]:
    callspec = getattr(item, "callspec", None)
    return [] if callspec is None else list(callspec.params.get("scenarios", ()))


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Results]:
    """All scenarios of the selected tests, set off at once."""
    wanted = [s for item in request.session.items if item.path == request.path for s in scenarios_of(item)]
    folder = tmp_path_factory.mktemp("chaos")
    with ExitStack() as stack:
        pool = stack.enter_context(workers(JOBS))
        futures: dict[Scenario, Future[list[Outcome]]] = {}
        for number, hand in enumerate(dealt(wanted, JOBS)):
            future = pool.submit(run_all, hand, folder / str(number), speed=SPEED, rooms=ROOMS)
            futures.update(dict.fromkeys(hand, future))
        yield futures


def check(results: Results, scenarios: tuple[Scenario, ...]) -> list[Outcome]:
    outcomes = [outcome for s in scenarios for outcome in results[s].result() if outcome.scenario == s]
    assert len(outcomes) == len(scenarios)
    bad = [str(outcome) for outcome in outcomes if not outcome.is_good]
    assert not bad, "\n\n".join(bad)
    return outcomes


HARD_ON_A_GRID = ("mute_order_events", "lose_send", "error_502")
"""The news of a dozen orders are lost at once."""


@pytest.mark.parametrize(
    "scenarios",
    [
        *[(Scenario(recipe=name),) for name in RECIPES],
        *[(Scenario(recipe=name, strategy="grid"),) for name in HARD_ON_A_GRID],
    ],
    ids=[*RECIPES, *[f"grid-{name}" for name in HARD_ON_A_GRID]],
)
def test_one_fault(results: Results, scenarios: tuple[Scenario, ...]) -> None:
    (outcome,) = check(results, scenarios)
    is_certain = all(fault.chance == 1 for fault in scenarios[0].plan().faults)
    assert outcome.struck or not is_certain, "the fault did not strike: nothing was tested"


@pytest.mark.parametrize(
    "scenarios",
    [tuple(Scenario(seed=seed) for seed in range(first, first + BATCH)) for first in range(0, MIXTURES, BATCH)],
    ids=[f"{first}-{first + BATCH - 1}" for first in range(0, MIXTURES, BATCH)],
)
def test_mixture(results: Results, scenarios: tuple[Scenario, ...]) -> None:
    check(results, scenarios)
