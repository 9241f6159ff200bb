"""A run: the core with its surroundings.

trader         the core, its gateway, logs and counts
outbox         where actions wait until they are sent, inline or by tasks
live_trader    the same with a journal: changes are written before quotes are sent
owed_steps     steps on their way into the journal
realtime       drives a trader by a live feed
virtual        drives a trader by a list of messages
paper_run      one paper run, in virtual or real time
live_run       one live run from pre-flight to the summary
live_end       how it stops, and what is certain then
preflight      what must be so before real orders are sent
embedded       the embedded exchange with an account, for a run without keys
own_recording  recording beside trading
observe        from a trader to the values that an operator sees
live_alerts    what is worth an alert
skew_watch     when a clock is too wrong to trade by
"""
