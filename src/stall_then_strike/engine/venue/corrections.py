"""Execution ids of booked fills: the venue's own, and those of our corrections.

The venue's ids are positive, up to :data:`MAX_EXEC_ID`. Taking a fill back books its opposite under the negative of its
id. Reinstating it books it again under an id that is lower than that by ``2**62``. A take-over of a position has the
negative of its time stamp.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stall_then_strike.types.dto import ExecId

MAX_EXEC_ID: Final = 2**62 - 1
"""Highest execution id accepted from the venue: half the database's integers."""


def taken_back_id(exec_id: ExecId) -> ExecId:
    """The id under which the opposite of a fill is booked."""
    return ExecId(-exec_id)


def reinstated_id(exec_id: ExecId) -> ExecId:
    """The id under which a fill that was taken back is booked again."""
    return ExecId(-exec_id - MAX_EXEC_ID - 1)


def taken_over_id(now_ns: int) -> ExecId:
    """The id under which a take-over of the position at ``now_ns`` is booked."""
    return ExecId(-now_ns)


def is_taken_back(exec_id: ExecId, is_booked: Callable[[ExecId], bool]) -> bool:
    """Whether a fill was taken back and not reinstated."""
    return is_booked(taken_back_id(exec_id)) and not is_booked(reinstated_id(exec_id))
