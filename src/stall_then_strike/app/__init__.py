"""Commands: each wires the layers below into one process and turns their outcome into an exit code.

- ``run_live``: the strategy with real orders; ``live_run`` assembles a run, ``live`` is its trader,
  ``owed_steps`` its way into the journal, which ``journal_care`` keeps small
- ``run_paper``: the strategy on paper, against the public feed, the embedded exchange or a tape
- ``sim_exchange``: the embedded exchange on its own; ``embedded``: in the process that trades on it
- ``doctor``: whether live trading could begin; ``preflight`` has the checks
- ``state``: what is remembered between runs (``state_view``, ``state_export``)
- ``why``: what happened around a moment or an order (modules ``why_...``)
- ``watchdog``: cancels all orders when the trader's heartbeat ends
- ``record``, ``tape``, ``report``: recordings and what they show
- ``trading``: the core with its gateway, logs and counters; ``realtime`` and ``virtual`` drive it
- ``status``, ``panel``, ``summary``: what an operator sees
"""
