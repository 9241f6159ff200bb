"""What recordings know of each venue's wire: the channels of frames, what is private, and which feed reads a product.

A tape of bitFlyer is the frames and no more. A tape of Lighter begins with a line of the recorder's own, whose message
is ``{"tape": {"venue": ..., "product": {...}}}``: frames there tell neither the venue nor a market's units. Its second
line is the book at that moment as a snapshot, marked with ``made``, unless the tape begins with its connection: the
venue sends a book once, and tapes end each hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, Protocol

import orjson

from stall_then_strike.config.models import AppConfig, ExchangeConfig
from stall_then_strike.config.venue import LIGHTER, ProductConfig
from stall_then_strike.infra.bitflyer.feed import EVENTS_CHANNEL, MarketFeed
from stall_then_strike.infra.market_source import FeedStatistics, MarketEvent
from stall_then_strike.lighter.market_feed import LighterMarketFeed
from stall_then_strike.lighter.markets import Market, configured_market
from stall_then_strike.sim.exchange.source import Channel
from stall_then_strike.types.dto import Side

HEADER: Final = '{"tape":'
"""The beginning of a line that tells what the tape is of."""
MADE: Final = '{"made":'
"""The beginning of a snapshot that the recorder made."""
GAP_S: Final[Mapping[Channel, float]] = {
    Channel.SNAPSHOT: 10.0,
    Channel.BOARD: 2.0,
    Channel.TICKER: 5.0,
    Channel.EXECUTIONS: 300.0,
}
"""Silence of a channel that counts as a gap, in seconds. Snapshots come every 5 s, deltas every 0.1 s (longest pause
seen: 0.54 s), tickers more than once a second, executions after up to 17 s (measured) or far later in quiet nights."""
_LIGHTER_GAP_S: Final[Mapping[Channel, float]] = {
    Channel.BOARD: 60.0,
    Channel.TICKER: 60.0,
    Channel.EXECUTIONS: 3_600.0,
}
"""The same at Lighter, where a channel is silent while nothing changes."""
_LIGHTER_PUBLIC: Final = frozenset({"order_book", "trade", "market_stats", "ticker", "height"})
_LIGHTER_GREETINGS: Final = frozenset({"connected", "ping", "pong", "shutdown"})
_LIGHTER_KINDS: Final = {"order_book": Channel.BOARD, "trade": Channel.EXECUTIONS, "market_stats": Channel.TICKER}


class ReadsMessages(Protocol):
    """A feed that takes parsed messages."""

    def on_connect(self) -> None:
        """A new connection begins."""
        ...

    def on_message(self, message: Any, recv_ns: int) -> MarketEvent | None:
        """Take one message."""
        ...

    def statistics(self) -> FeedStatistics:
        """Counts so far."""
        ...


class Wire(Protocol):
    """One venue's wire."""

    @property
    def gap_s(self) -> Mapping[Channel, float]:
        """Silence of a channel that counts as a gap, in seconds."""
        ...

    def channel_of(self, message: Any) -> str | None:
        """The channel of a public or private message; None for anything else."""
        ...

    def kind_of(self, channel: str) -> tuple[Channel | None, str]:
        """Kind and product of a public channel's name; (None, "") for any other."""
        ...

    def is_private(self, message: Any) -> bool:
        """Whether a message is the account's, and is not recorded."""
        ...

    def request_of(self, message: Any) -> object | None:
        """What a new connection begins with again: the number of the request that is answered, or a greeting."""
        ...

    def feed(self, product: str) -> ReadsMessages:
        """A new feed of a product."""
        ...


class BitflyerWire:
    """JSON-RPC notifications ``channelMessage``; each connection numbers its requests from the same number."""

    gap_s = GAP_S

    def __init__(self, exchange: ExchangeConfig) -> None:
        """``exchange`` gives the units of prices."""
        self._exchange = exchange

    def channel_of(self, message: Any) -> str | None:
        """The channel of a notification."""
        return channel_of(message)

    def kind_of(self, channel: str) -> tuple[Channel | None, str]:
        """By the longest matching prefix."""
        return kind_of(channel)

    def is_private(self, message: Any) -> bool:
        """Whether it is of the account's channel."""
        return channel_of(message) == EVENTS_CHANNEL

    def request_of(self, message: Any) -> object | None:
        """The id of an answer."""
        is_answer = isinstance(message, dict) and "id" in message and ("result" in message or "error" in message)
        return message["id"] if is_answer else None

    def feed(self, product: str) -> ReadsMessages:
        """A feed in the exchange's units."""
        return MarketFeed(product_config(self._exchange, product), is_quiet=True)


