"""Trading that goes on through faults: until the last is gone, and then until quotes go out again and the account is
settled. How long that takes is its recovery. It is started again after a failure, as by systemd; a halt ends it, as it
ends the process.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, EXIT_HALTED, EXIT_USAGE
from stall_then_strike.engine.core import Core
from stall_then_strike.sim.faults.kinds import FaultKind, FaultPlan
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import FeedError, LoginRefused
from tests.live.room import Room
from tests.live.witness import Witness

if TYPE_CHECKING:
    from tests.live.chaos import Scenario

PLAN_S: Final = 45.0
"""Length of the plans, venue time; they leave its last third alone."""
RESTART_S: Final = 10.0
"""Pause before it is started again (ops/stall-then-strike.service)."""
MAY_HALT: Final[Mapping[FaultKind, set[str]]] = {
    FaultKind.CLOCK_SKEW: {"clock_skew"},
    FaultKind.WRONG_DATE: {"clock_skew"},
    FaultKind.PHANTOM_EXECUTION: {"position_mismatch"},
    FaultKind.REFUSE_TX: {"auth_refused"},
}
"""Faults that trading must halt for, or may where others keep the truth from it; no other may end it for good."""


@dataclass(slots=True)
class Outcome:
    """What came of a scenario. ``wrong`` is empty if all held."""

    scenario: Scenario
    folder: str
    wrong: str = ""
    starts: int = 0
    exit_code: int = -1
    strikes: int = 0
    fills: int = 0
    struck: int = 0
    """Faults that struck."""
    halted: str = ""
    recovery_s: float | None = None
    """Venue time from the end of the faults to the first strike on a settled account."""
    longest_s: float = 0.0
    """Life of an order at the exchange."""
    faults: tuple[str, ...] = ()
    unheard: tuple[str, ...] = ()
    """Exceptions that reached nobody, meanwhile, in this process: of this run or of one beside it."""

    @property
    def is_good(self) -> bool:
        return not self.wrong and not self.unheard

    def __str__(self) -> str:
        faults = ", ".join(self.faults)
        wrong = "\n".join((self.wrong, *self.unheard))
        what = f"{self.scenario.name} ({faults}), market {self.scenario.seed}"
        return f"{what}: exit {self.exit_code}; {self.folder}\n{wrong}"

    def judge(self, plan: FaultPlan) -> None:
        """Raise AssertionError for a halt that no fault of the plan explains, and for trading that did not recover."""
        may_halt = set().union(*(MAY_HALT.get(fault.kind, set()) for fault in plan.faults))
        assert set(self.halted.split()) <= may_halt, f"halted: {self.halted}"
        if not self.halted:
            assert self.recovery_s is not None, "no strike in time after the last fault"
            assert self.exit_code == EXIT_DONE


def knows_the_account(core: Core) -> bool:
    """Whether a core's account is settled."""
    return core.account is not None and core.account.is_settled


async def trade_through(
    room: Room,
    witnesses: Sequence[Witness],
    outcome: Outcome,
    quiet_ns: int,
    *,
    limit_s: float,
    last_s: float,
    is_settled: Callable[[Core], bool] = knows_the_account,
) -> None:
    """Trade until it has recovered from faults that end at ``quiet_ns``, and ``last_s`` longer; or for ``limit_s``."""
    clock, end_ns = room.clock, quiet_ns + round(limit_s * NS_PER_S)
    while outcome.recovery_s is None and outcome.exit_code != EXIT_HALTED and clock.now_ns() < end_ns:
        if outcome.starts:
            await room.pass_time(RESTART_S)
        outcome.starts += 1
        start_ns = clock.now_ns()

        def has_recovered(start_ns: int = start_ns) -> bool:
            struck_ns = _struck_ns(witnesses, quiet_ns)
            is_long = struck_ns is not None and clock.now_ns() >= max(struck_ns, start_ns) + last_s * NS_PER_S
            return is_long and room.last is not None and all(map(is_settled, room.last.portfolio.cores))

        try:
            outcome.exit_code = await room.run_until(has_recovered, (end_ns - start_ns) / NS_PER_S)
        except* LoginRefused:
            outcome.exit_code = EXIT_USAGE
        except* FeedError:
            outcome.exit_code = EXIT_FAILED
        struck_ns = _struck_ns(witnesses, quiet_ns)
        if struck_ns is not None and outcome.exit_code == EXIT_DONE and _was_settled(room):
            outcome.recovery_s = (struck_ns - quiet_ns) / NS_PER_S
    outcome.strikes = sum(len(witness.strikes_ns) for witness in witnesses)
    outcome.struck = sum(room.exchange.faults.struck.values())
    halts = sorted(halt for witness in witnesses for halt in witness.halts)
    outcome.halted = " ".join(dict.fromkeys(reason.label for _, reason in halts))


def _struck_ns(witnesses: Sequence[Witness], quiet_ns: int) -> int | None:
    """When the last of the instruments was quoted for the first time since then, if all were."""
    later = [witness.strikes_ns[bisect_left(witness.strikes_ns, quiet_ns) :] for witness in witnesses]
    return max(strikes[0] for strikes in later) if all(later) else None


def _was_settled(room: Room) -> bool:
    """Whether the last run's cores knew the account at some time."""
    if room.last is None:
        return False
    return all(core.account is not None and core.account.was_settled for core in room.last.portfolio.cores)
