"""Notices that time passed while nothing was done: the machine slept, or the process stood still. And clock steps.

All three look alike to a program that reads one clock. Compared are the time that counts sleep with the time that does
not (a suspend, hibernation), the time since the last look (a stopped process, a blocked event loop, and a virtual
machine that was frozen where its clocks went on), and the wall with elapsed time (NTP, an operator).

What came meanwhile waits in the socket and would be stamped as if it were new. Two reads are never of the same instant:
the machine may have been busy between them, so each difference is known within bounds, and only what is surely more
counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from stall_then_strike.infra.clock import Sources
from stall_then_strike.types.dto import NS_PER_S

SLEPT_NS: Final = NS_PER_S // 10
"""The two clocks never part by themselves: any sleep is longer than this."""
STOOD_NS: Final = 5 * NS_PER_S
"""A process that did nothing for so long has lost touch with its connections. Less can happen on a busy machine."""
SET_NS: Final = NS_PER_S
"""Smaller steps of the wall are not worth a word."""
_CAUGHT_UP: Final = 2
"""Looks in time after a late one, until when what had waited is taken."""


@unique
class PauseKind(Enum):
    """What happened."""

    SLEPT = "this machine slept for {:,.1f} s"
    STOOD = "this process stood still for {:,.1f} s"
    SET = "this machine's clock was set by {:+,.1f} s; elapsed times and stamps do not follow it"


@dataclass(frozen=True, slots=True)
class Pause:
    """One finding. ``ns`` is signed for a clock that was set."""

    kind: PauseKind
    ns: int

    def __str__(self) -> str:
        """Say it to the operator."""
        return self.kind.value.format(self.ns / NS_PER_S)


class PauseWatch:
    """Told to look, by whoever looks often."""

    def __init__(self, sources: Sources, late_ns: int) -> None:
        """Begin now. A look that comes ``late_ns`` after the last one is late."""
        self._sources = sources
        self._elapsed_ns = sources.elapsed_ns
        self._late_ns = late_ns
        self._looked_ns = self._elapsed_ns()
        self._in_time = _CAUGHT_UP
        self._sleep_most_ns: int | None = None
        self._wall_bounds_ns: tuple[int, int] | None = None
        self.look()

    def is_late(self) -> bool:
        """Whether it is high time to look. Cheap: asked for each frame."""
        return self._elapsed_ns() - self._looked_ns >= self._late_ns

    @property
    def is_behind(self) -> bool:
        """Whether what comes now may have waited since before the last look that was late."""
        return self._in_time < _CAUGHT_UP

    def nothing_waits(self) -> None:
        """What may have waited is thrown away."""
        self._in_time = _CAUGHT_UP

    def look(self) -> list[Pause]:
        """What happened since the last look."""
        sources = self._sources
        awake_ns = sources.awake_ns()
        now_ns = sources.elapsed_ns()
        awake_after_ns = sources.awake_ns()
        wall_ns = sources.wall_ns()
        after_ns = sources.elapsed_ns()
        gap_ns, self._looked_ns = now_ns - self._looked_ns, now_ns
        self._in_time = 0 if gap_ns >= self._late_ns else self._in_time + 1
        found: list[Pause] = []
        if slept_ns := self._slept(now_ns - awake_after_ns, now_ns - awake_ns):
            found.append(Pause(PauseKind.SLEPT, slept_ns))
        elif gap_ns >= STOOD_NS:
            found.append(Pause(PauseKind.STOOD, gap_ns))
        if set_ns := self._set(wall_ns - after_ns, wall_ns - now_ns):
            found.append(Pause(PauseKind.SET, set_ns))
        return found

    def _slept(self, least_ns: int, most_ns: int) -> int:
        """How long the machine slept, by the bounds of what it slept since it was started."""
        known_ns = most_ns if self._sleep_most_ns is None else self._sleep_most_ns
        if least_ns - known_ns >= SLEPT_NS:
            self._sleep_most_ns = most_ns
            return least_ns - known_ns
        self._sleep_most_ns = min(known_ns, most_ns)
        return 0

    def _set(self, least_ns: int, most_ns: int) -> int:
        """By how much the wall was set, by the bounds of its lead over elapsed time."""
        known_least_ns, known_most_ns = self._wall_bounds_ns or (least_ns, most_ns)
        step_ns = least_ns - known_most_ns if least_ns > known_most_ns else min(0, most_ns - known_least_ns)
        if abs(step_ns) >= SET_NS:
            self._wall_bounds_ns = least_ns, most_ns
            return step_ns
        self._wall_bounds_ns = max(known_least_ns, least_ns), min(known_most_ns, most_ns)
        return 0
