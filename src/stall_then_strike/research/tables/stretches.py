"""Where a chunk of prepared columns can be passed over: for each kind of lull, the messages that end it.

A message *breaks* a lull if the core or the paper venue may have to do something at it, or at a deadline on the way to
it: a book that cannot be believed, another state of the venue, a pause after which the book counts as stale, and
depending on the lull another best, a stall that is mature, an execution. Computed for all messages of a chunk at once.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from stall_then_strike.engine.lull import Passing
from stall_then_strike.engine.strategy_stall import StallParams
from stall_then_strike.research.replay.kernel_state import KIND_BOARD, KIND_STATE, KIND_TRADES, Chunk
from stall_then_strike.types.dto import BookStatus

_LONG_AGO: Final = -(1 << 62)


@dataclass(slots=True)
class Before:
    """What the chunks before one leave behind."""

    stamp_ns: int = _LONG_AGO
    """The latest stamp."""
    board_ns: int = _LONG_AGO
    """Of the last board."""
    best: tuple[int, int, int] = (0, 0, 0)
    """Its bid, its ask, and since when they stood."""
    state: int = -1
    """The venue's, by its number; -1: not told yet."""


@dataclass(slots=True)
class Stretches:
    """One chunk as plain numbers, with its breaks."""

    recv: list[int]
    stamp: list[int]
    """When each message counts as received: never before an earlier one."""
    late: list[int]
    """Messages up to each, itself included, that were stamped before an earlier one."""
    kind: list[int]
    status: list[int]
    bid: list[int]
    ask: list[int]
    since: list[int]
    boards: list[int]
    """Boards up to each message, itself included; ``last`` is the latest of them, -1 for none in the chunk."""
    last: list[int]
    told: list[int]
    """The latest message of which the core is told, which executions are not."""
    trade_from: list[int]
    """Where each message's executions begin; one more at the end."""
    breaks: dict[tuple[Passing, bool], list[int]] = field(repr=False)
    """By lull, and by whether executions concern anybody."""

    def end(self, passing: Passing, *, is_resting: bool, at: int, until_ns: int) -> int:
        """The first message from ``at`` on that does not pass."""
        breaks = self.breaks[passing, is_resting]
        found = bisect_left(breaks, at)
        end = breaks[found] if found < len(breaks) else len(self.stamp)
        return end if self.stamp[end - 1] < until_ns else bisect_left(self.stamp, until_ns, at, end)

    def meeting(self, at: int, end: int, lowest_ask: int, highest_bid: int) -> int:
        """The first message from ``at`` to ``end`` whose best is beyond one of these."""
        for place in range(at, end):
            if self.kind[place] == KIND_BOARD and (self.ask[place] < lowest_ask or self.bid[place] > highest_bid):
                return place
        return end


def stretches(chunk: Chunk, before: Before, params: StallParams) -> Stretches:
    """Look through a chunk; ``before`` is moved on to its end."""
    count = len(chunk.recv)
    stamp = np.maximum(np.maximum.accumulate(chunk.recv), before.stamp_ns)
    is_board, is_state = chunk.kind == KIND_BOARD, chunk.kind == KIND_STATE
    places = np.arange(count)
    last = np.maximum.accumulate(np.where(is_board, places, -1))
    previous = np.concatenate(([-1], last[:-1]))  # the board before each message, itself not counted
    board_ns = np.where(previous < 0, before.board_ns, stamp[previous])
    bid, ask, since = (
        np.where(previous < 0, known, column[previous])
        for known, column in zip(before.best, (chunk.bid, chunk.ask, chunk.since), strict=True)
    )
    states = np.maximum.accumulate(np.where(is_state, places, -1))
    state_before = np.concatenate(([-1], states[:-1]))
    state = np.where(state_before < 0, before.state, chunk.status[state_before])

    ends_any = (
        (is_board & (chunk.status != BookStatus.OK))
        | (is_state & (chunk.status != state))
        | (stamp - board_ns >= params.stale_ns)
    )
    is_narrow = chunk.ask.astype(np.int64) - chunk.bid < params.min_spread
    is_mature = stamp - chunk.since >= params.stall_ns
    ends_immature = ends_any | (is_board & (is_narrow | is_mature)) | (stamp - since >= params.stall_ns)
    ends_same = ends_any | (is_board & ((chunk.bid != bid) | (chunk.ask != ask) | (chunk.since != since)))
    is_trade = chunk.kind == KIND_TRADES
    found = Stretches(
        recv=chunk.recv.tolist(),
        stamp=stamp.tolist(),
        late=np.cumsum(chunk.recv < np.concatenate(([before.stamp_ns], stamp[:-1]))).tolist(),
        kind=chunk.kind.tolist(),
        status=chunk.status.tolist(),
        bid=chunk.bid.tolist(),
        ask=chunk.ask.tolist(),
        since=chunk.since.tolist(),
        boards=np.cumsum(is_board).tolist(),
        last=last.tolist(),
        told=np.maximum(last, states).tolist(),
        trade_from=np.searchsorted(chunk.trade_at, np.arange(count + 1)).tolist(),
        breaks={
            (passing, is_resting): np.flatnonzero(ends | is_trade if is_resting else ends).tolist()
            for passing, ends in ((Passing.ANY, ends_any), (Passing.IMMATURE, ends_immature), (Passing.SAME, ends_same))
            for is_resting in (False, True)
        },
    )
    before.stamp_ns = found.stamp[-1]
    if (board := found.last[-1]) >= 0:
        before.board_ns = found.stamp[board]
        before.best = (found.bid[board], found.ask[board], found.since[board])
    if states[-1] >= 0:
        before.state = found.status[int(states[-1])]
    return found
