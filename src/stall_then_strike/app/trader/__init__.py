"""A run: the core and everything around it.

trader         the core with its clock, outbox and logs; the paper trader
outbox         the queue of actions to send, inline or by tasks
live_trader    the trader with a journal: changes are written before quotes are sent
owed_steps     steps that are not in the journal yet
realtime       drives a trader from a live feed
virtual        drives a trader from a list of messages
paper_run      one paper run, in virtual or real time
live_run       one live run from pre-flight to the summary
live_opening   what a command opens for a live run, and its exit code
live_end       stops a live run, and confirms the account's state at the end
preflight      checks before real orders are sent
own_recording  records while trading
observe        makes the snapshots of a trader
live_alerts    decides which events send an alert
skew_watch     decides when the clock is too wrong for trading
"""
