"""The pure part: events and ``now_ns`` in, actions, log rows and the next deadline out.

Nothing here does I/O, reads a clock or draws a random number, so a list of stamped events is enough to replay a run.

    portfolio       one account: the cores of its instruments
    core            one step of the engine for one instrument; it combines the other modules
    strategy        the seam: what a strategy sees, and the wish that it answers with
    strategy_stall  stall, then strike: one function over integers
    strategy_grid   a grid of resting orders that turns every fill round
    context         what a strategy that places and cancels orders sees and says: Strategy, Context, MarketInfo
    sandbox         such a strategy as the engine sees strategies: its orders as a wish
    strategies      the strategy that a configuration names
    orders          the life cycle of an order
    inventory       position, average price, the day's result and drawdown
    risk            the kill switch
    gates           reasons outside the strategy that forbid quotes
    recording       log rows, notices for the operator, counts
    executor        actions to gateway calls, and answers to events; the one module here that awaits
    gateway         the interface of a venue that the executor can trade on
    acting/         what a step does: quotes, cancels and closings
    venue/          what differs between venues, and the state of the account there
"""
