"""What is learnt from recordings and logs: replays, sweeps, reports, calibration.

- ``tape_columns``, ``tape_npz``: tapes for other programs
- ``scan``, ``prepare``, ``columns``: tapes prepared once for replay
- ``compiled`` over ``arrays``, ``ledger``, ``book``, ``core_steps``, ``venue_steps`` (``jit``, whose work
  ``kernel_cache`` keeps); ``rows``: its log rows
- ``live_orders``, ``quote_tracks`` over ``own_depth``, ``fill_replay``, ``calibration``: paper fills held against live
  ones; ``live_latencies``: samples for the latency model
- ``report`` and the modules named after it: a run, or two compared, as one HTML file

Nothing that trades imports this folder, and most of it needs the extra ``research``.
"""
