"""Quotes: the best of the book, told when it changes and only then."""

from __future__ import annotations

from stall_then_strike.lighter.handlers.orderbook import OrderbookHandler
from stall_then_strike.lighter.handlers.quote import BestQuote, QuoteHandler
from stall_then_strike.types.instrument import Lots, Ticks
from tests.lighter.captured import BTC, BTC_FILE, ETH, NaiveBook, book, messages

FIRST = book([("2000.00", "1.0000")], [("2001.00", "1.0000")], nonce=100, first=True)


def test_captured_quotes_are_the_changes_of_the_naive_best() -> None:
    handler, naive = QuoteHandler(OrderbookHandler(BTC)), NaiveBook()
    unit, told, expected = BTC.instrument, list[tuple[object, ...]](), list[tuple[object, ...]]()
    for message in messages(BTC_FILE):
        if handler.can_handle(message):
            naive.take(message)
            best = (*max(naive.bids.items()), *min(naive.asks.items()))
            if not expected or best != expected[-1]:
                expected.append(best)
            if (quote := handler.handle(message, 1)) is not None:
                told.append(
                    (unit.price(quote.bid), unit.size(quote.bid_size), unit.price(quote.ask), unit.size(quote.ask_size))
                )
    assert told == expected
    assert 1 < len(told) < 229


def test_change_behind_the_best_is_no_quote_and_a_size_at_the_best_is() -> None:
    handler = QuoteHandler(OrderbookHandler(ETH))
    assert handler.handle(FIRST, 3) == BestQuote(3, Ticks(200_000), Lots(10_000), Ticks(200_100), Lots(10_000))
    assert handler.handle(book([("1999.00", "1.0000")], nonce=101, begin=100), 4) is None
    changed = handler.handle(book([("2000.00", "0.5000")], nonce=102, begin=101), 5)
    assert changed is not None
    assert changed.bid_size == 5_000


def test_empty_side_has_no_quote_and_its_return_is_told() -> None:
    handler = QuoteHandler(OrderbookHandler(ETH))
    handler.handle(FIRST, 1)
    assert handler.handle(book([("2000.00", "0.0000")], nonce=101, begin=100), 2) is None
    assert handler.handle(book([("2000.00", "1.0000")], nonce=102, begin=101), 3) is not None


def test_best_is_told_again_after_a_gap_and_an_early_change_tells_nothing() -> None:
    handler = QuoteHandler(OrderbookHandler(ETH))
    assert handler.handle(book(nonce=90, begin=80), 1) is None
    assert handler.handle(FIRST, 1) is not None
    handler.on_gap()
    assert handler.handle(book(nonce=101, begin=100), 2) is None
    assert handler.handle(FIRST, 3) is not None
