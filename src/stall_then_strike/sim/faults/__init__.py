"""Planned faults of the exchange.

kinds           kinds of faults, one fault, a plan of them
catalogue       plans: each kind alone, and mixtures drawn from a seed
plan_file       plans from YAML
injector        decides which faults strike
scene           faults of the venue as a whole
faulty_calls    faults of HTTP calls and of answers on sockets
faulty_feed     faults of frames
lost_deletions  deletions of levels that are missing in the deltas
"""
