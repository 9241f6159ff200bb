"""Each venue and each strategy once, on three markets; the program of ten minutes runs all for as long as is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from stall_then_strike.app.shell.command import EXIT_DONE
from tests.live.ten_minutes import trial
from tests.signing import SIGNED


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("venue", "strategy"), [pytest.param("bitflyer", "grid", marks=SIGNED), ("lighter", "stall")])
async def test_three_markets_are_traded_and_the_ledger_is_ours(venue: str, strategy: str, tmp_path: Path) -> None:
    outcome = await trial(venue, strategy, tmp_path, seconds=20)
    shown = "\n".join(outcome.lines())
    assert (outcome.exit_code, outcome.difference) == (EXIT_DONE, ""), shown
    assert all(one.orders for one in outcome.markets), shown
    assert len(outcome.markets) == 3
    assert sum(one.fills for one in outcome.markets), shown
    assert "equal to the last unit" in shown
