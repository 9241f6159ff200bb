"""Recordings. A layer of its own, because live trading records; it needs no optional extra.

tape_reader    reading a tape, and a tape as a market
tape_writer    tapes by the hour
tape_audit     what is on a tape: counts, gaps, whether its book agrees with itself
tape_files     which files are tapes
tape_rows      messages taken apart for tables
tape_tools     tapes from tapes: judged, cut, merged, packed anew
sequence       many tapes as one run
recorder       connections to tapes
part_file      a file that is ``.part`` until it is whole
stream_thread  writing off the event loop
salvage        what a crash left
event_codec    events as JSON and back
event_log      what a run's core was told
event_replay   a recorded run once more
"""
