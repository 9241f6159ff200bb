"""Our own quotes in the book, on the real tape: they change no decision.

The recorded market is traded twice by the core, with orders that are accepted, shown and cancelled but never filled.
Once the book stays as recorded; once our orders are put into the venue's messages, as the venue would show them: added
to their level, part of the mid. Inside the spread they are the best of the raw book. The decisions are the same.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import count

import orjson
import pytest

from stall_then_strike.engine.core import Core
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.infra.orderbook_view import OwnQuote
from stall_then_strike.types.dto import (
    BoardSnapshot,
    BookStatus,
    CancelAllStall,
    ClientOrderId,
    DecisionLogRow,
    OrderEvent,
    OrderEventKind,
    OrderId,
    PlaceLimit,
    PublicTrades,
    Side,
    Tick,
)
from tests.engine.core_rig import core_of
from tests.market_script import MS, config
from tests.shared_data import Recorded, real_tape

LATENCY_NS = 60 * MS
SIDES = {"bids": Side.BUY, "asks": Side.SELL}


@dataclass
class ShowingVenue:
    """Takes our orders, never fills them, and shows them in the recorded messages if it is told to."""

    core: Core
    feed: MarketFeed
    shows: bool
    decisions: list[DecisionLogRow] = field(default_factory=list)
    raw_best_was_ours: int = 0

    def __post_init__(self) -> None:
        self.orders: dict[OrderId, PlaceLimit] = {}
        self.on_book: dict[OrderId, PlaceLimit] = {}
        self.due: list[tuple[int, int, OrderId, OrderEventKind]] = []
        self.order = count()
        self.public: dict[str, dict[int, float]] = {"bids": {}, "asks": {}}
        self.shown: dict[str, dict[int, float]] = {"bids": {}, "asks": {}}

    def run(self, tape: list[Recorded]) -> None:
        for line in tape:
            self.pass_time(line.recv_ns)
            text = orjson.dumps(self.as_shown(line) if self.shows else line.msg).decode()
            event = self.feed.on_text(text, line.recv_ns)
            if event is None or isinstance(event, PublicTrades):
                continue
            self.step(event, line.recv_ns)
            if isinstance(event, BoardSnapshot) and any(
                order.price in (self.feed.board.best_bid, self.feed.board.best_ask) for order in self.on_book.values()
            ):
                self.raw_best_was_ours += 1

    def pass_time(self, until_ns: int) -> None:
        """Deadlines of the core and answers of the venue, in their order."""
        while True:
            deadline = self.core.next_deadline_ns if self.core.board.ts_ns else until_ns + 1
            at_ns = min(deadline, self.due[0][0] if self.due else deadline)
            if at_ns > until_ns:
                return
            if self.due and self.due[0][0] <= at_ns:
                _, _, name, kind = heapq.heappop(self.due)
                if kind is OrderEventKind.REGISTERED:
                    self.on_book[name] = self.orders[name]
                else:
                    self.on_book.pop(name)
                self.step(OrderEvent(ts_ns=at_ns, kind=kind, order_id=name), at_ns)
            else:
                self.step(Tick(ts_ns=at_ns), at_ns)

    def step(self, event: BoardSnapshot | OrderEvent | Tick, now_ns: int) -> None:
        step = self.core.on_event(event, now_ns)
        self.decisions += [row for row in step.rows if isinstance(row, DecisionLogRow)]
        for action in step.actions:
            if isinstance(action, PlaceLimit):
                name = OrderId(f"V{next(self.order)}")
                self.orders[name] = action
                heapq.heappush(self.due, (now_ns + LATENCY_NS, next(self.order), name, OrderEventKind.REGISTERED))
                accepted = OrderEvent(
                    ts_ns=now_ns,
                    kind=OrderEventKind.ACCEPTED,
                    client_order_id=action.client_order_id,
                    order_id=name,
                )
                self.step(accepted, now_ns)
            elif isinstance(action, CancelAllStall):
                for name in action.order_ids:
                    heapq.heappush(self.due, (now_ns + LATENCY_NS, next(self.order), name, OrderEventKind.CANCELLED))
        if self.shows:
            self.feed.view.set_own(self.own())

    def own(self) -> dict[ClientOrderId, OwnQuote]:
        return {
            order.client_order_id: OwnQuote(side=order.side, price=order.price, remaining=order.remaining)
            for order in self.core.orders.quotes()
            if order.price is not None
        }

    def is_crossed(self, order: PlaceLimit) -> bool:
        if order.side is Side.BUY:
            return order.price >= min(self.public["asks"], default=10**12)
        return order.price <= max(self.public["bids"], default=0)

    def as_shown(self, line: Recorded) -> object:
        """The recorded board message with our orders in it; other messages as they are."""
        if "board" not in line.channel:
            return line.msg
        if "snapshot" in line.channel:
            self.public = {"bids": {}, "asks": {}}
        was_right = True
        for side, levels in self.public.items():
            for level in line.content[side]:
                levels[int(level["price"])] = level["size"]
                if not level["size"]:
                    del levels[int(level["price"])]
        if self.public["bids"] and self.public["asks"]:
            was_right = line.content["mid_price"] == (max(self.public["bids"]) + min(self.public["asks"])) // 2
        ours: dict[str, dict[int, float]] = {"bids": defaultdict(float), "asks": defaultdict(float)}
        for order in self.on_book.values():
            if self.is_crossed(order):
                continue  # the venue would have filled it: it cannot stand there
            ours["bids" if order.side is Side.BUY else "asks"][order.price] += order.size / 1e8
        book = {
            side: {p: self.public[side].get(p, 0.0) + ours[side].get(p, 0.0) for p in self.public[side] | ours[side]}
            for side in SIDES
        }
        if "snapshot" in line.channel:
            changes = book
        else:
            named = {side: {int(level["price"]) for level in line.content[side]} for side in SIDES}
            changes = {
                side: {p: book[side].get(p, 0.0) for p in named[side] | ours[side].keys() | self.shown[side].keys()}
                for side in SIDES
            }
        self.shown = ours
        mid = (max(book["bids"]) + min(book["asks"])) // 2 if book["bids"] and book["asks"] else 0
        message = {side: [{"price": p, "size": s} for p, s in levels.items()] for side, levels in changes.items()}
        content = {"mid_price": mid if was_right else mid + 1, **message}
        return {**line.msg, "params": {"channel": line.channel, "message": content}}


def traded(*, shows: bool, quote_mode: str) -> ShowingVenue:
    cfg = config(strategy={"quote_mode": quote_mode})
    venue = ShowingVenue(core_of(cfg), MarketFeed(cfg), shows)
    venue.run(real_tape())
    return venue


@pytest.mark.parametrize("quote_mode", ["mid", "inside", "join"])
def test_own_quotes_in_the_book_change_no_decision(quote_mode: str) -> None:
    alone, shown = traded(shows=False, quote_mode=quote_mode), traded(shows=True, quote_mode=quote_mode)
    assert [row.reason.label for row in shown.decisions] == [row.reason.label for row in alone.decisions]
    assert shown.decisions == alone.decisions
    strikes = [row for row in shown.decisions if row.decision_type == "strike"]
    assert len(strikes) > 20
    assert any(row.reason.label == "ttl" for row in shown.decisions), "some quotes lived out their time"
    assert shown.raw_best_was_ours > 20, "or the test would prove nothing"


def test_raw_book_with_own_quotes_passes_the_mid_check() -> None:
    venue = traded(shows=True, quote_mode="mid")
    statistics = venue.feed.statistics()
    assert (statistics.mid_checked, statistics.mid_agreed) == (219, 218)
    assert venue.feed.view.snapshot(0).status is BookStatus.OK
