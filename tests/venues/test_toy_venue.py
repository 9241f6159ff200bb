"""A third venue: live trading runs on what implements the seam, and on nothing else of a venue."""

from __future__ import annotations

import io
from contextlib import ExitStack
from pathlib import Path

from stall_then_strike.app.shell.command import EXIT_DONE
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.trader.live_run import open_run
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.writer import journal_path
from stall_then_strike.venues.connection import Connection
from tests.live.pace import steady_clock
from tests.live.room import open_parts
from tests.venues import toy_venue
from tests.venues.toy_venue import ToyVenue

MOST_LINES = 150


def test_a_venue_is_small() -> None:
    assert len(Path(toy_venue.__file__).read_text().splitlines()) <= MOST_LINES


async def test_live_trading_runs_on_a_venue_in_one_file(tmp_path: Path) -> None:
    cfg = AppConfig.model_validate({"env": "live", "journal": {"dir": str(tmp_path / "journal")}})
    console = io.StringIO()
    with ExitStack() as stack:
        async with steady_clock(20.0) as clock:
            venue = ToyVenue(cfg, clock)
            connection: Connection = venue
            parts = open_parts(stack, cfg, venue, tmp_path, console, clock.now_ns())
            async with open_run(parts, cfg, clock, venue, connection, Ending()) as run:
                assert await run.run(60.0) == EXIT_DONE
                assert run.core.record.tally.strikes > 5
    assert "always there" in console.getvalue()
    with JournalReader.open(journal_path(cfg.journal.dir, cfg.exchange.product_code)) as reader:
        booked, memo = list(reader.fills()), reader.memo()
    assert [fill.exec_id for fill in booked] == [fill.exec_id for fill in venue.fills] != []
    assert memo is not None
    held = memo.inventory
    assert (held.position, held.realised - held.basis) == (venue.position, venue.cash)
