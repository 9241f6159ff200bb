"""From a call to signed transactions that the venue has accepted.

order_forms    calls as exact integers for one market
intents        what is to be done, before nonce and signature
own_orders     client order index, order index, market and key of each order
sender         which key sends what
key_line       one key: its nonces, and what arrived after an error
signer         signatures by the SDK's native library
account_keys   account and key, from the environment or a file
tokens         auth tokens, renewed before they end
"""
