"""These tests ask the real venue, read only. They run if LIGHTER_INTEGRATION_TESTS=1 is set, and only then."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder, and skip it unless it is asked for."""
    skip = pytest.mark.skip(reason="asks the real venue: set LIGHTER_INTEGRATION_TESTS=1")
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.integration)
            if os.environ.get("LIGHTER_INTEGRATION_TESTS") != "1":
                item.add_marker(skip)
