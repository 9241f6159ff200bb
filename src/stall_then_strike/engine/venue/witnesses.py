"""Which sources have reported each fill: the private channel, the public executions, the account's lists. Pure.

A fill is booked at its first report. How certain it is matters if a list lacks it: the lists may be stale by tens of
seconds, and the private channel is known to report phantom fills. Two channels that report the same execution outweigh
a list that lacks it, and a list that shows it outweighs a later list that does not.

The public channel has both order ids of an execution, so it can show a fill that the private channel lost. That both
channels use the same execution ids is likely but not documented (in recordings they lie in one range). A fill is booked
from the public channel only after this run has seen both agree; before that the account is queried.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Flag, auto
from typing import Final

from stall_then_strike.types.dto import ExecId, FillEvent

_KEEP: Final = 5_000
_KEEP_WAITING: Final = 200


class Witness(Flag):
    """A source that reported a fill."""

    PRIVATE = auto()
    PUBLIC = auto()
    LISTED = auto()
    REMEMBERED = auto()
    """Booked by an earlier run, from its own sources."""


class Witnesses:
    """The sources of each of our fills."""

    def __init__(self, grace_ns: int) -> None:
        """Start without fills. ``grace_ns``: how much later than the public channel the private one may report one."""
        self._grace_ns = grace_ns
        self._told: OrderedDict[ExecId, Witness] = OrderedDict()
        self.waiting: OrderedDict[ExecId, tuple[int, FillEvent]] = OrderedDict()
        """Fills that only the public channel has reported, and when each is overdue."""
        self.numbers_agree = False
        """Whether both channels have reported an execution under the same id."""

    def add(self, exec_id: ExecId, by: Witness) -> None:
        """A source has reported a fill."""
        told = self._told.get(exec_id, Witness(0)) | by
        self._told[exec_id] = told
        if len(self._told) > _KEEP:
            self._told.popitem(last=False)
        if Witness.PRIVATE | Witness.PUBLIC in told:
            self.numbers_agree = True
        if by is not Witness.PUBLIC:
            self.waiting.pop(exec_id, None)

    def is_proven(self, exec_id: ExecId) -> bool:
        """Whether the fill is certain, so that a list that lacks it must be stale."""
        told = self._told.get(exec_id, Witness(0))
        return bool(told & (Witness.LISTED | Witness.REMEMBERED)) or Witness.PRIVATE | Witness.PUBLIC in told

    def forget(self, exec_id: ExecId) -> None:
        """An earlier run's fill is no longer certain: it is so old that a list should show it."""
        if exec_id in self._told:
            self._told[exec_id] &= ~Witness.REMEMBERED

    def expect(self, fill: FillEvent, now_ns: int) -> None:
        """The public channel reported a fill first: the private one has ``grace_ns`` from now to follow."""
        if len(self.waiting) < _KEEP_WAITING:
            self.waiting.setdefault(fill.exec_id, (now_ns + self._grace_ns, fill))

    def overdue(self, now_ns: int) -> list[FillEvent]:
        """Fills that the private channel did not report in time. Each is returned once."""
        found = [fill for at_ns, fill in self.waiting.values() if at_ns <= now_ns]
        for fill in found:
            del self.waiting[fill.exec_id]
        return found

    @property
    def next_ns(self) -> int | None:
        """When the next fill will be overdue; None if none is waiting."""
        return next((at_ns for at_ns, _ in self.waiting.values()), None)
