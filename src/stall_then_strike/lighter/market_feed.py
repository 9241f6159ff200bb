"""LighterMarketFeed: one Lighter market's public channels as market events: a frame in, at most one event out.

It is composed of the handlers of ``handlers/`` and adds what a trader needs: the view without our own orders, the
book's status, proof of life. It knows no socket, no clock and no task: a recorded tape takes the same path as the live
stream. Messages of other markets, of the account and of the connection are passed over.

The wire is not trusted. What breaks its channel's form is counted by kind and logged now and then; nothing is raised.
A book that has missed a change is UNKNOWN from then on, and ``on_resync`` is asked to subscribe its channel anew.

*Proof of life.* The venue sends a book only when it changes, at most each 50 ms, so that a still market would look like
a dead one. Statistics of the market come on the same connection, whose messages keep their order. Each of them
therefore restates the best, with its own stamp: had the book changed before, its change would have come first. If they
tell a mid price that is not between our best prices, they prove nothing, and three in a row without a message of the
book between them mean that its subscription is dead.

*Venue status.* No channel tells the state of a market. The first statistics of a connection stand for RUNNING, if the
list of markets has the market as active.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import orjson

from stall_then_strike.infra.levels import BoardError
from stall_then_strike.infra.line.refusals import SHOWN_CHARS, Refusals
from stall_then_strike.infra.market_source import FeedStatistics, MarketEvent, OfRecordings, Refusal, RefusedFrame
from stall_then_strike.infra.orderbook_view import OrderBookView
from stall_then_strike.lighter.handlers.base import Message, Unreadable
from stall_then_strike.lighter.handlers.market_stats import MarketStatsHandler
from stall_then_strike.lighter.handlers.orderbook import OrderbookHandler
from stall_then_strike.lighter.handlers.trades import TradesHandler
from stall_then_strike.lighter.markets import Market
from stall_then_strike.lighter.messages import MarketStats
from stall_then_strike.lighter.orderbook_maintainer import BookGap
from stall_then_strike.types.dto import (
    NS_PER_S,
    BoardSnapshot,
    BoardState,
    BookStatus,
    Health,
    PublicTrades,
    VenueStatus,
)

MAX_FRAME_BYTES: Final = 4_000_000
"""Length beyond which a frame is counted and dropped. BTC's first book has 211,000 bytes."""
MOST_DOUBTS: Final = 3
"""Statistics in a row that contradict a book that does not change, after which it is asked for again."""
SETTLE_NS: Final = 5 * NS_PER_S
"""How often the view is told, as by bitFlyer's snapshots, that a level's part of ours must have gone by now."""


