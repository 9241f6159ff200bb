"""`sts runs`: what a log folder has of earlier runs, and what becomes of it.

runs_verb  the command: lists runs, packs and prunes them
run_sums   fills and result of a run, from its trade CSVs
packing    compresses the CSVs of runs that have ended
pruning    deletes runs, or all but their trades
"""
