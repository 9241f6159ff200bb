"""The book of columns at any message is the book that the feed had built by then."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.research.tables.column_book import ColumnBook
from stall_then_strike.research.tables.columns import Columns
from stall_then_strike.research.tables.prepare import write_columns
from stall_then_strike.types.dto import BookStatus, Side
from stall_then_strike.types.instrument import Ticks
from tests.market_script import config
from tests.research.tables.random_tapes import MID, random_tape

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("seed", range(6))
def test_levels_and_sizes_are_the_feeds(seed: int, tmp_path: Path) -> None:
    messages, rng = random_tape(seed, 500), random.Random(seed)
    write_columns(messages, config(), tmp_path, chunk=60)
    feed, book, now = MarketFeed(config()), ColumnBook(), 0
    chunks, left, number = Columns(tmp_path).chunks(), 0, 0
    compared = 0
    for recv_ns, text in messages:
        if number == left:
            chunk = next(chunks)
            book.turn_to(chunk)
            left, number = len(chunk.recv), 0
        now = max(now, recv_ns)
        feed.on_recorded(text, now)
        book.at = number
        if feed.view.status is BookStatus.OK:
            book.bid, book.ask = feed.board.best_bid, feed.board.best_ask
            for side in Side:
                assert list(book.levels(side)) == list(feed.board.levels(side))
                assert book.best(side) == feed.board.best(side)
            compared += 1
        side, price = rng.choice(list(Side)), Ticks(MID + rng.randint(-12, 12))
        assert book.size_at(side, price) == feed.board.size_at(side, price)
        number += 1
    assert compared > 100
