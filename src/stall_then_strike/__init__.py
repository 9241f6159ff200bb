"""Stall-then-strike: a market maker for bitFlyer Crypto CFD.

Layers, each importing only from those to its right: ``app`` (commands) -> ``research`` (what is learnt from recordings)
-> ``tapes`` (recordings) -> ``venues`` (what a venue is to those that trade) -> ``lighter`` (the second venue) ->
``infra`` and ``sim`` (the world, real and simulated) -> ``engine`` (pure decisions) -> ``config`` -> ``types``.
"""

__version__ = "0.2.0"
