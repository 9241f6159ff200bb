"""Paper trading with hftbacktest's rules in place of ours, one rule after another.

``RuledGateway`` without rules is the ``PaperGateway``. With all of them it has to fill like hftbacktest, order by order
and nanosecond by nanosecond: then there is no difference between the two that is not one of these rules.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, unique
from typing import Any

from loguru import logger

from stall_then_strike.app.trader.trader import PaperTrader
from stall_then_strike.app.trader.virtual import Message, VirtualRun
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.executor import OrderExecutor
from stall_then_strike.infra.bitflyer.bitflyer_rules import bitflyer_rules
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.infra.market_source import MarketEvent
from stall_then_strike.research.tables.npz import BUY_EVENT, DEPTH_CLEAR_EVENT
from stall_then_strike.sim.paper import PaperGateway, _by_priority, _Due, _Resting
from stall_then_strike.types.dto import (
    BoardSnapshot,
    BookReader,
    BookStatus,
    Event,
    FillEvent,
    OrderId,
    Side,
    TimeInForce,
)
from stall_then_strike.types.instrument import Ticks
from studies.crosscheck.their_book import TheirBook
from tests.market_script import RowList

TRADING = "stall_then_strike.app.trader.trader"
ANSWER_NS = 1
"""Their answers are told so much later: what the feed says at the same moment is seen first."""
LOT = 1e-8
MARKET_REACH = 100


@unique
class Rule(Enum):
    """What hftbacktest does otherwise, in the order in which it is put on."""

    ANSWER = "answers come after the data of the same moment"
    CANCEL = "a cancel waits until the order is acknowledged"
    LIFE = "orders do not end after a minute"
    MEET = "an order that meets our own is not refused"
    BELIEF = "a book that contradicts its own mid is traded on"
    TAKER = "a taker gets its whole size, or looks 100 ticks far"
    TOUCH = "the other side's best at our price fills us, whole"
    THROUGH = "what passes our price fills us whole, whatever its size"
    ALONE = "each order sees a print, and a level, as if it were alone"
    QUEUE = "decreases move the queue by another law"
    BOOK = "a message is a row of levels, and a snapshot a cleared book"


class Law(Enum):
    """Their queue models."""

    RISK_ADVERSE = "risk adverse"
    POWER = "power prob"
    LOG = "log prob"


@dataclass(frozen=True, kw_only=True)
class Theirs:
    """Which of their models is meant."""

    law: Law = Law.RISK_ADVERSE
    power: float = 2.0
    partial: bool = False
    """PartialFillExchange; else NoPartialFillExchange."""

    def behind(self, front: float, back: float) -> float:
        """The share of a decrease that is taken to have stood behind us; NaN of nothing."""
        if self.law is Law.POWER:
            f_back, f_front = back**self.power, front**self.power
        else:
            f_back, f_front = math.log(1 + back), math.log(1 + front)
        return f_back / (f_back + f_front) if f_back + f_front else math.nan


class Place:
    """A place in their queue, in BTC as they count."""

    def __init__(self, front: float) -> None:
        self.front = front
        self._traded = 0.0

    def trade(self, size: float) -> int:
        """A print at our price; how many lots of it reach us."""
        self.front -= size
        self._traded += size
        reached = round(-self.front / LOT)
        if reached > 0:
            self.front = 0.0
        return max(0, reached)

    def level(self, theirs: Theirs, before: float, now: float) -> None:
        """The level has another size."""
        decrease = before - now - self._traded
        self._traded = 0.0
        if theirs.law is Law.RISK_ADVERSE or decrease < 0:
            self.front = min(self.front, now)
            return
        back = before - self.front
        share = theirs.behind(self.front, back)
        if math.isnan(share):
            self.front = now
        else:
            self.front = min(self.front - (1.0 - share) * decrease + min(back - share * decrease, 0.0), now)


class RuledGateway(PaperGateway):
    """The paper venue with some rules of hftbacktest's."""

    def __init__(self, cfg: AppConfig, rules: Iterable[Rule], theirs: Theirs, feed: MarketFeed, **kwargs: Any) -> None:
        """``kwargs`` are the paper venue's."""
        super().__init__(cfg.paper, cfg.session, cfg.exchange.instrument(), bitflyer_rules(cfg), **kwargs)
        self.rules = frozenset(rules)
        self.rows: Sequence[Any] = ()
        """Depth events of the tape as hftbacktest gets them; only BOOK reads them."""
        self.book = TheirBook()
        self._theirs = theirs
        self._feed = feed
        self._row = 0
        self._places: dict[OrderId, Place] = {}
        self._held: list[tuple[int, int, Event]] = []
        self._told = 0
        self.fills: list[FillEvent] = []
        """All fills, told or not yet."""
        self._tell, self._sink = self._sink, self._answer

    # --- answers and requests

    def _answer(self, event: Any) -> None:
        if isinstance(event, FillEvent):
            self.fills.append(event)
        if Rule.ANSWER not in self.rules:
            self._tell(event)
            return
        self._told += 1
        heapq.heappush(self._held, (event.ts_ns + ANSWER_NS, self._told, event))

    @property
    def next_deadline_ns(self) -> int:
        return min(super().next_deadline_ns, self._held[0][0]) if self._held else super().next_deadline_ns

    def advance(self, now_ns: int) -> None:
        while self._held and self._held[0][0] <= now_ns:
            self._tell(heapq.heappop(self._held)[2])
        super().advance(now_ns)

    def _cancel(self, order_id: OrderId) -> OrderId:
        order = self._orders.get(order_id)
        if Rule.CANCEL not in self.rules or order is None:
            return super()._cancel(order_id)
        now = self._now_ns()
        asked = max(now, order.arrives_ns + ANSWER_NS)
        self._push(asked + self._cancel_latency.draw_ns(now), _Due.CANCEL, order_id)
        return order_id

    def _push(self, at_ns: int, what: _Due, order_id: OrderId) -> None:
        if Rule.LIFE not in self.rules or what is not _Due.EXPIRY:
            super()._push(at_ns, what, order_id)

    def _own_met_by(self, order: _Resting) -> Iterator[_Resting]:
        return iter(()) if Rule.MEET in self.rules else super()._own_met_by(order)

    # --- the book

    def on_book(self, book: BookReader | None, now_ns: int) -> None:
        if book is None and Rule.BELIEF in self.rules:
            book = self._feed.board
        if Rule.BOOK not in self.rules:
            super().on_book(book, now_ns)
            return
        self._book = book
        while self._row < len(self.rows) and self.rows[self._row][2] <= now_ns:
            self._level(self.rows[self._row], now_ns)
            self._row += 1

    def _level(self, row: Any, now_ns: int) -> None:
        flags, _, _, price, size = row[:5]
        side = Side.BUY if flags & BUY_EVENT else Side.SELL
        ticks, lots = round(price), round(size / LOT)
        if flags & 0xFF == DEPTH_CLEAR_EVENT:
            self.book.clear(side, ticks)
            return
        before, better = self.book.set(side, ticks, lots)
        for order in self._resting:
            if order.request.side is side and order.request.price == ticks:
                self._places[order.order_id].level(self._theirs, before / 1e8, lots / 1e8)
        if better:
            for order in list(self._resting):
                own = order.request.price
                if order.request.side is not side and own is not None and (ticks - own) * side.sign >= 0:
                    self._whole(order, now_ns)
                    self._drop(order)

    def _best(self, side: Side) -> int | None:
        if Rule.BOOK in self.rules:
            return self.book.best(side)
        return None if self._book is None else next((price for price, _ in self._book.levels(side)), None)

    def _size_at(self, side: Side, price: int) -> int:
        if Rule.BOOK in self.rules:
            return self.book.size_at(side, price)
        return 0 if self._book is None else self._book.size_at(side, Ticks(price))

    # --- arrivals

    def _arrive(self, order: _Resting, now_ns: int) -> None:
        super()._arrive(order, now_ns)
        price = order.request.price
        if Rule.QUEUE in self.rules and price is not None and order in self._resting:
            self._places[order.order_id] = Place(self._size_at(order.request.side, price) / 1e8)

    def _take(self, order: _Resting, now_ns: int, *, through: bool) -> None:
        request = order.request
        best = self._best(request.side.opposite)
        beyond = None if best is None or request.price is None else (request.price - best) * request.side.sign
        if through:
            if (beyond == 0 and Rule.TOUCH in self.rules) or (
                beyond is not None and beyond > 0 and Rule.THROUGH in self.rules
            ):
                self._whole(order, now_ns)
            else:
                super()._take(order, now_ns, through=True)
        elif Rule.TAKER in self.rules:
            if best is not None and (beyond is None or beyond >= 0):
                self._sweep(order, best, now_ns)
        else:
            super()._take(order, now_ns, through=False)
        if Rule.ALONE in self.rules:
            self._taken.clear()

    def _sweep(self, order: _Resting, best: int, now_ns: int) -> None:
        request, other = order.request, order.request.side.opposite
        if not self._theirs.partial:
            self._fill(order, Ticks(best), order.remaining, now_ns, is_maker=False)
            return
        last = best + request.side.sign * (MARKET_REACH - (request.side is Side.BUY))
        if request.price is not None:
            last = request.price
        for price in range(best, last + request.side.sign, request.side.sign):
            if order.remaining and (size := min(order.remaining, self._size_at(other, price))):
                self._fill(order, Ticks(price), size, now_ns, is_maker=False)
        if order.remaining and request.price is not None and request.time_in_force is TimeInForce.GTC:
            self._fill(order, request.price, order.remaining, now_ns, is_maker=False)

    # --- resting

    def _whole(self, order: _Resting, now_ns: int) -> None:
        self._fill(order, order.request.price, order.remaining, now_ns, is_maker=True)

    def _requeue(self, order: _Resting, book: BookReader, now_ns: int) -> None:
        before = None if order.queue is None else order.queue.level
        super()._requeue(order, book, now_ns)
        if order.order_id in self._places and order.queue is not None and before not in (None, order.queue.level):
            self._places[order.order_id].level(self._theirs, before / 1e8, order.queue.level / 1e8)

    def _print(self, taker: Side, price: Ticks, size: int, now_ns: int) -> None:
        hit = _by_priority(self._hit_by(taker, price))
        if Rule.ALONE not in self.rules:
            self._print_to(hit, price, size, now_ns)
            return
        for order in hit:
            self._print_to([order], price, size, now_ns)

    def _print_to(self, orders: list[_Resting], price: Ticks, size: int, now_ns: int) -> None:
        """One print to orders that share it."""
        left, passed = size, 0
        for order in orders:
            at_price = order.request.price == price
            if order.queue is None and Rule.BOOK not in self.rules:
                continue
            if at_price and Rule.QUEUE in self.rules:
                reached = self._places[order.order_id].trade(size / 1e8)
                order.traded_ns = now_ns
            elif at_price and order.queue is not None:
                ahead = max(0, order.queue.ahead - passed)
                took = min(ahead, left)
                passed += took
                reached = left - took
                order.queue = order.queue._replace(
                    ahead=max(0, order.queue.ahead - passed), unseen=order.queue.unseen + size
                )
                left -= took + min(order.remaining, reached)
                order.traded_ns = now_ns
            else:
                reached = left
                left -= min(order.remaining, left)
            whole = Rule.THROUGH in self.rules and reached > 0 and not (at_price and self._theirs.partial)
            filled = order.remaining if whole else min(order.remaining, reached)
            if not at_price and order.queue is not None:
                order.queue = order.queue._replace(ahead=0)
            if filled:
                self._fill(order, order.request.price, filled, now_ns, is_maker=True)
                if not order.remaining:
                    self._drop(order)


