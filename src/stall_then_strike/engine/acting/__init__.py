"""What a step of the core does: quotes, cancels and closings, and how they are sent.

quoting   a wish made true: quotes are compared by key with what is live, then sent and cancelled
exits     cancels that are repeated until they succeed, and closings
closing   how a position is brought to zero
dispatch  the actions of a step, and the calls that they cost
"""
