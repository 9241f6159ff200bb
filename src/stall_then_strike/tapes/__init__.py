"""Recordings. A layer of its own, because live trading records; it needs no optional extra.

tape_reader    reads a tape, and presents it as a market
tape_writer    writes one tape per hour
tape_audit     the contents of a tape: counts, gaps, whether its book agrees with the venue's mid price
wires          what recordings know of each venue's wire
tape_files     which files are tapes
tape_rows      a tape's messages as rows for tables
tape_tools     checks, cuts, merges and generates tapes
sequence       many tapes as one run
recorder       records live connections to tapes
part_file      a file that is named ``.part`` until it is complete
stream_thread  writes files outside the event loop
salvage        finishes recordings that a crash left behind
event_codec    events as JSON and back
event_log      records the events that a run's core received
event_replay   replays a recorded run
"""
