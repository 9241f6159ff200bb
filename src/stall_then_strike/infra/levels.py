"""The displayed levels of one book, fast enough to be read at every message. For any venue.

For each side there is a dict from price to size. A message's changes go into it all at once, and only the one that is
nearest to the other side is looked at: if it is behind the best, the best stands. The order of the prices is brought up
to date only when the best is deleted or levels are read, and far behind the touch only when somebody reads so far.

A venue's book is a subclass that reads the venue's messages. Nothing here knows of our own orders, of time or of the
book's status: see `orderbook_view.py`.

Invariants: a refused message has changed nothing; no level that can be read has size zero; ``best_bid`` and
``best_ask`` are those after the last accepted message, zero on an empty side. The dicts are the book; they may also
hold deleted levels, of size zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from math import inf
from typing import Any, Final, cast

from stall_then_strike.types.dto import Side
from stall_then_strike.types.instrument import Lots, Ticks

Level = tuple[Ticks, Lots]

Sizes = dict[Any, Any]
"""Sizes by price. Prices are numbers equal to ticks, sizes are numbers of which the book's ``lots_of`` makes lots."""

MAX_LEVELS: Final = 20_000
"""Most levels a side; a message that leads to more is refused. The largest book seen, Lighter's BTC, has 3,700."""

SPARE_LEVELS: Final = 1_000
"""Deleted levels are thrown away when there are more of them than levels plus this."""

NEAR: Final = 64
"""How many prices nearest to the touch are sorted apart from the rest; four times as many at most."""

# Resolved once: in Python 3.11, reading an enum's member off its class costs as much as a call.
_BUY: Final = Side.BUY
_NONE: Final = Lots(0)
_NOWHERE: Final = (Ticks(0), _NONE)
_ticks_of: Final = cast("Callable[[float], Ticks]", int)
"""Calling the type ``Ticks`` as well costs twice as much."""


class BoardError(ValueError):
    """The message does not describe a book. Nothing was changed."""


class Levels:
    """Both sides of one book; implements :class:`~stall_then_strike.types.dto.BookReader`, own orders included."""

    def __init__(
        self, product_code: str, max_levels: int = MAX_LEVELS, lots_of: Callable[[Any], Lots] = lambda size: size
    ) -> None:
        """Start empty. ``lots_of`` makes lots of a size as it was put in."""
        self.product_code: Final = product_code
        # The best of both sides, our own orders included; zeros on an empty side.
        self.best_bid = Ticks(0)
        self.best_bid_size = _NONE
        self.best_ask = Ticks(0)
        self.best_ask_size = _NONE
        self._max_levels = max_levels
        self._lots_of = lots_of
        self._bids = _Side({}, lots_of, max_levels, is_bid=True)
        self._asks = _Side({}, lots_of, max_levels, is_bid=False)

    # --- changes -----------------------------------------------------------------------------------------------------

    def merge(self, bids: Sizes, asks: Sizes) -> None:
        """Set the total size at each of these prices; zero deletes the level. Raises BoardError for too many levels."""
        self._change(bids, max(bids, default=0), asks, min(asks, default=0))

    def _change(self, bids: Sizes, highest_bid: float, asks: Sizes, lowest_ask: float) -> None:
        """As ``merge``, where the prices of the changes are known that can be the best."""
        buys, sells = self._bids, self._asks
        if len(bids) + len(buys.sizes) > buys.room or len(asks) + len(sells.sizes) > sells.room:
            buys.make_room(len(bids))
            sells.make_room(len(asks))
        # From here on nothing can fail.
        if bids:
            sizes = buys.sizes
            sizes |= bids
            if highest_bid >= self.best_bid:
                if lots := self._lots_of(bids[highest_bid]):
                    self.best_bid, self.best_bid_size = _ticks_of(highest_bid), lots
                else:
                    self.best_bid, self.best_bid_size = buys.find_best()
        if asks:
            sizes = sells.sizes
            sizes |= asks
            if lowest_ask <= self.best_ask or not self.best_ask:
                if lots := self._lots_of(asks[lowest_ask]):
                    self.best_ask, self.best_ask_size = _ticks_of(lowest_ask), lots
                else:
                    self.best_ask, self.best_ask_size = sells.find_best()

    def replace(self, bids: Sizes, asks: Sizes) -> None:
        """Make these levels the book. Raises BoardError for too many levels."""
        if len(bids) > self._max_levels or len(asks) > self._max_levels:
            raise _too_many(self._max_levels)
        self._bids = _Side(bids, self._lots_of, self._max_levels, is_bid=True)
        self._asks = _Side(asks, self._lots_of, self._max_levels, is_bid=False)
        self.best_bid, self.best_bid_size = self._bids.find_best()
        self.best_ask, self.best_ask_size = self._asks.find_best()

    # --- reading -----------------------------------------------------------------------------------------------------

    def size_at(self, side: Side, price: Ticks) -> Lots:
        """Size displayed at a price, our own orders included; zero where there is no level."""
        return self._lots_of((self._bids if side is _BUY else self._asks).sizes.get(price, 0))

    def best(self, side: Side) -> Ticks:
        """The best price of a side; zero while it is empty."""
        return self.best_bid if side is _BUY else self.best_ask

    def levels(self, side: Side) -> Iterator[Level]:
        """Levels of a side, best first. The book must not change while the iterator is in use."""
        return (self._bids if side is _BUY else self._asks).levels()

    def __len__(self) -> int:
        """Number of levels of both sides."""
        return sum(1 for _ in chain(self._bids.levels(), self._asks.levels()))


