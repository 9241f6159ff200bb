"""Tapes as columns: prepared once for replay, or written for other programs.

columns      the files of prepared columns, and reading them
prepare      prepares tapes as columns
scan         decodes board messages from bytes to columns, compiled
column_feed  the events of prepared columns, for a trader
column_book  the book after a message of the columns
parquet      writes a tape as two Parquet tables
npz          writes a tape as hftbacktest's event array
"""
