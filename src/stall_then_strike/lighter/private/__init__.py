"""The account: what private messages and lists mean, as values and as the engine's events.

own_events      private messages as order events, fills and funding
account_values  positions, balances, open orders and margin, as last told
account_report  open and ended orders, trades and the account, asked for and compared
order_requests  the engine's requests as intents, and what became of them as replies
"""
