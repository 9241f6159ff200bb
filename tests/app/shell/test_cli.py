"""Stop signals during work that may be lost."""

from __future__ import annotations

import signal
from contextlib import suppress

import pytest

from stall_then_strike.app.shell import cli


def test_signal_whose_exception_was_lost_is_raised_again() -> None:
    with cli.signals_held(), cli.interruptible() as check:
        check()
        with suppress(cli.Interrupted):  # as in a callback from C
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(cli.Interrupted, match="SIGTERM"):
            check()
