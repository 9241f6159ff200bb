"""The displayed book of a chunk, asked for one price at a time: no level is touched that nobody asks for.

A chunk holds the book at its beginning and every change after it, sorted by price. The size at a price is then a short
list in time; a reader keeps its place in that list (a cursor: next change, end of the list, size before it) and moves
on with the tape. Taking through the book walks both lists outwards from the best.

The changes' keys are ``rank << 32 | message``: one number to search for.
"""

from __future__ import annotations

from stall_then_strike.research.replay.jit import jit
from stall_then_strike.research.replay.kernel_state import (
    A_BASE,
    A_BASE_ASKS,
    A_BASE_END,
    A_BASE_SIZE,
    A_LEVELS,
    A_LEVELS_ASKS,
    A_LEVELS_END,
    A_LEVELS_SIZE,
    I64,
)

_MESSAGE = (1 << 32) - 1


@jit
def lower_bound(m: I64, low: int, high: int, value: int) -> int:
    """First place in ``[low, high)`` whose number is not below ``value``."""
    while low < high:
        middle = (low + high) >> 1
        if m[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@jit
def walk_from(m: I64, side: int, price: int) -> tuple[int, int]:
    """Where a walk outwards from a price begins, in the base and in the changes. ``side``: +1 for bids."""
    if side > 0:
        in_base = lower_bound(m, m[A_BASE], m[A_BASE_ASKS], -price)
        return in_base, lower_bound(m, m[A_LEVELS], m[A_LEVELS_ASKS], -price << 32)
    in_base = lower_bound(m, m[A_BASE_ASKS], m[A_BASE_END], price)
    return in_base, lower_bound(m, m[A_LEVELS_ASKS], m[A_LEVELS_END], price << 32)


@jit
def walk(m: I64, side: int, in_base: int, in_levels: int, book_at: int) -> tuple[int, int, int, int]:
    """The next displayed level after message ``book_at``: price (0: no more), size, and where the walk then stands."""
    base_end = m[A_BASE_ASKS] if side > 0 else m[A_BASE_END]
    levels_end = m[A_LEVELS_ASKS] if side > 0 else m[A_LEVELS_END]
    while in_base < base_end or in_levels < levels_end:
        if in_levels >= levels_end or (in_base < base_end and m[in_base] < m[in_levels] >> 32):
            rank = m[in_base]
        else:
            rank = m[in_levels] >> 32
        size = 0
        if in_base < base_end and m[in_base] == rank:
            size = m[in_base - m[A_BASE] + m[A_BASE_SIZE]]
            in_base += 1
        while in_levels < levels_end and m[in_levels] >> 32 == rank:
            if m[in_levels] & _MESSAGE <= book_at:
                size = m[in_levels - m[A_LEVELS] + m[A_LEVELS_SIZE]]
            in_levels += 1
        if size > 0:
            return (-rank if side > 0 else rank), size, in_base, in_levels
    return 0, 0, in_base, in_levels


@jit
def seek(m: I64, side: int, price: int, cursor: int) -> None:
    """Put the cursor (three numbers) at the chunk's beginning, at this price."""
    rank = -price if side > 0 else price
    in_base, in_levels = walk_from(m, side, price)
    base_end = m[A_BASE_ASKS] if side > 0 else m[A_BASE_END]
    levels_end = m[A_LEVELS_ASKS] if side > 0 else m[A_LEVELS_END]
    held = in_base < base_end and m[in_base] == rank
    m[cursor] = in_levels
    m[cursor + 1] = lower_bound(m, in_levels, levels_end, (rank + 1) << 32)
    m[cursor + 2] = m[in_base - m[A_BASE] + m[A_BASE_SIZE]] if held else 0


@jit
def shown(m: I64, cursor: int, book_at: int) -> int:
    """Size displayed at the cursor's price after message ``book_at``, which never goes back."""
    at = m[cursor]
    while at < m[cursor + 1] and m[at] & _MESSAGE <= book_at:
        m[cursor + 2] = m[at - m[A_LEVELS] + m[A_LEVELS_SIZE]]
        at += 1
    m[cursor] = at
    return int(m[cursor + 2])
