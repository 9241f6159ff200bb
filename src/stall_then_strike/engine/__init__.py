"""The pure part: events and ``now_ns`` in, actions, log rows and the next deadline out.

Nothing here does I/O, reads a clock or draws a random number, so a list of stamped events is enough to run it again.

- ``strategy_stall``: stall -> strike, as one function over integers
- ``inventory``: position, average price, the day's result and drawdown
- ``orders``: the life of an order
- ``budget``: the venue's rate limits as rolling windows
- ``calendar``: the trading day and its quiet times
- ``risk``: the kill switch
- ``core``: one step, in which the others meet
- ``gateway``: what a venue must offer; ``executor``: actions to gateway calls (the one module here that awaits)
"""
