"""What the console has seen of a run: the way of prices, quotes and fills, bounded."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Final, NamedTuple

from stall_then_strike.app.view.snapshot import Fill, Snapshot
from stall_then_strike.types.dto import NS_PER_S, Side

MINUTES: Final = 10
"""How far back prices are kept."""
_LEAST_GAP_NS: Final = NS_PER_S // 2
_MOST_POINTS: Final = 2 * 60 * MINUTES
_MOST_FILLS: Final = 200


class Point(NamedTuple):
    """One moment of an instrument; None for what was not there."""

    ts_ns: int
    mid: Decimal | None
    own_bid: Decimal | None
    """The best of our own bids."""
    own_ask: Decimal | None


class Track:
    """One instrument's last minutes."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self.points: deque[Point] = deque(maxlen=_MOST_POINTS)
        self.fills: deque[Fill] = deque(maxlen=_MOST_FILLS)

    def add(self, point: Point, fills: tuple[Fill, ...]) -> None:
        """Take one more moment, and the fills that are new of these."""
        if self.points and point.ts_ns - self.points[-1].ts_ns < _LEAST_GAP_NS:
            self.points.pop()
        self.points.append(point)
        known = set(self.fills)
        self.fills.extend(fill for fill in fills if fill not in known)
        from_ns = point.ts_ns - MINUTES * 60 * NS_PER_S
        while self.points and self.points[0].ts_ns < from_ns:
            self.points.popleft()
        while self.fills and self.fills[0].ts_ns < from_ns:
            self.fills.popleft()


class Tracks:
    """All instruments'."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self._of: dict[str, Track] = {}
        self._last_ns = 0

    def of(self, product: str) -> Track:
        """An instrument's; an empty one if it was not seen."""
        return self._of.get(product) or Track()

    def add(self, seen: Snapshot) -> None:
        """Take one more snapshot. A clock that goes back, as in a new run on a tape, begins anew."""
        if seen.ts_ns < self._last_ns:
            self._of = {}
        self._last_ns = seen.ts_ns
        for one in seen.instruments:
            own = {side: [o.price for o in one.orders if o.side is side and o.price is not None] for side in Side}
            bid, ask = one.best_bid, one.best_ask
            point = Point(
                seen.ts_ns,
                None if bid is None or ask is None else (bid + ask) / 2,
                max(own[Side.BUY], default=None),
                min(own[Side.SELL], default=None),
            )
            self._of.setdefault(one.product, Track()).add(point, one.fills)
