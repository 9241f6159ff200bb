"""HandlerFactory: the handlers of one connection's markets. Each is made once, so that all who read a book share it."""

from __future__ import annotations

from stall_then_strike.lighter.handlers.market_stats import MarketStatsHandler
from stall_then_strike.lighter.handlers.orderbook import OrderbookHandler
from stall_then_strike.lighter.handlers.quote import QuoteHandler
from stall_then_strike.lighter.handlers.trades import TradesHandler
from stall_then_strike.lighter.markets import Market


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
        found = self._books.get(market.market_index)
        if found is None:
            found = self._books[market.market_index] = OrderbookHandler(market)
        return found

    def quote(self, market: Market) -> QuoteHandler:
        """Quotes of a market, on the same book."""
        found = self._quotes.get(market.market_index)
        if found is None:
            found = self._quotes[market.market_index] = QuoteHandler(self.orderbook(market))
        return found

    def trades(self, market: Market) -> TradesHandler:
        """Trades of a market."""
        found = self._trades.get(market.market_index)
        if found is None:
            found = self._trades[market.market_index] = TradesHandler(market)
        return found

    def market_stats(self, market: Market) -> MarketStatsHandler:
        """Prices and funding of a market."""
        found = self._stats.get(market.market_index)
        if found is None:
            found = self._stats[market.market_index] = MarketStatsHandler(market)
        return found

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
