"""A prepared tape as the feed of a trader: the events that its messages said, without reading their text once more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stall_then_strike.infra.bitflyer.feed import FeedStatistics, MarketEvent
from stall_then_strike.research.replay.kernel_state import KIND_BOARD, KIND_STATE, KIND_TRADES, Chunk
from stall_then_strike.research.tables.column_book import ColumnBook
from stall_then_strike.research.tables.columns import BOARD_STATES, Columns
from stall_then_strike.types.dto import BoardSnapshot, BookStatus, ExecId, PublicTrade, PublicTrades, Side, VenueStatus
from stall_then_strike.types.instrument import Lots, Ticks

Row = tuple[int, int, int, Ticks, Ticks, int]
"""A message of a chunk: its number there, kind, status, bid, ask, and since when both stood."""

_NO_SIZE: Final = Lots(0)
"""Columns hold no sizes of the best, which no decision reads."""
_NO_ID: Final = ExecId(0)
"""Nor do they hold the numbers of executions."""
# Enum members resolved once: in Python 3.11, reading one off its class costs as much as a call.
_OK: Final = BookStatus.OK
_BUY: Final = Side.BUY
_SELL: Final = Side.SELL

_STATUSES: Final = {int(status): status for status in BookStatus}


_snapshot: Final = tuple.__new__
"""What the class does, by the shortest way: one is made of every board message."""


class ColumnFeed:
    """Decoder of prepared messages, and the book that they show."""

    def __init__(self, columns: Columns) -> None:
        """The book stands before the first message."""
        self.columns = columns
        self.board = ColumnBook()
        self._chunk: Chunk | None = None
        self._trades_from: list[int] = []
        """Where each message's executions begin in the chunk; one more at the end."""
        self._told = 0

    def messages(self) -> Iterator[tuple[int, Row]]:
        """All messages with their receive stamps. The book turns to a chunk when its first message is asked for."""
        for chunk in self.columns.chunks():
            count = len(chunk.recv)
            self._chunk = chunk
            self._trades_from = chunk.trade_at.searchsorted(range(count + 1)).tolist()
            self.board.turn_to(chunk)
            fields = (chunk.kind, chunk.status, chunk.bid, chunk.ask, chunk.since)
            rows = zip(range(count), *(field.tolist() for field in fields), strict=True)
            yield from zip(chunk.recv.tolist(), rows, strict=True)

    def on_recorded(self, message: Row, recv_ns: int) -> MarketEvent | None:
        """What a message said when the tape was prepared. The book shows it from here on."""
        at, kind, number, bid, ask, since_ns = message
        self._told += 1
        book = self.board
        book.at = at
        if kind == KIND_BOARD:
            status = _STATUSES[number]
            if status is _OK:
                book.bid, book.ask = bid, ask
            return _snapshot(BoardSnapshot, (recv_ns, bid, _NO_SIZE, ask, _NO_SIZE, since_ns, status))
        if kind == KIND_STATE:
            return VenueStatus(ts_ns=recv_ns, state=BOARD_STATES[number])
        if kind == KIND_TRADES:
            return PublicTrades(ts_ns=recv_ns, trades=tuple(self._trades(at)))
        return None

    def _trades(self, at: int) -> Iterator[PublicTrade]:
        """The executions of a message."""
        if (chunk := self._chunk) is None:
            raise AssertionError("a message comes from a chunk")
        for number in range(self._trades_from[at], self._trades_from[at + 1]):
            yield PublicTrade(
                exec_id=_NO_ID,
                taker=_BUY if chunk.trade_taker[number] > 0 else _SELL,
                price=Ticks(int(chunk.trade_price[number])),
                size=Lots(int(chunk.trade_size[number])),
            )

    def statistics(self) -> FeedStatistics:
        """What the tape's preparation counted; zeros where columns do not say, or the run did not come to the end."""
        held = self.columns.manifest
        is_over = self._told == held.messages
        return FeedStatistics(
            board_snapshots=0,
            board_deltas=held.boards,
            deltas_before_snapshot=0,
            execution_messages=0,
            executions=held.trades,
            tickers=0,
            replies=0,
            mid_checked=held.mid_checked if is_over else 0,
            mid_agreed=held.mid_agreed if is_over else 0,
            execution_gaps=0,
            executions_missing=0,
            execution_duplicates=0,
            refused={"frames": held.garbage} if is_over else {},
        )
