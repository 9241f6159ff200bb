"""Figures of a run, computed from its logs and tapes.

log_rows      the three CSVs of a log folder
mid_path      the mid price over time
profit        the result of a run and its parts
activity      quotes and their outcome, reasons, waiting times, rate limits
estimates     means with intervals
"""
