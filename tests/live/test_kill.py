"""kill -9 at twelve moments: no fill is lost or counted twice, no order left behind, every journal opens.

``make kills`` does it two hundred times.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.kill_chain import run_chains

pytestmark = [pytest.mark.slow(50), pytest.mark.timeout(600)]


async def test_a_daemon_that_is_killed_again_and_again_loses_nothing(tmp_path: Path) -> None:
    assert await run_chains(tmp_path, chains=3, kills=4)
