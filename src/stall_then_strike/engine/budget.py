"""The venue's rate limits as rolling windows of send stamps, with a reserve that only exits may use.

A token bucket of N lets up to 2N-1 calls into one window, and the venue's own window may start at any of our calls;
only the stamps of the last window prove that no window of that length holds more than N. Pure: ``now_ns`` is given.

Limits (bitFlyer API documentation): private calls and order sends per 5 minutes, small orders per minute. Single
cancels count as private calls only.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from stall_then_strike.config.models import LimitsConfig
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.instrument import Instrument, Lots

_FREE_SHARE: Final = (1, 2)
"""Share of a window that strikes may use as fast as they come; beyond it they are spaced."""
ON_THE_WAY_NS: Final = 1 * NS_PER_S
"""The venue counts a call when it arrives, so calls that we space by a whole window may be closer there: stay apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowUse:
    """How much of one limit is used now."""

    name: str
    used: int
    limit: int
    reserve: int


class SendWindow:
    """One limit: at most ``limit`` stamps in any ``window_ns``."""

    def __init__(self, name: str, *, limit: int, window_ns: int, reserve: int) -> None:
        """``reserve`` of the limit is out of reach for strikes."""
        self.name = name
        self.limit = limit
        self.window_ns = window_ns
        self.reserve = reserve
        self._stamps: deque[int] = deque()

    def used(self, now_ns: int) -> int:
        """Calls within the window that ends now."""
        stamps, since = self._stamps, now_ns - self.window_ns
        while stamps and stamps[0] <= since:
            stamps.popleft()
        return len(stamps)

    def spend(self, now_ns: int, calls: int = 1) -> None:
        """Record calls that are being made."""
        self._stamps.extend([now_ns] * calls)

    def free_at_ns(self, now_ns: int, calls: int, *, keep: int) -> int:
        """When ``calls`` fit while ``keep`` of the limit stays untouched: ``now_ns`` if they do."""
        over = self.used(now_ns) + calls - (self.limit - keep)
        if over <= 0:
            return now_ns
        if over > len(self._stamps):
            raise ValueError(f"{self.name}: {calls} calls never fit into {self.limit} with {keep} kept")
        return self._stamps[over - 1] + self.window_ns

    def gap_ns(self, now_ns: int, calls: int) -> int:
        """Pause to keep between two strikes of so many calls, so that this window never runs dry.

        None while less than half is used; then rising without bound as the strikes' share fills up. Strikes on every
        stall settle at about 78 % of the share.
        """
        share = self.limit - self.reserve
        free = share * _FREE_SHARE[0] // _FREE_SHARE[1]
        above = self.used(now_ns) - free
        if above <= 0:
            return 0
        left = max(1, share - self.used(now_ns))
        return self.window_ns * calls * above // (share * left)

    def use(self, now_ns: int) -> WindowUse:
        """A frozen view."""
        return WindowUse(name=self.name, used=self.used(now_ns), limit=self.limit, reserve=self.reserve)


class Budget:
    """All windows together, in terms of what the strategy does."""

    def __init__(self, limits: LimitsConfig, instrument: Instrument) -> None:
        """Start with nothing used."""
        five_min, minute = 300 * NS_PER_S + ON_THE_WAY_NS, 60 * NS_PER_S + ON_THE_WAY_NS
        self._private = SendWindow(
            "private", limit=limits.private_per_5min, window_ns=five_min, reserve=limits.reserve_private
        )
        self._orders = SendWindow(
            "orders", limit=limits.orders_per_5min, window_ns=five_min, reserve=limits.reserve_orders
        )
        self._small = SendWindow(
            "small orders", limit=limits.small_orders_per_min, window_ns=minute, reserve=limits.reserve_small_orders
        )
        self._small_lots = instrument.to_lots(limits.small_order_btc)
        self._last_strike_ns: int | None = None
        self._free_from_ns: int | None = None

    def strike_at_ns(self, now_ns: int, orders: int, size: Lots) -> int:
        """When the next strike of so many orders may go out: ``now_ns`` or earlier if now.

        Each order is counted with its cancel, so that a strike that goes out can also be taken back.
        """
        if self._free_from_ns is not None and now_ns >= self._free_from_ns:
            return self._free_from_ns  # nothing was spent since it became free, so it still is
        spaced = now_ns
        if self._last_strike_ns is not None:
            gap = max(window.gap_ns(now_ns, calls) for window, calls in self._strike_calls(orders, size))
            spaced = self._last_strike_ns + gap
        room = max(
            window.free_at_ns(now_ns, calls, keep=window.reserve) for window, calls in self._strike_calls(orders, size)
        )
        at_ns = max(spaced, room)
        self._free_from_ns = at_ns if at_ns <= now_ns else None
        return at_ns

    def may_send(self, now_ns: int, size: Lots) -> bool:
        """Whether one closing order fits; it may use the reserve."""
        windows = [self._private, self._orders] + ([self._small] if size <= self._small_lots else [])
        return all(window.used(now_ns) < window.limit for window in windows)

    def may_cancel(self, now_ns: int, orders: int) -> bool:
        """Whether so many single cancels fit; they may use the reserve."""
        return self._private.used(now_ns) + orders <= self._private.limit

    def spend_strike(self, now_ns: int, orders: int, size: Lots) -> None:
        """Record a strike's sends."""
        for _ in range(orders):
            self.spend_order(now_ns, size)
        self._last_strike_ns = now_ns

    def spend_order(self, now_ns: int, size: Lots) -> None:
        """Record one order send."""
        self._free_from_ns = None
        self._private.spend(now_ns)
        self._orders.spend(now_ns)
        if size <= self._small_lots:
            self._small.spend(now_ns)

    def spend_cancel(self, now_ns: int, orders: int) -> None:
        """Record single cancels."""
        self._free_from_ns = None
        self._private.spend(now_ns, orders)

    def use(self, now_ns: int) -> tuple[WindowUse, ...]:
        """All windows, for the panel."""
        return tuple(window.use(now_ns) for window in (self._private, self._orders, self._small))

    def _strike_calls(self, orders: int, size: Lots) -> list[tuple[SendWindow, int]]:
        calls = [(self._private, 2 * orders), (self._orders, orders)]
        if size <= self._small_lots:
            calls.append((self._small, orders))
        return calls
