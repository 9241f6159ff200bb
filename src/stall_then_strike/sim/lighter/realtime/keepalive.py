"""When Lighter's stream ends a connection: silence, an unanswered ping, age.

Venue facts (WebSocket documentation, the SDK; *: not known): a client has to send a frame of any kind at least every
two minutes; the venue also sends ``{"type":"ping"}``, how often is not known *, and closes with 1008 when no
``{"type":"pong"}`` comes within 60 s (likely); connections end after 24 hours. The codes of the other two closes are
not known *: 1008 for silence and 1001 for age here.

Seconds are real ones, however fast the market's time runs: what they measure are sockets and clients, whose own timers
run in real time.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from aiohttp import WSCloseCode
from loguru import logger

from stall_then_strike.sim.hub import Connection
from stall_then_strike.sim.lighter.realtime.stream import PING, StreamSession

Farewell = tuple[int, str]


@dataclass(slots=True, kw_only=True)
class Keepalive:
    """The rules, in real seconds. They can be changed at any time: :meth:`change` wakes all connections."""

    idle_s: float = 120.0
    """How long a client may send nothing."""
    ping_s: float = 60.0
    """How often the server sends its ping."""
    pong_s: float = 60.0
    """How long it waits for the pong."""
    age_s: float = 86_400.0
    """How long a connection may last."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def change(self, *, idle_s: float) -> None:
        """Set another limit of silence, for the present connections too."""
        self.idle_s = idle_s
        self._changed.set()
        self._changed = asyncio.Event()

    async def until_over(self, connection: Connection) -> Farewell | None:
        """Watch a connection until one of the rules ends it."""
        loop = asyncio.get_running_loop()
        ping_at_s = connection.opened_s + self.ping_s
        while True:
            farewell, wake_s = self._verdict(connection, loop.time())
            if farewell is not None:
                logger.warning("client disconnected: {}", farewell[1])
                return farewell
            if loop.time() >= ping_at_s:
                ping_at_s = loop.time() + self.ping_s
                self._ping(connection, loop.time())
                continue
            try:
                async with asyncio.timeout_at(min(wake_s, ping_at_s)):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def _verdict(self, connection: Connection, now_s: float) -> tuple[Farewell | None, float]:
        """How the connection ends now, if it does; and when to look again."""
        ends: list[tuple[float, int, str]] = [
            (connection.heard_s + self.idle_s, WSCloseCode.POLICY_VIOLATION, f"no message for {self.idle_s:g} s"),
            (connection.opened_s + self.age_s, WSCloseCode.GOING_AWAY, f"open for {self.age_s:g} s"),
        ]
        session = connection.session
        if isinstance(session, StreamSession) and session.pinged_s is not None:
            ends.append(
                (session.pinged_s + self.pong_s, WSCloseCode.POLICY_VIOLATION, f"no pong for {self.pong_s:g} s")
            )
        end_s, code, reason = min(ends)
        return ((code, reason) if end_s <= now_s else None), end_s

    def _ping(self, connection: Connection, now_s: float) -> None:
        session = connection.session
        if isinstance(session, StreamSession) and connection.outbox.offer(PING) and session.pinged_s is None:
            session.pinged_s = now_s
