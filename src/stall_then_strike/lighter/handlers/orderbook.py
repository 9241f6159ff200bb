"""OrderbookHandler: ``order_book`` of one market."""

from __future__ import annotations

from typing import NamedTuple

from stall_then_strike.infra.levels import Level
from stall_then_strike.lighter.handlers.base import Handler, Message
from stall_then_strike.lighter.markets import Market
from stall_then_strike.lighter.orderbook_maintainer import OrderBookMaintainer
from stall_then_strike.types.dto import Side


class BookChange(NamedTuple):
    """The book after one message. ``book`` is the live one: read what is needed before the next message."""

    ts_ns: int
    book: OrderBookMaintainer
    is_snapshot: bool

    def depth(self, side: Side, most: int) -> tuple[Level, ...]:
        """The best levels of a side, in ticks and lots."""
        return self.book.depth(side, most)


class OrderbookHandler(Handler[BookChange]):
    """Keeps the book of a market."""

    def __init__(self, market: Market) -> None:
        """The book is unknown until the first message."""
        super().__init__("order_book", market.market_index)
        self.book = OrderBookMaintainer(market)
        self.early = 0
        """Changes that came while the book was unknown: not applied."""

    def handle(self, message: Message, recv_ns: int) -> BookChange | None:
        """The book after a message; None for a change of an unknown book, or one that is older than the book.

        Raises BoardError, of which BookGap is one: the book is unknown then and must be asked for again.
        """
        if self.is_first(message):
            self.book.apply_snapshot(message)
            return BookChange(recv_ns, self.book, True)
        if not self.book.is_known:
            self.early += 1
            return None
        return BookChange(recv_ns, self.book, False) if self.book.apply_update(message) else None

    def on_gap(self) -> None:
        """The book is unknown."""
        self.book.reset()
