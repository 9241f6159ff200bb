"""The compiled replay: the engine and the paper venue over columns.

compiled       one replay from columns and settings to its outcome
kernel_state   the state, one record with named fields
core_steps     the core's step, around the engine's own rules
venue_steps    the paper venue and the clock
kernel_ledger  results, limits on calls and the log
kernel_book    sizes displayed at a price, from the chunk's changes
kernel_rows    log rows from the outcome
jit            compiling with numba
kernel_cache   compiled functions kept between runs
"""
