"""Numbers of executions among the booked fills: the venue's own, and those of our corrections.

The venue's numbers are positive, up to :data:`MAX_EXEC_ID`. A fill that is taken back is booked again as its opposite,
under its number's negative. One that is reinstated after that has a number lower by ``2**62`` than that. A position
that is taken over has the negative of its moment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stall_then_strike.types.dto import ExecId

MAX_EXEC_ID: Final = 2**62 - 1
"""Highest number that is taken from the venue, whose have ten digits: half of what a database holds."""


def taken_back_id(exec_id: ExecId) -> ExecId:
    """The number under which the opposite of a fill is booked."""
    return ExecId(-exec_id)


def reinstated_id(exec_id: ExecId) -> ExecId:
    """The number under which a fill is booked again that had been taken back."""
    return ExecId(-exec_id - MAX_EXEC_ID - 1)


def taken_over_id(now_ns: int) -> ExecId:
    """The number under which a position is booked that is taken over at this moment."""
    return ExecId(-now_ns)


def is_taken_back(exec_id: ExecId, is_booked: Callable[[ExecId], bool]) -> bool:
    """Whether the opposite of a fill was booked, and nothing after that."""
    return is_booked(taken_back_id(exec_id)) and not is_booked(reinstated_id(exec_id))
