"""Paper fills compared with live ones.

fit             which queue model fills the real orders as they were filled
live_orders     the quotes of a live run, with their stamps and fills
live_latencies  samples for the latency model
quote_tracks    one track per quote: the market that it met
own_depth       our part of a level
fill_replay     the fill rules over one track
"""
