"""An exchange without a venue's face. Pure.

Each module knows only those above it.

    source       what a market is: frames in venue time, and the state behind them
    book_side    one side of a book
    auction      the price of an auction
    matching     price-time priority
    flow         who trades: a seeded order flow around a hidden fair price
    agenda       what happens when
    request_log  what the exchange received
"""
