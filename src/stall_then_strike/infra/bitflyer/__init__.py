"""bitFlyer: its messages and answers as values in our units, its login, its requests.

bitflyer_rules  the venue's rules as data
feed            public channel messages to events
feeds           several products on one connection
store           the displayed book as a pybotters data store
private_feed    private channel messages to events
private_side    whether the private channel is live
subscriptions   channels requested, and those refused or unanswered
login           login on the socket, and why it was refused
credentials     the API key, and the hosts that requests may be signed for
answers         REST answers as values
error_table     what a failed REST call means
cancel_all      the request that cancels every order of a product
venue_status    the venue's state and load over REST
wire_time       the venue's time stamps
wire_name       the venue's order ids
"""
