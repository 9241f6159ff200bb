"""Payments by the clock: what the venue pays or takes without a fill reaches our result to the unit."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from stall_then_strike.app.shell import cli
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings
from stall_then_strike.sim.bitflyer.venue_hours import Calendar
from stall_then_strike.types.dto import NS_PER_S
from tests.live.rig import live_room
from tests.signing import SIGNED

pytestmark = SIGNED
HOLDING = {
    "strategy": {"max_reverse_ticks": 1_000_000, "max_inventory_btc": Decimal("0.01")},
    "account": {"reconcile_sec": Decimal(10)},
}
"""A position is kept, and the account is looked at often."""


@pytest.mark.slow
@pytest.mark.parametrize(("hour", "carry_rate"), [(13, 0), (9, 40_000)], ids=["funding", "roll-over with carry"])
async def test_a_settlement_is_booked_to_the_unit(hour: int, carry_rate: int, tmp_path: Path) -> None:
    """The roll-over re-bases the lots, too: that moves collateral and cost alike, and is no result."""
    start_ns = int(datetime(2026, 1, 5, hour, tzinfo=UTC).timestamp() - 60) * NS_PER_S
    calendar = Calendar(maintenance=None, breaker=None, carry_rate=carry_rate)
    settings = PrivateSettings(seed=3, calendar=calendar)
    async with live_room(tmp_path, seed=3, start_ns=start_ns, settings=settings, sections=HOLDING) as room:
        assert await room.run(150) == cli.EXIT_DONE
        ledger = room.venue.ledger()
        assert ledger.payments, "the settlement found a position"
        assert ledger.funding
        room.check()
