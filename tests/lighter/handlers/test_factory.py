"""Handlers are made once and shared; what is dropped begins anew."""

from __future__ import annotations

from stall_then_strike.lighter.handlers.factory import HandlerFactory
from tests.lighter.captured import BTC, ETH


def test_each_handler_is_made_once_and_quotes_share_the_book() -> None:
    made = HandlerFactory()
    assert made.orderbook(ETH) is made.orderbook(ETH)
    assert made.orderbook(ETH) is not made.orderbook(BTC)
    assert made.quote(ETH).orderbook is made.orderbook(ETH)
    assert made.trades(ETH) is made.trades(ETH)
    assert made.market_stats(ETH) is made.market_stats(ETH)


def test_dropped_handlers_begin_anew() -> None:
    made = HandlerFactory()
    before = (made.orderbook(ETH), made.quote(ETH), made.trades(ETH), made.market_stats(ETH))
    other = made.orderbook(BTC)
    for channel in ("order_book/0", "trade/0", "market_stats/all"):
        made.drop(channel, ETH)
    after = (made.orderbook(ETH), made.quote(ETH), made.trades(ETH), made.market_stats(ETH))
    assert not any(one is another for one, another in zip(before, after, strict=True))
    assert made.orderbook(BTC) is other
