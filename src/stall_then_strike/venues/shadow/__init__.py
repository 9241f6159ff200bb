"""A shadow of an account: all of a venue is real but the orders, which are filled on paper. Nothing is sent.

shadow_connection  a venue's connection with desks on paper
paper_account      one instrument's orders, fills and position on paper, as a report of an account shows them
real_account       what the real account had at the start, and what has changed since
"""
