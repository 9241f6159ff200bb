"""bitFlyer: frames and answers as values in our units, login, requests.

feed           frames of the public channels to events
store          the displayed book as a pybotters data store
private_feed   frames of the private channel to events
private_side   whether the private channel is live
subscriptions  channels asked for, and those not granted
login          signing in on a socket
credentials    the API key, and the hosts that requests may be signed for
answers        REST answers as values
error_table    what a failed REST call means
cancel_all     the request that cancels every order of a product
venue_status   the venue's health over REST
wire_time      stamps as the venue writes them
wire_name      names of orders as the venue writes them
"""
