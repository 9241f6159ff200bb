"""LighterDataProvider: market data of any number of Lighter's markets over one socket.

    socket -> channel -> handlers -> MarketData -> whoever subscribed
                      -> LighterMarketFeed -> MarketEvent -> a trader that follows

A kind of data is subscribed for some instruments at any time; the connection is made with the first subscription.
What several kinds read of one channel is subscribed and kept once: quotes come from the same book as the order book.
Statistics are read from the channel of all markets, of which the venue sends the changed ones.

A book that misses a message is told as lost and asked for again, at a measured pace, until it is whole. If the machine
slept or the process stood still, what waits in the socket is old: it is dropped, and the connection renewed.

Venue facts (rate limits of 2026; the numbers moved several times): 100 to 500 subscriptions a connection, 200 client
messages a minute. So a hundred books are there at once; of three hundred channels the last come after a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum, unique
from functools import partial
from typing import Final, NamedTuple

from loguru import logger

from stall_then_strike.infra.clock import system_sources
from stall_then_strike.infra.levels import BoardError
from stall_then_strike.infra.line.healing import Healing
from stall_then_strike.infra.line.refusals import Refusals
from stall_then_strike.infra.market_source import MarketEvent, Refusal
from stall_then_strike.infra.watch.pauses import Pause, PauseKind, PauseWatch
from stall_then_strike.lighter.client import ask_public
from stall_then_strike.lighter.handlers.base import Message, Unreadable
from stall_then_strike.lighter.handlers.factory import HandlerFactory
from stall_then_strike.lighter.handlers.orderbook import BookChange
from stall_then_strike.lighter.handlers.quote import BestQuote
from stall_then_strike.lighter.handlers.trades import Trades
from stall_then_strike.lighter.market_feed import LighterMarketFeed
from stall_then_strike.lighter.markets import Market, Markets
from stall_then_strike.lighter.messages import MarketStats
from stall_then_strike.lighter.orderbook_maintainer import OrderBookMaintainer
from stall_then_strike.lighter.ws import LighterWebSocketManager
from stall_then_strike.types.dto import NS_PER_MS, BoardSnapshot, BookStatus
from stall_then_strike.types.errors import FeedError

MOST_PAST_TRADES: Final = 100
"""Most trades that the venue gives for one question."""
LATE_NS: Final = 700 * NS_PER_MS
"""A loop that did not look for this long reads old frames: their books count as STALE until it has caught up."""
_WATCH_S: Final = 0.25
_log = logger.bind(channel="ws")

Named = str | int | Market
"""An instrument: a market, its index, or a name of it in any form."""


@unique
class DataKind(StrEnum):
    """What can be subscribed."""

    ORDERBOOK = "orderbook"
    QUOTE = "quote"
    TRADES = "trades"
    MARKET_STATS = "market_stats"


class BookLost(NamedTuple):
    """The book, and the quotes that come from it, are unknown until the next `BookChange`."""

    ts_ns: int
    why: str


class MarketData(NamedTuple):
    """One piece of data."""

    market: Market
    kind: DataKind
    value: BookChange | BookLost | BestQuote | Trades | MarketStats


def _always() -> bool:
    return True


def _is_known(book: OrderBookMaintainer) -> Callable[[], bool]:
    return lambda: book.is_known


@dataclass(frozen=True, slots=True, eq=False)
class _Listener:
    """One reader of a channel."""

    on_message: Callable[[Message, int], None]
    on_gap: Callable[[str], None] = lambda why: None
    is_whole: Callable[[], bool] = _always


@dataclass(slots=True, eq=False)
class _Channel:
    """One subscription of the socket."""

    healing: Healing
    listeners: dict[object, _Listener] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether every reader has what it needs."""
        return all(listener.is_whole() for listener in self.listeners.values())


