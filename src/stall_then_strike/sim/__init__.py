"""Venues that are not there: an exchange on loopback, recorded tapes, and fills on paper.

The exchange, from the inside out, each part knowing only those above it:

- ``matching``: orders, price-time priority, trades; ``source``: what a market is; ``wire``: bitFlyer's JSON
- ``flow``: who trades; ``publisher``: what the public hears; ``market``: both around one book, endless and seeded
- ``tape``: recorded messages, as a stream and as a market
- ``rpc``, ``realtime``: JSON-RPC and its sockets; ``public_rest``: the public calls; ``bitflyer_server``: the venue

For trading without sending: ``paper`` fills our orders against public data, by the rules of ``fill_rules``.
"""
