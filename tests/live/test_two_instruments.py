"""Two instruments of one account, traded by one process: the ledger of each, and what they share."""

from __future__ import annotations

from pathlib import Path

from stall_then_strike.app.shell import cli
from tests.live.rig import TWO, live_room
from tests.signing import SIGNED

pytestmark = SIGNED


async def test_both_trade_and_both_ledgers_are_equal(tmp_path: Path) -> None:
    async with live_room(tmp_path, instruments=TWO, speed=10) as room:
        assert await room.run(60) == cli.EXIT_DONE
        room.check()
        fills = [len(venue.ledger().fills) for venue in room.venue.products.values()]
        assert min(fills) >= 3, fills
