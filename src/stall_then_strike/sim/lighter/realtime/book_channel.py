"""``order_book`` and ``ticker`` of one market: what clients have been shown, and what changes next. Pure.

Venue facts (documentation of 2026, captures of 2025-12): changes are collected for 50 ms; sizes are absolute and zero
deletes; a level that came and went in between may be reported as gone; ``begin_nonce`` is the nonce of the message
before, zero in a snapshot; ``offset`` only rises; an empty book has nonce 0 and no time. A snapshot is sorted, best
first, and is of the same moment as the last update, so that the next update follows it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stall_then_strike.sim.lighter.clearing.contracts import LighterMarket
from stall_then_strike.sim.lighter.realtime.channel_names import Subject, Topic
from stall_then_strike.sim.lighter.venue_events import BookChanged
from stall_then_strike.types.dto import NS_PER_MS, Side

NS_PER_US = 1000
Message = dict[str, Any]


class BookChannel:
    """The displayed book of a market."""

    def __init__(self, market: LighterMarket) -> None:
        """Start with an empty book."""
        self.market = market
        self.book = Subject(Topic.ORDER_BOOK, market=market.market_id)
        self.ticker = Subject(Topic.TICKER, market=market.market_id)
        self._sides: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
        self._changed: dict[tuple[Side, int], int] = {}
        self._offset = 1
        self._nonce = 0
        self._next_nonce = 0
        self._updated_ns = 0
        self._best: tuple[Message, Message] = ({}, {})

    @property
    def has_changed(self) -> bool:
        """Whether there is something to publish."""
        return bool(self._changed)

    @property
    def nonce(self) -> int:
        """The nonce of the last message."""
        return self._nonce

    @property
    def mid(self) -> int | None:
        """The floored mid of the displayed book; None while a side is empty."""
        bids, asks = self._sides[Side.BUY], self._sides[Side.SELL]
        return (max(bids) + min(asks)) // 2 if bids and asks else None

    def depth(self, side: Side) -> list[tuple[int, int]]:
        """Price and size of the displayed levels, best first."""
        return sorted(self._sides[side].items(), reverse=side is Side.BUY)

    def on_change(self, event: BookChanged, nonce: int, now_ns: int) -> None:
        """A level changed."""
        self._changed[event.side, event.price] = event.size
        self._next_nonce = nonce
        self._updated_ns = now_ns

    def flush(self, now_ns: int) -> tuple[Message, Message | None]:
        """Show the changes; return the update of the book and, when a best level changed, that of the ticker."""
        changed, self._changed = self._changed, {}
        begin, self._nonce = self._nonce, self._next_nonce
        self._offset += 1
        levels: dict[Side, list[tuple[int, int]]] = {Side.BUY: [], Side.SELL: []}
        for (side, price), size in changed.items():
            levels[side].append((price, size))
            if size:
                self._sides[side][price] = size
            else:
                self._sides[side].pop(price, None)
        best, before = self._read_best(), self._best
        self._best = best
        update = self._message("update", levels[Side.SELL], levels[Side.BUY], begin, now_ns)
        return update, None if best == before else self._ticker_message("update", now_ns)

    def snapshot(self, now_ns: int) -> Message:
        """The whole displayed book."""
        return self._message("subscribed", self.depth(Side.SELL), self.depth(Side.BUY), 0, now_ns)

    def ticker_snapshot(self, now_ns: int) -> Message:
        """The best levels."""
        self._best = self._read_best()
        return self._ticker_message("subscribed", now_ns)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _message(
        self, kind: str, asks: Iterable[tuple[int, int]], bids: Iterable[tuple[int, int]], begin: int, now_ns: int
    ) -> Message:
        updated = self._updated_ns // NS_PER_US
        book = {
            "code": 0,
            "asks": [self._level(*level) for level in asks],
            "bids": [self._level(*level) for level in bids],
            "offset": self._offset,
            "nonce": self._nonce,
            "last_updated_at": updated,
            "begin_nonce": begin,
        }
        return {
            "channel": self.book.wire,
            **self._updated(),
            "offset": self._offset,
            "order_book": book,
            "timestamp": now_ns // NS_PER_MS,
            "type": f"{kind}/{Topic.ORDER_BOOK}",
        }

    def _ticker_message(self, kind: str, now_ns: int) -> Message:
        ask, bid = self._best
        updated = self._updated_ns // NS_PER_US
        return {
            "channel": self.ticker.wire,
            **self._updated(),
            "nonce": self._nonce,
            "ticker": {"s": self.market.symbol, "a": ask, "b": bid, "last_updated_at": updated},
            "timestamp": now_ns // NS_PER_MS,
            "type": f"{kind}/{Topic.TICKER}",
        }

    def _updated(self) -> Message:
        """The time of the last change; a zero is left out, as everywhere on this wire."""
        return {"last_updated_at": self._updated_ns // NS_PER_US} if self._updated_ns else {}

    def _read_best(self) -> tuple[Message, Message]:
        """The best ask and bid; empty texts for an empty side."""
        bids, asks = self._sides[Side.BUY], self._sides[Side.SELL]
        nothing = {"price": "", "size": ""}
        ask = self._level(best := min(asks), asks[best]) if asks else nothing
        bid = self._level(best := max(bids), bids[best]) if bids else nothing
        return ask, bid

    def _level(self, price: int, size: int) -> Message:
        return {"price": self.market.price_text(price), "size": self.market.size_text(size)}
