"""Faults of all sockets of a venue, which begin and end with their windows.

Sockets are controlled by frames on channels that no client can subscribe to (`exchange/source.py`), so that it happens
in order with the other frames.
"""

from __future__ import annotations

from stall_then_strike.sim.exchange.source import ABORT_SOCKETS, CLOSE_SOCKETS, END_SILENCE, SILENCE_SOCKETS, Frame
from stall_then_strike.sim.faults.injector import ArmedFault, FaultInjector
from stall_then_strike.sim.faults.kinds import FaultKind

_AT_BEGIN = {
    FaultKind.CLOSE_SOCKETS: CLOSE_SOCKETS,
    FaultKind.ABORT_SOCKETS: ABORT_SOCKETS,
    FaultKind.RESET_NETWORK: ABORT_SOCKETS,
    FaultKind.HALF_OPEN: SILENCE_SOCKETS,
    FaultKind.CUT_NETWORK: SILENCE_SOCKETS,
}
_AT_END = {FaultKind.HALF_OPEN: END_SILENCE, FaultKind.CUT_NETWORK: END_SILENCE}


class SocketScene:
    """Applies a fault of the sockets when its window begins, and removes it when the window ends."""

    def __init__(self, faults: FaultInjector, close_reason: str) -> None:
        """``close_reason`` stands in the close frames."""
        self.faults = faults
        self._close_reason = close_reason

    def begin(self, armed: ArmedFault, now_ns: int) -> list[Frame]:
        """Begin a fault; return the frames that control the sockets."""
        armed.has_begun = True
        armed.count()
        return self.control(_AT_BEGIN.get(armed.fault.kind), now_ns)

    def end(self, armed: ArmedFault, now_ns: int) -> list[Frame]:
        """End a fault; return the frames that control the sockets."""
        self.faults.end(armed)
        return self.control(_AT_END.get(armed.fault.kind), now_ns)

    def control(self, channel: str | None, now_ns: int) -> list[Frame]:
        """The frame that says what happens to the sockets; None for nothing."""
        return [] if channel is None else [Frame(time_ns=now_ns, channel=channel, text=self._close_reason)]