class RuledTrader(PaperTrader):
    """The core with a paper venue of these rules."""

    def __init__(self, cfg: AppConfig, clock: VirtualClock, feed: MarketFeed, gateway: RuledGateway) -> None:
        """``gateway`` tells its events to ``self.on_event``: its sink is set here."""
        log = RowList()
        super().__init__(cfg, clock, feed, log)
        self.rows = log.rows
        self.papers = (gateway,)
        self.outboxes[0].executor = OrderExecutor(gateway, self.on_event, clock.now_ns)
        self._best: tuple[int, int] = (0, 0)
        self._best_since_ns = 0
        self._was_unknown = True

    def on_market(self, event: MarketEvent, started_ns: int | None = None, number: int = 0) -> None:
        ruled = self.papers[0]
        if not (isinstance(event, BoardSnapshot) and isinstance(ruled, RuledGateway) and Rule.BOOK in ruled.rules):
            super().on_market(event, started_ns)
            return
        ruled.advance(self.clock.now_ns())
        ruled.on_book(self.feed.board if event.status is BookStatus.OK else None, event.ts_ns)
        best = (ruled.book.best(Side.BUY) or 0, ruled.book.best(Side.SELL) or 0)
        if event.status is BookStatus.UNKNOWN:
            self._was_unknown = True
        elif best != self._best or self._was_unknown:
            self._best, self._best_since_ns, self._was_unknown = best, event.ts_ns, False
        self.on_event(
            event._replace(
                best_bid_price=Ticks(self._best[0]),
                best_ask_price=Ticks(self._best[1]),
                best_since_ns=self._best_since_ns,
            )
        )


