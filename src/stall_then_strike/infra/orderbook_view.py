"""The snapshots that decisions use: the displayed book without our own orders, with a status.

**Status.** If the venue's board messages carry its mid price, rounded down to a tick, and that is not the middle of our
book, or if the book is crossed or one-sided, the book is SUSPECT until a later message agrees or a snapshot replaces
it. At bitFlyer deletions do get lost now and then, and nothing else on the wire shows it (no sequence number, no
checksum). After a disconnect the book is UNKNOWN until the next snapshot.

**Own orders.** A quote inside the spread becomes the best, and a strategy that waits for the best to stand still would
see its own order move it. Our displayed sizes are therefore subtracted. An order is not displayed at once: it appears
0.1 s or more after its request, and disappears some 0.1 s after its execution was published. Only the level itself
proves what is displayed, so our part of a level is computed again when, and only when, the level's size changes: it is
our remaining size there, or the whole level if that is less. An order that is not displayed yet is not subtracted; a
filled or cancelled one is subtracted until the level shows that it is gone.

The book's age counts from the last change of its best prices without our orders; sizes may change.

Whether a book is stale depends on the present time, so the core decides that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from stall_then_strike.infra.levels import Levels
from stall_then_strike.types.dto import BoardSnapshot, BookStatus, ClientOrderId, Side
from stall_then_strike.types.instrument import Instrument, Lots, Ticks

GONE_AFTER_SNAPSHOTS: Final = 2
"""After this many snapshots (one each 5 s) since our last order at a level ended, the whole level counts as others'.

Needed when another order of exactly our size arrived in the batch in which ours left: the level's size never changed.
"""

_snapshot: Final = tuple.__new__
"""Builds a BoardSnapshot without the class's own constructor, for speed: one is made for every board message."""
_BUY, _SELL = Side.BUY, Side.SELL
_OK, _UNKNOWN, _SUSPECT = BookStatus.OK, BookStatus.UNKNOWN, BookStatus.SUSPECT


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnQuote:
    """One order of ours that was sent and is not known to have ended."""

    side: Side
    price: Ticks
    remaining: Lots


class _OwnLevel:
    """A level at which we have, or had, orders."""

    __slots__ = ("displayed", "level", "price", "remaining", "side", "snapshots_since_gone")

    def __init__(self, side: Side, price: Ticks, level: Lots) -> None:
        self.side = side
        self.price = price
        self.level = level
        """Size of the whole level when last read."""
        self.remaining: int = 0
        """Sum of our orders' remaining sizes there."""
        self.displayed: int = 0
        """The part of ``level`` that is ours."""
        self.snapshots_since_gone = 0


