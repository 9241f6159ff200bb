"""Venues that are not there: an exchange on loopback, and fills on paper.

bitflyer_server  bitFlyer on loopback: one port for REST and the realtime API
market           seeded order flow around one book, published as bitFlyer does
paper            our orders filled against public data
fill_rules       the rules of those fills, as pure functions
latency          how long requests take to their effect
exchange/        matching and order flow, whatever venue shows them
bitflyer/        what makes an exchange bitFlyer: wire, accounts, limits, hours
faults/          what can go wrong at the exchange
"""
