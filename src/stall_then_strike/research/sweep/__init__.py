"""Sweeps: many parameter sets over the same tapes.

plan           which keys take which values, over which spans
search         sets proposed by TPE
runs           one run of a sweep
pool           where runs are made: here, or on Dask
drive          from what is known to the end
sweep_journal  what is done so far, in the sweep's folder
result         tables, files, what the best is worth
overfitting    the deflated Sharpe ratio
tape_fetch     tapes by URL as columns on this machine
"""
