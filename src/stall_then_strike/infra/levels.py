"""The displayed levels of one book as sorted integers, fast enough to be read at every message. For any venue.

For each side there is a dict from price to size and a list of prices, sorted by bisection. The best is a plain
attribute, a new level costs one search and a deletion none.

A venue's book is a subclass that reads the venue's messages. Nothing here knows of our own orders, of time or of the
book's status: see `orderbook_view.py`.

Invariants: a refused message has changed nothing; no level has size zero; ``best_bid`` and ``best_ask`` are those after
the last accepted message, zero on an empty side. The dicts are the book. The price lists hold every price of their
dict; they may also hold deleted prices and duplicates, except at the best.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Sequence
from typing import Final

from stall_then_strike.types.dto import Side
from stall_then_strike.types.instrument import Lots, Ticks

Level = tuple[Ticks, Lots]

MAX_LEVELS: Final = 20_000
"""Most levels a side; a message that leads to more is refused. The largest book seen, Lighter's BTC, has 3,700."""

SPARE_PRICES: Final = 200
"""A price list is rebuilt when it is longer than twice the number of levels plus this."""

# Resolved once: in Python 3.11, reading an enum's member off its class costs as much as a call.
_BUY: Final = Side.BUY
_NONE: Final = Lots(0)


class BoardError(ValueError):
    """The message does not describe a book. Nothing was changed."""


class Levels:
    """Both sides of one book; implements :class:`~stall_then_strike.types.dto.BookReader`, own orders included."""

    def __init__(self, product_code: str, max_levels: int = MAX_LEVELS) -> None:
        """Start empty."""
        self.product_code: Final = product_code
        # The best of both sides, our own orders included; zeros on an empty side.
        self.best_bid = Ticks(0)
        self.best_bid_size = _NONE
        self.best_ask = Ticks(0)
        self.best_ask_size = _NONE
        self._max_levels = max_levels
        self._bids: dict[Ticks, Lots] = {}
        self._asks: dict[Ticks, Lots] = {}
        self._bid_prices: list[Ticks] = []
        self._ask_prices: list[Ticks] = []

    # --- changes -----------------------------------------------------------------------------------------------------

    def merge(self, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """Set the total size at each of these prices; zero deletes the level. Raises BoardError for too many levels."""
        if len(bids) + len(self._bids) > self._max_levels or len(asks) + len(self._asks) > self._max_levels:
            raise BoardError(f"more than {self._max_levels} levels a side")
        # From here on nothing can fail.
        _merge(bids, self._bids, self._bid_prices)
        _merge(asks, self._asks, self._ask_prices)
        self._find_best()

    def replace(self, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """Make these levels the book. Raises BoardError for too many levels."""
        if len(bids) > self._max_levels or len(asks) > self._max_levels:
            raise BoardError(f"more than {self._max_levels} levels a side")
        self._bids = {ticks: lots for ticks, lots in dict(bids).items() if lots}
        self._asks = {ticks: lots for ticks, lots in dict(asks).items() if lots}
        self._bid_prices = sorted(self._bids)
        self._ask_prices = sorted(self._asks)
        self._find_best()

    def _find_best(self) -> None:
        if sizes := self._bids:
            prices = self._bid_prices
            while (best := prices[-1]) not in sizes:
                prices.pop()
            self.best_bid, self.best_bid_size = best, sizes[best]
        else:
            self.best_bid, self.best_bid_size = Ticks(0), _NONE
        if sizes := self._asks:
            prices = self._ask_prices
            while (best := prices[0]) not in sizes:
                del prices[0]
            self.best_ask, self.best_ask_size = best, sizes[best]
        else:
            self.best_ask, self.best_ask_size = Ticks(0), _NONE

    # --- reading -----------------------------------------------------------------------------------------------------

    def size_at(self, side: Side, price: Ticks) -> Lots:
        """Size displayed at a price, our own orders included; zero where there is no level."""
        return (self._bids if side is _BUY else self._asks).get(price, _NONE)

    def best(self, side: Side) -> Ticks:
        """The best price of a side; zero while it is empty."""
        return self.best_bid if side is _BUY else self.best_ask

    def levels(self, side: Side) -> Iterator[Level]:
        """Levels of a side, best first. The book must not change while the iterator is in use."""
        sizes = self._bids if side is _BUY else self._asks
        before = Ticks(0)
        for price in reversed(self._bid_prices) if side is _BUY else self._ask_prices:
            if price in sizes and price != before:
                yield price, sizes[price]
                before = price

    def __len__(self) -> int:
        """Number of levels of both sides."""
        return len(self._bids) + len(self._asks)


def _merge(changes: Sequence[Level], sizes: dict[Ticks, Lots], prices: list[Ticks]) -> None:
    """Apply total sizes per price to one side."""
    for ticks, lots in changes:
        if lots:
            if ticks not in sizes:
                insort(prices, ticks)
            sizes[ticks] = lots
        elif ticks in sizes:
            del sizes[ticks]
    if len(prices) > 2 * len(sizes) + SPARE_PRICES:
        prices[:] = sorted(sizes)
