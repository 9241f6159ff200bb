"""A run that the venue's answers keep from starting."""

from __future__ import annotations

from pathlib import Path

from stall_then_strike.app.shell.command import EXIT_USAGE
from stall_then_strike.infra.bitflyer.credentials import Credentials
from tests.infra.watch.alert_sink import alerts_to, open_alerts, serving
from tests.live.rig import KEY, live_room
from tests.signing import SIGNED

pytestmark = SIGNED


async def test_a_refused_key_is_told_to_whom_it_may_concern(tmp_path: Path) -> None:
    """No supervisor tries again after it: the operator has to hear of it."""
    async with serving() as sink, open_alerts(alerts_to(sink.url)) as alerts, live_room(tmp_path) as room:
        room.alerts = alerts
        room.account = Credentials(key=KEY.key, secret="not that one")
        assert await room.run(10) == EXIT_USAGE
        got = await sink.next()
        assert "not started" in got["title"]
        assert "key" in got["message"]
        assert "not that one" not in str(got)
        assert not room.venue.ledger().fills
