"""Tapes as columns: prepared once for replay, or written for other programs.

columns      prepared columns in files
prepare      a tape into columns
scan         board messages from bytes to columns, compiled
column_feed  the events of prepared columns, for a trader
column_book  the book at a message of the columns
parquet      a tape as two Parquet tables
npz          a tape as hftbacktest's event array
"""
