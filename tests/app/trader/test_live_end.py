"""After a failure: what may be live is cancelled without the core, whatever else goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

from stall_then_strike.app.trader import live_end
from stall_then_strike.app.trader.live_end import cancel_directly
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from tests.scenarios.at_work import STILL, AtWork, at_work
from tests.signing import SIGNED

pytestmark = SIGNED


@pytest.fixture
def lines() -> Iterator[list[str]]:
    found: list[str] = []
    sink = logger.add(found.append, level="ERROR", format="{message}")
    yield found
    logger.remove(sink)


async def cancelled(work: AtWork) -> None:
    (desk,) = work.run.connection.desks
    await cancel_directly(work.core, desk, work.room.clock)


async def test_cancels_without_an_answer_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    monkeypatch.setattr(live_end, "_EMERGENCY_S", 0.5)
    async with at_work(tmp_path, **STILL) as work:
        await work.until("both quotes", lambda: len(work.resting) == 2)
        work.room.exchange.faults.inject(Fault(kind=FaultKind.LOSE_REQUEST, path="/v1/me/cancelchildorder"))
        await cancelled(work)
        assert lines == ["the cancels were not answered within 0.5 s: look at the account\n"]
        await work.kill()


async def test_what_fails_at_one_instrument_leaves_the_others_to_be_cancelled(tmp_path: Path, lines: list[str]) -> None:
    """Its client is closed: no error of the venue's, and nobody expects it there."""
    async with at_work(tmp_path, **STILL) as work:
        await work.until("both quotes", lambda: len(work.resting) == 2)
        await work.kill()
        await cancelled(work)
    assert "the cancels failed: look at the account" in "".join(lines)
    assert "Traceback" in "".join(lines)
