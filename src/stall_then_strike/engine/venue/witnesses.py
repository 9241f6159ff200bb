"""Who has told of each fill: the private channel, the public executions, the account's lists. Pure.

A fill is a fact at its first telling. How sure it is matters where a list lacks it: the lists may be behind by tens of
seconds, and the private channel has been heard to tell of what never was. Two channels that tell of the same execution
outweigh a list that lacks it, and a list that shows it outweighs a later one that does not.

The public channel names both orders of an execution, so that it tells of a fill that the private channel lost. That
both number an execution alike is likely and not documented (their numbers lie in one range on recordings): a fill is
booked from the public channel once this run has seen the two agree. Before that the account is asked.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Flag, auto
from typing import Final

from stall_then_strike.types.dto import NS_PER_MS, ExecId, FillEvent

GRACE_NS: Final = 500 * NS_PER_MS
"""How long the private channel may be later than the public one. Both come over one connection."""
_KEEP: Final = 5_000
_KEEP_WAITING: Final = 200


class Witness(Flag):
    """Where a fill was told."""

    PRIVATE = auto()
    PUBLIC = auto()
    LISTED = auto()
    REMEMBERED = auto()
    """By an earlier run, which had its witnesses."""


class Witnesses:
    """Keeper of who told of which fill of ours."""

    def __init__(self) -> None:
        """Nobody has told of anything."""
        self._told: OrderedDict[ExecId, Witness] = OrderedDict()
        self._waiting: OrderedDict[ExecId, tuple[int, FillEvent]] = OrderedDict()
        self.numbers_agree = False
        """Whether both channels were seen to give one execution the same number."""

    def add(self, exec_id: ExecId, by: Witness) -> None:
        """Somebody tells of a fill."""
        told = self._told.get(exec_id, Witness(0)) | by
        self._told[exec_id] = told
        if len(self._told) > _KEEP:
            self._told.popitem(last=False)
        if Witness.PRIVATE | Witness.PUBLIC in told:
            self.numbers_agree = True
        if by is not Witness.PUBLIC:
            self._waiting.pop(exec_id, None)

    def is_proven(self, exec_id: ExecId) -> bool:
        """Whether a list that lacks it is wrong and not the fill."""
        told = self._told.get(exec_id, Witness(0))
        return bool(told & (Witness.LISTED | Witness.REMEMBERED)) or Witness.PRIVATE | Witness.PUBLIC in told

    def forget(self, exec_id: ExecId) -> None:
        """What an earlier run heard is too long ago for a list to lack it still."""
        if exec_id in self._told:
            self._told[exec_id] &= ~Witness.REMEMBERED

    def expect(self, fill: FillEvent, now_ns: int) -> None:
        """The public channel told first: the private one has until ``GRACE_NS`` from now."""
        if len(self._waiting) < _KEEP_WAITING:
            self._waiting.setdefault(fill.exec_id, (now_ns + GRACE_NS, fill))

    def overdue(self, now_ns: int) -> list[FillEvent]:
        """Fills that only the public channel has told of in good time. Each is given once."""
        found = [fill for at_ns, fill in self._waiting.values() if at_ns <= now_ns]
        for fill in found:
            del self._waiting[fill.exec_id]
        return found

    @property
    def next_ns(self) -> int | None:
        """When the next of these is overdue; None while none is waited for."""
        return next((at_ns for at_ns, _ in self._waiting.values()), None)
