"""The daemon trades on the exchange, and afterwards its books are the exchange's."""

from __future__ import annotations

from pathlib import Path

from stall_then_strike.app.shell.command import EXIT_DONE
from tests.live.rig import live_room
from tests.signing import SIGNED

pytestmark = SIGNED


async def test_books_equal_the_ledger(tmp_path: Path) -> None:
    async with live_room(tmp_path) as room:
        assert await room.run(60) == EXIT_DONE
        ledger = room.venue.ledger()
        assert len(ledger.fills) > 10
        assert not room.venue.accounts["main"].live
        room.check()
        placed = room.exchange.audit.records("POST /v1/me/sendchildorder")
        cancels = room.exchange.audit.records("POST /v1/me/cancelchildorder")
        assert len(placed) > 40
        assert len(cancels) > 10
        assert all('"minute_to_expire":1,' in call.body for call in placed)
