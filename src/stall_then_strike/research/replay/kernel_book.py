"""The displayed book of a chunk, read one price at a time: only requested levels are computed.

A chunk holds the book at its beginning and every later change, sorted by price. The sizes at one price are a short
list in order of time; a reader keeps its position in that list (a cursor) and advances with the tape. An order that
takes through the book walks the initial book and the changes outwards from the best.

The changes' keys are ``rank << 32 | message``, so that a search compares single numbers.
"""

from __future__ import annotations

from typing import Final

from stall_then_strike.research.replay.jit import inlined, jit
from stall_then_strike.research.replay.kernel_state import Cursor, Levels
from stall_then_strike.research.tables.columns import I64

_MESSAGE: Final = (1 << 32) - 1
"""The part of a key that is the message."""


@jit
def lower_bound(numbers: I64, low: int, high: int, value: int) -> int:
    """First index in ``[low, high)`` whose number is not below ``value``; ``high`` if there is none."""
    while low < high:
        middle = (low + high) >> 1
        if numbers[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@jit
def walk_from(levels: Levels, side: int, price: int) -> tuple[int, int]:
    """Start indices of a walk outwards from a price, in the base and in the changes. ``side``: +1 for bids."""
    base, keys = levels.base_rank, levels.change_key
    if side > 0:
        rank, base_from, base_end, from_, end = -price, 0, levels.base_asks, 0, levels.changes_asks
    else:
        rank, base_from, base_end = price, levels.base_asks, levels.base_end
        from_, end = levels.changes_asks, levels.changes_end
    return lower_bound(base, base_from, base_end, rank), lower_bound(keys, from_, end, rank << 32)


@jit
def walk(levels: Levels, side: int, in_base: int, in_changes: int, at: int) -> tuple[int, int, int, int]:
    """The next level displayed after message ``at``: price (0: no more), size, and the walk's new indices."""
    base_end = levels.base_asks if side > 0 else levels.base_end
    end = levels.changes_asks if side > 0 else levels.changes_end
    base, keys = levels.base_rank, levels.change_key
    while in_base < base_end or in_changes < end:
        if in_changes >= end or (in_base < base_end and base[in_base] < keys[in_changes] >> 32):
            rank = base[in_base]
        else:
            rank = keys[in_changes] >> 32
        size = 0
        if in_base < base_end and base[in_base] == rank:
            size = levels.base_size[in_base]
            in_base += 1
        while in_changes < end and keys[in_changes] >> 32 == rank:
            if keys[in_changes] & _MESSAGE <= at:
                size = levels.change_size[in_changes]
            in_changes += 1
        if size > 0:
            return (-rank if side > 0 else rank), size, in_base, in_changes
    return 0, 0, in_base, in_changes


@jit
def seek(levels: Levels, side: int, price: int, cursor: Cursor) -> None:
    """Set the cursor to this price, at the chunk's beginning."""
    rank = -price if side > 0 else price
    in_base, in_changes = walk_from(levels, side, price)
    base_end = levels.base_asks if side > 0 else levels.base_end
    end = levels.changes_asks if side > 0 else levels.changes_end
    is_held = in_base < base_end and levels.base_rank[in_base] == rank
    cursor.next = in_changes
    reach, beyond = 8, (rank + 1) << 32  # a price has few changes, and a chunk many: look near first
    while in_changes + reach < end and levels.change_key[in_changes + reach] < beyond:
        reach <<= 1
    cursor.end = lower_bound(levels.change_key, in_changes, min(in_changes + reach, end), beyond)
    cursor.size = levels.base_size[in_base] if is_held else 0


@inlined
def next_change(levels: Levels, cursor: Cursor) -> int:
    """The message that changes the size at the cursor's price next; a number above all if none does."""
    return int(levels.change_key[cursor.next]) & _MESSAGE if cursor.next < cursor.end else _MESSAGE


@inlined
def shown(levels: Levels, cursor: Cursor, at: int) -> int:
    """Size displayed at the cursor's price after message ``at``, which must not decrease."""
    n = cursor.next
    while n < cursor.end and levels.change_key[n] & _MESSAGE <= at:
        cursor.size = levels.change_size[n]
        n += 1
    cursor.next = n
    return cursor.size
