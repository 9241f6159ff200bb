"""Faults of frames on any venue: lost, late, duplicated, reordered; and the windows of the faults of the venue.

It wraps a source of frames (:class:`FrameSource`) and is passive like it. Late frames wait in its own outbox and leave
by their stamps, and windows begin and end by theirs, so that everything happens in venue time at any speed and in
virtual time. While the injector is idle and nothing waits, frames pass through unchanged. What is inside a frame, and
so every fault that changes it, is the matter of a venue's own class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase
from heapq import heappop, heappush
from typing import Generic, Protocol, TypeVar

from stall_then_strike.sim.exchange.source import CONTROL_PREFIX, Frame
from stall_then_strike.sim.faults.injector import ArmedFault, FaultInjector
from stall_then_strike.sim.faults.kinds import FaultKind, Site
from stall_then_strike.sim.faults.socket_scene import SocketScene


class FrameSource(Protocol):
    """Where frames come from: a market that is advanced in time."""

    @property
    def now_ns(self) -> int:
        """Venue time that the source has reached."""
        ...

    def next_wake_ns(self) -> int | None:
        """When :meth:`advance` next has something to do; None when the source has ended."""
        ...

    def advance(self, until_ns: int) -> list[Frame]:
        """Advance to a time and return the frames that left by then, in order."""
        ...


Planned = Callable[[int], Frame | None]
"""Something other than a frame that waits for its time: the frame that it has become by then, if it has."""
SourceT = TypeVar("SourceT", bound=FrameSource)


class FrameFaults(Generic[SourceT]):
    """A source with faults; the exchange advances it in place of its source."""

    def __init__(self, source: SourceT, faults: FaultInjector, scene: SocketScene) -> None:
        """Nobody else may advance ``source``."""
        self.source = source
        self._faults = faults
        self._scene = scene
        self._waiting: list[tuple[int, int, Frame | Planned]] = []
        self._entered = 0
        self._swapped: dict[tuple[str, str | None], list[int]] = {}
        """Outbox numbers of the frames that change places with the next frame of their channel and account."""

    # --- as a source ----------------------------------------------------------------------------------------------

    def next_wake_ns(self) -> int | None:
        """When :meth:`advance` next has something to do; None when the market has ended and no frame waits."""
        wake_ns = self.source.next_wake_ns()
        moments = [] if wake_ns is None else [wake_ns, *self._scene_moments()]
        if self._waiting:
            moments.append(self._waiting[0][0])
        return min(moments, default=None)

    def advance(self, until_ns: int) -> list[Frame]:
        """Advance to a time and return the frames that left by then, in order."""
        if self._faults.is_idle and not self._waiting:
            return self.source.advance(until_ns)
        sent: list[Frame] = []
        while (moment_ns := min(self._scene_moments(), default=until_ns + 1)) <= until_ns:
            sent += self._walk(moment_ns)
            sent += self._turn(moment_ns)
        sent += self._walk(until_ns)
        self._faults.forget(until_ns)
        return sent

    # --- windows --------------------------------------------------------------------------------------------------

    def _scene_moments(self) -> list[int]:
        moments = []
        for one in self._faults.at(Site.SCENE):
            moment_ns = one.to_ns if one.has_begun else one.from_ns
            if moment_ns is not None:
                moments.append(moment_ns)
        return moments

    def _turn(self, moment_ns: int) -> list[Frame]:
        """Begin and end the scenes that are due. A time in the past (the fault was just injected) means now."""
        now_ns = max(moment_ns, self.source.now_ns)
        frames: list[Frame] = []
        for one in list(self._faults.at(Site.SCENE)):
            if not one.has_begun and one.from_ns <= moment_ns:
                frames += self._scene.begin(one, now_ns)
                if one.to_ns is None and one.fault.quiet_from_s is not None:  # over as soon as begun
                    frames += self._scene.end(one, now_ns)
            elif one.has_begun and one.to_ns is not None and one.to_ns <= moment_ns:
                frames += self._scene.end(one, now_ns)
        return frames

    # --- frames ---------------------------------------------------------------------------------------------------

    def _walk(self, until_ns: int) -> list[Frame]:
        sent: list[Frame] = []
        for frame in self.source.advance(until_ns):
            sent += self._due(frame.time_ns)
            if frame.channel.startswith(CONTROL_PREFIX):
                sent.append(frame)
                continue
            # The frames that wait for this one are released even if this one is held back itself.
            passed = self._swapped.pop((frame.channel, frame.account), [])
            sent += self._through(frame)
            sent += self._now(passed, frame.time_ns)
        return sent + self._due(until_ns)

    def _due(self, until_ns: int) -> list[Frame]:
        frames: list[Frame] = []
        while self._waiting and self._waiting[0][0] <= until_ns:
            time_ns, _, waiting = heappop(self._waiting)
            frame = waiting if isinstance(waiting, Frame) else waiting(time_ns)
            if frame is not None:
                frames.append(replace(frame, time_ns=time_ns))
        return frames

    def _now(self, numbers: list[int], now_ns: int) -> list[Frame]:
        """Release the frames that waited for the one that just passed."""
        if not numbers:
            return []
        taken = [entry for entry in self._waiting if entry[1] in numbers]
        self._waiting = sorted(entry for entry in self._waiting if entry[1] not in numbers)
        return [replace(frame, time_ns=now_ns) for _, _, frame in sorted(taken) if isinstance(frame, Frame)]

    def _wait(self, time_ns: int, waiting: Frame | Planned) -> int:
        """Put something into the outbox; return its number there."""
        self._entered += 1
        heappush(self._waiting, (time_ns, self._entered, waiting))
        return self._entered

    def _through(self, frame: Frame) -> list[Frame]:
        frames = [frame]
        for one in list(self._faults.at(Site.FRAME)):
            frames = [result for f in frames for result in self._struck(one, f)]
        return frames

    def _struck(self, one: ArmedFault, frame: Frame) -> list[Frame]:
        """The frames that leave now after one fault may have struck a frame."""
        fault = one.fault
        if not fnmatchcase(frame.channel, fault.channel or fault.spec.channel):
            return [frame]
        event = fault.event or fault.spec.event
        parts = (frame, list[Frame]()) if event is None else self._split(frame, event)
        if parts is None or self._defers(one, parts[0]):
            return [frame]
        if not one.strikes(frame.time_ns):
            return [frame]
        hit, rest = parts
        edited = self._edited(one, hit)
        return self._displaced(one, frame, hit, rest) if edited is None else [*rest, edited]

    # --- what a venue's class adds --------------------------------------------------------------------------------

    def _split(self, frame: Frame, event: str) -> tuple[Frame, list[Frame]] | None:
        """A frame with the part of a kind, and frames with the rest; None without a part of that kind."""
        raise NotImplementedError

    def _defers(self, one: ArmedFault, hit: Frame) -> bool:
        """Whether the fault strikes later, at a moment that this frame decides."""
        return False

    def _edited(self, one: ArmedFault, frame: Frame) -> Frame | None:
        """The frame as a fault of contents changes it; None when the fault is one of time."""
        raise NotImplementedError

    # --- time -----------------------------------------------------------------------------------------------------

    def _displaced(self, one: ArmedFault, frame: Frame, hit: Frame, rest: list[Frame]) -> list[Frame]:
        """The frames that leave now when a fault of time strikes. ``frame`` is split into ``hit`` and ``rest``."""
        late_ns = frame.time_ns + one.fault.span_ns
        match one.fault.kind:
            case FaultKind.LOSE_FRAME:
                pass
            case FaultKind.DELAY_FRAME:
                self._wait(late_ns, hit)
            case FaultKind.DUPLICATE_FRAME:
                if late_ns == frame.time_ns:
                    return [frame, hit]
                self._wait(late_ns, hit)
                return [frame]
            case FaultKind.REORDER_FRAME:
                self._swapped.setdefault((hit.channel, hit.account), []).append(self._wait(late_ns, hit))
            case FaultKind.FREEZE_FEED:
                if one.fault.backlog and one.to_ns is not None:
                    self._wait(one.to_ns, hit)
            case _:
                raise AssertionError(f"{one.fault.kind.value} does not strike frames")
        return rest
