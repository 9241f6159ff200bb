"""What an operator sees.

snapshot        the account and its instruments at one moment
plain_snapshot  a snapshot over the socket, and made again there
grades          how good a figure is, by the share of its limit
amounts         amounts, prices and times as text
course          a figure over time in few points, and as bars
fitting         figures fitted into lines of a width
panel           the live panel
screen          display of a run: panel or lines
summary         a line a minute, a table at the end
run_sums        fills and result of a run, from its trade CSVs
after_run       the run in words, and what to do next
reason_words    reasons of decisions in plain English
checks          findings of a check, displayed
state_view      a journal as tables
sweep_screen    progress and results of a sweep
"""
