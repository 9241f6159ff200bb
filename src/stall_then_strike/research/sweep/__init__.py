"""Sweeps: many parameter sets over the same tapes.

plan           which keys take which values, over which spans
search         parameter sets proposed by TPE
runs           one run of a sweep
pool           execution of runs: here, or on Dask
forked         the process that workers on this machine are forks of
drive          makes the missing runs of a sweep
sweep_journal  finished runs, in the sweep's folder
result         tables and files, and the value of the best set
overfitting    the deflated Sharpe ratio
tape_fetch     fetches tapes by URL and prepares their columns
"""
