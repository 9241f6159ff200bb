"""Simulated venues: an exchange on loopback, and paper fills.

bitflyer_server  bitFlyer on loopback: one port for REST and the realtime API
lighter_server   Lighter on loopback: one port for its REST API and its stream
lighter_desk     where requests on Lighter's stream meet venue and faults
market           seeded order flow around one book, published as bitFlyer does
loopback         the port of an exchange and the tasks behind it
hub              sockets: connections, their queues, their watch
paper            our orders filled against public data
fill_rules       the rules of paper fills, as pure functions
latency          how long a request takes until it has its effect
exchange/        matching and order flow, independent of the venue
bitflyer/        what makes the exchange bitFlyer: wire, accounts, limits, hours
lighter/         what makes the exchange Lighter: signed transactions, accounts, many markets
faults/          faults that the exchange can show
"""
