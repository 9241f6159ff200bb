"""The stream: Lighter's WebSocket channels and requests.

Each module knows only those above it.

    channel_names     channels by name, in requests and in answers
    stream_limits     what one address may do
    stream            the requests of one connection
    keepalive         when a connection is ended: silence, pings, age
    book_channel      the displayed book and its best levels
    market_figures    the day's trades and the funding that builds up
    notices           what an account's owner is told
    account_parts     what those of all accounts say
    account_channels  messages of the private channels
    live_feed         all frames in venue time
    reception         who is on the stream, and for what
"""
