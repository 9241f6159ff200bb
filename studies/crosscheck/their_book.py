"""The book as hftbacktest's HashMapMarketDepth keeps it, in integers.

It takes one level at a time and remembers its best prices apart from its levels. A new best that meets the other side
pushes that side's best away and leaves the levels it passed where they are; they count again as a queue to join, and
no longer as a best. Written after its observed behaviour and its source (hftbacktest 2.4.4, nkaz001/hftbacktest).
"""

from __future__ import annotations

from stall_then_strike.types.dto import Side


class TheirBook:
    """Levels of both sides, best prices, and nothing else."""

    def __init__(self) -> None:
        self._levels: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
        """By rank: the price, negative for asks, so that the larger one is the better on both sides."""
        self._best: dict[Side, int | None] = {Side.BUY: None, Side.SELL: None}

    def best(self, side: Side) -> int | None:
        """The best price."""
        rank = self._best[side]
        return None if rank is None else rank * side.sign

    def size_at(self, side: Side, price: int) -> int:
        """What is said to be there, in lots."""
        return self._levels[side].get(price * side.sign, 0)

    def set(self, side: Side, price: int, size: int) -> tuple[int, bool]:
        """One level's new size; what it was before, and whether the side has a better best now."""
        levels, best, rank = self._levels[side], self._best[side], price * side.sign
        before = levels.pop(rank, 0)
        if not size:
            if rank == best:
                self._best[side] = self._next(side, rank)
            return before, False
        levels[rank] = size
        if best is not None and rank <= best:
            return before, False
        self._best[side] = rank
        other = self._best[side.opposite]
        if other is not None and rank + other >= 0:
            self._best[side.opposite] = self._next(side.opposite, -rank)
        return before, True

    def clear(self, side: Side, price: int) -> None:
        """Forget the levels from the best down to this one; those above the best are not seen."""
        levels, best, rank = self._levels[side], self._best[side], price * side.sign
        if best is not None:
            for level in [level for level in levels if rank <= level <= best]:
                del levels[level]
        self._best[side] = self._next(side, rank - 1)

    def _next(self, side: Side, rank: int) -> int | None:
        return max((level for level in self._levels[side] if level < rank), default=None)
