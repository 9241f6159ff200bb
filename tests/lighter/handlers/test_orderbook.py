"""The book's handler: which messages are its own, and what it does without a book."""

from __future__ import annotations

import pytest

from stall_then_strike.lighter.handlers.orderbook import OrderbookHandler
from stall_then_strike.lighter.orderbook_maintainer import BookGap
from stall_then_strike.types.dto import Side
from tests.lighter.captured import BTC, BTC_FILE, ETH, NaiveBook, book, messages


def test_captured_books_have_the_naive_depth() -> None:
    handler, naive, count = OrderbookHandler(BTC), NaiveBook(), 0
    unit = BTC.instrument
    for number, message in enumerate(messages(BTC_FILE)):
        if not handler.can_handle(message):
            assert message.get("channel") != "order_book:1"
            continue
        naive.take(message)
        change = handler.handle(message, number)
        assert change is not None
        assert (change.ts_ns, change.is_snapshot) == (number, count == 0)
        for side, best_first in zip((Side.BUY, Side.SELL), naive.sorted(), strict=True):
            shown = [(unit.price(price), unit.size(size)) for price, size in change.depth(side, 5)]
            assert shown == best_first[:5]
        count += 1
    assert count == 229


def test_messages_of_others_are_not_its_own() -> None:
    handler = OrderbookHandler(ETH)
    assert handler.can_handle(book(first=True))
    assert handler.can_handle(book())
    for other in (book(market=BTC), {**book(), "type": "update/trade"}, {}, {"channel": "order_book:0"}):
        assert not handler.can_handle(other)


def test_change_without_a_book_is_not_applied() -> None:
    handler = OrderbookHandler(ETH)
    assert handler.handle(book([("1.00", "1.0000")], nonce=5, begin=4), 1) is None
    assert handler.handle(book([("1.00", "1.0000")], first=True), 1) is not None
    with pytest.raises(BookGap):
        handler.handle(book(nonce=500, begin=400), 1)
    assert handler.handle(book(nonce=600, begin=500), 1) is None
    assert handler.early == 2
    handler.handle(book(first=True), 1)
    handler.on_gap()
    assert not handler.book.is_known
