"""When to reconnect, and when a channel has been silent for too long. Pure: stamps in, decisions out.

There are two time scales. Seconds (``_s``) are real time, for the network and this machine; stamps (``_ns``) are on the
session's clock, which may run faster than real time if the venue is simulated.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Final

from stall_then_strike.types.dto import NS_PER_S

PAUSE_MAX_S: Final = 30.0
"""Longest pause between two connects."""
STEADY_S: Final = 30.0
"""After a connection that lasted this long, the pause is reset to the shortest."""
SILENCE_MIN_S: Final = 3.0
"""A shorter silence never counts, however fast the clock runs: this machine may have stopped for a moment."""


class Pacer:
    """Delays WebSocket handshakes: a shortest pause between two, doubled while connections do not last."""

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
        """Whether a handshake that begins now would not be delayed."""
        return self._started_s is None or now_s >= self._started_s + self._pause_s

    def next_wait(self, now_s: float) -> float:
        """Seconds to wait before the handshake that begins now; counts it as begun after that."""
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
    """How long one channel of the current connection has been silent, and whether that is too long."""

    def __init__(self, channel: str, limit_ns: int, *, is_vital: bool, may_pause: bool = False) -> None:
        """``limit_ns`` is in clock time, so it ends sooner with a simulated venue that runs fast."""
        self.channel = channel
        self.limit_ns = limit_ns
        self.is_vital = is_vital
        """Whether each silence renews the connection; otherwise at most one in ``lesser_pause_ns`` does."""
        self.may_pause = may_pause
        """Whether a silence is only logged once the channel has delivered something."""
        self._heard_ns = 0
        self._since_s = 0.0
        self._is_warned = False

    def restart(self, now_ns: int, now_s: float) -> None:
        """A new connection was made."""
        self._heard_ns, self._since_s, self._is_warned = now_ns, now_s, False

    def is_too_long(self, heard_ns: int | None, now_ns: int, now_s: float) -> bool:
        """Whether the channel has passed its limit; true only once per silence."""
        if heard_ns is not None and heard_ns != self._heard_ns:
            self._heard_ns, self._since_s, self._is_warned = heard_ns, now_s, False
        if self._is_warned or now_ns - self._heard_ns < self.limit_ns or now_s - self._since_s < SILENCE_MIN_S:
            return False
        self._is_warned = True
        return True


class Silences:
    """All channels of the current connection: decides which silence calls for a new connection."""

    def __init__(self, silences: tuple[Silence, ...], *, lesser_pause_ns: int) -> None:
        """Channels that are not vital renew the connection at most once in ``lesser_pause_ns``."""
        self._silences = silences
        self._lesser_pause_ns = lesser_pause_ns
        self._lesser_renewed_ns: int | None = None

    def restart(self, now_ns: int, now_s: float) -> None:
        """A new connection was made."""
        for silence in self._silences:
            silence.restart(now_ns, now_s)

    def found(self, heard_ns: Mapping[str, int], now_ns: int, now_s: float) -> Iterator[tuple[str, bool]]:
        """Each silence that passed its limit, as text, and whether the connection must be renewed for it.

        ``heard_ns`` has the time of each channel's last message. The caller stops at the first renewal.
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


class Backoff:
    """Pauses between failed connections: first, twice as long, and so on up to the longest, each with jitter."""

    def __init__(
        self, first_s: float, longest_s: float, *, most_tries: int | None, rng: random.Random | None = None
    ) -> None:
        """``most_tries`` counts failures in a row; None never ends."""
        self._first_s, self._longest_s, self._most = first_s, longest_s, most_tries
        self._rng = rng or random.Random()
        self.tries = 0
        """Failures since the last connection that lasted."""

    def on_lasted(self) -> None:
        """A connection lasted long enough to count as good."""
        self.tries = 0

    def next_pause(self) -> float | None:
        """Seconds until the next try, between half of the step and the whole; None if there is none."""
        self.tries += 1
        if self._most is not None and self.tries >= self._most:
            return None
        step_s = min(self._longest_s, self._first_s * 2.0 ** min(self.tries - 1, 32))
        return step_s * (1 + self._rng.random()) / 2
