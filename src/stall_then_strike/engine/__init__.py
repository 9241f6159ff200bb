"""The pure part: events and ``now_ns`` in, actions, log rows and the next deadline out.

Nothing here does I/O, reads a clock or draws a random number, so a list of stamped events is enough to run it again.

    core            one step, in which the others meet
    strategy_stall  stall, then strike: one function over integers
    orders          the life of an order
    inventory       position, average price, the day's result and drawdown
    risk            the kill switch
    exits           the ways out: cancels that must come through, positions that must end flat
    closing         how a position is brought to zero
    dispatch        the actions of a step, and the calls that they cost
    recording       log rows, notices for the operator, counts
    executor        actions to gateway calls, and answers to events; the one module here that awaits
    gateway         what a venue must offer so that the executor can trade on it
    lull            stretches of a recording that the core need not be told
    venue/          what differs between venues, and what is known of the account there
"""
