"""Decides which faults strike. Pure: asked by the places where they can, told what is at hand and the venue's time.

Each fault has its own source of chance, so a plan strikes the same things again when they come in the same sequence,
whatever else happens. What is over is forgotten, and an injector without faults is idle: its askers pass by.
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
    """A fault with its moments, its luck and what it has done."""

    def __init__(self, fault: Fault, rng: Random, origin_ns: int, struck: Counter[str]) -> None:
        """``origin_ns`` is what its window counts from."""
        self.fault = fault
        self.rng = rng
        self.from_ns = origin_ns + round(fault.from_s * NS_PER_S)
        self.to_ns = None if fault.to_s is None else origin_ns + round(fault.to_s * NS_PER_S)
        self.has_begun = False
        """Of a scene."""
        self._struck = struck
        self._spared = 0
        self._strikes = 0

    def is_on(self, now_ns: int) -> bool:
        """Whether a moment is within the window."""
        return self.from_ns <= now_ns and (self.to_ns is None or now_ns < self.to_ns) and not self.is_spent

    @property
    def is_spent(self) -> bool:
        """Whether it has struck as often as it may."""
        return self.fault.count is not None and self._strikes >= self.fault.count

    def strikes(self, now_ns: int) -> bool:
        """Whether it strikes something that fits; counts it."""
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
        """It has struck."""
        self._strikes += 1
        self._struck[self.fault.label] += 1


class FaultInjector:
    """The faults that are still to strike, by where they do."""

    def __init__(self, plan: FaultPlan | None = None, *, start_ns: int, now_ns: Callable[[], int]) -> None:
        """The plan's windows count from ``start_ns``; those of faults that are injected later, from ``now_ns()``."""
        self._plan = FaultPlan() if plan is None else plan
        self._now_ns = now_ns
        self._armed: dict[Site, list[ArmedFault]] = {site: [] for site in Site}
        self._number = 0
        self.struck: Counter[str] = Counter()
        """How often each fault struck, by its name or else its kind."""
        self.on_change: Callable[[], None] = lambda: None
        """Called after faults were injected or lifted."""
        for fault in self._plan.faults:
            self._arm(fault, start_ns)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left that could strike."""
        return not any(self._armed.values())

    def inject(self, *faults: Fault) -> None:
        """Let more faults strike; their windows count from now."""
        now_ns = self._now_ns()
        for fault in faults:
            self._arm(fault, now_ns)
        self.on_change()

    def lift(self, name: str | None = None) -> None:
        """End faults, of a name or kind or all, as if their windows ended now; what is late already stays late."""
        now_ns = self._now_ns()
        for site, armed in self._armed.items():
            for one in armed:
                if name in {None, one.fault.label, one.fault.kind.value}:
                    one.to_ns = now_ns if one.to_ns is None else min(one.to_ns, now_ns)
            # A scene that has begun is ended by the feed, at its moment.
            self._armed[site] = [one for one in armed if one.has_begun or one.to_ns is None or one.to_ns > now_ns]
        self.on_change()

    # --- to be asked ----------------------------------------------------------------------------------------------

    def at(self, site: Site) -> list[ArmedFault]:
        """All that can strike there, in the order of the plan; do not change the list."""
        return self._armed[site]

    def take(self, site: Site, now_ns: int, *, path: str = "", methods: frozenset[str] = frozenset()) -> Fault | None:
        """The first that strikes a call or a request on a socket."""
        for one in self._fitting(site, path, methods):
            if one.strikes(now_ns):
                return one.fault
        return None

    def take_all(self, site: Site, now_ns: int, *, path: str = "") -> list[Fault]:
        """All that strike."""
        return [one.fault for one in self._fitting(site, path, frozenset()) if one.strikes(now_ns)]

    def cut(self, now_ns: int) -> FaultKind | None:
        """In which way the network is cut, if it is."""
        for one in self._armed[Site.SCENE]:
            if one.fault.kind in _CUTS and one.is_on(now_ns):
                return one.fault.kind
        return None

    def bars_clients(self, now_ns: int) -> bool:
        """Whether there is reason that nobody can connect."""
        return self.cut(now_ns) is not None or any(one.is_on(now_ns) for one in self._armed[Site.HANDSHAKE])

    def loses_order(self, now_ns: int) -> bool:
        """Whether an accepted order vanishes."""
        return self.take(Site.ORDER, now_ns) is not None

    def lacks_margin(self, now_ns: int) -> bool:
        """Whether an order that would open is refused."""
        return self.take(Site.MARGIN, now_ns) is not None

    def fails_margin(self, now_ns: int) -> bool:
        """Whether an accepted order that would open is not registered."""
        return self.take(Site.REGISTRATION, now_ns) is not None

    def shown_ns(self, path: str, now_ns: int) -> int:
        """As of when a list answers."""
        fault = self.take(Site.LIST, now_ns, path=path)
        return now_ns if fault is None else now_ns - fault.span_ns

    def ignores_cancel(self, now_ns: int) -> bool:
        """Whether a cancel that was taken does nothing."""
        return self.take(Site.CANCEL, now_ns) is not None

    def forget(self, now_ns: int) -> None:
        """Drop what is over at a moment that everything has reached."""
        for site, armed in self._armed.items():
            if any(_is_over(one, now_ns) for one in armed):
                self._armed[site] = [one for one in armed if not _is_over(one, now_ns)]

    def end(self, scene: ArmedFault) -> None:
        """Drop a scene that was played."""
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
    is_played = one.fault.spec.site is Site.SCENE  # ended by the feed, which has something to do then
    return not is_played and (one.is_spent or (one.to_ns is not None and one.to_ns <= now_ns))
