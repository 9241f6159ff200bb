"""The compiled replay: the engine and the paper venue over columns.

compiled       one replay from columns and settings to its outcome
kernel_state   the state, as arrays
core_steps     what surrounds the strategy's decision
venue_steps    the paper venue and the clock
kernel_ledger  position, results, limits and log
kernel_book    our orders' places in the queues
kernel_rows    log rows from the outcome
jit            compiling with numba
kernel_cache   compiled functions kept between runs
"""
