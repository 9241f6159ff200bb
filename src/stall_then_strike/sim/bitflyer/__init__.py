"""bitFlyer's exchange: what is on the wire, and what an account has.

wire           public JSON, written from integers
publisher      matching to the frames of the public channels
rpc            JSON-RPC as the realtime API speaks it
hub            sockets: connections, their queues, their pings
public_rest    public calls
keys           API keys and signatures
limits         limits on calls, as the venue counts them
tickets        the body of an order request, and what is wrong with it
ledger         cash and a netted position
venue_account  one account: orders, books, margin
venue_hours    maintenance, funding, roll-over, breaker
desk           the life of the accounts' orders
private_wire   JSON of order events and of the account's calls
private_venue  accounts in a market, without a socket
private_rest   private calls
"""
