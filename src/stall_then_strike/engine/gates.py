"""Reasons outside the strategy that forbid quotes.

Pure, over plain values: research compiles it.
"""

from __future__ import annotations

from typing import Final

from stall_then_strike.types.dto import Reason

_HALTED: Final = int(Reason.HALTED)
_STOPPING: Final = int(Reason.STOPPING)
_CLOSING: Final = int(Reason.CLOSING)
_ACCOUNT_UNKNOWN: Final = int(Reason.ACCOUNT_UNKNOWN)
_MARGIN: Final = int(Reason.MARGIN)
_VENUE_NOT_RUNNING: Final = int(Reason.VENUE_NOT_RUNNING)
_VENUE_UNHEALTHY: Final = int(Reason.VENUE_UNHEALTHY)
_QUIET_TIME: Final = int(Reason.QUIET_TIME)


def first_gate(
    halted: bool,
    stopping: bool,
    closing: bool,
    held: int,
    account_known: bool,
    margin_short: bool,
    running: bool,
    healthy: bool,
    quiet: bool,
) -> int:
    """The reason of the first gate, in the order below, that forbids quotes; 0 if none does.

    ``held`` is the reason for which the shell holds quotes back (``Command.HOLD``), or 0.
    """
    if halted:
        return _HALTED
    if stopping:
        return _STOPPING
    if closing:
        return _CLOSING
    if held != 0:
        return held
    if not account_known:
        return _ACCOUNT_UNKNOWN
    if margin_short:
        return _MARGIN
    if not running:
        return _VENUE_NOT_RUNNING
    if not healthy:
        return _VENUE_UNHEALTHY
    return _QUIET_TIME if quiet else 0
