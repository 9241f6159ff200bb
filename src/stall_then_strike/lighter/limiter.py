"""The venue's REST limits, kept on our side: a rolling minute of weights, a cooldown, and a little jitter.

Venue facts (rate limit pages of 2026, changed several times, so likely rather than sure): a standard account may make
60 requests in a rolling minute, whatever they are. A premium account has a weight of 24,000; sendTx, sendTxBatch and
nextNonce weigh 6, accountInactiveOrders 100, apikeys 150, trades and recentTrades 600, everything else 300; it may
besides send 4,000 transactions' requests a minute. After a breach the venue refuses for up to a minute (HTTP 429, code
23000; the firewall in front answers HTML).
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import Final

from stall_then_strike.infra.clock import Clock
from stall_then_strike.types.errors import NotSent
from stall_then_strike.types.names import NS_PER_MS, NS_PER_S

MINUTE_NS: Final = 60 * NS_PER_S
ON_THE_WAY_NS: Final = NS_PER_S
"""Added to the window: the venue counts on arrival, where calls may be closer together than when sent."""
STANDARD_REQUESTS: Final = 60
PREMIUM_WEIGHT: Final = 24_000
PREMIUM_SENDS: Final = 4_000
OTHER_WEIGHT: Final = 300
WEIGHTS: Final = {
    "sendTx": 6,
    "sendTxBatch": 6,
    "nextNonce": 6,
    "accountInactiveOrders": 100,
    "apikeys": 150,
    "trades": 600,
    "recentTrades": 600,
}
SENDS: Final = frozenset({"sendTx", "sendTxBatch"})
VITAL: Final = SENDS | {"nextNonce"}
"""Calls that may use the whole limit; the others leave a tenth of it, so that polls never hold up a cancel."""


class RollingWeight:
    """At most ``limit`` in any window of ``window_ns``. Pure: stamps in, waits out."""

    def __init__(self, limit: int, window_ns: int = MINUTE_NS + ON_THE_WAY_NS) -> None:
        """Start empty."""
        self.limit = limit
        self._window_ns = window_ns
        self._taken: deque[tuple[int, int]] = deque()
        self._sum = 0

    def used(self, now_ns: int) -> int:
        """Weight in the window that ends now."""
        while self._taken and now_ns - self._taken[0][0] >= self._window_ns:
            self._sum -= self._taken.popleft()[1]
        return self._sum

    def wait_ns(self, weight: int, now_ns: int, *, keep: int = 0) -> int:
        """Nanoseconds until ``weight`` fits, with ``keep`` left over; zero if it fits now, or never could."""
        most = max(weight, self.limit - keep)
        excess = self.used(now_ns) + weight - most
        for stamp_ns, taken in self._taken:
            if excess <= 0:
                return 0
            excess -= taken
            if excess <= 0:
                return max(0, stamp_ns + self._window_ns - now_ns)
        return 0

    def take(self, weight: int, now_ns: int) -> None:
        """Count a call that is made now."""
        self._taken.append((now_ns, weight))
        self._sum += weight


class Limiter:
    """Admits calls one after another, in the order in which they ask."""

    def __init__(
        self,
        clock: Clock,
        *,
        standard: bool = True,
        per_minute: int | None = None,
        jitter_ms: tuple[int, int] = (0, 0),
        most_wait_ns: int | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """``per_minute`` replaces the plan's number: requests for a standard account, weight for a premium one.

        A call that would have to wait longer than ``most_wait_ns`` is not made; None: it waits as long as it takes.
        """
        self._clock = clock
        self._is_standard = standard
        self._all = RollingWeight(per_minute or (STANDARD_REQUESTS if standard else PREMIUM_WEIGHT))
        self._sends = RollingWeight(PREMIUM_SENDS)
        self._jitter_ms = jitter_ms
        self._most_wait_ns = most_wait_ns
        self._rng = rng or random.Random()
        self._turn = asyncio.Lock()
        self._paused_until_ns = 0

    def used(self) -> tuple[int, int]:
        """What the window holds now, and its limit."""
        return self._all.used(self._clock.now_ns()), self._all.limit

    def pause_until(self, until_ns: int) -> None:
        """Admit nothing before this time, because the venue said so."""
        self._paused_until_ns = max(self._paused_until_ns, until_ns)

    async def admit(self, call: str) -> None:
        """Wait until the call may be made, and count it as made. Raises NotSent if that would take too long."""
        low_ms, high_ms = self._jitter_ms
        if high_ms > 0:
            await self._clock.sleep_until(self._clock.now_ns() + int(self._rng.uniform(low_ms, high_ms) * NS_PER_MS))
        weight = self._weight(call)
        async with self._turn:
            while (wait_ns := self._wait_ns(call, weight)) > 0:
                if self._most_wait_ns is not None and wait_ns > self._most_wait_ns:
                    raise NotSent(call, f"the venue's limits leave no room for {wait_ns / NS_PER_S:.1f} s")
                await self._clock.sleep_until(self._clock.now_ns() + wait_ns)
            self.count(call)

    def count(self, call: str) -> None:
        """Count a call as made that does not wait here, such as one over the socket."""
        now_ns = self._clock.now_ns()
        self._all.take(self._weight(call), now_ns)
        if call in SENDS:
            self._sends.take(1, now_ns)

    def _weight(self, call: str) -> int:
        return 1 if self._is_standard else WEIGHTS.get(call, OTHER_WEIGHT)

    def _wait_ns(self, call: str, weight: int) -> int:
        now_ns = self._clock.now_ns()
        keep = 0 if call in VITAL else self._all.limit // 10
        room_ns = self._all.wait_ns(weight, now_ns, keep=keep)
        if call in SENDS and not self._is_standard:
            room_ns = max(room_ns, self._sends.wait_ns(1, now_ns))
        return max(room_ns, self._paused_until_ns - now_ns)
