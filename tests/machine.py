"""A machine whose clocks a test can move: sleep, standstill, a wall that is set."""

from __future__ import annotations

import time

from stall_then_strike.infra.clock import Sources


class Machine:
    """Real time, and what was added to it."""

    def __init__(self) -> None:
        self._slept_ns = 0
        self._stood_ns = 0
        self._set_ns = 0
        self.sources = Sources(self._wall_ns, self._awake_ns, self._elapsed_ns)

    def sleep(self, seconds: float) -> None:
        """A suspend: the event loop's clock stands still, as the real one does."""
        self._slept_ns += round(seconds * 1e9)

    def stand(self, seconds: float) -> None:
        """Time passes on all clocks and nothing is done, as between SIGSTOP and SIGCONT."""
        self._stood_ns += round(seconds * 1e9)

    def set_wall(self, seconds: float) -> None:
        """Somebody sets the wall clock forward, or back."""
        self._set_ns += round(seconds * 1e9)

    def _wall_ns(self) -> int:
        return time.time_ns() + self._slept_ns + self._stood_ns + self._set_ns

    def _awake_ns(self) -> int:
        return time.monotonic_ns() + self._stood_ns

    def _elapsed_ns(self) -> int:
        return time.monotonic_ns() + self._slept_ns + self._stood_ns
