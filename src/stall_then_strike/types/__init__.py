"""Values that the layers hand to each other. No I/O, no clock, no behaviour beyond arithmetic.

dto         the values below under one name: what most modules import
names       identifiers, sides, states, reasons
instrument  units of one instrument: decimals to integers and back
events      facts of the past that the core is told
actions     what the core wants done, and an order as a gateway sends it
rows        decisions and log rows
memo        state that outlives the process, as the journal stores it
errors      every exception of the project, by what its catcher does about it
text        numbers and stamps as text, the same in logs, settings and on the screen
"""
