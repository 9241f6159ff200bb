"""Real time: the timer for a trader's deadlines on a live feed.

The session delivers market events by callback, and the trader decides at once, in the same turn of the event loop. The
timer and the trader's sending are tasks of the caller's TaskGroup; the first that fails ends the run.
"""

from __future__ import annotations

import asyncio
from typing import Final

from stall_then_strike.app.trader.trader import Trader
from stall_then_strike.infra.clock import Clock

_LONGEST_WAIT_S: Final = 1.0
_AWAKE_S: Final = 0.0015
"""The end of a wait is spent awake, turn by turn of the event loop, at real speed: the loop's timers count whole
milliseconds, and a processor that slept is slow to begin with."""


class RealtimeRun:
    """The timer of one trader."""

    def __init__(self, trader: Trader, clock: Clock, *, speed: float = 1.0) -> None:
        """``speed`` is how many seconds of ``clock`` pass in a real second."""
        self._trader = trader
        self._clock = clock
        self._speed = speed
        self._awake_s = _AWAKE_S if speed == 1.0 else 0.0
        self._moved = asyncio.Event()
        trader.on_step = self._moved.set

    async def keep_time(self) -> None:
        """Wake the trader at its deadlines, until cancelled. Each event may bring an earlier deadline."""
        while True:
            left_s = (self._trader.next_deadline_ns - self._clock.now_ns()) / self._speed / 1e9
            if left_s <= 0:
                self._trader.wake()
                await asyncio.sleep(0)
            elif left_s <= self._awake_s:
                await asyncio.sleep(0)
            else:
                await self._sleep(min(left_s - self._awake_s, _LONGEST_WAIT_S))

    async def _sleep(self, seconds: float) -> None:
        """Sleep for ``seconds``, or until the trader has taken a step."""
        self._moved.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._moved.wait()
        except TimeoutError:
            return
