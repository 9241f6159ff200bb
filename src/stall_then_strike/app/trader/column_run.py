"""Virtual time over prepared columns: the rows of a `VirtualRun` over the same tapes, several times as fast.

The trader is the same, and so is every step that it takes. What is left out are messages of which core and paper venue
say beforehand that they would do nothing (`engine.lull`, `PaperGateway.waiting`): of such a stretch only the last board
is told. What a message says was read when the tape was prepared.
"""

from __future__ import annotations

from collections.abc import Callable

from stall_then_strike.app.trader.trader import PaperTrader
from stall_then_strike.app.trader.virtual import VirtualTime
from stall_then_strike.infra.bitflyer.feed import FeedStatistics, MarketEvent
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.research.replay.kernel_state import KIND_BOARD, KIND_STATE, KIND_TRADES, Chunk
from stall_then_strike.research.tables.column_book import ColumnBook
from stall_then_strike.research.tables.columns import BOARD_STATES, Columns
from stall_then_strike.research.tables.stretches import Before, Stretches, stretches
from stall_then_strike.types.dto import BoardSnapshot, BookStatus, ExecId, PublicTrade, PublicTrades, Side, VenueStatus
from stall_then_strike.types.instrument import Lots, Ticks

_NOT_TOLD = Lots(0)
"""Columns hold no sizes of the best; no decision reads them."""
_NO_ID = ExecId(0)
"""Nor numbers of executions."""


class ColumnFeed:
    """What a trader asks of its feed, answered from columns."""

    def __init__(self, columns: Columns) -> None:
        """The book stands before the first chunk."""
        self.columns = columns
        self.board = ColumnBook()
        self.is_over = False
        """Whether the tape was read to its end: counts of frames are of the whole of it."""

    def statistics(self) -> FeedStatistics:
        """What the tape's preparation counted; zeros where columns do not say, or the run did not come to the end."""
        held = self.columns.manifest
        return FeedStatistics(
            board_snapshots=0,
            board_deltas=held.boards,
            deltas_before_snapshot=0,
            execution_messages=0,
            executions=held.trades,
            tickers=0,
            replies=0,
            mid_checked=held.mid_checked if self.is_over else 0,
            mid_agreed=held.mid_agreed if self.is_over else 0,
            execution_gaps=0,
            executions_missing=0,
            execution_duplicates=0,
            refused={"frames": held.garbage} if self.is_over else {},
        )


