"""What may pass by a core without being told: the stretches of a recording in which it would provably do nothing.

A replay that knows what comes may leave such messages out and tell the core of the last of them only. The promise is
exact: no row, no action, no other deadline than if each had been told. A moment at which the core has to look for
itself ends a lull, and so does any event that is not a board, or not one that the lull names.

Why a lull may outlast a deadline: a stall that matures, or a TTL of nothing, wakes the core for nothing while another
gate refuses. The budget is the exception, for what it allows may come forward when calls leave its windows, and is
seen at whatever comes next: a lull in its name ends there.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import NamedTuple


@unique
class Passing(Enum):
    """Which boards that can be believed, and are not late, pass."""

    SAME = "same"
    """Those with the best that the core knows, of the same age."""
    IMMATURE = "immature"
    """Those whose spread is wide enough and whose best has not stood still for long enough."""
    ANY = "any"


class Lull(NamedTuple):
    """A promise to do nothing until a moment, if no event comes but boards that pass and what the core is not told."""

    until_ns: int
    """The first event at or after this has to be told, deadlines on the way included."""
    boards: Passing
