"""When to ask again for a snapshot that is missing: at once, then after 1, 2, 4 ... 60 s, until it is there. Pure."""

from __future__ import annotations

import random
from typing import Final

from stall_then_strike.infra.line.connection_rules import Backoff

FIRST_S: Final = 1.0
LONGEST_S: Final = 60.0
WHOLE_S: Final = 60.0
"""What was whole for this long is asked for at once when it is lost."""
PATIENCE_S: Final = 10.0
"""Least time that the venue has for a snapshot."""


class Healing:
    """One thing that a snapshot makes whole, such as a book."""

    def __init__(self, now_s: float, rng: random.Random | None = None) -> None:
        """It was asked for just now."""
        self._backoff = Backoff(FIRST_S, LONGEST_S, most_tries=None, rng=rng)
        self._asked_s, self._pause_s = now_s, 0.0
        self._whole_s: float | None = None
        self._is_lost = False
        """Whether it was lost since it was asked for; else the snapshot has not come."""

    def lost(self, now_s: float) -> bool:
        """It is wrong or gone. Returns whether to ask for it now; counts as asked then."""
        if self._whole_s is not None and now_s - self._whole_s >= WHOLE_S:
            self._backoff.on_lasted()
            self._pause_s = 0.0
        self._whole_s, self._is_lost = None, True
        return self.is_due(now_s, is_whole=False)

    def is_due(self, now_s: float, *, is_whole: bool) -> bool:
        """Whether to ask for it now; counts as asked then. To be called often."""
        if is_whole:
            self._whole_s = now_s if self._whole_s is None else self._whole_s
            self._is_lost = False
            return False
        if now_s - self._asked_s < (self._pause_s if self._is_lost else max(PATIENCE_S, self._pause_s)):
            return False
        self.asked(now_s)
        self._pause_s = self._backoff.next_pause() or LONGEST_S
        return True

    def asked(self, now_s: float) -> None:
        """It has been asked for, as on each new connection."""
        self._asked_s, self._whole_s, self._is_lost = now_s, None, False
