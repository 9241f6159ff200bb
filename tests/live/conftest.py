"""Tests of minutes."""

from __future__ import annotations

import faulthandler

import pytest


@pytest.fixture(autouse=True)
def no_dump_of_threads(request: pytest.FixtureRequest) -> None:
    """A test with a time limit of its own does not hang where the others would."""
    if request.node.get_closest_marker("timeout") is not None:
        faulthandler.cancel_dump_traceback_later()
