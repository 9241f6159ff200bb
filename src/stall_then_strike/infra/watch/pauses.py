"""Detects that the machine slept, that the process stood still, and that the wall clock was set.

All three look alike to a program that reads one clock. So three things are checked: time that includes sleep against
time that does not (suspend, hibernation); the time since the last look (a stopped process, a blocked event loop, or a
frozen virtual machine whose clocks ran on); and the wall clock against elapsed time (NTP, an operator).

Frames that arrived during a pause wait in the socket and would be stamped as new. Two clocks are never read at the same
instant, because the machine may be busy in between. So each difference is known only within bounds, and only its
certain part counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from stall_then_strike.infra.clock import Sources
from stall_then_strike.types.dto import NS_PER_S

SLEPT_NS: Final = NS_PER_S // 10
"""Least sleep that counts; every real sleep is longer, and the two clocks do not drift apart."""
STOOD_NS: Final = 5 * NS_PER_S
"""A standstill this long means that the connection must be given up. Shorter ones can happen on a busy machine."""
SET_NS: Final = NS_PER_S
"""Smaller steps of the wall clock are not reported."""
_CAUGHT_UP: Final = 2
"""Looks in time after a late one until the backlog has been read."""


@unique
class PauseKind(Enum):
    """The kind of a pause, as a format for its seconds."""

    SLEPT = "this machine slept for {:,.1f} s"
    STOOD = "this process stood still for {:,.1f} s"
    SET = "this machine's clock was set by {:+,.1f} s; elapsed times and stamps do not follow it"


@dataclass(frozen=True, slots=True)
class Pause:
    """A detected pause or clock step. ``ns`` is its length, signed for a clock step."""

    kind: PauseKind
    ns: int

    def __str__(self) -> str:
        """The message for the operator."""
        return self.kind.value.format(self.ns / NS_PER_S)


class PauseWatch:
    """Detects pauses at each call of ``look``, which must be frequent."""

    def __init__(self, sources: Sources, late_ns: int) -> None:
        """Start now. A look ``late_ns`` or more after the previous one is late."""
        self._sources = sources
        self._elapsed_ns = sources.elapsed_ns
        self._late_ns = late_ns
        self._looked_ns = self._elapsed_ns()
        self._in_time = _CAUGHT_UP
        self._sleep_most_ns: int | None = None
        self._wall_bounds_ns: tuple[int, int] | None = None
        self.look()

    def is_late(self) -> bool:
        """Whether the next look is overdue. Cheap, because it is called for each frame."""
        return self._elapsed_ns() - self._looked_ns >= self._late_ns

    @property
    def is_behind(self) -> bool:
        """Whether a frame read now may be part of the backlog of the last late look."""
        return self._in_time < _CAUGHT_UP

    def nothing_waits(self) -> None:
        """The backlog was dropped with its connection."""
        self._in_time = _CAUGHT_UP

    def look(self) -> list[Pause]:
        """The pauses and clock steps since the last look."""
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
        """The new sleep, given bounds of the total sleep since the machine was booted; zero if none is certain."""
        known_ns = most_ns if self._sleep_most_ns is None else self._sleep_most_ns
        if least_ns - known_ns >= SLEPT_NS:
            self._sleep_most_ns = most_ns
            return least_ns - known_ns
        self._sleep_most_ns = min(known_ns, most_ns)
        return 0

    def _set(self, least_ns: int, most_ns: int) -> int:
        """The step of the wall clock, given bounds of its lead over elapsed time; zero if none is certain."""
        known_least_ns, known_most_ns = self._wall_bounds_ns or (least_ns, most_ns)
        step_ns = least_ns - known_most_ns if least_ns > known_most_ns else min(0, most_ns - known_least_ns)
        if abs(step_ns) >= SET_NS:
            self._wall_bounds_ns = least_ns, most_ns
            return step_ns
        self._wall_bounds_ns = max(known_least_ns, least_ns), min(known_most_ns, most_ns)
        return 0
