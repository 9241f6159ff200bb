"""Handlers of Lighter's channels: decoded messages in, values out.

base          what all handlers have in common
orderbook     OrderbookHandler: the book of a market
quote         QuoteHandler: best prices, derived from the book when they change
trades        TradesHandler: trades and liquidations of a market
market_stats  MarketStatsHandler: prices and funding of a market
account       AccountHandler: the private channels of an account
factory       HandlerFactory: the handlers of a connection's markets, each made once
"""
