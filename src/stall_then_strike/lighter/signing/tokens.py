"""Auth tokens of one key: made locally, kept, and renewed before they end.

Venue fact: a token is ``deadline:account:key:signature``, valid until its deadline, at most 8 hours ahead; the venue
does not store it.
"""

from __future__ import annotations

from typing import Final

from stall_then_strike.infra.clock import Clock
from stall_then_strike.lighter.signing.signer import Secret, Signer
from stall_then_strike.types.names import NS_PER_S

LIFETIME_S: Final = 3_600
"""How long a token lives."""
RENEWED_SHARE: Final = 0.2
"""A token is renewed when less than this share of its life is left."""


class Tokens:
    """The current token of one key."""

    def __init__(self, signer: Signer, api_key_index: int, clock: Clock, *, lifetime_s: int = LIFETIME_S) -> None:
        """Make none yet."""
        self._signer = signer
        self._key = api_key_index
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._token: Secret | None = None
        self._ends_ns = 0
        self.made = 0

    @property
    def lifetime_s(self) -> int:
        """How long a new token lives."""
        return self._lifetime_s

    def current(self) -> Secret:
        """A token with at least a fifth of its life left."""
        now_ns = self._clock.now_ns()
        if self._token is None or self._ends_ns - now_ns < self._lifetime_s * NS_PER_S * RENEWED_SHARE:
            self._token = self._signer.token(self._key, self._lifetime_s, now_ns // NS_PER_S)
            self._ends_ns = (now_ns // NS_PER_S + self._lifetime_s) * NS_PER_S
            self.made += 1
        return self._token

    def forget(self) -> None:
        """Make a new token next time, because the venue refused this one."""
        self._token = None
