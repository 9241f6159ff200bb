"""When to connect again, and when a channel has been silent for too long. Pure: stamps in, answers out.

Two times meet here. Real seconds (``_s``) are those of the network and of this machine; stamps (``_ns``) are on the
session's clock, which may run faster than real time when the venue is simulated.
"""

from __future__ import annotations

from typing import Final

PAUSE_MAX_S: Final = 30.0
"""Longest pause between two connects."""
STEADY_S: Final = 30.0
"""A connection that lived so long was a good one: the next pause starts small again."""
SILENCE_MIN_S: Final = 3.0
"""No silence shorter than this counts, however fast the clock runs: the machine itself may have paused."""


class Pacer:
    """Holds back WebSocket handshakes: a least pause between two, doubled while connections do not last."""

    def __init__(self, least_s: float) -> None:
        """``least_s`` is the shortest pause, in seconds."""
        self._least_s = least_s
        self._pause_s = least_s
        self._started_s: float | None = None
        self._connected_s: float | None = None

    def on_connected(self, now_s: float) -> None:
        """The handshake of the last ``next_wait`` succeeded."""
        self._connected_s = now_s

    def next_wait(self, now_s: float) -> float:
        """Seconds to wait before the handshake that is due now."""
        if self._started_s is None:
            wait_s = 0.0
        else:
            lasted = self._connected_s is not None and now_s - self._connected_s >= STEADY_S
            if lasted:
                self._pause_s = self._least_s
            wait_s = max(0.0, self._started_s + self._pause_s - now_s)
            self._pause_s = min(self._pause_s * 2, max(PAUSE_MAX_S, self._least_s))
        self._started_s = now_s + wait_s
        self._connected_s = None
        return wait_s


class Silence:
    """How long one channel of the present connection has been silent, and what that means."""

    def __init__(self, channel: str, limit_ns: int, *, is_vital: bool, may_pause: bool = False) -> None:
        """``limit_ns`` is in clock time: a simulated venue that runs fast is silent sooner."""
        self.channel = channel
        self.limit_ns = limit_ns
        self.is_vital = is_vital
        """Whether the connection is renewed for it each time, and not only now and then."""
        self.may_pause = may_pause
        """Whether it is only warned of, once it has delivered anything at all."""
        self._heard_ns = 0
        self._since_s = 0.0
        self._is_warned = False

    def restart(self, now_ns: int, now_s: float) -> None:
        """A connection has just been made."""
        self._heard_ns, self._since_s, self._is_warned = now_ns, now_s, False

    def is_too_long(self, heard_ns: int | None, now_ns: int, now_s: float) -> bool:
        """Whether the channel went past its limit; said once for each silence."""
        if heard_ns is not None and heard_ns != self._heard_ns:
            self._heard_ns, self._since_s, self._is_warned = heard_ns, now_s, False
        if self._is_warned or now_ns - self._heard_ns < self.limit_ns or now_s - self._since_s < SILENCE_MIN_S:
            return False
        self._is_warned = True
        return True
