"""Handlers of Lighter's channels: decoded messages in, values out.

base          what all handlers have in common
orderbook     OrderbookHandler: the book of a market
trades        TradesHandler: trades and liquidations of a market
market_stats  MarketStatsHandler: prices and funding of a market
"""
