"""Planned actions in venue time. Pure: a heap of times and actions.

Actions of the same time run in the order in which they were planned.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

Action = Callable[[int], None]
"""Called with the time that it was planned for."""


class Agenda:
    """The planned actions, earliest first."""

    def __init__(self) -> None:
        """Start without a plan."""
        self._plans: list[tuple[int, int, Action]] = []
        self._entered = 0

    def at(self, time_ns: int, action: Action) -> None:
        """Plan an action."""
        self._entered += 1
        heappush(self._plans, (time_ns, self._entered, action))

    def next_ns(self) -> int | None:
        """When the next action is due; None when nothing is planned."""
        return self._plans[0][0] if self._plans else None

    def step(self) -> int:
        """Run the earliest action; return its time."""
        time_ns, _, action = heappop(self._plans)
        action(time_ns)
        return time_ns
