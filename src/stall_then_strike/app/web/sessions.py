"""Who may see the console: one token, guessed rarely, and sessions that end."""

from __future__ import annotations

import hmac
import secrets
from collections import deque
from enum import Enum, auto
from hashlib import sha256
from typing import Final

from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import ConfigError

LEAST_CHARS: Final = 16
"""Shortest token that an operator may choose."""
LIFE_S: Final = 12 * 3_600
"""How long a session lasts, seconds."""
MOST_SESSIONS: Final = 100
"""At once; the oldest one ends first."""
GUESSES: Final = 5
"""Wrong tokens within ``GUESS_WINDOW_S`` at one door; further tokens are not looked at there. All clients share them,
because behind a tunnel all have the same address."""
GUESS_WINDOW_S: Final = 60


class Door(Enum):
    """Where tokens are shown: a program with an old one must not keep people out."""

    LOGIN = auto()
    METRICS = auto()


def new_token() -> str:
    """A token of 192 bits."""
    return secrets.token_urlsafe(24)


class Sessions:
    """The token, and who has shown it. In memory only: a restart ends all sessions."""

    def __init__(self, token: str) -> None:
        """Raises ConfigError for a token that could be guessed. No error shows it."""
        if len(token) < LEAST_CHARS:
            raise ConfigError(f"the token is too short; accepted: {LEAST_CHARS} characters or more")
        self._token = sha256(token.encode()).digest()
        self._ends: dict[str, int] = {}
        self._wrong = {door: deque[int](maxlen=GUESSES) for door in Door}

    def wait_s(self, door: Door, now_ns: int) -> int:
        """Seconds until a token is looked at again; zero if one is now."""
        wrong = self._wrong[door]
        if len(wrong) < GUESSES:
            return 0
        left_ns = wrong[0] + GUESS_WINDOW_S * NS_PER_S - now_ns
        return max(0, -(-left_ns // NS_PER_S))

    def is_token(self, guess: str, door: Door, now_ns: int) -> bool:
        """Whether this is the token, in a time that tells nothing about it. False too while :meth:`wait_s` is on."""
        if self.wait_s(door, now_ns):
            return False
        is_right = hmac.compare_digest(sha256(guess.encode()).digest(), self._token)
        if not is_right:
            self._wrong[door].append(now_ns)
        return is_right

    def begin(self, now_ns: int) -> str:
        """A new session's name, for its cookie."""
        while len(self._ends) >= MOST_SESSIONS:
            del self._ends[next(iter(self._ends))]
        name = secrets.token_urlsafe(32)
        self._ends[name] = now_ns + LIFE_S * NS_PER_S
        return name

    def is_open(self, name: str, now_ns: int) -> bool:
        """Whether a session of this name has begun and not ended. Names are too long to be found by timing."""
        return self._ends.get(name, 0) > now_ns

    def end(self, name: str) -> None:
        """End one."""
        self._ends.pop(name, None)
