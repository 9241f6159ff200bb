"""What runs left behind, as figures.

log_rows   the three CSVs of a log folder
mid_path   the mid price over time
profit     what a run won and lost, and of which parts
activity   quotes, their lives, how long each gate held
estimates  means with intervals
"""
