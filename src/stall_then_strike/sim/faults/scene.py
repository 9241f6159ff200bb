"""Faults of the venue as a whole, which begin and end with their windows: its condition, its clock, all sockets.

When several faults set the same thing, the one that began last counts; when the last
one ends, the state before the first is restored.
"""

from __future__ import annotations

from dataclasses import replace

from stall_then_strike.sim.bitflyer.desk import Delays, Span
from stall_then_strike.sim.bitflyer.private_venue import MAINTENANCE_REASON, PrivateVenue
from stall_then_strike.sim.bitflyer.venue_hours import Phase
from stall_then_strike.sim.exchange.source import CLOSE_SOCKETS, Frame, MarketSource
from stall_then_strike.sim.faults.injector import ArmedFault, FaultInjector
from stall_then_strike.sim.faults.kinds import FaultKind
from stall_then_strike.sim.faults.lost_deletions import LostDeletion, LostDeletions
from stall_then_strike.sim.faults.socket_scene import SocketScene
from stall_then_strike.types.dto import NS_PER_S, BoardState, Health, Side


class FaultScene(SocketScene):
    """Applies a fault of the venue when its window begins, and removes it when the window ends."""

    def __init__(
        self, source: MarketSource, faults: FaultInjector, *, private: PrivateVenue | None, deletions: LostDeletions
    ) -> None:
        """Without a private side, only public data and sockets are affected."""
        super().__init__(faults, MAINTENANCE_REASON)
        self._source = source
        self._private = private
        self._deletions = deletions
        self._lost: dict[int, list[LostDeletion]] = {}
        self._busy: list[ArmedFault] = []
        self._skewed: list[ArmedFault] = []
        self._halting: ArmedFault | None = None
        self._health_before = Health.NORMAL
        self._delays_before: Delays | None = None

    @property
    def skew_ns(self) -> int:
        """How far the venue's clock is ahead of venue time."""
        return sum(one.fault.span_ns for one in self._skewed)

    def begin(self, armed: ArmedFault, now_ns: int) -> list[Frame]:
        """Begin a fault; return the frames that control the sockets."""
        kind = armed.fault.kind
        if kind is FaultKind.LOSE_DELETION:
            armed.has_begun = True
            self._expect_deletions(armed)
            return []
        frames = super().begin(armed, now_ns)
        if kind is FaultKind.BUSY:
            self._busy.append(armed)
            self._set_load()
        elif kind is FaultKind.CLOCK_SKEW:
            self._skewed.append(armed)
            self._set_clock()
        elif kind is FaultKind.HALT_BOARD:
            self._halting = armed
            seconds, preopen = _seconds(armed, now_ns), armed.fault.span_ns // NS_PER_S
            halted = Phase(state=armed.fault.state, seconds=max(1, seconds - preopen))
            opening = Phase(state=BoardState.PREOPEN, seconds=seconds - halted.seconds)
            self._halt(now_ns, [phase for phase in (halted, opening) if phase.seconds])
        elif kind is FaultKind.MAINTENANCE:
            self._halting = armed
            part = _seconds(armed, now_ns) // 3
            states = (BoardState.CLOSED, BoardState.STARTING, BoardState.PREOPEN)
            self._halt(now_ns, [Phase(state=state, seconds=part) for state in states])
            return self.control(CLOSE_SOCKETS, now_ns)
        return frames

    def end(self, armed: ArmedFault, now_ns: int) -> list[Frame]:
        """End a fault; return the frames that control the sockets."""
        kind = armed.fault.kind
        frames = super().end(armed, now_ns)
        if kind is FaultKind.LOSE_DELETION:
            for lost in self._lost.pop(id(armed), []):
                self._deletions.withdraw(lost)
        elif kind is FaultKind.BUSY:
            self._busy.remove(armed)
            self._set_load()
        elif kind is FaultKind.CLOCK_SKEW:
            self._skewed.remove(armed)
            self._set_clock()
        elif armed is self._halting:
            self._halting = None
            self._run(now_ns)
        return frames

    # --- inside ---------------------------------------------------------------------------------------------------

    def _expect_deletions(self, armed: ArmedFault) -> None:
        def on_lost() -> None:
            armed.count()
            if armed.fault.count is None or armed.is_spent:
                self._lost.pop(id(armed), None)
                self.faults.end(armed)

        sides = [armed.rng.choice((Side.BUY, Side.SELL)) for _ in range(armed.fault.count or 1)]
        self._lost[id(armed)] = [self._deletions.expect(side, on_lost) for side in sides]

    def _set_load(self) -> None:
        """Set health and delays to those of the last busy fault, or back to those before the first."""
        desks = [venue.desk for venue in self._venues()]
        if self._delays_before is None:
            self._health_before = self._source.condition.health
            self._delays_before = desks[0].delays if desks else Delays()
        before = self._delays_before
        if self._busy:
            fault = self._busy[-1].fault
            health, delays = fault.health, _slow(before, fault.span_ns)
        else:
            health, delays = self._health_before, before
            self._delays_before = None
        self._source.set_condition(health=health)
        for desk in desks:
            desk.delays = delays

    def _venues(self) -> list[PrivateVenue]:
        """The private sides of all products; a fault of the venue affects each."""
        return [] if self._private is None else list(self._private.products.values())

    def _set_clock(self) -> None:
        if self._private is not None:
            self._private.keyring.skew_ns = self.skew_ns

    def _halt(self, now_ns: int, phases: list[Phase]) -> None:
        for venue in self._venues():
            venue.begin_phases(now_ns, phases)
        if self._private is None:  # without accounts the phases have no effect: show the first state only
            self._source.set_condition(state=phases[0].state)

    def _run(self, now_ns: int) -> None:
        """Open the board now. The phases last whole seconds and may end a fraction of a second later."""
        for venue in self._venues():
            venue.begin_phases(now_ns, [])
        if self._private is None:
            self._source.set_condition(state=BoardState.RUNNING)


def _seconds(armed: ArmedFault, now_ns: int) -> int:
    """Whole seconds left in the window, at least 1."""
    if armed.to_ns is None:
        raise AssertionError("a halt always has an end")
    return max(1, (armed.to_ns - now_ns) // NS_PER_S)


def _slow(delays: Delays, longest_ns: int) -> Delays:
    """Delays under load: effects take from half of ``longest_ns`` to all of it, events and answers less."""

    def at_least(span: Span, share: float) -> Span:
        shortest = max(span[0], int(longest_ns * share / 2))
        return shortest, max(span[1], shortest, int(longest_ns * share))

    return replace(
        delays,
        answer=at_least(delays.answer, 0.2),
        registration=at_least(delays.registration, 1.0),
        cancel=at_least(delays.cancel, 1.0),
        event=at_least(delays.event, 0.5),
    )
