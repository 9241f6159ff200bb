"""The displayed book of prepared columns, as the paper venue reads it, after the replay's current message.

Nothing is updated from message to message: a size is looked up on request, in the chunk's initial book and in its
changes, which are sorted by price and time (see ``columns``).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from stall_then_strike.research.tables.columns import Chunk, Ints
from stall_then_strike.types.dto import Side
from stall_then_strike.types.instrument import Lots, Ticks

# Enum members resolved once: in Python 3.11, reading one off its class costs as much as a call.
_BUY: Final = Side.BUY

_END: Final = 1 << 32
_NOT_KNOWN: Final = (0, 0, Lots(0))


class ColumnBook:
    """A :class:`~stall_then_strike.types.dto.BookReader`. The feed sets its position."""

    def __init__(self) -> None:
        """An empty book."""
        self.bid = Ticks(0)
        self.ask = Ticks(0)
        """The best ask after the last board message whose book was OK."""
        self.at = -1
        """The book is shown after this message of the chunk; -1: before the first."""
        nothing: Sequence[int] = ()
        self._base = self._base_sizes = self._keys = self._sizes = nothing
        self._known: dict[int, tuple[int, int, Lots]] = {}
        """Sizes that were looked up in this chunk, by rank: from and before which message each is displayed."""

    def turn_to(self, chunk: Chunk) -> None:
        """Move to a chunk, before its first message."""
        self.at = -1
        self._base = _view(chunk.base_rank)
        self._base_sizes = _view(chunk.base_size)
        self._keys = _view((chunk.level_rank.astype(np.int64) << 32) | chunk.level_at)
        self._sizes = _view(chunk.level_size)
        self._known.clear()

    def best(self, side: Side) -> Ticks:
        """The best price of a side."""
        return self.bid if side is _BUY else self.ask

    def size_at(self, side: Side, price: Ticks) -> Lots:
        """Size displayed at a price; zero where there is no level."""
        rank = -price if side is _BUY else price
        since, until, size = self._known.get(rank, _NOT_KNOWN)
        return size if since <= self.at < until else self._size(rank)

    def levels(self, side: Side) -> Iterator[tuple[Ticks, Lots]]:
        """Levels of a side, best first. The book must not move while the iterator is in use."""
        base, keys, sign = self._base, self._keys, -1 if side is _BUY else 1
        rank = sign * self.best(side)
        in_base, in_keys = bisect_left(base, rank), bisect_left(keys, rank << 32)
        while True:
            ranks = []
            if in_base < len(base):
                ranks.append(base[in_base])
            if in_keys < len(keys):
                ranks.append(keys[in_keys] >> 32)
            if not ranks or (rank := min(ranks)) * sign <= 0:
                return
            if size := self._size(rank):
                yield Ticks(rank * sign), size
            in_base, in_keys = bisect_left(base, rank + 1, in_base), bisect_left(keys, (rank + 1) << 32, in_keys)

    def _size(self, rank: int) -> Lots:
        since, until, size = self._known.get(rank, _NOT_KNOWN)
        if not since <= self.at < until:
            since, until, size = self._known[rank] = self._looked_up(rank)
        return size

    def _looked_up(self, rank: int) -> tuple[int, int, Lots]:
        """From and before which message of the chunk the present size of a level is displayed, and the size."""
        keys, start = self._keys, rank << 32
        after = bisect_left(keys, start + self.at + 1)
        until = keys[after] - start if after < len(keys) and keys[after] >> 32 == rank else _END
        if after and keys[after - 1] >> 32 == rank:
            return keys[after - 1] - start, until, Lots(self._sizes[after - 1])
        found = bisect_left(self._base, rank)
        is_there = found < len(self._base) and self._base[found] == rank
        return -1, until, Lots(self._base_sizes[found] if is_there else 0)


def _view(column: Ints) -> Sequence[int]:
    """A column that yields Python integers; indexing an array yields numpy's, which are slower and can overflow."""
    return np.ascontiguousarray(column, np.int64).data.cast("B").cast("q")
