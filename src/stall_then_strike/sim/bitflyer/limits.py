"""The venue's rate limits. Pure: a stamp in, a reading or a refusal out.

Venue facts (API documentation; *: likely, from headers that clients logged): 500 calls in 5 minutes per address; 500
private calls in 5 minutes per account; 300 `sendchildorder` and `cancelallchildorders` in 5 minutes per account (a
`cancelchildorder` does not count); 100 orders of 0.1 or less a minute, and after a breach 10 a minute for an hour.
Windows are fixed: they start with their first call and are reset as a whole *. After a breach the ceiling is lower for
a while; by how much and for how long is not published.

The minute of small orders is a rolling window here, the strictest reading of "a minute": a client that satisfies it
satisfies every other reading. Refused calls count too.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from stall_then_strike.types.dto import NS_PER_S

WINDOW_NS: Final = 300 * NS_PER_S
_MINUTE_NS: Final = 60 * NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of an account. None removes a limit and, for the first two, its headers."""

    private_calls: int | None = 500
    """Per five minutes."""
    order_calls: int | None = 300
    """`sendchildorder` and `cancelallchildorders`, per five minutes."""
    small_orders: int | None = 100
    """Orders of ``small_size`` or less, per minute."""
    small_size: str = "0.1"
    small_orders_after_breach: int = 10
    small_penalty_s: int = 3_600
    lowered_share: float = 0.5
    """Ceiling of the five-minute windows after a breach, as a share of the normal ceiling."""
    lowered_s: int = 600
    """How long new windows have the lower ceiling, counted from the end of the breached one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """State of a window after a call, sent in the ``x-ratelimit-*`` headers."""

    is_allowed: bool
    remaining: int
    period_s: int
    """Seconds left in the window, rounded up."""
    reset_s: int
    """Unix second of its end, rounded up."""

    def headers(self, prefix: str = "X") -> dict[str, str]:
        """The window's three headers."""
        return {
            f"{prefix}-RateLimit-Period": str(self.period_s),
            f"{prefix}-RateLimit-Remaining": str(self.remaining),
            f"{prefix}-RateLimit-Reset": str(self.reset_s),
        }


class CallWindow:
    """A fixed window: it begins with its first call and is reset as a whole."""

    def __init__(self, limit: int, *, lowered_share: float = 1.0, lowered_s: int = 0) -> None:
        """By default a breach has no effect on later windows."""
        self._limit = limit
        self._lowered_limit = max(1, int(limit * lowered_share))
        self._lowered_ns = lowered_s * NS_PER_S
        self._lowered_until_ns: int | None = None
        self._began_ns: int | None = None
        self._ceiling = limit
        self._calls = 0
        self.breaches = 0
        """Calls that were refused."""

    def count(self, now_ns: int) -> Reading:
        """Count a call."""
        if self._began_ns is None or now_ns - self._began_ns >= WINDOW_NS:
            is_lowered = self._lowered_until_ns is not None and now_ns < self._lowered_until_ns
            self._ceiling = self._lowered_limit if is_lowered else self._limit
            self._began_ns = now_ns
            self._calls = 0
        self._calls += 1
        is_allowed = self._calls <= self._ceiling
        reset_ns = self._began_ns + WINDOW_NS
        if not is_allowed:
            self.breaches += 1
            self._lowered_until_ns = reset_ns + self._lowered_ns
        return Reading(
            is_allowed=is_allowed,
            remaining=max(0, self._ceiling - self._calls),
            period_s=-((now_ns - reset_ns) // NS_PER_S),
            reset_s=-(-reset_ns // NS_PER_S),
        )


class SmallOrders:
    """A rolling minute of small orders; after a breach a lower rate holds for a while."""

    def __init__(self, limit: int, *, after_breach: int, penalty_s: int) -> None:
        """``limit`` orders a minute; after a breach ``after_breach`` a minute for ``penalty_s``."""
        self._limit = limit
        self._after_breach = after_breach
        self._penalty_ns = penalty_s * NS_PER_S
        self._penalty_until_ns: int | None = None
        self._stamps: deque[int] = deque()
        self.breaches = 0
        """Orders that were refused."""

    def is_penalised(self, now_ns: int) -> bool:
        """Whether the lower rate holds."""
        return self._penalty_until_ns is not None and now_ns < self._penalty_until_ns

    def allow(self, now_ns: int) -> bool:
        """Count an order and return whether it is within the rate; exceeding the full rate starts the penalty."""
        while self._stamps and now_ns - self._stamps[0] >= _MINUTE_NS:
            self._stamps.popleft()
        is_penalised = self.is_penalised(now_ns)
        if len(self._stamps) < (self._after_breach if is_penalised else self._limit):
            self._stamps.append(now_ns)
            return True
        self.breaches += 1
        if not is_penalised:
            self._penalty_until_ns = now_ns + self._penalty_ns
        return False


@dataclass(slots=True)
class AddressCalls:
    """One window per calling address."""

    limit: int | None
    windows: dict[str, CallWindow] = field(default_factory=dict)

    def count(self, address: str, now_ns: int) -> Reading | None:
        """Count a call of an address; None without a limit."""
        if self.limit is None:
            return None
        window = self.windows.get(address)
        if window is None:
            window = self.windows[address] = CallWindow(self.limit)
        return window.count(now_ns)


class AccountCalls:
    """The windows of one account."""

    def __init__(self, limits: Limits) -> None:
        """Start with unused windows."""
        self._private = _window(limits.private_calls, limits)
        self._orders = _window(limits.order_calls, limits)
        self._small = (
            None
            if limits.small_orders is None
            else SmallOrders(
                limits.small_orders, after_breach=limits.small_orders_after_breach, penalty_s=limits.small_penalty_s
            )
        )

    @property
    def breaches(self) -> int:
        """Calls and orders refused over a limit."""
        return sum(window.breaches for window in (self._private, self._orders, self._small) if window is not None)

    def is_penalised(self, now_ns: int) -> bool:
        """Whether small orders are held to the lower rate."""
        return self._small is not None and self._small.is_penalised(now_ns)

    def private_call(self, now_ns: int) -> Reading | None:
        """Count any private call."""
        return None if self._private is None else self._private.count(now_ns)

    def order_call(self, now_ns: int) -> Reading | None:
        """Count a send or a cancel-all."""
        return None if self._orders is None else self._orders.count(now_ns)

    def small_order(self, now_ns: int) -> bool:
        """Count a small order; return whether it is allowed."""
        return self._small is None or self._small.allow(now_ns)


def _window(limit: int | None, limits: Limits) -> CallWindow | None:
    if limit is None:
        return None
    return CallWindow(limit, lowered_share=limits.lowered_share, lowered_s=limits.lowered_s)
