"""The displayed book: what a client builds from snapshot and updates is the venue's book."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.sim.lighter.clearing.contracts import MARKETS
from stall_then_strike.sim.lighter.realtime.book_channel import BookChannel
from stall_then_strike.sim.lighter.venue_events import BookChanged
from stall_then_strike.types.dto import Side
from tests.sim.exchange_rig import START_NS
from tests.sim.lighter.stream_rig import captured, differences, fixtures_2026

TERMS = MARKETS[0]
CHANGES = st.lists(
    st.lists(st.tuples(st.sampled_from(list(Side)), st.integers(1, 12), st.integers(0, 3)), min_size=1), max_size=12
)


class ClientBook:
    """A book as a careful client keeps it."""

    def __init__(self, snapshot: dict[str, Any]) -> None:
        book = snapshot["order_book"]
        assert book["begin_nonce"] == 0
        self.sides = {name: {row["price"]: row["size"] for row in book[name]} for name in ("bids", "asks")}
        self.nonce, self.offset = book["nonce"], book["offset"]

    def feed(self, update: dict[str, Any]) -> None:
        book = update["order_book"]
        assert book["begin_nonce"] == self.nonce
        assert book["offset"] > self.offset
        self.nonce, self.offset = book["nonce"], book["offset"]
        for name, levels in self.sides.items():
            for row in book[name]:
                if float(row["size"]):
                    levels[row["price"]] = row["size"]
                else:
                    levels.pop(row["price"], None)


def changed(book: BookChannel, changes: list[tuple[Side, int, int]], nonce: int) -> int:
    for side, price, size in changes:
        nonce += 1
        book.on_change(BookChanged(TERMS.market_id, side, price, size), nonce, START_NS)
    return nonce


@given(before=CHANGES, after=CHANGES)
def test_snapshot_and_updates_give_the_books_levels(before: Any, after: Any) -> None:
    book, nonce = BookChannel(TERMS), 1_000
    for changes in before:
        nonce = changed(book, changes, nonce)
        book.flush(START_NS)
    nonce = changed(book, [(Side.BUY, 5, 1)], nonce)  # not shown yet: it comes with the next update
    client = ClientBook(book.snapshot(START_NS))
    for changes in after:
        nonce = changed(book, changes, nonce)
        update, _ = book.flush(START_NS)
        client.feed(update)
        assert update["order_book"]["nonce"] == nonce
    final = ClientBook(book.snapshot(START_NS))
    assert client.sides == final.sides


def test_snapshot_is_sorted_best_first() -> None:
    book = BookChannel(TERMS)
    changed(book, [(side, price, 1) for side in Side for price in (3, 1, 2)], 0)
    book.flush(START_NS)
    shown = book.snapshot(START_NS)["order_book"]
    assert [row["price"] for row in shown["bids"]] == ["0.03", "0.02", "0.01"]
    assert [row["price"] for row in shown["asks"]] == ["0.01", "0.02", "0.03"]
    assert {row["size"] for row in shown["bids"]} == {"0.0001"}


def test_ticker_follows_the_best_levels_only() -> None:
    book = BookChannel(TERMS)
    empty = book.ticker_snapshot(START_NS)["ticker"]
    assert (empty["a"], empty["b"]) == ({"price": "", "size": ""}, {"price": "", "size": ""})
    changed(book, [(Side.BUY, 10, 1), (Side.SELL, 12, 2)], 0)
    _, ticker = book.flush(START_NS)
    assert ticker is not None
    assert (ticker["ticker"]["b"], ticker["ticker"]["a"]["price"]) == ({"price": "0.10", "size": "0.0001"}, "0.12")
    changed(book, [(Side.BUY, 9, 1)], 2)
    assert book.flush(START_NS)[1] is None
    changed(book, [(Side.BUY, 10, 0)], 3)
    _, ticker = book.flush(START_NS)
    assert ticker is not None
    assert ticker["ticker"]["b"]["price"] == "0.09"
    assert book.mid == 10


def test_forms_are_those_of_2026() -> None:
    theirs, book = fixtures_2026(), BookChannel(TERMS)
    assert differences(book.snapshot(START_NS), theirs["ws_order_book_subscribed_empty.json"]) == []
    assert differences(book.ticker_snapshot(START_NS), theirs["ws_ticker_subscribed_empty.json"]) == []
    changed(book, [(Side.BUY, 10, 1), (Side.SELL, 12, 2)], 0)
    update, ticker = book.flush(START_NS)
    assert differences(update, theirs["ws_order_book_update.json"]) == []
    assert differences(ticker, theirs["ws_ticker_update.json"]) == []
    assert differences(book.snapshot(START_NS), theirs["ws_order_book_subscribed.json"]) == []
    assert differences(book.ticker_snapshot(START_NS), theirs["ws_ticker_subscribed.json"]) == []


@pytest.mark.parametrize("kind", ["subscribed/order_book", "update/order_book"])
def test_forms_are_those_of_2025_and_the_fields_added_since(kind: str) -> None:
    added = frozenset({"begin_nonce", "last_updated_at"})
    book = BookChannel(TERMS)
    changed(book, [(Side.BUY, 10, 1), (Side.SELL, 12, 2)], 0)
    update, _ = book.flush(START_NS)
    ours = {"update/order_book": update, "subscribed/order_book": book.snapshot(START_NS)}[kind]
    theirs = [m for m in captured("ws_book_trade_stats_btc_20251210.jsonl") if m.get("type") == kind]
    assert [differences(ours, message, optional=added) for message in theirs] == [[]] * len(theirs)
    assert theirs
