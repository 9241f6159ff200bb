"""The venue's REST limits, kept on our side: a rolling minute of weights, a cooldown, and a little jitter.

Venue facts (rate limit pages of 2026, changed several times, so likely rather than sure): a standard account may make
60 requests in a rolling minute, whatever they are. A premium account has a weight of 24,000, with Plus 120,000, as a
Builder 240,000; sendTx, sendTxBatch and nextNonce weigh 6, accountInactiveOrders 100, apikeys 150, trades and
recentTrades 600, everything else 300; it may besides send 4,000 transactions' requests a minute, or up to 40,000 if
it has staked LIT. After a breach the venue refuses for up to a minute (HTTP 429, code
23000; the firewall in front answers HTML).
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from stall_then_strike.infra.clock import Clock
from stall_then_strike.types.errors import NotSent
from stall_then_strike.types.names import NS_PER_MS, NS_PER_S

MINUTE_NS: Final = 60 * NS_PER_S
ON_THE_WAY_NS: Final = NS_PER_S
"""Added to the window: the venue counts on arrival, where calls may be closer together than when sent."""
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


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """What an account's plan allows in a rolling minute."""

    most: int
    """Weight of all calls; requests, if every call counts as one."""
    sends: int | None = None
    """Transactions' messages, in the smallest bucket that the venue gives; None: every call counts as one."""

    def weight(self, call: str) -> int:
        """What a call takes of ``most``."""
        return 1 if self.sends is None else WEIGHTS.get(call, OTHER_WEIGHT)


STANDARD: Final = PlanLimits(60)
PREMIUM: Final = PlanLimits(24_000, 4_000)
PLANS: Final[Mapping[str, PlanLimits]] = {
    "standard": STANDARD,
    "premium": PREMIUM,
    "plus": PlanLimits(120_000, 4_000),
    "builder": PlanLimits(240_000, 4_000),
}
"""By the names that ``exchange.plan`` takes."""
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
    """Admits calls one after another, in the order in which they ask; vital ones do not wait behind others."""

    def __init__(
        self,
        clock: Clock,
        plan: PlanLimits = STANDARD,
        *,
        per_minute: int | None = None,
        jitter_ms: tuple[int, int] = (0, 0),
        most_wait_ns: int | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """``per_minute`` replaces the plan's ``most``.

        A call that would have to wait longer than ``most_wait_ns`` is not made; None: it waits as long as it takes.
        """
        self._clock = clock
        self._plan = plan
        self._all = RollingWeight(per_minute or plan.most)
        self._sends = None if plan.sends is None else RollingWeight(plan.sends)
        self._jitter_ms = jitter_ms
        self._most_wait_ns = most_wait_ns
        self._rng = rng or random.Random()
        self._turn, self._vital_turn = asyncio.Lock(), asyncio.Lock()
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
        weight = self._plan.weight(call)
        async with self._vital_turn if call in VITAL else self._turn:
            while (wait_ns := self._wait_ns(call, weight)) > 0:
                if self._most_wait_ns is not None and wait_ns > self._most_wait_ns:
                    raise NotSent(call, f"the venue's limits leave no room for {wait_ns / NS_PER_S:.1f} s")
                await self._clock.sleep_until(self._clock.now_ns() + wait_ns)
            self.count(call)

    def count(self, call: str) -> None:
        """Count a call as made that does not wait here, such as one over the socket."""
        now_ns = self._clock.now_ns()
        self._all.take(self._plan.weight(call), now_ns)
        if call in SENDS and self._sends is not None:
            self._sends.take(1, now_ns)

    def _wait_ns(self, call: str, weight: int) -> int:
        now_ns = self._clock.now_ns()
        keep = 0 if call in VITAL else self._all.limit // 10
        room_ns = self._all.wait_ns(weight, now_ns, keep=keep)
        if call in SENDS and self._sends is not None:
            room_ns = max(room_ns, self._sends.wait_ns(1, now_ns))
        return max(room_ns, self._paused_until_ns - now_ns)
