"""Commands: each wires the layers below into one process and turns their outcome into an exit code.

- ``run_paper``: the strategy on paper, against the public feed, the embedded exchange or a tape
- ``sim_exchange``: the embedded exchange on its own
- ``doctor``: whether live trading could begin; ``preflight`` has the checks
- ``state``: what is remembered between runs (``state_view``, ``state_export``)
- ``trading``: the core with its gateway, logs and counters; ``realtime`` and ``virtual`` drive it
- ``status``, ``panel``, ``summary``: what an operator sees
"""
