"""Turns what happens in the matching engine into the frames of the four public channels.

Venue facts (measured on a recorded tape and on the public feed in 2026-09):

- board changes are collected over intervals of about 0.12 s (beats) and carry absolute sizes, with the floored mid
  after them;
- a snapshot of 300 levels a side goes to everybody every 5 s by one venue-wide timer; it is not aligned with the
  deltas, so it already shows changes that the next delta repeats;
- an execution message leaves 0.04 to 0.5 s after its matching, most often 0.1 s (2021 tapes: 43, 130 and 663 ms are
  the 5, 50 and 95 % quantiles over executions), and before the delta that shows it;
- the ticker comes at most every 0.5 s; execution ids rise by one.

Snapshots and deltas have the same delay and keep their order: a delta is never older than the snapshot before it, so a
book that is reset by snapshots and updated by deltas agrees with every message's mid.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from math import log
from random import Random
from typing import Final

from stall_then_strike.sim.bitflyer.wire import Wire
from stall_then_strike.sim.exchange.matching import MatchingEngine, Trade
from stall_then_strike.sim.exchange.source import Channel, Depth, Execution, Frame, Level, Ticker
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, BoardState, ExecId, Side
from stall_then_strike.types.instrument import Instrument, Lots, Ticks

SNAPSHOT_LEVELS: Final = 300
EXECUTIONS_KEPT: Final = 2_000
"""Executions kept for ``getexecutions``; the venue keeps 31 days."""

_SNAPSHOT_NS: Final = 5 * NS_PER_S
_BOARD_DELAY_NS: Final = 60 * NS_PER_MS
_EXECUTIONS_NS: Final = (35 * NS_PER_MS, 430 * NS_PER_MS)
"""Shortest and longest time from a match to its message. The tape's longest is 0.75 s; after 0.7 s without a board
message the book would count as stale, which the tapes never show."""
_EXECUTIONS_MEDIAN_S: Final = 0.1
_EXECUTIONS_SIGMA: Final = 0.75
_SHOWN_AFTER_NS: Final = (8 * NS_PER_MS, 130 * NS_PER_MS)
"""Time from an executions message to the board message that shows it, at least (2021 tapes: 8 to 205 ms)."""
_TICKER_DELAY_NS: Final = 40 * NS_PER_MS


class Publisher:
    """Watches an engine and holds the frames that have not left yet."""

    def __init__(self, rng: Random, *, engine: MatchingEngine, instrument: Instrument, start_ns: int) -> None:
        """Start the timers; the first snapshot comes within five seconds, as for any client that connects."""
        self._rng = rng
        self._engine = engine
        self._wire = Wire(instrument)
        self._channels = {channel: channel.of(instrument.product_code) for channel in Channel}
        self._outbox: list[tuple[int, int, Frame]] = []
        self._sent = 0
        self._executions_ns = 0
        """When the last executions message leaves."""
        self._shown_ns = 0
        """When board messages may show the executions so far."""
        self._boards_ns = 0
        """When the last board message leaves."""
        self._next_exec_id = 2_600_000_000 + rng.randrange(100_000_000)
        self._tick_id = rng.randrange(1_000_000, 200_000_000)
        self._volume = rng.randrange(500, 5_000) * instrument.lots_per_one
        self._last_price = Ticks(0)
        self._mid = Ticks(0)
        self._state = BoardState.RUNNING
        self._executions: deque[Execution] = deque(maxlen=EXECUTIONS_KEPT)
        self._beat_ns = start_ns + self._beat_gap()
        self._ticker_ns = start_ns + self._ticker_gap()
        self._snapshot_base_ns = start_ns + int(rng.uniform(0.6, 4.9) * NS_PER_S)
        self._snapshot_ns = self._snapshot_base_ns

    # --- in -------------------------------------------------------------------------------------------------------

    def on_state(self, state: BoardState) -> None:
        """The board's state changed; the next ticker shows it."""
        self._state = state

    def on_trades(self, now_ns: int, trades: Sequence[Trade]) -> list[Execution]:
        """Publish the trades of one order or auction in one message, an item per match; return the executions."""
        executions: list[Execution] = []
        for trade in trades:
            is_buy = trade.taker_side is not Side.SELL
            executions.append(
                Execution(
                    exec_id=ExecId(self._next_exec_id),
                    taker=trade.taker_side,
                    price=trade.price,
                    size=trade.size,
                    time_ns=now_ns,
                    buy_order_id=trade.taker_id if is_buy else trade.maker_id,
                    sell_order_id=trade.maker_id if is_buy else trade.taker_id,
                )
            )
            self._next_exec_id += 1
            self._volume += trade.size
        self._last_price = trades[-1].price
        self._executions.extendleft(executions)
        delay_ns = int(self._rng.lognormvariate(log(_EXECUTIONS_MEDIAN_S), _EXECUTIONS_SIGMA) * NS_PER_S)
        delay_ns = min(max(delay_ns, _EXECUTIONS_NS[0]), _EXECUTIONS_NS[1])
        self._executions_ns = max(now_ns + delay_ns, self._executions_ns)
        self._shown_ns = max(self._shown_ns, self._executions_ns + self._rng.randint(*_SHOWN_AFTER_NS))
        self._send(self._executions_ns, Channel.EXECUTIONS, self._wire.executions(executions))
        return executions

    def send(self, frame: Frame) -> None:
        """Queue a frame from outside, to leave at its own time."""
        self._sent += 1
        heappush(self._outbox, (frame.time_ns, self._sent, frame))

    def step(self) -> None:
        """Run the earliest timer."""
        now_ns = self.next_timer_ns()
        if now_ns == self._beat_ns:
            self._beat_ns += self._beat_gap()
            self._publish_changes(now_ns)
        elif now_ns == self._snapshot_ns:
            self._snapshot_base_ns += _SNAPSHOT_NS
            self._snapshot_ns = self._snapshot_base_ns + int(self._rng.uniform(-0.05, 0.05) * NS_PER_S)
            self._send(self._board_ns(now_ns), Channel.SNAPSHOT, self._wire.board(self.depth(SNAPSHOT_LEVELS)))
        else:
            self._ticker_ns += self._ticker_gap()
            ticker = self.ticker(now_ns)
            if ticker is not None:
                self._send(now_ns + _TICKER_DELAY_NS, Channel.TICKER, self._wire.ticker(ticker))

    # --- out ------------------------------------------------------------------------------------------------------

    def next_timer_ns(self) -> int:
        """When :meth:`step` is due."""
        return min(self._beat_ns, self._snapshot_ns, self._ticker_ns)

    def next_frame_ns(self) -> int | None:
        """When the next queued frame leaves; None when none is queued."""
        return self._outbox[0][0] if self._outbox else None

    def release(self, until_ns: int) -> list[Frame]:
        """Remove and return the frames that left by then."""
        frames: list[Frame] = []
        while self._outbox and self._outbox[0][0] <= until_ns:
            frames.append(heappop(self._outbox)[2])
        return frames

    def depth(self, limit: int | None = None) -> Depth:
        """The displayed book."""
        return Depth(
            mid=self._fresh_mid(), bids=self._engine.depth(Side.BUY, limit), asks=self._engine.depth(Side.SELL, limit)
        )

    def ticker(self, now_ns: int) -> Ticker | None:
        """The ticker now; None if the book has never had both sides. An empty side shows zeros."""
        mid = self._fresh_mid()
        if not mid:
            return None
        nothing: Level = (Ticks(0), Lots(0))
        return Ticker(
            state=self._state,
            time_ns=now_ns,
            tick_id=self._tick_id,
            best_bid=self._engine.best(Side.BUY) or nothing,
            best_ask=self._engine.best(Side.SELL) or nothing,
            bid_depth=self._engine.total(Side.BUY),
            ask_depth=self._engine.total(Side.SELL),
            last_price=self._last_price or mid,
            volume=Lots(self._volume),
            waiting_bid=self._engine.waiting(Side.BUY),
            waiting_ask=self._engine.waiting(Side.SELL),
        )

    def executions(self) -> Sequence[Execution]:
        """The last executions, newest first."""
        return self._executions

    def mid(self) -> Ticks:
        """The floored mid, as the board shows it."""
        return self._fresh_mid()

    @property
    def last_price(self) -> Ticks:
        """Price of the last trade; before the first one, the mid."""
        return self._last_price or self._fresh_mid()

    # --- inside ---------------------------------------------------------------------------------------------------

    def _fresh_mid(self) -> Ticks:
        """Floored mid; while a side is empty, the last known one."""
        bid, ask = self._engine.best_price(Side.BUY), self._engine.best_price(Side.SELL)
        if bid is not None and ask is not None:
            self._mid = Ticks((bid + ask) // 2)
        return self._mid

    def _publish_changes(self, now_ns: int) -> None:
        bids, asks = self._engine.drain_changes()
        if not bids and not asks:
            return
        self._tick_id += len(bids) + len(asks)
        delta = Depth(mid=self._fresh_mid(), bids=bids, asks=asks)
        self._send(self._board_ns(now_ns), Channel.BOARD, self._wire.board(delta))

    def _send(self, time_ns: int, channel: Channel, message: str) -> None:
        self.send(Frame(time_ns=time_ns, channel=self._channels[channel], text=self._wire.frame(channel, message)))

    def _board_ns(self, now_ns: int) -> int:
        """When a board message leaves: after the executions that it shows, and after the one before it."""
        self._boards_ns = max(now_ns + _BOARD_DELAY_NS, self._shown_ns, self._boards_ns)
        return self._boards_ns

    def _beat_gap(self) -> int:
        """Mostly 0.10 to 0.14 s, one in ten slower, one in a hundred much slower (tape: median 0.12, p95 0.21)."""
        draw = self._rng.random()
        if draw < 0.89:
            gap = self._rng.uniform(0.103, 0.137)
        elif draw < 0.993:
            gap = self._rng.uniform(0.137, 0.26)
        else:
            gap = self._rng.uniform(0.26, 0.52)
        return int(gap * NS_PER_S)

    def _ticker_gap(self) -> int:
        return int(self._rng.uniform(0.5, 0.68) * NS_PER_S)
