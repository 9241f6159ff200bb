"""What is to happen at the venue at which moment of its time. Pure: a heap of moments and what to do then.

Equal moments keep the order in which they were entered.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

Action = Callable[[int], None]
"""What to do; it is told the moment that it was planned for."""


class Agenda:
    """Plans, earliest first."""

    def __init__(self) -> None:
        """Nothing is planned."""
        self._plans: list[tuple[int, int, Action]] = []
        self._entered = 0

    def at(self, time_ns: int, action: Action) -> None:
        """Plan something."""
        self._entered += 1
        heappush(self._plans, (time_ns, self._entered, action))

    def next_ns(self) -> int | None:
        """When something is due next."""
        return self._plans[0][0] if self._plans else None

    def step(self) -> int:
        """Do what is due first; return its moment."""
        time_ns, _, action = heappop(self._plans)
        action(time_ns)
        return time_ns