class OrderBookView:
    """The best of a board without our own orders, with its age and status."""

    def __init__(self, board: Levels, instrument: Instrument) -> None:
        """Watch a board. It is UNKNOWN until its first snapshot is reported."""
        if board.product_code != instrument.product_code:
            raise ValueError(f"a board of {board.product_code} is not one of {instrument.product_code}")
        self.board: Final = board
        self.checked = 0
        """Board messages whose mid price was compared with the book."""
        self.agreed = 0
        """Those of them that agreed."""
        self._own: dict[tuple[Side, Ticks], _OwnLevel] = {}
        self._status = BookStatus.UNKNOWN
        self._best_bid = Ticks(0)
        self._best_ask = Ticks(0)
        self._bid_size = Lots(0)
        self._ask_size = Lots(0)
        self._best_since_ns = 0

    def set_own(self, quotes: Mapping[ClientOrderId, OwnQuote] | Iterable[OwnQuote]) -> None:
        """Set all orders of ours that may be in the book. To be called whenever one of them changes."""
        own = self._own
        for tracked in own.values():
            tracked.remaining = 0
        for quote in quotes.values() if isinstance(quotes, Mapping) else quotes:
            key = (quote.side, quote.price)
            at = own.get(key)
            if at is None:
                at = own[key] = _OwnLevel(quote.side, quote.price, self.board.size_at(quote.side, quote.price))
            at.remaining += quote.remaining
            at.snapshots_since_gone = 0
        for key in [key for key, at in own.items() if not at.remaining and not at.displayed]:
            del own[key]

    def on_board(self, mid_ticks: int | None, is_snapshot: bool, now_ns: int) -> BoardSnapshot:
        """The best and the status after the board applied a message; ``mid_ticks`` is its mid price, if it has one.

        A delta must be neither applied nor reported here while the book is UNKNOWN.
        """
        board = self.board
        bid, ask = board.best_bid, board.best_ask
        bid_size, ask_size = board.best_bid_size, board.best_ask_size
        was_unknown = self._status is _UNKNOWN
        self.checked += 1
        if bid and bid < ask and (mid_ticks is None or (bid + ask) // 2 == mid_ticks):
            self.agreed += 1
            status = _OK
        else:
            status = _SUSPECT
        if self._own:
            self._settle_own(is_snapshot, was_unknown)
            bid, bid_size = self._best_of_others(_BUY)
            ask, ask_size = self._best_of_others(_SELL)
            if not bid or not ask:
                status = _SUSPECT
        if bid != self._best_bid or ask != self._best_ask or was_unknown:
            self._best_bid, self._best_ask = bid, ask
            self._best_since_ns = now_ns
        self._bid_size, self._ask_size = bid_size, ask_size
        self._status = status
        return _snapshot(BoardSnapshot, (now_ns, bid, bid_size, ask, ask_size, self._best_since_ns, status))

    def doubt(self) -> None:
        """Make an OK book SUSPECT until a message agrees with it: a board message was refused."""
        if self._status is _OK:
            self._status = _SUSPECT

    def on_disconnect(self, now_ns: int) -> None:
        """Make the book UNKNOWN until the next snapshot is reported."""
        self._status = _UNKNOWN
        self._best_bid = self._best_ask = Ticks(0)
        self._bid_size = self._ask_size = Lots(0)
        self._best_since_ns = now_ns

    def snapshot(self, now_ns: int) -> BoardSnapshot:
        """The best after the last message, stamped ``now_ns``."""
        best = (self._best_bid, self._bid_size, self._best_ask, self._ask_size)
        return _snapshot(BoardSnapshot, (now_ns, *best, self._best_since_ns, self._status))

    @property
    def status(self) -> BookStatus:
        """OK, UNKNOWN or SUSPECT."""
        return self._status

    def size_at(self, side: Side, price: Ticks) -> Lots:
        """Size of others at a price; zero where there is none."""
        size = self.board.size_at(side, price)
        at = self._own.get((side, price))
        return size if at is None else Lots(max(0, size - at.displayed))

    def levels(self, side: Side) -> Iterator[tuple[Ticks, Lots]]:
        """Levels of others, best first. The book must not change while the iterator is in use."""
        for price, size in self.board.levels(side):
            at = self._own.get((side, price))
            others = size if at is None else Lots(size - at.displayed)
            if others > 0:
                yield price, others

    def best(self, side: Side) -> Ticks:
        """The best price of others on a side; zero where there is none."""
        return self._best_of_others(side)[0]

    def _best_of_others(self, side: Side) -> tuple[Ticks, Lots]:
        board = self.board
        price, size = (board.best_bid, board.best_bid_size) if side is _BUY else (board.best_ask, board.best_ask_size)
        at = self._own.get((side, price))
        others = size if at is None else Lots(size - at.displayed)
        return (price, others) if others > 0 else next(self.levels(side), (Ticks(0), Lots(0)))

    def _settle_own(self, is_snapshot: bool, anew: bool) -> None:
        """Compute which part of each tracked level is ours. ``anew``: also where the level's size has not changed."""
        done: list[tuple[Side, Ticks]] = []
        for key, at in self._own.items():
            level = self.board.size_at(at.side, at.price)
            if level != at.level or anew:
                at.level = level
                at.displayed = min(at.remaining, level)
            if not at.remaining:
                at.snapshots_since_gone += is_snapshot
                if not at.displayed or at.snapshots_since_gone >= GONE_AFTER_SNAPSHOTS:
                    done.append(key)
        for key in done:
            del self._own[key]
