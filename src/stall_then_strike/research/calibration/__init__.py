"""Paper fills compared with live ones.

fit             which queue model fills the real orders as they were filled
live_orders     what a live run's quotes were told
live_latencies  samples for the latency model
quote_tracks    one track per quote: the market that it met
own_depth       which part of a level was ours
fill_replay     the fill rules over one track
"""
