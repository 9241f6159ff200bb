"""Recordings and reports: what happened, and what is learnt from it.

- ``part_file``, ``stream_thread``: files that a crash cannot spoil, written off the event loop
- ``tape_audit``: what is on a tape; ``tape_writer``: tapes by the hour; ``salvage``: what a crash left
- ``recorder``: connections to tapes
- ``event_codec``, ``event_log``, ``event_replay``: what the core was told, and its steps once more
- ``tape_tools``: check, cut, merge; ``tape_columns``, ``tape_npz``: tapes for other programs
- ``sequence``, ``scan``, ``prepare``, ``columns``: tapes as one run, and prepared once for compiled replay
- ``compiled`` over ``arrays``, ``ledger``, ``book``, ``core_steps``, ``venue_steps`` (``jit``); ``rows``: its log rows
- ``live_orders``, ``quote_tracks`` over ``own_depth``, ``fill_replay``, ``calibration``: paper fills held against live
  ones; ``live_latencies``: samples for the latency model
- ``report`` and the modules named after it: a run, or two compared, as one HTML file

This folder's modules import what is in the extra ``research`` only where they need it: recording needs none of it.
"""
