"""The private side in virtual time with faults, for the tests of faults."""

from __future__ import annotations

from typing import Any

from stall_then_strike.sim.faults.faulty_feed import FaultyFeed
from stall_then_strike.sim.faults.injector import FaultInjector
from stall_then_strike.sim.faults.kinds import Fault, FaultKind, FaultPlan
from stall_then_strike.sim.faults.lost_deletions import LostDeletions
from stall_then_strike.sim.faults.scene import FaultScene
from stall_then_strike.types.dto import Side
from tests.sim.exchange_rig import SECOND
from tests.sim.private_rig import BID, Room, order


class FaultyRoom(Room):
    """A private side whose frames pass through faults."""

    def __init__(self, *faults: Fault, seed: int = 1, **options: Any) -> None:
        super().__init__(**options)
        self.faults = FaultInjector(
            FaultPlan(faults, seed=seed), start_ns=self.market.now_ns, now_ns=lambda: self.market.now_ns
        )
        self.deletions = LostDeletions(self.market)
        self.scene = FaultScene(self.market, self.faults, private=self.venue, deletions=self.deletions)
        self.feed = FaultyFeed(self.market, self.faults, self.scene, self.venue)
        self.venue.desk.mishaps = self.faults
        self.rest.shown_ns = self.faults.shown_ns

    def advance(self, seconds: float = 1.0) -> None:
        frames = self.feed.advance(self.now_ns + round(seconds * SECOND))
        self.frames += [self.deletions.apply(frame) for frame in frames]

    def inject(self, kind: FaultKind, **options: Any) -> None:
        self.faults.inject(Fault(kind=kind, **options))

    def resting(self, price: int = BID + 500, size: float = 0.01) -> str:
        """Rest an order of ours; return its acceptance id."""
        name = self.send(order("BUY", price, size))
        self.advance()
        return name

    def hit(self, size: int) -> None:
        """Another account sells into our bid."""
        self.other(Side.SELL, size)
        self.advance()