def _too_many(most: int) -> BoardError:
    return BoardError(f"more than {most} levels a side")


class _Side:
    """One side of a book.

    ``_near`` and ``_far`` hold the prices of ``sizes``, without those that came since the last ``_in_order``: these are
    the last ones of ``sizes``, because a dict keeps its order. ``_near`` is sorted, the best last, and in front of all
    of ``_far``, which is sorted when it is needed.
    """

    __slots__ = ("_border", "_far", "_is_bid", "_lots_of", "_max_levels", "_near", "room", "sizes")

    def __init__(self, sizes: Sizes, lots_of: Callable[[Any], Lots], max_levels: int, *, is_bid: bool) -> None:
        self._is_bid = is_bid
        self._lots_of = lots_of
        self._max_levels = max_levels
        self.sizes = sizes
        self._begin()

    def _begin(self) -> None:
        """Throw the deleted levels away; none of the others is in order."""
        self.sizes = sizes = {price: size for price, size in self.sizes.items() if size}
        self.room = min(self._max_levels, 2 * len(sizes) + SPARE_LEVELS)
        """How many levels ``sizes`` may have, deleted ones included."""
        self._near: list[Any] = []
        self._far: list[Any] = list(sizes)
        self._border: float = inf if self._is_bid else 0
        """What is in front of this price is near."""

    def make_room(self, count: int) -> None:
        """Before so many levels are put in. Raises BoardError if there would be too many."""
        if count + len(self.sizes) > self.room:
            self._begin()
            if count + len(self.sizes) > self._max_levels:
                raise _too_many(self._max_levels)

    def _in_order(self) -> list[Any]:
        """``_near``, brought up to date; empty only if there is nothing at all."""
        near, far, is_bid = self._near, self._far, self._is_bid
        if new := len(self.sizes) - len(near) - len(far):
            border = self._border
            for price in islice(reversed(self.sizes), new):
                (near if (price > border) is is_bid else far).append(price)
            near.sort(reverse=not is_bid)
        if not 0 < len(near) <= 4 * NEAR:
            far.sort(reverse=not is_bid)
            far += near
            near[:] = far[-NEAR:]
            del far[-NEAR:]
            self._border = far[-1] if far else 0 if is_bid else inf
        return near

    def find_best(self) -> Level:
        """The best level; zeros if there is none. Forgets the deleted ones before it."""
        sizes = self.sizes
        while near := self._in_order():
            while near:
                price = near[-1]
                if (size := sizes[price]) and (lots := self._lots_of(size)):
                    return _ticks_of(price), lots
                near.pop()
                del sizes[price]
        return _NOWHERE

    def levels(self) -> Iterator[Level]:
        """All levels, best first."""
        sizes, lots_of = self.sizes, self._lots_of
        for price in reversed(self._in_order()):
            if lots := lots_of(sizes[price]):
                yield _ticks_of(price), lots
        self._far.sort(reverse=not self._is_bid)
        for price in reversed(self._far):
            if lots := lots_of(sizes[price]):
                yield _ticks_of(price), lots
