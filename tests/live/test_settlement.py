"""Payments by the clock: what the venue pays or takes without a fill reaches our result to the unit."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from stall_then_strike.app.shell.command import EXIT_DONE
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings
from stall_then_strike.sim.bitflyer.venue_hours import Calendar
from stall_then_strike.types.dto import NS_PER_S, Command, Control, Reason
from tests.live.rig import UNHURRIED, LiveRoom, ended, live_room
from tests.signing import SIGNED
from tests.waiting import until

pytestmark = SIGNED
HOLDING = {
    "strategy": {"max_reverse_ticks": 1_000_000, "max_inventory_btc": Decimal("0.01")},
    "account": {"reconcile_sec": Decimal(10)},
    "pybotters": UNHURRIED,
}
"""A position is kept, and the account is looked at often."""


LIMIT_S = 900
"""By then, of the exchange's time, what was paid must have been found in the account."""


def is_booked(room: LiveRoom) -> bool:
    """Whether there was a payment, and our result has all of the ledger's."""
    ledger = room.venue.ledger()
    if room.last is None or not ledger.payments or not ledger.funding:
        return False
    held = room.last.core.inventory.memo()
    flow = -sum(fill.side.sign * fill.price * fill.size for fill in ledger.fills)
    return held.position == ledger.position and held.realised - held.basis == flow + ledger.funding


def tell(room: LiveRoom, command: Command) -> None:
    """The operator says so."""
    assert room.last is not None
    now_ns = room.clock.now_ns()
    room.last.trader.on_event(Control(ts_ns=now_ns, command=command, reason=Reason.OPERATOR, detail="by the test"))


async def keep_a_position(room: LiveRoom, until_ns: int) -> None:
    """Pause with a position: whether trading by itself holds one at that moment is chance."""
    account = room.venue.accounts["main"]
    while True:
        await until(lambda: account.ledger.position and room.last is not None)
        tell(room, Command.PAUSE)
        await until(lambda: not account.live)
        if account.ledger.position:
            break
        tell(room, Command.RESUME)
    assert room.clock.now_ns() < until_ns
    await room.clock.sleep_until(until_ns)
    tell(room, Command.RESUME)


@pytest.mark.slow
@pytest.mark.parametrize(("hour", "carry_rate"), [(13, 0), (9, 40_000)], ids=["funding", "roll-over with carry"])
async def test_a_settlement_is_booked_to_the_unit(hour: int, carry_rate: int, tmp_path: Path) -> None:
    """The roll-over re-bases the lots, too: that moves collateral and cost alike, and is no result."""
    start_ns = int(datetime(2026, 1, 5, hour, tzinfo=UTC).timestamp() - 60) * NS_PER_S
    calendar = Calendar(maintenance=None, breaker=None, carry_rate=carry_rate)
    settings = PrivateSettings(seed=3, calendar=calendar)
    async with live_room(tmp_path, seed=3, start_ns=start_ns, settings=settings, sections=HOLDING) as room:
        ending = Ending()
        task = asyncio.create_task(room.run(ending=ending))
        await room.pass_time(30)
        await keep_a_position(room, start_ns + 61 * NS_PER_S)
        while not is_booked(room):
            assert not task.done(), "the run ended by itself"
            assert room.clock.now_ns() < start_ns + LIMIT_S * NS_PER_S, "the settlement is not booked"
            await room.pass_time(1)
        ending.ask("the settlement is booked")
        assert await ended(task) == EXIT_DONE
        ledger = room.venue.ledger()
        assert ledger.payments, "the settlement found a position"
        assert ledger.funding
        room.check()
