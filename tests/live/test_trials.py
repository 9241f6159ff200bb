"""The daemon in each of the trials of `trials.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.trials import TRIALS, Figures
from tests.signing import SIGNED

pytestmark = [SIGNED, pytest.mark.slow(8), pytest.mark.timeout(180)]


@pytest.mark.parametrize("name", TRIALS)
async def test_trial(name: str, tmp_path: Path) -> None:
    figures: Figures = {}
    await TRIALS[name](tmp_path, figures)
    assert figures
