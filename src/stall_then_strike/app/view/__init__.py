"""What an operator sees.

status        the values, taken at one moment
panel         the live panel
screen        where a run shows itself: panel or lines
summary       a line a minute, a table at the end
checks        findings of a check, and how they are shown
state_view    a journal as tables
state_export  a journal as CSV
sweep_screen  how far a sweep is
"""
