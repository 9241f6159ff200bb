"""What makes the exchange Lighter: signed transactions, many markets, cross margin, REST and a stream.

Each module knows only those above it.

    crypto/         field, curve, hash and signatures
    clearing/       markets, accounts, orders and their matching
    venue_events    what happens, for the streams
    transactions    what a client signs, and its hash
    call_limits     calls a minute by address and owner
    admission       what is checked before the answer
    forms           JSON objects
    lighter_venue   accounts, markets, and transactions until their effect
    query           the parameters of a call
    market_calls    what the REST calls about markets answer
    account_calls   what those about accounts, orders and transactions answer
    rest            the REST calls: routes, tokens, limits
    crowd           order flow in all markets
    realtime/       the stream: channels, their frames, requests on a socket
"""