class LighterMarketFeed(OfRecordings):
    """Decoder of the public channels of one market."""

    def __init__(self, market: Market, *, account_index: int | None = None, is_quiet: bool = False) -> None:
        """``account_index``: whose orders have their owner's names. ``is_quiet``: refused frames are not logged."""
        self.market: Final = market
        self.product: Final = market.symbol
        self.orderbook: Final = OrderbookHandler(market)
        self.trades: Final = TradesHandler(market, account_index)
        self.market_stats: Final = MarketStatsHandler(market)
        self.board: Final = self.orderbook.book
        self.view: Final = OrderBookView(self.board, market.instrument)
        self.heard_ns: Final[dict[str, int]] = {}
        """Receive stamp of the last valid message of each channel."""
        self.on_resync: Callable[[str, str], None] = lambda channel, why: None
        """Called with a channel that needs a new subscription, and why."""
        self._refusals = Refusals("frame(s)", is_quiet=is_quiet)
        self._book_name = f'"{self.orderbook.wire_name}"'.encode()
        self._is_told_running = False
        self._settled_ns = 0
        self._doubts = 0
        self._snapshots = self._deltas = self._executions = self._replies = 0

    @property
    def channels(self) -> tuple[str, ...]:
        """The public channels, in the order in which to subscribe them."""
        return (self.market_stats.channel, self.orderbook.channel, self.trades.channel)

    @property
    def frame_names(self) -> tuple[str, ...]:
        """The texts by which this market's frames are told from others'. Statistics of all markets have none."""
        return (self.market_stats.wire_name, self.orderbook.wire_name, self.trades.wire_name)

    @property
    def stats(self) -> MarketStats | None:
        """The newest prices and funding rates; None before the first."""
        return self.market_stats.newest

    # --- connection --------------------------------------------------------------------------------------------------

    def on_connect(self) -> None:
        """A new connection begins: changes of the book are ignored until its first snapshot."""
        self.orderbook.on_gap()
        self.heard_ns.clear()
        self._is_told_running = False

    def on_disconnect(self, now_ns: int) -> BoardSnapshot:
        """The connection, or the book's subscription, is lost: the book is UNKNOWN. Returns a snapshot saying so."""
        self.orderbook.on_gap()
        self.view.on_disconnect(now_ns)
        return self.view.snapshot(now_ns)

    # --- frames ------------------------------------------------------------------------------------------------------

    def on_text(self, text: str | bytes, recv_ns: int) -> MarketEvent | None:
        """Take one text frame as received."""
        if len(text) > MAX_FRAME_BYTES:
            return self._unread(Refusal.TOO_LONG, f"{len(text)} bytes", text, recv_ns)
        try:
            message = orjson.loads(text)
        except ValueError as error:
            return self._unread(Refusal.NOT_JSON, str(error), text, recv_ns)
        return self.on_message(message, recv_ns)

    def on_message(self, message: Any, recv_ns: int) -> MarketEvent | None:
        """Take one message that is already parsed."""
        try:
            if type(message) is not dict:
                raise RefusedFrame(Refusal.NOT_AN_OBJECT)
            # Most frequent channel first.
            if self.orderbook.can_handle(message):
                return self._on_book(message, recv_ns)
            if self.trades.can_handle(message):
                return self._on_trades(message, recv_ns)
            if self.market_stats.can_handle(message):
                return self._on_stats(message, recv_ns)
        except RefusedFrame as refused:
            self._refusals.add(refused.kind, refused.why, "", recv_ns)
            return None
        self._replies += 1
        return None

    def _unread(self, kind: Refusal, why: str, text: str | bytes, recv_ns: int) -> BoardSnapshot | None:
        """Count a frame that was not parsed. If it seems to be of the book, the book is SUSPECT until the next one."""
        self._refusals.add(kind, why, text[:SHOWN_CHARS], recv_ns)
        head = text[:SHOWN_CHARS]
        if self._book_name not in (head.encode(errors="replace") if isinstance(head, str) else head):
            return None
        self.view.doubt()
        return self.view.snapshot(recv_ns)

    def statistics(self) -> FeedStatistics:
        """Counts so far."""
        return FeedStatistics(
            board_snapshots=self._snapshots,
            board_deltas=self._deltas,
            deltas_before_snapshot=self.orderbook.early,
            executions=self._executions,
            replies=self._replies,
            mid_checked=self.view.checked,
            mid_agreed=self.view.agreed,
            execution_gaps=0,
            executions_missing=0,
            refused=self._refusals.counts(),
            book_gaps=self.board.gaps,
        )

    # --- channels ----------------------------------------------------------------------------------------------------

    def _on_book(self, message: Message, recv_ns: int) -> BoardSnapshot | None:
        try:
            change = self.orderbook.handle(message, recv_ns)
        except BoardError as error:
            return self._on_bad_book(error, recv_ns)
        self.heard_ns[self.orderbook.channel] = recv_ns
        self._doubts = 0
        if change is None:
            return None
        self._snapshots += change.is_snapshot
        self._deltas += not change.is_snapshot
        settles = change.is_snapshot or recv_ns - self._settled_ns >= SETTLE_NS
        if settles:
            self._settled_ns = recv_ns
        return self.view.on_board(None, settles, recv_ns)

    def _on_bad_book(self, error: BoardError, recv_ns: int) -> BoardSnapshot:
        if not isinstance(error, BookGap):
            self._refusals.add(Refusal.BAD_BOARD, str(error), "", recv_ns)
        return self._give_up(str(error), recv_ns)

    def _give_up(self, why: str, recv_ns: int) -> BoardSnapshot:
        """The book is unknown, and asked for again."""
        lost = self.on_disconnect(recv_ns)
        self.on_resync(self.orderbook.channel, why)
        return lost

    def _on_trades(self, message: Message, recv_ns: int) -> PublicTrades | None:
        unreadable = self.trades.unreadable
        try:
            found = self.trades.handle(message, recv_ns)
        except Unreadable as error:
            raise RefusedFrame(Refusal.BAD_EXECUTIONS, str(error)) from None
        if self.trades.unreadable > unreadable:
            self._refusals.add(Refusal.BAD_EXECUTIONS, self.trades.last_error, "", recv_ns)
        self.heard_ns[self.trades.channel] = recv_ns
        if found is None or found.is_history:
            return None
        self._executions += len(found.trades)
        return PublicTrades(ts_ns=recv_ns, trades=found.trades)

    def _on_stats(self, message: Message, recv_ns: int) -> BoardSnapshot | VenueStatus | None:
        try:
            found = self.market_stats.handle(message, recv_ns)
        except Unreadable as error:
            raise RefusedFrame(Refusal.BAD_TICKER, str(error)) from None
        if found is None:
            return None
        self.heard_ns[self.market_stats.channel] = recv_ns
        if not self._is_told_running:
            self._is_told_running = True
            state = BoardState.RUNNING if self.market.is_active else BoardState.CLOSED
            return VenueStatus(ts_ns=recv_ns, state=state, health=Health.NORMAL)
        if self.view.status is BookStatus.UNKNOWN:
            return None
        if not self._agrees(found.mid_price):
            self._doubts += 1
            return (
                self._give_up("it stands still beside the mid price", recv_ns) if self._doubts >= MOST_DOUBTS else None
            )
        return self.view.snapshot(recv_ns)

    def _agrees(self, mid: Decimal | None) -> bool:
        """Whether a mid price lies between the best prices, ours included. One that is not told does."""
        if mid is None or not self.board.best_bid or not self.board.best_ask:
            return True
        return self.board.best_bid <= mid * self.market.instrument.ticks_per_one <= self.board.best_ask
