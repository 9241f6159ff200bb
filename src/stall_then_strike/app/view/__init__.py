"""What an operator sees.

status          the values of a run at one moment
panel           the live panel
screen          display of a run: panel or lines
summary         a line a minute, a table at the end
checks          findings of a check, and their display
state_view      a journal as tables
state_export    a journal as CSV
sweep_screen    progress and results of a sweep
"""
