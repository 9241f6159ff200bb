"""bitFlyer as an exchange: messages, accounts, limits and hours.

wire           public JSON, written from integers
publisher      frames of the public channels, made from the matching engine
rpc            JSON-RPC of the realtime API
public_rest    public REST calls
keys           API keys and signatures
limits         rate limits, as the venue counts calls
tickets        order requests: reading and checking their bodies
ledger         cash and a netted position
venue_account  one account: orders, ledger, margin
venue_hours    maintenance, funding, roll-over, circuit breaker
desk           the life of the accounts' orders
private_wire   JSON of order events and of private calls
private_venue  accounts in a market, without a socket
private_rest   private REST calls
"""
