"""The compiled replay: the engine and the paper venue over columns.

compiled       runs one replay: columns and settings in, outcome out
kernel_state   the state, one record with named fields
core_steps     the core's step, around the engine's own rules
venue_steps    the paper venue and the clock
kernel_ledger  results, limits on calls and the log
kernel_book    sizes displayed at a price, from the chunk's changes
kernel_rows    converts the outcome to log rows
jit            compiles with numba
kernel_cache   keeps compiled functions between runs
"""
