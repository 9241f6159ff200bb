"""HandlerFactory: the handlers of one connection's markets. Each is made once, so that all who read a book share it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from stall_then_strike.lighter.handlers.market_stats import MarketStatsHandler
from stall_then_strike.lighter.handlers.orderbook import OrderbookHandler
from stall_then_strike.lighter.handlers.quote import QuoteHandler
from stall_then_strike.lighter.handlers.trades import TradesHandler
from stall_then_strike.lighter.markets import Market

_Handler = TypeVar("_Handler")


class HandlerFactory:
    """Makes handlers when they are first wanted, and keeps them until they are dropped."""

    def __init__(self) -> None:
        """Nothing is made yet."""
        self._books: dict[int, OrderbookHandler] = {}
        self._quotes: dict[int, QuoteHandler] = {}
        self._trades: dict[int, TradesHandler] = {}
        self._stats: dict[int, MarketStatsHandler] = {}

    def orderbook(self, market: Market) -> OrderbookHandler:
        """The book of a market."""
        return _kept(self._books, market, OrderbookHandler)

    def quote(self, market: Market) -> QuoteHandler:
        """Quotes of a market, on the same book."""
        return _kept(self._quotes, market, lambda market: QuoteHandler(self.orderbook(market)))

    def trades(self, market: Market) -> TradesHandler:
        """Trades of a market."""
        return _kept(self._trades, market, TradesHandler)

    def market_stats(self, market: Market) -> MarketStatsHandler:
        """Prices and funding of a market."""
        return _kept(self._stats, market, MarketStatsHandler)

    def drop(self, channel: str, market: Market) -> None:
        """Forget what was read from a channel of a market that nobody wants any more."""
        kind, index = channel.partition("/")[0], market.market_index
        if kind == "order_book":
            self._books.pop(index, None)
            self._quotes.pop(index, None)
        elif kind == "trade":
            self._trades.pop(index, None)
        else:
            self._stats.pop(index, None)


def _kept(handlers: dict[int, _Handler], market: Market, make: Callable[[Market], _Handler]) -> _Handler:
    found = handlers.get(market.market_index)
    if found is None:
        found = handlers[market.market_index] = make(market)
    return found
