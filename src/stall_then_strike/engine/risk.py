"""The kill switch: when it trips and what lifts it.

Pure. It holds the halt and its reason; the core cancels and flattens.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from stall_then_strike.config.models import RiskConfig
from stall_then_strike.types.dto import NS_PER_S, Reason
from stall_then_strike.types.instrument import Money

DAY_LIMITS: Final = frozenset({Reason.KILL_PNL, Reason.KILL_DRAWDOWN})
"""Halts that end with the trading day. All others last until the operator lifts them."""
KEEPS_POSITION: Final = frozenset({Reason.POSITION_MISMATCH, Reason.AUTH_REFUSED})
"""Halts that leave the position to the operator: it is uncertain, or the venue would accept no order."""
REJECTS_NS: Final = 60 * NS_PER_S
"""Refused orders within this time count together."""
_KILL_PNL: Final = int(Reason.KILL_PNL)
_KILL_DRAWDOWN: Final = int(Reason.KILL_DRAWDOWN)


def limit_reached(pnl: int, pnl_base: int, daily_limit: int, drawdown: int, drawdown_limit: int) -> int:
    """The limit of the day that is reached, as a reason, or 0. Pure: research compiles it."""
    if pnl - pnl_base <= daily_limit:
        return _KILL_PNL
    return _KILL_DRAWDOWN if drawdown <= drawdown_limit else 0


def _outranks(reason: Reason, halted: Reason) -> bool:
    """Whether a reason replaces the one that already halts trading.

    A halt that must wait for the operator must not end with the day because a limit of the day tripped before it. Once
    the position is uncertain, no closing may continue, whatever began it. A refused key need not replace a limit of the
    day: after the day roll it is refused again.
    """
    if reason is Reason.POSITION_MISMATCH:
        return halted is not reason
    return halted in DAY_LIMITS and reason not in DAY_LIMITS and reason is not Reason.AUTH_REFUSED


class Day(Protocol):
    """The day's result as the kill switch reads it: of one instrument, or of an account's instruments together."""

    @property
    def daily_limit(self) -> Money:
        """The result at which to halt."""
        ...

    @property
    def drawdown_limit(self) -> Money:
        """The fall from the peak at which to halt."""
        ...

    @property
    def is_marked(self) -> bool:
        """Whether the result is known, so that limits may be judged."""
        ...

    @property
    def pnl_today(self) -> Money:
        """Realised and unrealised result since the day began."""
        ...

    @property
    def drawdown(self) -> Money:
        """Fall from the day's peak."""
        ...

    def restart_peak(self) -> None:
        """Count the drawdown from the current result."""
        ...


class KillSwitch:
    """Trips on the day's loss, the drawdown, repeated refusals, and on command. It then stays tripped until lifted.

    The first reason stays as well, unless another outranks it.
    """

    def __init__(self, risk: RiskConfig) -> None:
        """Start armed."""
        self.retune(risk)
        self._rejects: deque[int] = deque()
        self.halted: Reason | None = None
        """Why trading is halted, or None. Read at every step, changed only here."""
        self.since_ns, self.detail = 0, ""
        """When it tripped last, and what was said about it."""
        self.pnl_base = 0
        """The result from which the day's loss is counted, in money units: that of the last resume, or zero."""

    def retune(self, risk: RiskConfig) -> None:
        """Trip by these settings from now on."""
        self._max_rejects = risk.max_rejects

    def tell(self, since_ns: int, detail: str) -> None:
        """Keep when trading was halted and what was said about it, for the journal."""
        self.since_ns, self.detail = since_ns, detail

    def restore(self, halted: Reason | None, pnl_base: int) -> None:
        """Restore an earlier run's state: a halt survives a restart."""
        self.halted, self.pnl_base = halted, pnl_base

    def check(self, day: Day) -> Reason | None:
        """Trip if the day's result or drawdown has reached its limit; return the reason if this call tripped it."""
        reached = None if self.halted is not None else self.reached(day)
        return None if reached is None else self.trip(reached)

    def reached(self, day: Day) -> Reason | None:
        """Which limit of the day is reached, or None; whether or not trading is halted already."""
        if not day.is_marked:
            return None
        reason = limit_reached(day.pnl_today, self.pnl_base, day.daily_limit, day.drawdown, day.drawdown_limit)
        return Reason(reason) if reason else None

    def on_reject(self, now_ns: int) -> Reason | None:
        """Count a refused order; trip if there were too many within a minute."""
        self._rejects.append(now_ns)
        while self._rejects[0] <= now_ns - REJECTS_NS:
            self._rejects.popleft()
        if self.halted is None and len(self._rejects) >= self._max_rejects:
            return self.trip(Reason.REJECTS)
        return None

    def trip(self, reason: Reason) -> Reason | None:
        """Halt. Return the reason if this call made it the current one, otherwise None."""
        if self.halted is not None and not _outranks(reason, self.halted):
            return None
        self.halted = reason
        return reason

    @property
    def keeps_position(self) -> bool:
        """Whether trading is halted for a reason that leaves the position to the operator."""
        return self.halted in KEEPS_POSITION

    def on_day_roll(self) -> Reason | None:
        """Count the new day's loss from zero, and lift a halt by a limit of the ended day; return its reason."""
        self.pnl_base = 0
        return self._lift() if self.halted in DAY_LIMITS else None

    def resume(self, day: Day) -> Reason | None:
        """Lift any halt at the operator's command; return its reason. The day's limits count anew from here."""
        if self.halted is not None:
            self.pnl_base = day.pnl_today
            day.restart_peak()
        return self._lift()

    def _lift(self) -> Reason | None:
        lifted, self.halted = self.halted, None
        self._rejects.clear()
        return lifted
