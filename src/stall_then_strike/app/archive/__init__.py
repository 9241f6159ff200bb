"""`sts runs`: what a log folder has of earlier runs, and what becomes of it.

runs_verb  the command: lists runs, packs and prunes them
packing    compresses the CSVs of runs that have ended
pruning    deletes runs, or all but their trades
"""
