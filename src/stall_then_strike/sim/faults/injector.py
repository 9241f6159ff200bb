"""Decides which faults strike. Pure: the places where faults can strike ask it, with the venue's time.

Each fault has its own random generator. A plan therefore strikes the same things again when they come in the same
order, whatever else happens. Finished faults are dropped; an injector without faults is idle, and callers skip it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from random import Random
from typing import Final

from stall_then_strike.sim.faults.kinds import Fault, FaultKind, FaultPlan, Site
from stall_then_strike.types.dto import NS_PER_S

_CUTS: Final = frozenset({FaultKind.CUT_NETWORK, FaultKind.RESET_NETWORK})
_HAVE_PATHS: Final = frozenset({Site.CALL, Site.ANSWER, Site.LIST})


class ArmedFault:
    """A fault with its window in venue time, its random generator and its counts."""

    def __init__(self, fault: Fault, rng: Random, origin_ns: int, struck: Counter[str]) -> None:
        """The window counts from ``origin_ns``."""
        self.fault = fault
        self.rng = rng
        self.from_ns = origin_ns + round(fault.from_s * NS_PER_S)
        self.to_ns = None if fault.to_s is None else origin_ns + round(fault.to_s * NS_PER_S)
        self.has_begun = False
        """Whether a scene has begun."""
        self._struck = struck
        self._spared = 0
        self._strikes = 0

    def is_on(self, now_ns: int) -> bool:
        """Whether the fault may strike at that time: within its window and not spent."""
        return self.from_ns <= now_ns and (self.to_ns is None or now_ns < self.to_ns) and not self.is_spent

    @property
    def is_spent(self) -> bool:
        """Whether it has struck ``count`` times."""
        return self.fault.count is not None and self._strikes >= self.fault.count

    def strikes(self, now_ns: int) -> bool:
        """Whether it strikes a matching thing now; a strike is counted."""
        if not self.is_on(now_ns):
            return False
        if self._spared < self.fault.skip:
            self._spared += 1
            return False
        if self.fault.chance < 1 and self.rng.random() >= self.fault.chance:
            return False
        self.count()
        return True

    def count(self) -> None:
        """Count a strike."""
        self._strikes += 1
        self._struck[self.fault.label] += 1


class FaultInjector:
    """The faults that can still strike, by site."""

    def __init__(self, plan: FaultPlan | None = None, *, start_ns: int, now_ns: Callable[[], int]) -> None:
        """The plan's windows count from ``start_ns``; those of faults injected later count from ``now_ns()``."""
        self._plan = FaultPlan() if plan is None else plan
        self._now_ns = now_ns
        self._armed: dict[Site, list[ArmedFault]] = {site: [] for site in Site}
        self._number = 0
        self.struck: Counter[str] = Counter()
        """How often each fault struck, by its label."""
        self.on_change: Callable[[], None] = lambda: None
        """Called after faults were injected or ended."""
        for fault in self._plan.faults:
            self._arm(fault, start_ns)

    @property
    def is_idle(self) -> bool:
        """Whether no fault can strike any more."""
        return not any(self._armed.values())

    def inject(self, *faults: Fault) -> None:
        """Add faults; their windows count from now."""
        now_ns = self._now_ns()
        for fault in faults:
            self._arm(fault, now_ns)
        self.on_change()

    def lift(self, name: str | None = None) -> None:
        """End the faults of a name or kind, or all, as if their windows ended now; late frames stay late."""
        now_ns = self._now_ns()
        for site, armed in self._armed.items():
            for one in armed:
                if name in {None, one.fault.label, one.fault.kind.value}:
                    one.to_ns = now_ns if one.to_ns is None else min(one.to_ns, now_ns)
            # The feed ends a scene that has begun, at its time.
            self._armed[site] = [one for one in armed if one.has_begun or one.to_ns is None or one.to_ns > now_ns]
        self.on_change()

    # --- queries --------------------------------------------------------------------------------------------------

    def at(self, site: Site) -> list[ArmedFault]:
        """The faults of a site, in the order of the plan; do not change the list."""
        return self._armed[site]

    def take(self, site: Site, now_ns: int, *, path: str = "", methods: frozenset[str] = frozenset()) -> Fault | None:
        """The first fault that strikes a call or a request on a socket; None if none does."""
        for one in self._fitting(site, path, methods):
            if one.strikes(now_ns):
                return one.fault
        return None

    def take_all(self, site: Site, now_ns: int, *, path: str = "") -> list[Fault]:
        """All faults that strike a call."""
        return [one.fault for one in self._fitting(site, path, frozenset()) if one.strikes(now_ns)]

    def cut(self, now_ns: int) -> FaultKind | None:
        """The kind of network cut that holds now; None if the network is up."""
        for one in self._armed[Site.SCENE]:
            if one.fault.kind in _CUTS and one.is_on(now_ns):
                return one.fault.kind
        return None

    def bars_clients(self, now_ns: int) -> bool:
        """Whether faults may keep every client from connecting now."""
        return self.cut(now_ns) is not None or any(one.is_on(now_ns) for one in self._armed[Site.HANDSHAKE])

    def loses_order(self, now_ns: int) -> bool:
        """Whether an order accepted now vanishes."""
        return self.take(Site.ORDER, now_ns) is not None

    def lacks_margin(self, now_ns: int) -> bool:
        """Whether an order that would open a position is refused."""
        return self.take(Site.MARGIN, now_ns) is not None

    def fails_margin(self, now_ns: int) -> bool:
        """Whether an accepted order that would open a position is not registered."""
        return self.take(Site.REGISTRATION, now_ns) is not None

    def shown_ns(self, path: str, now_ns: int) -> int:
        """The time whose state a list shows when it is asked for now."""
        fault = self.take(Site.LIST, now_ns, path=path)
        return now_ns if fault is None else now_ns - fault.span_ns

    def ignores_cancel(self, now_ns: int) -> bool:
        """Whether a cancel accepted now has no effect."""
        return self.take(Site.CANCEL, now_ns) is not None

    def forget(self, now_ns: int) -> None:
        """Drop the faults that have ended by a time that everything has reached."""
        for site, armed in self._armed.items():
            if any(_is_over(one, now_ns) for one in armed):
                self._armed[site] = [one for one in armed if not _is_over(one, now_ns)]

    def end(self, scene: ArmedFault) -> None:
        """Drop a scene that has ended."""
        self._armed[Site.SCENE] = [one for one in self._armed[Site.SCENE] if one is not scene]

    # --- inside ---------------------------------------------------------------------------------------------------

    def _arm(self, fault: Fault, origin_ns: int) -> None:
        rng = Random(f"fault {self._plan.seed} {self._number}")
        self._number += 1
        self._armed[fault.spec.site].append(ArmedFault(fault, rng, origin_ns, self.struck))

    def _fitting(self, site: Site, path: str, methods: frozenset[str]) -> Iterator[ArmedFault]:
        for one in self._armed[site]:
            fault = one.fault
            if fault.method is not None and fault.method not in methods:
                continue
            if site in _HAVE_PATHS and not fnmatchcase(path, fault.path or fault.spec.path):
                continue
            yield one


def _is_over(one: ArmedFault, now_ns: int) -> bool:
    is_scene = one.fault.spec.site is Site.SCENE  # the feed ends it, because more is to be done then
    return not is_scene and (one.is_spent or (one.to_ns is not None and one.to_ns <= now_ns))
