"""What one address may do on the stream. Pure: a time in, a verdict out.

Venue facts (rate limits of 2026; the numbers moved several times): 100 connections, 80 new ones a minute, 100
subscriptions a connection and 1,000 in all, 200 messages of a client a minute, among which transactions do not count.
Minutes are rolling here, the strictest reading. A limit of 50 messages in flight is reported; this server cannot
exceed it, because it answers each message before it reads the next.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final

from stall_then_strike.types.dto import NS_PER_S

_MINUTE_NS: Final = 60 * NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """The limits of an address; None removes one."""

    connections: int | None = 100
    handshakes: int | None = 80
    """A minute."""
    subscriptions: int | None = 100
    """Of one connection."""
    all_subscriptions: int | None = 1_000
    messages: int | None = 200
    """A minute, without transactions."""


class RollingMinute:
    """Events of the last minute."""

    def __init__(self, limit: int | None) -> None:
        """None for no limit."""
        self._limit = limit
        self._stamps: deque[int] = deque()

    def allow(self, now_ns: int) -> bool:
        """Count an event if it is within the limit; return whether it is."""
        if self._limit is None:
            return True
        while self._stamps and now_ns - self._stamps[0] >= _MINUTE_NS:
            self._stamps.popleft()
        if len(self._stamps) >= self._limit:
            return False
        self._stamps.append(now_ns)
        return True


@dataclass(slots=True)
class Caller:
    """One address."""

    limits: StreamLimits
    address: str = ""
    connections: int = 0
    subscriptions: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    _handshakes: RollingMinute = field(init=False)
    _messages: RollingMinute = field(init=False)

    def __post_init__(self) -> None:
        """Start with unused minutes."""
        self._handshakes = RollingMinute(self.limits.handshakes)
        self._messages = RollingMinute(self.limits.messages)

    def may_connect(self, now_ns: int) -> bool:
        """Whether one more connection is allowed now; the attempt is counted."""
        is_allowed = not _is_reached(self.limits.connections, self.connections) and self._handshakes.allow(now_ns)
        return self._told("connection", is_allowed)

    def may_send(self, now_ns: int) -> bool:
        """Whether one more message is allowed now; it is counted."""
        return self._told("message", self._messages.allow(now_ns))

    def may_subscribe(self, of_connection: int) -> bool:
        """Whether a connection with that many subscriptions may have one more."""
        is_full = _is_reached(self.limits.subscriptions, of_connection)
        is_full = is_full or _is_reached(self.limits.all_subscriptions, self.subscriptions)
        return self._told("subscription", not is_full)

    def _told(self, what: str, is_allowed: bool) -> bool:
        if not is_allowed:
            self.refused[what] += 1
        return is_allowed


def _is_reached(limit: int | None, number: int) -> bool:
    return limit is not None and number >= limit
