"""How many calls an address and an L1 owner may make a minute. Pure.

Venue facts (rate limits of 2026; the numbers moved several times): per rolling minute, by IP and by L1 address, a
standard account has 60 requests and a premium one a weight of 24,000, with Plus 120,000, as a Builder 240,000.
Weights: sendTx, sendTxBatch and nextNonce 6, accountInactiveOrders 100, apikeys 150, trades and recentTrades 600,
others 300. A premium owner's sends have a bucket of their own, of 4,000 requests, besides the weight of the address. A
breach is answered by HTTP 429 with code 23000 and bars the offender for weight / (total / 60) seconds.

Here a batch counts as one request of a standard account, which is not known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

from stall_then_strike.sim.lighter.clearing.accounts import Account
from stall_then_strike.sim.lighter.clearing.contracts import Plan
from stall_then_strike.sim.lighter.transactions import Refusal
from stall_then_strike.types.dto import NS_PER_S

STANDARD_REQUESTS: Final = 60
TOTALS: Final[Mapping[Plan, int]] = {
    Plan.STANDARD: STANDARD_REQUESTS,
    Plan.PREMIUM: 24_000,
    Plan.PLUS: 120_000,
    Plan.BUILDER: 240_000,
}
"""Weight of a minute, or requests of a standard account."""
PREMIUM_SENDS: Final = 4_000
TOO_MANY_REQUESTS: Final = 23000
WEIGHTS: Final[Mapping[str, int]] = {
    "sendTx": 6,
    "sendTxBatch": 6,
    "nextNonce": 6,
    "accountInactiveOrders": 100,
    "apikeys": 150,
    "trades": 600,
    "recentTrades": 600,
}
OTHER_WEIGHT: Final = 300
SENDS: Final = frozenset({"sendTx", "sendTxBatch"})
_MINUTE_NS: Final = 60 * NS_PER_S


class Budget:
    """What one offender has spent in the last minute."""

    def __init__(self, total: int) -> None:
        """Start with nothing spent."""
        self._total = total
        self._spent: deque[tuple[int, int]] = deque()
        self._sum = 0
        self._barred_until_ns = 0

    def allows(self, weight: int, now_ns: int) -> bool:
        """Whether there is room; a breach bars for a while."""
        while self._spent and self._spent[0][0] <= now_ns - _MINUTE_NS:
            self._sum -= self._spent.popleft()[1]
        if now_ns < self._barred_until_ns:
            return False
        if self._sum + weight <= self._total:
            return True
        self._barred_until_ns = now_ns + weight * _MINUTE_NS // self._total
        return False

    def spend(self, weight: int, now_ns: int) -> None:
        """Count a call."""
        self._spent.append((now_ns, weight))
        self._sum += weight


class CallLimits:
    """The budgets of all addresses and owners."""

    def __init__(self, plan: Plan, *, is_on: bool) -> None:
        """``plan`` is that of a caller without an account. Off, every call is welcome."""
        self._plan = plan
        self._is_on = is_on
        self._budgets: dict[tuple[str, Plan, str], Budget] = {}

    def charge(self, call: str, address: str, owner: Account | None, now_ns: int) -> None:
        """Count a call; ``owner`` is the account that it is about. Raises Refusal (23000, HTTP 429) over a limit."""
        if not self._is_on:
            return
        plan = self._plan if owner is None else owner.plan
        weight = 1 if plan is Plan.STANDARD else WEIGHTS.get(call, OTHER_WEIGHT)
        total = TOTALS[plan]
        due = [(self._budget("ip", plan, address, total), weight)]
        if owner is not None and plan is not Plan.STANDARD and call in SENDS:
            due.append((self._budget("sends", plan, owner.l1_address, PREMIUM_SENDS), 1))
        elif owner is not None:
            due.append((self._budget("l1", plan, owner.l1_address, total), weight))
        if not all(budget.allows(spent, now_ns) for budget, spent in due):
            raise Refusal(TOO_MANY_REQUESTS, "Too Many Requests!", 429)
        for budget, spent in due:
            budget.spend(spent, now_ns)

    def _budget(self, kind: str, plan: Plan, name: str, total: int) -> Budget:
        return self._budgets.setdefault((kind, plan, name), Budget(total))
