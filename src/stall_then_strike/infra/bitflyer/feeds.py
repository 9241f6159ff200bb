"""The feeds of several products on one connection: each frame goes to the feed of its product.

A frame is not parsed to find its product: the name of its channel is searched, and found near its beginning. What names
no channel of a product (answers, the private channel, garbage) is the first feed's.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from stall_then_strike.infra.market_source import InstrumentFeed, MarketEvent
from stall_then_strike.types.dto import BoardSnapshot, BookStatus

F = TypeVar("F", bound=InstrumentFeed)


class Feeds(Generic[F]):
    """The feeds of a connection, numbered in the order of the instruments."""

    def __init__(self, feeds: Sequence[F]) -> None:
        """At least one."""
        self.all = tuple(feeds)
        self.is_one = len(self.all) == 1
        self._number = {name.encode(): number for number, feed in enumerate(self.all) for name in feed.frame_names}
        names = b"|".join(map(re.escape, sorted(self._number, key=len, reverse=True)))
        self._channel = re.compile(b'"(' + names + b')"')
        self._with_book: set[int] = set()
        self.has_books = False
        """Whether a complete book of every product has arrived on the current connection."""
        self.heard_ns: Mapping[str, int] = ChainMap(*(feed.heard_ns for feed in self.all))
        """Receive stamp of the last valid message of each channel."""

    @property
    def channels(self) -> Iterator[str]:
        """The public channels of all."""
        return (channel for feed in self.all for channel in feed.channels)

    @property
    def without_book(self) -> list[str]:
        """The products whose book is missing."""
        return [feed.product for number, feed in enumerate(self.all) if number not in self._with_book]

    def number_of(self, text: bytes) -> int:
        """The number of the feed that a text frame is for. Needless if there is only one."""
        return self.named_in(text) or 0

    def named_in(self, text: bytes) -> int | None:
        """The number of the feed whose channel a text frame names; None if it names none."""
        found = self._channel.search(text)
        return None if found is None else self._number[found[1]]

    def note_book(self, number: int, event: MarketEvent) -> bool:
        """Note a complete book; return whether all products have one now."""
        if type(event) is BoardSnapshot and event.status is not BookStatus.UNKNOWN:
            self._with_book.add(number)
            self.has_books = len(self._with_book) == len(self.all)
        return self.has_books

    def on_connect(self) -> None:
        """A new connection begins."""
        for feed in self.all:
            feed.on_connect()

    def on_disconnect(self, now_ns: int) -> list[BoardSnapshot]:
        """The connection is lost; returns for each feed a snapshot that says so."""
        self._with_book.clear()
        self.has_books = False
        return [feed.on_disconnect(now_ns) for feed in self.all]
