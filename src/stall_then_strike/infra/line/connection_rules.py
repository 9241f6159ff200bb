"""When to connect again, and when a channel has been silent for too long. Pure: stamps in, answers out.

Two times meet here. Real seconds (``_s``) are those of the network and of this machine; stamps (``_ns``) are on the
session's clock, which may run faster than real time when the venue is simulated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from stall_then_strike.types.dto import NS_PER_S

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

    def is_due(self, now_s: float) -> bool:
        """Whether a handshake that began now would not be held back."""
        return self._started_s is None or now_s >= self._started_s + self._pause_s

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


class Silences:
    """All channels of the present connection: whose silence calls for a new one?"""

    def __init__(self, silences: tuple[Silence, ...], *, lesser_pause_ns: int) -> None:
        """For channels that are not vital, the connection is renewed at most once in ``lesser_pause_ns``."""
        self._silences = silences
        self._lesser_pause_ns = lesser_pause_ns
        self._lesser_renewed_ns: int | None = None

    def restart(self, now_ns: int, now_s: float) -> None:
        """A connection has just been made."""
        for silence in self._silences:
            silence.restart(now_ns, now_s)

    def found(self, heard_ns: Mapping[str, int], now_ns: int, now_s: float) -> Iterator[tuple[str, bool]]:
        """Each silence that went past its limit, in words, and whether the connection is to be renewed for it.

        ``heard_ns`` tells when each channel last spoke. Stop at the first that asks for a renewal.
        """
        for silence in self._silences:
            channel_ns = heard_ns.get(silence.channel)
            if not silence.is_too_long(channel_ns, now_ns, now_s):
                continue
            text = f"{silence.channel} silent for {silence.limit_ns / NS_PER_S:g} s"
            if silence.is_vital:
                yield text, True
            elif channel_ns is None or not silence.may_pause:
                last_ns = self._lesser_renewed_ns
                must_renew = last_ns is None or now_ns - last_ns >= self._lesser_pause_ns
                if must_renew:
                    self._lesser_renewed_ns = now_ns
                yield text, must_renew
            else:
                yield text, False