class ColumnRun(VirtualTime):
    """Drives one trader through columns. The trader's feed is ``feed``."""

    def __init__(
        self,
        trader: PaperTrader,
        clock: VirtualClock,
        feed: ColumnFeed,
        *,
        on_start: Callable[[int], None] = lambda start_ns: None,
        flush: Callable[[], object] = lambda: None,
    ) -> None:
        """As for a `VirtualRun`."""
        super().__init__(trader, clock, flush=flush)
        self._columns_feed = feed
        self._on_start = on_start
        self._end_ns: int | None = None

    async def run(self, *, duration_ns: int | None = None) -> None:
        """Trade all messages, or those of the first ``duration_ns``; then stop in good order."""
        before, feed = Before(), self._columns_feed
        for chunk in feed.columns.chunks():
            if not len(chunk.recv):
                continue
            if not self.messages:
                first_ns = int(chunk.recv[0])
                self._end_ns = None if duration_ns is None else first_ns + duration_ns
                self._on_start(first_ns)
            feed.board.turn_to(chunk)
            if not await self._trade(chunk, stretches(chunk, before, self._trader.core.strategy.params)):
                break
        else:
            feed.is_over = True
        if self.messages:
            await self._settle()

    async def _trade(self, chunk: Chunk, s: Stretches) -> bool:
        """One chunk; False if the run ends in it."""
        at, count, core = 0, self._count(s), self._trader.core
        has_passed = False
        while at < count and not (self._stop and self.messages) and not core.is_done:
            end = at if has_passed else self._passed(s, at, count)
            if end == at and self.messages and await self._pass_deadlines(s.recv[at]) and not core.is_done:
                end = self._passed(s, at, count)
            has_passed = end > at
            if has_passed:
                self._pass_over(s, at, end)
            else:
                await self._tell(chunk, s, at)
                end = at + 1
            self.messages += end - at
            at = end
            if self._is_out_of_breath():
                await self._breathe()
        self.backwards += s.late[at - 1] if at else 0
        return at == len(s.recv)

    async def _tell(self, chunk: Chunk, s: Stretches, at: int) -> None:
        """One message, as a feed would have told it."""
        self._clock.advance_to(s.recv[at])
        self._columns_feed.board.at = at
        if (event := self._event(chunk, s, at)) is not None:
            self._trader.on_market(event)
            if self._trader.outbox:
                await self._trader.send_waiting()

    async def _pass_deadlines(self, until_ns: int) -> bool:
        """As for messages; of the venue's deadlines, the core is told of those in which it might do something."""
        trader, core, paper = self._trader, self._trader.core, self._trader.paper
        is_woken = False
        while True:
            core_ns, paper_ns = core.next_deadline_ns, paper.next_deadline_ns
            deadline = core_ns if paper_ns is None or core_ns < paper_ns else paper_ns
            if deadline > until_ns:
                return is_woken
            self._clock.advance_to(deadline)
            is_woken = True
            if core_ns > deadline:
                paper.advance(deadline)
            if core_ns <= deadline or trader.outbox or not self._may_sleep(deadline):
                trader.wake()
                if trader.outbox:
                    await trader.send_waiting()
            if self._is_out_of_breath():
                await self._breathe()

    def _may_sleep(self, now_ns: int) -> bool:
        """Whether the core need not be told that a deadline of the venue's has come."""
        core = self._trader.core
        if core.now_ns == now_ns:  # it was, by what came of it
            return core.is_at_rest()
        lull = core.lull()
        if lull is None or lull.until_ns <= now_ns:
            return False
        core.pass_over(now_ns, None, 0)
        return True

    def _count(self, s: Stretches) -> int:
        """How many messages of a chunk belong to the run."""
        end_ns = self._end_ns
        if end_ns is None or max(s.recv) <= end_ns:
            return len(s.recv)
        late = next(at for at, recv_ns in enumerate(s.recv) if recv_ns > end_ns)
        return late if self.messages else max(1, late)

    def _passed(self, s: Stretches, at: int, count: int) -> int:
        """The first message from ``at`` on that has to be told; before it are only such as need not."""
        core, paper, book = self._trader.core, self._trader.paper, self._columns_feed.board
        if (lull := core.lull()) is None or (waiting := paper.waiting()) is None:
            return at
        until_ns = lull.until_ns if waiting.until_ns is None else min(lull.until_ns, waiting.until_ns)
        end = min(count, s.end(lull.boards, is_resting=waiting.is_resting, at=at, until_ns=until_ns))
        for side, price in waiting.prices:
            end = min(end, book.next_change(side, price))
        if waiting.is_resting:
            end = s.meeting(at, end, waiting.lowest_ask, waiting.highest_bid)
        # To the last one at which the core would have looked, so that it looks at the very same moments after it.
        return max(at, s.told[end - 1] + 1) if end else at

    def _pass_over(self, s: Stretches, at: int, end: int) -> None:
        """Take messages as told that change nothing."""
        last, now_ns = end - 1, s.stamp[end - 1]
        book, board = self._columns_feed.board, s.last[last]
        self._clock.advance_to(now_ns)
        book.at = last
        snapshot = self._see(s, board) if board >= at else None
        self._trader.paper.pass_over(book, now_ns)
        self._trader.core.pass_over(now_ns, snapshot, s.boards[last] - (s.boards[at - 1] if at else 0))

    def _event(self, chunk: Chunk, s: Stretches, at: int) -> MarketEvent | None:
        kind, now = s.kind[at], self._clock.now_ns()
        if kind == KIND_BOARD:
            return self._see(s, at)
        if kind == KIND_STATE:
            return VenueStatus(ts_ns=now, state=BOARD_STATES[s.status[at]])
        if kind == KIND_TRADES:
            trades = tuple(
                PublicTrade(
                    exec_id=_NO_ID,
                    taker=Side.BUY if chunk.trade_taker[n] > 0 else Side.SELL,
                    price=Ticks(int(chunk.trade_price[n])),
                    size=Lots(int(chunk.trade_size[n])),
                )
                for n in range(s.trade_from[at], s.trade_from[at + 1])
            )
            return PublicTrades(ts_ns=now, trades=trades)
        return None

    def _see(self, s: Stretches, at: int) -> BoardSnapshot:
        """The best after a board message, which the book shows, too, if it can be believed."""
        bid, ask, status = Ticks(s.bid[at]), Ticks(s.ask[at]), BookStatus(s.status[at])
        if status is BookStatus.OK:
            self._columns_feed.board.bid, self._columns_feed.board.ask = bid, ask
        return BoardSnapshot(s.stamp[at], bid, _NOT_TOLD, ask, _NOT_TOLD, s.since[at], status)
