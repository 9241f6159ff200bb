"""The daemon trades on the exchange, and afterwards its books are the exchange's."""

from __future__ import annotations

from pathlib import Path

from stall_then_strike.app.shell.command import EXIT_DONE
from tests.live.rig import live_room
from tests.scenarios.at_work import CANCEL, PLACE
from tests.signing import SIGNED

pytestmark = SIGNED


async def test_books_equal_the_ledger(tmp_path: Path) -> None:
    async with live_room(tmp_path) as room:
        records = room.exchange.audit.records

        def has_traded() -> bool:
            return len(room.venue.ledger().fills) > 10 and len(records(PLACE)) > 40 and len(records(CANCEL)) > 10

        assert await room.run_until(has_traded, 600) == EXIT_DONE
        assert has_traded()
        assert not room.venue.accounts["main"].live
        room.check()
        assert all('"minute_to_expire":1,' in call.body for call in records(PLACE))
