"""The compiled replay is the interpreted one, to the last integer, or it refuses."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stall_then_strike.config.models import AppConfig
from tests.research.random_tapes import configs, random_tape
from tests.research.twins import twins

pytestmark = pytest.mark.timeout(600)  # the first call compiles everything


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10**6), messages=st.integers(1, 400), cfg=configs())
def test_compiled_replay_equals_the_interpreted_one(seed: int, messages: int, cfg: AppConfig) -> None:
    with tempfile.TemporaryDirectory() as folder:
        twins(random_tape(seed, messages), cfg, Path(folder)).check()
