"""QuoteHandler: the best bid and ask of one market, derived from its ``order_book``, and only when they change."""

from __future__ import annotations

from typing import NamedTuple

from stall_then_strike.lighter.handlers.base import Handler, Message
from stall_then_strike.lighter.handlers.orderbook import BookChange, OrderbookHandler
from stall_then_strike.types.instrument import Lots, Ticks


class BestQuote(NamedTuple):
    """The best of both sides."""

    ts_ns: int
    bid: Ticks
    bid_size: Lots
    ask: Ticks
    ask_size: Lots


class QuoteHandler(Handler[BestQuote]):
    """Derives quotes. While a side is empty or the book is unknown there is none."""

    def __init__(self, orderbook: OrderbookHandler) -> None:
        """``orderbook`` keeps the book; others may read it too."""
        super().__init__("order_book", orderbook.book.market.market_index)
        self.orderbook = orderbook
        self._last: tuple[int, int, int, int] | None = None

    def handle(self, message: Message, recv_ns: int) -> BestQuote | None:
        """The new best after a message of the book. Raises BoardError, as the book's handler does."""
        change = self.orderbook.handle(message, recv_ns)
        return None if change is None else self.derive(change)

    def derive(self, change: BookChange) -> BestQuote | None:
        """The new best after a change of the book; None if it is the old one."""
        book = change.book
        best = (book.best_bid, book.best_bid_size, book.best_ask, book.best_ask_size)
        if best == self._last:
            return None
        self._last = best
        return BestQuote(change.ts_ns, *best) if book.best_bid and book.best_ask else None

    def on_gap(self) -> None:
        """The book is unknown: its next best is told even if it is the old one."""
        self._last = None
        self.orderbook.on_gap()
