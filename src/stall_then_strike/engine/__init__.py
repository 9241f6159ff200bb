"""The pure part: events and ``now_ns`` in, actions, log rows and the next deadline out.

Nothing here does I/O, reads a clock or draws a random number, so a list of stamped events is enough to replay a run.

    portfolio       one account: the cores of its instruments
    core            one step of the engine for one instrument; it combines the other modules
    strategy        the seam: what a strategy sees, and the wish that it answers with
    strategy_stall  stall, then strike: one function over integers
    quoting         a wish made true: quotes are compared by key with what is live, then sent and cancelled
    orders          the life cycle of an order
    inventory       position, average price, the day's result and drawdown
    risk            the kill switch
    gates           reasons outside the strategy that forbid quotes
    exits           cancels that are repeated until they succeed, and closings
    closing         how a position is brought to zero
    dispatch        the actions of a step, and the calls that they cost
    recording       log rows, notices for the operator, counts
    executor        actions to gateway calls, and answers to events; the one module here that awaits
    gateway         the interface of a venue that the executor can trade on
    venue/          what differs between venues, and the state of the account there
"""
