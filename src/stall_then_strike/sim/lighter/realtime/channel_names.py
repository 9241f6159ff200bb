"""The channels of Lighter's stream by name. Pure: text in, a :class:`Subject` out.

Venue facts (WebSocket documentation of 2026, captured messages): a request names a channel with slashes
(``order_book/0``), an answer with colons (``order_book:0``). ``account_orders/1/659514`` is answered by
``account_orders:1``, without the account, which is a field of the message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

ALL_MARKETS: Final = "all"


@unique
class Topic(StrEnum):
    """What a channel is about, as the first part of its name."""

    ORDER_BOOK = "order_book"
    TRADE = "trade"
    MARKET_STATS = "market_stats"
    TICKER = "ticker"
    HEIGHT = "height"
    ACCOUNT_ALL = "account_all"
    USER_STATS = "user_stats"
    ACCOUNT_ALL_ORDERS = "account_all_orders"
    ACCOUNT_ORDERS = "account_orders"
    ACCOUNT_TX = "account_tx"
    ACCOUNT_ALL_TRADES = "account_all_trades"
    ACCOUNT_ALL_POSITIONS = "account_all_positions"
    ACCOUNT_ALL_ASSETS = "account_all_assets"
    EXECUTED_TRANSACTION = "executed_transaction"
    """Not in the documentation of 2026; here another name of ``account_tx``, for older clients."""

    @property
    def is_of_account(self) -> bool:
        """Whether a channel of this topic belongs to an account."""
        return self in _OF_ACCOUNT

    @property
    def needs_token(self) -> bool:
        """Whether a subscription must carry a token; ``account_all`` and ``user_stats`` are documented without."""
        return self.is_of_account and self not in {Topic.ACCOUNT_ALL, Topic.USER_STATS}


_OF_ACCOUNT: Final = frozenset(topic for topic in Topic if topic.startswith(("account_", "user_", "executed_")))
_NUMBER: Final = re.compile(r"(0|[1-9][0-9]{0,14})")


@dataclass(frozen=True, slots=True)
class Subject:
    """One channel. ``market`` is None for all markets, ``account`` for a public channel."""

    topic: Topic
    market: int | None = None
    account: int | None = None

    @property
    def key(self) -> str:
        """The name in requests, under which frames are published."""
        match self.topic:
            case Topic.HEIGHT:
                return self.topic.value
            case Topic.ACCOUNT_ORDERS:
                return f"{self.topic.value}/{self.market}/{self.account}"
            case Topic.MARKET_STATS if self.market is None:
                return f"{self.topic.value}/{ALL_MARKETS}"
            case _:
                return f"{self.topic.value}/{self.account if self.topic.is_of_account else self.market}"

    @property
    def wire(self) -> str:
        """The name in answers."""
        if self.topic is Topic.ACCOUNT_ORDERS:
            return f"{self.topic.value}:{self.market}"
        return self.key.replace("/", ":")


class UnknownChannel(ValueError):
    """A name that is no channel's; the text is its first part, which the venue's error shows."""


def read_channel(name: str) -> Subject:
    """Read a channel's name with slashes or colons. Raises :class:`UnknownChannel`."""
    first, *rest = name.replace(":", "/").split("/")
    try:
        topic = Topic(first)
    except ValueError:
        raise UnknownChannel(first) from None
    if topic is Topic.HEIGHT and not rest:
        return Subject(topic)
    if topic is Topic.MARKET_STATS and rest == [ALL_MARKETS]:
        return Subject(topic)
    wanted = 2 if topic is Topic.ACCOUNT_ORDERS else 1
    if topic is Topic.HEIGHT or len(rest) != wanted or not all(_NUMBER.fullmatch(part) for part in rest):
        raise UnknownChannel(first)
    numbers = [int(part) for part in rest]
    if topic is Topic.ACCOUNT_ORDERS:
        return Subject(topic, market=numbers[0], account=numbers[1])
    return Subject(topic, account=numbers[0]) if topic.is_of_account else Subject(topic, market=numbers[0])
