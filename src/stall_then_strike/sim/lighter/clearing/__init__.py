"""Who holds what, and how orders become trades: Lighter's rules over the neutral matching engine. Pure.

Each module knows only those above it.

    contracts      the terms of a market, and the fees of a plan
    records        orders, trades and transactions as they are shown
    accounts       collateral, positions and their margin, in exact integers
    liquidation    what becomes of an account without its maintenance requirement
    order_table    the live orders of one market
    match_rules    what is decided at each match
    trading_pit    one market: orders come in, are changed, and end
    funding_rates  what an hour's funding costs
    day_figures    a market's trades of the last day
    candles        a market's trades by the period
    trading_floor  all markets in time: switches, triggers, funding
"""
