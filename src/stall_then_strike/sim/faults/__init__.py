"""Faults of the exchange, by plan.

kinds           kinds of faults, one fault, a plan of them
catalogue       plans: each kind alone, and mixtures drawn from a seed
plan_file       plans from YAML
injector        which faults strike
scene           faults of the venue as a whole
faulty_calls    calls through the faults
faulty_feed     channels through the faults
lost_deletions  deletions of levels that the venue forgets to send
"""
