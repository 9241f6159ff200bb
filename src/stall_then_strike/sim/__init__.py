"""Venues that are not there: an exchange on loopback, recorded tapes, and fills on paper.

The exchange, from the inside out, each part knowing only those above it:

- ``source``: what a market is; ``wire``: bitFlyer's JSON; ``book_side``, ``auction``, ``matching``: how orders meet
- ``flow``: who trades; ``publisher``: what the public hears; ``market``: both around one book, endless and seeded
- ``tape``: recorded messages, as a stream and as a market
- ``keys``: who signed; ``tickets``: what is asked for; ``limits``: how often; ``ledger``, ``account``: what is owned
- ``agenda``, ``calendar``: what happens when; ``desk``: the life of orders; ``private_wire``: its JSON;
  ``private_venue``: all of it in a market
- ``faults``: what can go wrong; ``fault_catalogue``, ``fault_file``: plans of it; ``injector``: who is struck;
  ``fault_scene``, ``faulty_feed``, ``faulty_calls``, ``lost_deletions``: the places where it happens
- ``rpc``, ``realtime``: JSON-RPC and its sockets; ``public_rest``, ``private_rest``: the calls; ``audit``: what was
  received; ``bitflyer_server``: the venue

For trading without sending: ``paper`` fills our orders against public data, by the rules of ``fill_rules``.
"""