@dataclass(frozen=True)
class Fill:
    """One fill: those of one order at one moment count as one, at the price of the last."""

    ts_ns: int
    order: int
    side: int
    price: int
    size: int


def merged(events: Iterable[FillEvent], number_of: dict[str, int]) -> list[Fill]:
    """Fills by time, then by order."""
    found: dict[tuple[int, int], Fill] = {}
    for event in events:
        number = number_of[event.client_order_id or ""]
        key = (event.ts_ns, number)
        size = event.size + (found[key].size if key in found else 0)
        found[key] = Fill(event.ts_ns, number, event.side.sign, event.price, size)
    return [found[key] for key in sorted(found)]


def run_strategy(
    messages: Sequence[Message], cfg: AppConfig, rules: Iterable[Rule], theirs: Theirs, rows: Sequence[Any]
) -> tuple[RuledTrader, list[FillEvent]]:
    """The daemon's core over a tape, with a venue of these rules; not stopped at the end."""
    clock, feed = VirtualClock(0), MarketFeed(cfg)
    gateway = RuledGateway(cfg, rules, theirs, feed, sink=lambda event: trader.on_event(event), now_ns=clock.now_ns)
    gateway.rows = rows
    trader = RuledTrader(cfg, clock, feed, gateway)
    logger.disable(TRADING)  # twelve runs tell the same story twelve times
    try:
        asyncio.run(VirtualRun(trader, clock, feed).run(messages, settle=False))
    finally:
        logger.enable(TRADING)
    return trader, gateway.fills