class LighterDataProvider:
    """Subscriptions of market data, and the books behind them. Run it in a task group."""

    def __init__(
        self,
        socket: LighterWebSocketManager,
        markets: Markets,
        on_data: Callable[[MarketData], None] = lambda data: None,
        *,
        base_url: str = "",
        runs_socket: bool = True,
    ) -> None:
        """Connect to nothing yet. ``on_data`` must neither block nor raise.

        ``base_url`` is needed for a warm-up. With ``runs_socket`` false somebody else runs the socket, which may carry
        other channels too.
        """
        self.socket: Final = socket
        self.markets: Final = markets
        self.on_pause: Callable[[Pause], None] = lambda pause: None
        """Called on a sleep, a standstill or a clock step, after the connection was given up if need be."""
        self._on_data, self._base_url, self._runs_socket = on_data, base_url, runs_socket
        self._wanted: dict[DataKind, dict[int, Market]] = {kind: {} for kind in DataKind}
        self._handlers = HandlerFactory()
        self._channels: dict[str, _Channel] = {}
        self._refusals = Refusals("message(s)")
        self._needed, self._closing, self._news = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._pauses = PauseWatch(system_sources(), LATE_NS)
        self._given_up = -1
        """The number of the connection of which nothing is read any more."""

    # --- life --------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Wait for the first subscription, connect, and keep books whole, until ``close`` or cancelled.

        Raises FeedError when no connection can be made, and what a receiver of data raised.
        """
        await self._needed.wait()
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch())
            await (self.socket.run() if self._runs_socket and not self._closing.is_set() else self._closing.wait())
            watching.cancel()

    def close(self) -> None:
        """End ``run``, and the socket if it is ours."""
        self._closing.set()
        self._needed.set()
        if self._runs_socket:
            self.socket.close()

    async def wait_ready(self, limit_s: float) -> None:
        """Wait until every book is whole. Raises FeedError when the time is over."""
        try:
            async with asyncio.timeout(limit_s):
                while self.missing:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            why = self.socket.statistics().last_error or "no snapshot came"
            raise FeedError(
                f"no {', '.join(self.missing)} from {self.socket.url} within {limit_s:g} s: {why}"
            ) from None

    @property
    def missing(self) -> list[str]:
        """The channels whose book is not whole."""
        return [name for name, channel in self._channels.items() if not channel.is_whole]

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_S)
            self._look_for_pauses()
            now_s = asyncio.get_running_loop().time()
            for name, channel in list(self._channels.items()):
                if not self.socket.is_connected:
                    channel.healing.asked(now_s)
                elif channel.healing.is_due(now_s, is_whole=channel.is_whole):
                    self._ask_again(name, "its book is not whole")

    # --- subscriptions -----------------------------------------------------------------------------------------------

    def subscribe(self, kind: DataKind, instruments: Iterable[Named], *, reset: bool = False) -> None:
        """Subscribe a kind of data for these instruments too; ``reset``: for these and no others.

        Raises ConfigError for an instrument that there is not.
        """
        wanted = {market.market_index: market for market in map(self._market, instruments)}
        if reset:
            self._give_up(kind, [market for index, market in self._wanted[kind].items() if index not in wanted])
        for index, market in wanted.items():
            if index not in self._wanted[kind]:
                self._wanted[kind][index] = market
                self._listen(self._channel_of(kind, market), "data", self._reader_of(kind, market))

    def unsubscribe(self, kind: DataKind | None, instruments: Iterable[Named]) -> None:
        """Give up a kind of data, or all kinds, for these instruments. What is not subscribed is ignored."""
        given = [self._market(instrument) for instrument in instruments]
        for one in DataKind if kind is None else (kind,):
            self._give_up(one, [market for market in given if market.market_index in self._wanted[one]])

    def has_subscription(self, instrument: Named, kind: DataKind) -> bool:
        """Whether that kind of data is subscribed for the instrument."""
        return self._market(instrument).market_index in self._wanted[kind]

    def get_subscriptions(self, instrument: Named | None = None) -> list[DataKind]:
        """The kinds that are subscribed for the instrument, or for any."""
        if instrument is None:
            return [kind for kind, markets in self._wanted.items() if markets]
        return [kind for kind in DataKind if self.has_subscription(instrument, kind)]

    def get_subscribed_instruments(self, kind: DataKind | None = None) -> list[Market]:
        """The markets for which that kind, or any, is subscribed, by index."""
        found: dict[int, Market] = {}
        for one in DataKind if kind is None else (kind,):
            found |= self._wanted[one]
        return [found[index] for index in sorted(found)]

    def follow(self, feed: LighterMarketFeed, sink: Callable[[MarketEvent], None]) -> None:
        """Subscribe a trader's decoder: its events, and the loss of its book, go to ``sink``."""
        feed.on_resync = self._lost
        for channel in feed.channels:
            is_book = channel == feed.orderbook.channel
            listener = _Listener(
                partial(self._pass_on, feed, sink),
                partial(self._tell_lost, feed, sink, is_book),
                _is_known(feed.board) if is_book else _always,
            )
            self._listen(channel, feed, listener)

    async def warmup(self, kind: DataKind, instruments: Iterable[Named], limit: int = MOST_PAST_TRADES) -> int:
        """Ask for the newest trades of these instruments over REST; returns how many of them were new.

        Books, quotes and statistics need none: their first message is complete. Raises VenueError.
        """
        count = 0
        for market in map(self._market, instruments if kind is DataKind.TRADES else ()):
            query = {"market_id": market.market_index, "limit": min(limit, MOST_PAST_TRADES)}
            body = await ask_public(self._base_url, self.socket.clock, "recentTrades", query)
            try:
                found = self._handlers.trades(market).read(body.get("trades"), is_liquidation=False)
            except Unreadable as error:
                self._refuse(Refusal.BAD_EXECUTIONS, error)
                continue
            count += len(found)
            if found:
                past = Trades(self.socket.clock.now_ns(), tuple(sorted(found, key=lambda trade: trade.exec_id)), True)
                self._on_data(MarketData(market, kind, past))
        return count

    # --- channels ----------------------------------------------------------------------------------------------------

    def _market(self, instrument: Named) -> Market:
        if isinstance(instrument, Market):
            return instrument
        return self.markets.indexed(instrument) if isinstance(instrument, int) else self.markets.named(instrument)

    def _channel_of(self, kind: DataKind, market: Market) -> str:
        if kind is DataKind.TRADES:
            return self._handlers.trades(market).channel
        if kind is DataKind.MARKET_STATS:
            return f"{self._handlers.market_stats(market).kind}/all"
        return self._handlers.orderbook(market).channel

    def _reader_of(self, kind: DataKind, market: Market) -> _Listener:
        if kind is DataKind.TRADES:
            return _Listener(partial(self._on_trades, market))
        if kind is DataKind.MARKET_STATS:
            return _Listener(partial(self._on_stats, self._handlers.market_stats(market).kind))
        book = self._handlers.orderbook(market).book
        return _Listener(partial(self._on_book, market), partial(self._on_book_gap, market), _is_known(book))

    def _listen(self, name: str, who: object, listener: _Listener) -> None:
        """Subscribe a channel; one that others read already is asked for again, because its first message is needed."""
        self._needed.set()
        channel = self._channels.get(name)
        if channel is None:
            now_s = asyncio.get_running_loop().time()
            channel = self._channels[name] = _Channel(Healing(now_s))
            self.socket.subscribe(name, partial(self._on_message, channel), on_gap=partial(self._on_gap, channel))
        elif who not in channel.listeners and self.socket.is_live(name):
            self._ask_again(name, "another reader")
        channel.listeners.setdefault(who, listener)

    def _give_up(self, kind: DataKind, markets: Iterable[Market]) -> None:
        for market in markets:
            del self._wanted[kind][market.market_index]
            name = self._channel_of(kind, market)
            others = [
                one for one in DataKind if any(self._channel_of(one, m) == name for m in self._wanted[one].values())
            ]
            if others:
                continue
            self._handlers.drop(name, market)
            channel = self._channels[name]
            channel.listeners.pop("data", None)
            if not channel.listeners:
                del self._channels[name]
                self.socket.unsubscribe(name)

    def _ask_again(self, name: str, why: str) -> None:
        _log.warning("{} is subscribed anew: {}", name, why)
        self.socket.resync(name, why)

    def _lost(self, name: str, why: str) -> None:
        """A book contradicts itself: ask for it now, or as soon as the pace allows."""
        if self._channels[name].healing.lost(asyncio.get_running_loop().time()):
            self._ask_again(name, why)

    # --- messages ----------------------------------------------------------------------------------------------------

    def _on_message(self, channel: _Channel, message: Message, recv_ns: int) -> None:
        if self._pauses.is_late():
            self._look_for_pauses()
        if self.socket.connects == self._given_up:
            return
        for listener in tuple(channel.listeners.values()):  # a receiver may subscribe or unsubscribe
            listener.on_message(message, recv_ns)
        self._news.set()

    def _on_gap(self, channel: _Channel, why: str) -> None:
        for listener in tuple(channel.listeners.values()):  # a receiver may subscribe or unsubscribe
            listener.on_gap(why)

    def _look_for_pauses(self) -> None:
        for pause in self._pauses.look():
            if pause.kind is not PauseKind.SET and self.socket.is_connected:
                _log.warning("{}; the connection is renewed", pause)
                self._given_up = self.socket.connects
                self._pauses.nothing_waits()
                self.socket.renew(str(pause))
            self.on_pause(pause)

    def _pass_on(self, feed: LighterMarketFeed, sink: Callable[[MarketEvent], None], message: Message, ns: int) -> None:
        event = feed.on_message(message, ns)
        if event is None:
            return
        if self._pauses.is_behind and isinstance(event, BoardSnapshot) and event.status is BookStatus.OK:
            event = event._replace(status=BookStatus.STALE)
        sink(event)

    def _tell_lost(self, feed: LighterMarketFeed, sink: Callable[[MarketEvent], None], is_book: bool, why: str) -> None:
        del why
        if is_book and feed.view.status is not BookStatus.UNKNOWN:
            sink(feed.on_disconnect(self.socket.clock.now_ns()))
        if not self.socket.is_connected:
            feed.on_connect()

    def _on_book(self, market: Market, message: Message, recv_ns: int) -> None:
        handler, index = self._handlers.orderbook(market), market.market_index
        try:
            change = handler.handle(message, recv_ns)
        except BoardError as error:
            self._refuse(Refusal.BAD_BOARD, error)
            self._tell_book_lost(market, str(error))
            self._lost(handler.channel, str(error))
            return
        if change is None:
            return
        if index in self._wanted[DataKind.ORDERBOOK]:
            self._on_data(MarketData(market, DataKind.ORDERBOOK, change))
        if index in self._wanted[DataKind.QUOTE] and (best := self._handlers.quote(market).derive(change)) is not None:
            self._on_data(MarketData(market, DataKind.QUOTE, best))

    def _on_book_gap(self, market: Market, why: str) -> None:
        if self._handlers.orderbook(market).book.is_known:
            self._tell_book_lost(market, why)

    def _tell_book_lost(self, market: Market, why: str) -> None:
        self._handlers.quote(market).on_gap()
        lost = BookLost(self.socket.clock.now_ns(), why)
        for kind in (DataKind.ORDERBOOK, DataKind.QUOTE):
            if market.market_index in self._wanted[kind]:
                self._on_data(MarketData(market, kind, lost))

    def _on_trades(self, market: Market, message: Message, recv_ns: int) -> None:
        handler = self._handlers.trades(market)
        unreadable = handler.unreadable
        try:
            found = handler.handle(message, recv_ns)
        except Unreadable as error:
            self._refuse(Refusal.BAD_EXECUTIONS, error)
            return
        if handler.unreadable > unreadable:
            self._refuse(Refusal.BAD_EXECUTIONS, handler.last_error)
        if found is not None:
            self._on_data(MarketData(market, DataKind.TRADES, found))

    def _on_stats(self, kind: str, message: Message, recv_ns: int) -> None:
        """Statistics of the markets that changed, by their index as a text."""
        figures = message.get(kind)
        if not isinstance(figures, dict):
            return
        for index, market in tuple(self._wanted[DataKind.MARKET_STATS].items()):
            if str(index) not in figures:
                continue
            try:
                found = self._handlers.market_stats(market).handle(message, recv_ns)
            except Unreadable as error:
                self._refuse(Refusal.BAD_TICKER, error)
                continue
            if found is not None:
                self._on_data(MarketData(market, DataKind.MARKET_STATS, found))

    def _refuse(self, kind: Refusal, why: object) -> None:
        self._refusals.add(kind, str(why), "", self.socket.clock.now_ns())

    def refused(self) -> dict[str, int]:
        """How many messages, or parts of one, could not be used, by kind."""
        return dict(self._refusals.counts())
