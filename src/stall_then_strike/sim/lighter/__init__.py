"""What makes the exchange Lighter: signed transactions, many markets, cross margin, REST.

Each module knows only those above it.

    crypto/         field, curve, hash and signatures
    clearing/       markets, accounts, orders and their matching
    venue_events    what happens, for the streams
    transactions    what a client signs, and its hash
    admission       what is checked before the answer
    forms           JSON objects
    lighter_venue   accounts, markets, and transactions until their effect
    rest            the REST calls
"""
