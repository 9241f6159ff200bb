"""Planned faults of the exchange.

kinds              kinds of faults, one fault, a plan of them
catalogue          plans: each kind alone, and mixtures drawn from a seed
plan_file          plans from YAML
injector           decides which faults strike
socket_scene       faults of all sockets
scene              faults of bitFlyer as a whole
call_faults        faults of HTTP calls and of answers on sockets, on any venue
faulty_calls       faults inside bitFlyer's answers
frame_faults       faults of frames on any venue
faulty_feed        faults inside bitFlyer's frames
lost_deletions     deletions of levels that are missing in the deltas
lighter_catalogue  Lighter's faults by name
lighter_scene      faults of Lighter's stream as a whole
lighter_calls      faults inside Lighter's answers
lighter_frames     faults inside Lighter's frames
"""
