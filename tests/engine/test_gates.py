"""Reasons outside the strategy: the first that forbids quotes counts."""

from __future__ import annotations

import pytest

from stall_then_strike.engine.gates import first_gate
from stall_then_strike.types.dto import Reason

FREE = {
    "halted": False,
    "stopping": False,
    "closing": False,
    "held": 0,
    "account_known": True,
    "margin_short": False,
    "running": True,
    "healthy": True,
    "quiet": False,
}
SHUT = {
    "halted": (True, Reason.HALTED),
    "stopping": (True, Reason.STOPPING),
    "closing": (True, Reason.CLOSING),
    "held": (int(Reason.JOURNAL_LOCKED), Reason.JOURNAL_LOCKED),
    "account_known": (False, Reason.ACCOUNT_UNKNOWN),
    "margin_short": (True, Reason.MARGIN),
    "running": (False, Reason.VENUE_NOT_RUNNING),
    "healthy": (False, Reason.VENUE_UNHEALTHY),
    "quiet": (True, Reason.QUIET_TIME),
}


def test_nothing_forbids() -> None:
    assert first_gate(**FREE) == 0


@pytest.mark.parametrize("first", SHUT)
def test_a_gate_counts_before_all_that_follow(first: str) -> None:
    names = list(SHUT)
    shut = {name: SHUT[name][0] for name in names[names.index(first) :]}
    assert first_gate(**{**FREE, **shut}) == SHUT[first][1]
