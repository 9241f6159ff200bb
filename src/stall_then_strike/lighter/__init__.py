"""Lighter, a zk-rollup exchange: the trading adapter. Needs the extra ``lighter`` once something is signed.

dealer         LighterDealer: orders, cancels and queries with as little code as possible
dealer_config  its settings, from code or from a JSON file
account_keys   its account and key, from the environment
order_forms    its calls as exact integers for one market
intents        what is to be done, before nonce and signature
markets        index, scales and minimums of each market
own_orders     client order index, order index, market and key of each order
sender         which key sends what
key_line       one key: its nonces, and what arrived after an error
signer         signatures by the SDK's native library
tokens         auth tokens, renewed before they end
calls          the REST calls and what their failures mean
limiter        the venue's REST limits
messages       every message of the venue's WebSocket
ws             the WebSocket: public and private channels, transactions
"""

from stall_then_strike.lighter.dealer import LighterDealer
from stall_then_strike.lighter.dealer_config import DealerConfig

__all__ = ["DealerConfig", "LighterDealer"]
