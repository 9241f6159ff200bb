"""Faults of Lighter's stream as a whole: an impatient server, a restart with notice."""

from __future__ import annotations

from typing import Final

from stall_then_strike.sim.exchange.source import CONTROL_PREFIX, Frame
from stall_then_strike.sim.faults.injector import ArmedFault, FaultInjector
from stall_then_strike.sim.faults.kinds import FaultKind
from stall_then_strike.sim.faults.socket_scene import SocketScene
from stall_then_strike.sim.lighter.realtime.keepalive import Keepalive
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S

SHUT_DOWN: Final = f"{CONTROL_PREFIX}shutdown"
"""All clients are told that the server closes in so many milliseconds, the frame's text; then it does."""
END_RESTART: Final = f"{CONTROL_PREFIX}end restart"
"""The server takes connections again."""
CLOSE_REASON: Final = "restart"


class LighterScene(SocketScene):
    """Applies a fault of the stream when its window begins, and removes it when the window ends."""

    def __init__(self, faults: FaultInjector, keepalive: Keepalive) -> None:
        """``keepalive`` has the rules that every connection is watched by."""
        super().__init__(faults, CLOSE_REASON)
        self._keepalive = keepalive
        self._patience_s = keepalive.idle_s
        self._impatient: list[ArmedFault] = []

    def begin(self, armed: ArmedFault, now_ns: int) -> list[Frame]:
        """Begin a fault; return the frames that control the sockets."""
        frames = super().begin(armed, now_ns)
        if armed.fault.kind is FaultKind.CLOSE_IDLE:
            self._impatient.append(armed)
            self._set_patience()
        elif armed.fault.kind is FaultKind.SHUTDOWN:
            return [Frame(time_ns=now_ns, channel=SHUT_DOWN, text=str(armed.fault.span_ns // NS_PER_MS))]
        return frames

    def end(self, armed: ArmedFault, now_ns: int) -> list[Frame]:
        """End a fault; return the frames that control the sockets."""
        frames = super().end(armed, now_ns)
        if armed.fault.kind is FaultKind.CLOSE_IDLE:
            self._impatient.remove(armed)
            self._set_patience()
        elif armed.fault.kind is FaultKind.SHUTDOWN:
            return self.control(END_RESTART, now_ns)
        return frames

    def _set_patience(self) -> None:
        spans = [one.fault.span_ns / NS_PER_S for one in self._impatient]
        self._keepalive.change(idle_s=min([self._patience_s, *spans]))
