"""What several tests of the line share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.infra.session_rig import Venue


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    """A venue that answers as its test says; nothing connects to it by itself."""
    venue = Venue()
    await venue.start()
    yield venue
    await venue.stop()