class LighterWire:
    """Messages with ``type`` and ``channel``; each connection begins with a greeting."""

    gap_s = _LIGHTER_GAP_S

    def __init__(self) -> None:
        """No market is known yet."""
        self._markets: dict[str, Market] = {}

    def add(self, market: Market) -> None:
        """A market that is on the tape."""
        self._markets[str(market.market_index)] = market

    def channel_of(self, message: Any) -> str | None:
        """The channel as the venue spells it, such as ``order_book:0``."""
        if not isinstance(message, dict) or "error" in message:
            return None
        name = message.get("channel")
        return name if isinstance(name, str) else None

    def kind_of(self, channel: str) -> tuple[Channel | None, str]:
        """The kind, and the symbol of the market if the tape is of it."""
        kind, _, number = channel.partition(":")
        market = self._markets.get(number)
        found = _LIGHTER_KINDS.get(kind)
        return (None, "") if found is None or market is None else (found, market.symbol)

    def is_private(self, message: Any) -> bool:
        """Whether it is of none of the public channels, and no greeting."""
        if not isinstance(message, dict):
            return False
        channel = self.channel_of(message)
        if channel is None:  # errors may name the account
            return message.get("type") not in _LIGHTER_GREETINGS
        return channel.partition(":")[0] not in _LIGHTER_PUBLIC

    def request_of(self, message: Any) -> object | None:
        """The greeting."""
        return "connected" if isinstance(message, dict) and message.get("type") == "connected" else None

    def feed(self, product: str) -> ReadsMessages:
        """A feed in the market's units."""
        return LighterMarketFeed(next(m for m in self._markets.values() if m.symbol == product), is_quiet=True)


def header_of(exchange: ExchangeConfig) -> bytes | None:
    """The message that a tape of this product begins with; None if frames tell by themselves."""
    if exchange.name != LIGHTER:
        return None
    units = {name: str(getattr(exchange, name)) for name in ProductConfig.model_fields}
    return orjson.dumps({"tape": {"venue": exchange.name, "product": units | {"market_index": exchange.market_index}}})


def market_in(message: Any) -> Market | None:
    """The market that a header tells of; None for any other message. Raises ValueError for a header of another form."""
    if not isinstance(message, dict) or not isinstance(head := message.get("tape"), dict):
        return None
    if head.get("venue") != LIGHTER:
        raise ValueError(f"a tape of {head.get('venue')!r}; known: {LIGHTER}")
    told = dict(head.get("product") or {})
    exact = {name: Decimal(str(told[name])) for name in ("tick_size", "size_step", "size_min", "notional_min")}
    return configured_market(ProductConfig.model_validate(told | exact))


def made_snapshot(feed: ReadsMessages | None) -> bytes | None:
    """The book of a feed as a snapshot of its channel; None where the venue sends snapshots, or while it is unknown."""
    if not isinstance(feed, LighterMarketFeed) or not feed.board.is_known:
        return None
    book, unit = feed.board, feed.market.instrument

    def rows(side: Side) -> list[dict[str, str]]:
        return [
            {"price": f"{unit.price(price):f}", "size": f"{unit.size(size):f}"} for price, size in book.levels(side)
        ]

    held = {"asks": rows(Side.SELL), "bids": rows(Side.BUY), "offset": book.offset, "nonce": book.nonce}
    return orjson.dumps(
        {
            "made": True,
            "channel": f"order_book:{feed.market.market_index}",
            "order_book": {"code": 0, **held, "begin_nonce": 0},
            "type": "subscribed/order_book",
        }
    )


def product_config(exchange: ExchangeConfig, product: str) -> AppConfig:
    """Settings for a feed of one product."""
    return AppConfig().model_copy(update={"exchange": exchange.model_copy(update={"product_code": product})})


def channel_of(message: Any) -> str | None:
    """The channel of bitFlyer's channel message; None for anything else."""
    try:
        name = message["params"]["channel"]
    except (KeyError, TypeError, IndexError):
        return None
    return name if isinstance(name, str) else None


def kind_of(channel: str) -> tuple[Channel | None, str]:
    """Kind and product of bitFlyer's public channel, (None, "") for any other; the longest matching prefix wins."""
    for kind in Channel:  # SNAPSHOT comes before BOARD, whose name is a prefix of its own
        if channel.startswith(kind.value):
            return kind, channel.removeprefix(kind.value)
    return None, ""
