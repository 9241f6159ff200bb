"""The answers of ``why``.

why_moment   the moment or order that is asked about
why_runs     the run that has rows of it
why_sources  reading of logs and journal
why_story    what happened, in order of time
why_order    the life of an order
why_hold     gates, and how long each held
why_budget   which rate limit delayed strikes
why_words    reasons and facts in plain English
why_verdict  the last sentences of an answer
why_view     the answer on a terminal and as JSON
"""
