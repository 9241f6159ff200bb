"""Everything that leaves the stream of itself: it drives venue and crowd in venue time and returns the frames. Pure.

Books are published 50 ms after their first change, trades as they happen, figures and candles every half second when
something in them changed, the height every half second. A frame's text is written only when somebody may be listening
(:attr:`LiveFeed.is_wanted`); numbering goes on regardless.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, ParamSpec

import orjson

from stall_then_strike.sim.exchange.source import Frame
from stall_then_strike.sim.lighter.clearing.candles import RESOLUTIONS_NS
from stall_then_strike.sim.lighter.clearing.records import LighterTrade
from stall_then_strike.sim.lighter.crowd import Crowd
from stall_then_strike.sim.lighter.forms import candle_form, trade_form
from stall_then_strike.sim.lighter.lighter_venue import LighterVenue
from stall_then_strike.sim.lighter.realtime.account_channels import AccountChannels
from stall_then_strike.sim.lighter.realtime.book_channel import BookChannel
from stall_then_strike.sim.lighter.realtime.channel_names import Subject, Topic
from stall_then_strike.sim.lighter.realtime.market_figures import market_figures
from stall_then_strike.sim.lighter.venue_events import BookChanged, PricesChanged, Traded, VenueEvent
from stall_then_strike.types.dto import NS_PER_MS

Message = dict[str, Any]
P = ParamSpec("P")
_BOOK_NS: Final = 50 * NS_PER_MS
_FIGURES_NS: Final = 500 * NS_PER_MS
_TRADES_SHOWN: Final = 50
_FIRST_NONCE: Final = 9_000_000_000


class LiveFeed:
    """The source of the exchange's frames."""

    def __init__(self, venue: LighterVenue, crowd: Crowd | None = None) -> None:
        """Without a crowd the books hold what clients send, and prices stay where they are set."""
        self.venue = venue
        self.accounts = AccountChannels(venue)
        self.is_wanted: Callable[[str], bool] = lambda _key: True
        """Whether anybody is subscribed to a channel, by its key."""
        self.listeners: list[Callable[[list[VenueEvent]], None]] = []
        """Called with what has happened in the venue, in its order."""
        self._crowd = crowd
        self._now_ns = venue.now_ns
        self._nonce = _FIRST_NONCE
        markets = venue.accounts.markets
        self.books = {market: BookChannel(terms) for market, terms in markets.items()}
        self._moved: set[int] = set()
        """Markets whose figures have changed since they were published."""
        self._traded: set[int] = set()
        """Markets that have traded since their candles were published."""
        self._book_ns: int | None = None
        self._figures_ns = _next(self._now_ns, _FIGURES_NS)
        self._frames: list[Frame] = []
        self._take(venue.advance(self._now_ns))
        self._publish_books()
        self._frames.clear()

    # --- as a source ----------------------------------------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        """Venue time that the feed has reached."""
        return self._now_ns

    def next_wake_ns(self) -> int:
        """When :meth:`advance` next has something to do."""
        wake_ns = self._figures_ns
        for time_ns in (self.venue.floor.next_due_ns(), self._crowd_ns(), self._book_ns):
            if time_ns is not None and time_ns < wake_ns:
                wake_ns = time_ns
        return wake_ns

    def advance(self, until_ns: int) -> list[Frame]:
        """Advance to a time and return the frames that left by then, in order."""
        self._take(self.venue.advance(self._now_ns))  # what calls have caused meanwhile
        while (wake_ns := self.next_wake_ns()) <= until_ns:
            self._now_ns = max(self._now_ns, wake_ns)
            crowd_ns = self._crowd_ns()
            if self._crowd is not None and crowd_ns is not None and crowd_ns <= wake_ns:
                self._crowd.step()
            self._take(self.venue.advance(self._now_ns))
            if self._book_ns is not None and self._book_ns <= wake_ns:
                self._publish_books()
            if self._figures_ns <= wake_ns:
                self._publish_figures()
        self._now_ns = max(self._now_ns, until_ns)
        self._take(self.venue.advance(self._now_ns))
        frames, self._frames = self._frames, []
        return frames

    def snapshot(self, subject: Subject) -> Message:
        """The first message of a channel. Raises Refusal (21100) for an unknown account."""
        match subject.topic:
            case Topic.ORDER_BOOK:
                return self.books[self._market(subject)].snapshot(self._now_ns)
            case Topic.TICKER:
                return self.books[self._market(subject)].ticker_snapshot(self._now_ns)
            case Topic.TRADE:
                return self._trades_snapshot(subject)
            case Topic.MARKET_STATS:
                return self._figures_message("subscribed", subject, sorted(self.books))
            case Topic.CANDLE:
                return self._candle_message("subscribed", subject)
            case Topic.HEIGHT:
                return self._height("subscribed")
            case _:
                self.accounts.nonce = self._nonce
                return self.accounts.snapshot(subject, self._now_ns)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _crowd_ns(self) -> int | None:
        return None if self._crowd is None else self._crowd.next_ns()

    def _market(self, subject: Subject) -> int:
        if subject.market is None:
            raise AssertionError(f"{subject.key} is not of one market")
        return subject.market

    def _take(self, events: list[VenueEvent]) -> None:
        """Publish what happened."""
        if not events:
            return
        trades: dict[int, list[LighterTrade]] = {}
        for event in events:
            match event:
                case BookChanged():
                    self._nonce += 1
                    self.books[event.market].on_change(event, self._nonce, self._now_ns)
                    if self._book_ns is None:
                        self._book_ns = self._now_ns + _BOOK_NS
                case Traded():
                    trades.setdefault(event.market, []).append(event.trade)
                case PricesChanged():
                    self._moved.add(event.market)
                case _:
                    pass
        for market, made in trades.items():
            self._publish_trades(market, made)
        self.accounts.nonce = self._nonce
        for subject, message in self.accounts.messages(events, self._now_ns):
            self._send(subject, _as_is, message)
        for listener in list(self.listeners):
            listener(events)

    def _publish_trades(self, market: int, trades: list[LighterTrade]) -> None:
        self._moved.add(market)
        self._traded.add(market)
        subject = Subject(Topic.TRADE, market=market)
        self._send(subject, self._trades_message, "update", subject, trades)

    def _publish_books(self) -> None:
        self._book_ns = None
        for book in self.books.values():
            if book.has_changed:
                update, ticker = book.flush(self._now_ns)
                self._send(book.book, _as_is, update)
                if ticker is not None:
                    self._send(book.ticker, _as_is, ticker)

    def _publish_figures(self) -> None:
        now_ns = self._now_ns
        self._figures_ns = _next(now_ns, _FIGURES_NS)
        if self._crowd is not None:
            self._crowd.set_prices(now_ns)
            self._take(self.venue.advance(now_ns))
        changed, self._moved = sorted(self._moved), set()
        for market in changed:
            one = Subject(Topic.MARKET_STATS, market=market)
            self._send(one, self._figures_message, "update", one, [])
        if changed:
            every = Subject(Topic.MARKET_STATS)
            self._send(every, self._figures_message, "update", every, changed)
        traded, self._traded = sorted(self._traded), set()
        for market in traded:
            for resolution in RESOLUTIONS_NS:
                chart = Subject(Topic.CANDLE, market, resolution=resolution)
                self._send(chart, self._candle_message, "update", chart)
        self._send(Subject(Topic.HEIGHT), self._height, "update")

    # --- messages -------------------------------------------------------------------------------------------------

    def _send(self, subject: Subject, make: Callable[P, Message], *args: P.args, **options: P.kwargs) -> None:
        """Make a message and write it into a frame, if anybody is listening."""
        if self.is_wanted(subject.key):
            text = orjson.dumps(make(*args, **options)).decode()
            self._frames.append(Frame(time_ns=self._now_ns, channel=subject.key, text=text))

    def _trades_message(self, kind: str, subject: Subject, trades: Iterable[LighterTrade]) -> Message:
        terms = self.venue.accounts.markets[self._market(subject)]
        rows: dict[bool, list[Message]] = {True: [], False: []}
        for trade in trades:
            rows[trade.kind == "trade"].append(trade_form(trade, terms))
        return {
            "channel": subject.wire,
            "liquidation_trades": rows[False] or None,
            "nonce": self._nonce,
            "trades": rows[True] or None,
            "type": f"{kind}/{Topic.TRADE}",
        }

    def _trades_snapshot(self, subject: Subject) -> Message:
        """The newest trades, newest first. Liquidations, if any, are among the trades kept."""
        kept = list(reversed(self.venue.trades[self._market(subject)]))
        plain = [trade for trade in kept if trade.kind == "trade"][:_TRADES_SHOWN]
        forced = [trade for trade in kept if trade.kind != "trade"][:_TRADES_SHOWN]
        return self._trades_message("subscribed", subject, [*plain, *forced])

    def _figures_message(self, kind: str, subject: Subject, markets: Iterable[int]) -> Message:
        """One market's object, or a dictionary of the given markets."""
        rows: Message = (
            {str(market): self._row(market) for market in markets}
            if subject.market is None
            else self._row(subject.market)
        )
        return {
            "channel": subject.wire,
            "market_stats": rows,
            "timestamp": self._now_ns // NS_PER_MS,
            "type": f"{kind}/{Topic.MARKET_STATS}",
        }

    def _row(self, market: int) -> Message:
        return market_figures(self.venue.floor, market, self.books[market].mid)

    def _candle_message(self, kind: str, subject: Subject) -> Message:
        """The newest candle of a chart; no candle before the first trade."""
        market = self._market(subject)
        if subject.resolution is None:
            raise AssertionError(f"{subject.key} has no resolution")
        newest = self.venue.floor.charts[market].newest(subject.resolution)
        return {
            "candles": [] if newest is None else [candle_form(newest, self.venue.accounts.markets[market])],
            "channel": subject.wire,
            "timestamp": self._now_ns // NS_PER_MS,
            "type": f"{kind}/{Topic.CANDLE}",
        }

    def _height(self, kind: str) -> Message:
        return {
            "channel": Topic.HEIGHT.value,
            "height": self.venue.floor.block_of(self._now_ns),
            "timestamp": self._now_ns // NS_PER_MS,
            "type": f"{kind}/{Topic.HEIGHT}",
        }


def _next(now_ns: int, step_ns: int) -> int:
    """The next multiple of a step."""
    return (now_ns // step_ns + 1) * step_ns


def _as_is(message: Message) -> Message:
    return message
