"""How far a frame of the socket walks while the daemon trades: a bound that only a longer path breaks."""

from __future__ import annotations

from pathlib import Path

from tests.live.walk import FILL, NOTHING, STRIKE, walked
from tests.signing import SIGNED

pytestmark = SIGNED


async def test_a_frame_takes_no_more_steps_than_it_did(tmp_path: Path) -> None:
    walker = await walked(tmp_path, 10)
    walks = {kind: walker.shortest(kind) for kind in (NOTHING, STRIKE, FILL)}
    assert walks[NOTHING].count <= 40
    assert walks[NOTHING].files <= 15
    assert walks[STRIKE].count <= 195  # to the last bytes of both orders
    # One in four fills takes 150 or 154, the others 181 and more; now and then one that ends nothing takes 135.
    assert walks[FILL].count <= 155
