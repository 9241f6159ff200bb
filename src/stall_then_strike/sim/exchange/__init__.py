"""An exchange, independent of any venue. Pure.

Each module knows only those above it.

    source           what a market is: frames in venue time, and the state behind them
    several_markets  several products of one venue, advanced together
    book_side        one side of a book
    auction          the price of an auction
    matching         price-time priority
    flow_model       parameters of the order flow, with their sources, and the regimes to choose from
    flow             a seeded order flow around a hidden fair price
    agenda           planned actions in venue time
    request_log      the requests that the exchange received
"""
