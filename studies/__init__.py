"""Studies: questions answered by replays, each by one command that anybody can run again.

``python -m studies`` writes docs/results.md and its plots. All of it comes from tapes and seeds, nothing from a clock.
``python -m studies.order_states`` draws the order table and the state diagram of docs/design/orders.md.
"""
