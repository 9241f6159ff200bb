"""What ``why`` tells.

why_moment   the moment or order that is asked about
why_runs     the run that knows the answer
why_sources  logs and journal, read
why_story    what happened, in the order of time
why_order    the life of an order
why_hold     gates, and how long each held
why_budget   which limit of the venue held strikes up
why_words    reasons and facts in plain English
why_verdict  the last sentences of an answer
why_view     the answer on a terminal and as JSON
"""
