"""kill -9 at a hundred moments: no fill is lost or counted twice, no order left behind, every journal opens."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stall_then_strike.sim.bitflyer import publisher
from stall_then_strike.sim.faults.kinds import Fault, FaultKind, FaultPlan
from stall_then_strike.types.dto import NS_PER_S
from tests.live.kill_chain import KillChain

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CHAINS = 10
KILLS = 10
"""Of each."""
LOST_ANSWERS = FaultPlan((Fault(kind=FaultKind.LOSE_ANSWER, path="/v1/me/sendchildorder", chance=0.2),))


@pytest.fixture(autouse=True)
def snapshots_every_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon cannot trade before the first one, and five seconds of waiting in each life prove nothing."""
    monkeypatch.setattr(publisher, "_SNAPSHOT_NS", NS_PER_S)


async def test_a_daemon_that_is_killed_a_hundred_times_loses_nothing(tmp_path: Path) -> None:
    """Ten accounts at once. Two have the venue's real limits, to two a share of the answers to sends is lost."""
    chains = [
        KillChain(tmp_path / str(seed), seed, LOST_ANSWERS if seed % 5 == 4 else None, has_real_limits=seed % 5 == 0)
        for seed in range(CHAINS)
    ]
    for chain in chains:
        chain.folder.mkdir()

    async def run(chain: KillChain) -> None:
        try:
            await chain.run(KILLS)
        except (AssertionError, TimeoutError) as error:
            raise AssertionError(f"seed {chain.seed}, {chain.folder}: {error}") from error

    async with asyncio.TaskGroup() as tasks:
        for chain in chains:
            tasks.create_task(run(chain))
    told = "; ".join(f"seed {c.seed}: {c.fills} fills, {c.missed} missed, {dict(c.moments)}" for c in chains)
    kills = KILLS * len(chains)
    assert sum(chain.fills for chain in chains) > kills // 2, told
    assert sum(chain.missed for chain in chains) < kills // 2, f"too few kills met their moment: {told}"
