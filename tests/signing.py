"""Tests whose calls are signed by pybotters."""

from __future__ import annotations

import pytest

# pybotters hands its signature to aiohttp in a way that aiohttp will drop one day.
SIGNED = pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated:DeprecationWarning")
