"""A prepared tape as a trader's feed: the events of its messages, without decoding their text again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stall_then_strike.infra.market_source import FeedStatistics, MarketEvent
from stall_then_strike.research.tables.column_book import ColumnBook
from stall_then_strike.research.tables.columns import BOARD_STATES, KIND_BOARD, KIND_STATE, KIND_TRADES, Columns
from stall_then_strike.types.dto import BoardSnapshot, BookStatus, ExecId, PublicTrade, PublicTrades, Side, VenueStatus
from stall_then_strike.types.instrument import Lots, Ticks

Row = tuple[int, int, int, Ticks, Ticks, int]
"""A message of a chunk: its number in the chunk, kind, status, bid, ask, and since when both have been the best."""

_NO_SIZE: Final = Lots(0)
"""Stands for the sizes of the best, which columns do not hold and no decision reads."""
_NO_ID: Final = ExecId(0)
"""Stands for execution ids, which columns do not hold."""
# Enum members resolved once: in Python 3.11, reading one off its class costs as much as a call.
_OK: Final = BookStatus.OK
_BUY: Final = Side.BUY
_SELL: Final = Side.SELL

_STATUSES: Final = {int(status): status for status in BookStatus}


_snapshot: Final = tuple.__new__
"""Builds a BoardSnapshot without the class's own constructor, for speed: one is made for every board message."""


class ColumnFeed:
    """Decoder of prepared messages, and the book that they show."""

    def __init__(self, columns: Columns) -> None:
        """The book is at its position before the first message."""
        self.columns = columns
        self.board = ColumnBook()
        self._trades: list[tuple[int, Ticks, Lots]] = []
        """Executions of the chunk: the taker's side as a sign, price and size."""
        self._trades_from: list[int] = []
        """The index in ``_trades`` of each message's first execution; last, the number of all executions."""
        self._told = 0

    def messages(self) -> Iterator[tuple[int, Row]]:
        """All messages with their receive stamps. The book moves to a chunk when its first message is requested."""
        for chunk in self.columns.chunks():
            count = len(chunk.recv)
            trades = (chunk.trade_taker, chunk.trade_price, chunk.trade_size)
            self._trades = list(zip(*(field.tolist() for field in trades), strict=True))
            self._trades_from = chunk.trade_at.searchsorted(range(count + 1)).tolist()
            self.board.turn_to(chunk)
            fields = (chunk.kind, chunk.status, chunk.bid, chunk.ask, chunk.since)
            rows = zip(range(count), *(field.tolist() for field in fields), strict=True)
            yield from zip(chunk.recv.tolist(), rows, strict=True)

    def on_recorded(self, message: Row, recv_ns: int) -> MarketEvent | None:
        """The event of a message, as decoded at preparation. The book moves on to after this message."""
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
            return PublicTrades(ts_ns=recv_ns, trades=tuple(self._trades_of(at)))
        return None

    def _trades_of(self, at: int) -> Iterator[PublicTrade]:
        """The executions of a message."""
        for taker, price, size in self._trades[self._trades_from[at] : self._trades_from[at + 1]]:
            yield PublicTrade(exec_id=_NO_ID, taker=_BUY if taker > 0 else _SELL, price=price, size=size)

    def statistics(self) -> FeedStatistics:
        """Counts made at preparation. Those that columns do not hold are zero; some also if the run ended early."""
        held = self.columns.manifest
        is_over = self._told == held.messages
        return FeedStatistics(
            board_snapshots=0,
            board_deltas=held.boards,
            deltas_before_snapshot=0,
            executions=held.trades,
            replies=0,
            mid_checked=held.mid_checked if is_over else 0,
            mid_agreed=held.mid_agreed if is_over else 0,
            execution_gaps=0,
            executions_missing=0,
            refused={"frames": held.garbage} if is_over else {},
        )
