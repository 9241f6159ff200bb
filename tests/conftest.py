"""What holds for all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

# No time limit for one example: the machine may be busy beside it. In CI the examples are the same each time, so that
# a change is judged by what it changed; elsewhere they differ, and a failure prints how to have it again.
settings.register_profile("here", deadline=None, print_blob=True)
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Iterator[None]:
    """A command that ran in this process leaves stop signals ignored, as its end needs: others would inherit that."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
