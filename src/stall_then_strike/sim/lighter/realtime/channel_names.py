"""The channels of Lighter's stream by name. Pure: text in, a :class:`Subject` out.

Venue facts (WebSocket documentation of 2026, captured messages): a request names a channel with slashes
(``order_book/0``), an answer with colons (``order_book:0``). ``account_orders/1/659514`` is answered by
``account_orders:1``, without the account, which is a field of the message. ``account_market/2/411813`` is answered by
``account_market:2:411813`` (captured by a client; the documentation writes slashes).

Channels of an account want its token, except ``account_all`` and ``user_stats``. Those of pools and of spot markets are
left out, as there is none here to hear of.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

from stall_then_strike.sim.lighter.clearing.candles import RESOLUTIONS_NS

ALL_MARKETS: Final = "all"


@unique
class Topic(StrEnum):
    """What a channel is about, as the first part of its name."""

    ORDER_BOOK = "order_book"
    TRADE = "trade"
    MARKET_STATS = "market_stats"
    TICKER = "ticker"
    CANDLE = "candle"
    HEIGHT = "height"
    ACCOUNT_ALL = "account_all"
    ACCOUNT_MARKET = "account_market"
    USER_STATS = "user_stats"
    ACCOUNT_ALL_ORDERS = "account_all_orders"
    ACCOUNT_ORDERS = "account_orders"
    ACCOUNT_TX = "account_tx"
    ACCOUNT_ALL_TRADES = "account_all_trades"
    ACCOUNT_ALL_POSITIONS = "account_all_positions"
    ACCOUNT_ALL_ASSETS = "account_all_assets"
    NOTIFICATION = "notification"
    EXECUTED_TRANSACTION = "executed_transaction"
    """Not in the documentation of 2026; here another name of ``account_tx``, for older clients."""

    @property
    def is_of_account(self) -> bool:
        """Whether a channel of this topic belongs to an account."""
        return "account" in self.parts

    @property
    def parts(self) -> tuple[str, ...]:
        """What follows the topic in a channel's name: market, account or resolution."""
        return _PARTS.get(self, ("account",))


_OF_MARKET: Final = ("market",)
_OF_BOTH: Final = ("market", "account")
_PARTS: Final[dict[Topic, tuple[str, ...]]] = {
    Topic.HEIGHT: (),
    Topic.CANDLE: ("market", "resolution"),
    Topic.ACCOUNT_ORDERS: _OF_BOTH,
    Topic.ACCOUNT_MARKET: _OF_BOTH,
    Topic.ORDER_BOOK: _OF_MARKET,
    Topic.TRADE: _OF_MARKET,
    Topic.TICKER: _OF_MARKET,
    Topic.MARKET_STATS: _OF_MARKET,
}
"""Of the topics that do not belong to an account alone."""
_WITHOUT_TOKEN: Final = frozenset({Topic.ACCOUNT_ALL, Topic.USER_STATS})
_NUMBER: Final = re.compile(r"(0|[1-9][0-9]{0,14})")


@dataclass(frozen=True, slots=True)
class Subject:
    """One channel. ``market`` is None for all markets, ``account`` for a public channel."""

    topic: Topic
    market: int | None = None
    account: int | None = None
    resolution: str | None = None
    """Of candles."""

    @property
    def key(self) -> str:
        """The name in requests, under which frames are published."""
        return "/".join([self.topic.value, *(self._part(name) for name in self.topic.parts)])

    @property
    def wire(self) -> str:
        """The name in answers."""
        if self.topic is Topic.ACCOUNT_ORDERS:
            return f"{self.topic.value}:{self.market}"
        return self.key.replace("/", ":")

    @property
    def needs_token(self) -> bool:
        """Whether a subscription must carry a token."""
        return self.topic.is_of_account and self.topic not in _WITHOUT_TOKEN

    def _part(self, name: str) -> str:
        match name:
            case "market":
                return ALL_MARKETS if self.market is None else str(self.market)
            case "account":
                return str(self.account)
            case _:
                return str(self.resolution)


class UnknownChannel(ValueError):
    """A name that is no channel's; the text is its first part, which the venue's error shows."""


def read_channel(name: str) -> Subject:
    """Read a channel's name with slashes or colons. Raises :class:`UnknownChannel`."""
    first, *rest = name.replace(":", "/").split("/")
    try:
        topic = Topic(first)
        given = dict(zip(topic.parts, rest, strict=True))
    except ValueError:
        raise UnknownChannel(first) from None
    if topic is Topic.MARKET_STATS and given["market"] == ALL_MARKETS:
        return Subject(topic)
    resolution = given.pop("resolution", None)
    if not all(_NUMBER.fullmatch(text) for text in given.values()) or resolution not in {None, *RESOLUTIONS_NS}:
        raise UnknownChannel(first)
    numbers = {part: int(text) for part, text in given.items()}
    return Subject(topic, numbers.get("market"), numbers.get("account"), resolution)
