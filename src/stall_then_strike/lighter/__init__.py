"""Lighter, a zk-rollup exchange: the trading adapter. Needs the extra ``lighter`` once something is signed.

dealer         LighterDealer: orders, cancels and queries with as little code as possible
dealer_config  its settings, from code or from a JSON file
broker         LighterBroker: one account's orders, for the engine and for programs of one's own
account        LighterAccountProcessor: the account as its channels tell it and as REST shows it
factory        LighterFactory: all parts of one account's trading, from the configuration
private/       what private messages and lists mean
lighter_rules  the venue as the data that the engine reads
markets        index, scales, minimums and names of each market
instruments    LighterInstrumentLoader: the venue's markets, asked for and cached
signing/       from a call to signed transactions that the venue has accepted
client         the REST calls and what their failures mean
limiter        the venue's REST limits
messages       every message of the venue's WebSocket
ws             the WebSocket: public and private channels, transactions
handlers/      the channels of market data as values
data           LighterDataProvider: subscriptions of market data over one socket
market_feed    LighterMarketFeed: one market's frames as market events
orderbook_maintainer  OrderBookMaintainer: the book of a market, kept from its snapshot and its changes
"""

from stall_then_strike.lighter.dealer import LighterDealer
from stall_then_strike.lighter.dealer_config import DealerConfig

__all__ = ["DealerConfig", "LighterDealer"]
