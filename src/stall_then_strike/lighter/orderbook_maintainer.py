"""OrderBookMaintainer: the displayed book of one Lighter market, kept from its snapshot and its changes.

A book that has missed a message is wrong from then on, so it is given up at the first sign of that: a change that does
not continue the message before it, one that cannot be read, and a best bid that is not below the best ask. Then the
book is empty and unknown until the next snapshot, which its owner asks for by subscribing anew.

Venue facts (captured messages of 2025-12, documentation of 2026): a subscription begins with the whole book; later
messages hold changed levels with absolute sizes, zero deletes; lists may be null. ``begin_nonce`` of a change is the
``nonce`` of the message before. The wire of 2025 has no ``begin_nonce``; there ``offset`` rises by one. Prices and
sizes are texts with all decimals of the market.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

from stall_then_strike.infra.levels import MAX_LEVELS, BoardError, Level, Levels, Sizes
from stall_then_strike.lighter.markets import Market
from stall_then_strike.lighter.messages import steps
from stall_then_strike.types.dto import Side

MOST_OLD: Final = 64
"""So many changes in a row may be older than the book, as when they overtake its snapshot; more mean that the venue
numbers anew."""


class BookGap(BoardError):
    """The book has missed a message, or contradicts itself: it is unknown until its next snapshot."""


class OrderBookMaintainer(Levels):
    """Book of one market in ticks and lots, own orders included."""

    def __init__(self, market: Market, *, max_levels: int = MAX_LEVELS) -> None:
        """Start empty and unknown."""
        super().__init__(market.symbol, max_levels)
        self.market: Final = market
        self.is_known = False
        """Whether it holds a snapshot and all changes since."""
        self.nonce = 0
        """The venue's number of the last message."""
        self.offset = 0
        self.gaps = 0
        """How often it missed a message or contradicted itself."""
        self._old = 0

    def apply_snapshot(self, message: dict[str, Any]) -> None:
        """Replace the book by a ``subscribed/order_book`` message. Raises BoardError; the book is then unknown."""
        try:
            bids, asks, nonce, offset, _ = self._read(message)
            self.replace(bids, asks)
        except BoardError:
            self.reset()
            raise
        self.nonce, self.offset, self._old = nonce, offset, 0
        self.is_known = True
        self._refuse_crossed()

    def apply_update(self, message: dict[str, Any]) -> bool:
        """Apply an ``update/order_book`` message to a known book; False if it is older than the book.

        Raises BookGap; the book is then unknown.
        """
        try:
            bids, asks, nonce, offset, begin = self._read(message)
        except BoardError as error:
            raise self._gap(str(error)) from None
        if begin is None:
            is_old, follows = offset <= self.offset, offset == self.offset + 1
        else:
            is_old, follows = nonce <= self.nonce, begin <= self.nonce
        if is_old:
            self._old += 1
            if self._old > MOST_OLD:
                raise self._gap(f"{self._old} messages in a row are older than the book")
            return False
        if not follows:
            told = f"offset {offset} after {self.offset}" if begin is None else f"nonce {begin} after {self.nonce}"
            raise self._gap(f"messages are missing: {told}")
        try:
            self.merge(bids, asks)
        except BoardError as error:
            raise self._gap(str(error)) from None
        self.nonce, self.offset, self._old = nonce, offset, 0
        if self.best_bid >= self.best_ask:
            self._refuse_crossed()
        return True

    def reset(self) -> None:
        """Forget the book: its connection or its subscription ended."""
        self.replace({}, {})
        self.is_known = False
        self.nonce = self.offset = self._old = 0

    def depth(self, side: Side, most: int) -> tuple[Level, ...]:
        """The best ``most`` levels of a side."""
        return tuple(islice(self.levels(side), most))

    def _refuse_crossed(self) -> None:
        """Give the book up if its best prices meet. One empty side is no contradiction."""
        if self.best_bid and self.best_ask and self.best_bid >= self.best_ask:
            raise self._gap(f"crossed: bid {self.best_bid} and ask {self.best_ask} ticks")

    def _gap(self, why: str) -> BookGap:
        self.gaps += 1
        self.reset()
        return BookGap(why)

    def _read(self, message: dict[str, Any]) -> tuple[Sizes, Sizes, int, int, int | None]:
        """Bids, asks, nonce, offset and begin_nonce of a message. Raises BoardError."""
        book = message.get("order_book")
        if type(book) is not dict:
            raise BoardError("no order_book")
        nonce, offset, begin = book.get("nonce", 0), book.get("offset", 0), book.get("begin_nonce")
        if type(nonce) is not int or type(offset) is not int or not (begin is None or type(begin) is int):
            raise BoardError("nonce, begin_nonce or offset is not an integer")
        places = self.market.price_decimals, self.market.size_decimals
        return _read_levels(book.get("bids"), *places), _read_levels(book.get("asks"), *places), nonce, offset, begin


def _read_levels(rows: Any, price_decimals: int, size_decimals: int) -> Sizes:
    """Sizes in lots by price in ticks, all checked. Raises BoardError."""
    if rows is None:
        return {}
    if type(rows) is not list:
        raise BoardError("bids and asks must be arrays")
    levels: Sizes = {}
    try:
        for row in rows:
            ticks = steps(row["price"], price_decimals)
            if not ticks:
                raise BoardError("a level has the price 0")
            levels[ticks] = steps(row["size"], size_decimals)
    except (KeyError, TypeError, ValueError) as error:
        raise BoardError(f"a level cannot be read: {error}") from None
    return levels
