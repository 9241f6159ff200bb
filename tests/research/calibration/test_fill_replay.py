"""A replayed order is filled as the paper venue fills it, and our own part of prints is counted correctly."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from stall_then_strike.app.trader.virtual import Message
from stall_then_strike.config.models import AppConfig, PrintThrough
from stall_then_strike.infra.bitflyer.bitflyer_rules import bitflyer_rules
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.research.calibration.fill_replay import (
    ARRIVAL,
    BOOK,
    PRINT_AT,
    PRINT_THROUGH,
    Happening,
    ModelFill,
    QueueRule,
    Track,
    played,
)
from stall_then_strike.research.calibration.live_orders import LiveOrder
from stall_then_strike.research.calibration.quote_tracks import Placed, TrackReader
from stall_then_strike.research.figures.mid_path import SILENCE_NS
from stall_then_strike.sim.fill_rules import SHARE_SCALE
from stall_then_strike.sim.paper import PaperGateway, queue_rule
from stall_then_strike.types.dto import (
    BoardSnapshot,
    BookStatus,
    CancelRequest,
    ClientOrderId,
    Event,
    FillEvent,
    OrderEvent,
    OrderEventKind,
    OrderId,
    OrderRequest,
    PublicTrades,
    Side,
    TimeInForce,
)
from stall_then_strike.types.errors import VenueError
from stall_then_strike.types.instrument import Lots, Ticks
from tests.market_script import config
from tests.research.tables.random_tapes import MID, random_tape

NOW = {"kind": "constant", "median_ms": 0, "spread_ms": 0}
RULES = (
    {"queue_model": "pessimistic"},
    {"queue_model": "share", "queue_cancel_share": Decimal("0.37")},
    {"queue_model": "power", "queue_power": 3},
    {"queue_model": "pessimistic", "print_through": "all"},
)


@dataclass(frozen=True)
class Wish:
    """An order for the paper venue: sent between two messages, and cancelled later."""

    side: Side
    price: int
    size: int
    place_ns: int
    cancel_ns: int


class Paper:
    """The paper venue on a tape, with the tape's lost connections."""

    def __init__(self, cfg: AppConfig) -> None:
        self.told: list[Event] = []
        self.now_ns = 0
        self.feed = MarketFeed(cfg, is_quiet=True)
        self.venue = PaperGateway(
            cfg.paper,
            cfg.session,
            cfg.exchange.instrument(),
            bitflyer_rules(cfg),
            sink=self.told.append,
            now_ns=lambda: self.now_ns,
        )

    def see(self, now_ns: int, text: str | None) -> None:
        silent = self.now_ns and now_ns - self.now_ns > SILENCE_NS
        self.now_ns = now_ns
        self.venue.advance(now_ns)
        if text is None or silent:
            self.feed.on_disconnect(now_ns)
            self.feed.on_connect()
            self.venue.on_book(None, now_ns)
        event = None if text is None else self.feed.on_text(text, now_ns)
        if isinstance(event, PublicTrades):
            self.venue.on_trades(event)
        elif isinstance(event, BoardSnapshot):
            self.venue.on_book(self.feed.board if event.status is BookStatus.OK else None, event.ts_ns)
        elif event is not None:
            self.venue.on_status(event)


async def on_paper(messages: list[Message], cfg: AppConfig, wish: Wish) -> list[ModelFill] | None:
    """The paper venue's fills of the order; None if it refuses the order."""
    paper = Paper(cfg)
    request = OrderRequest(
        client_order_id=ClientOrderId("x"),
        side=wish.side,
        price=Ticks(wish.price),
        size=Lots(wish.size),
        time_in_force=TimeInForce.GTC,
    )
    due = [wish.place_ns, wish.cancel_ns]
    order_id = OrderId("")
    for recv_ns, text in messages:
        before_ns, now_ns = paper.now_ns, max(paper.now_ns, recv_ns)
        while due and due[0] <= now_ns:
            paper.now_ns = due.pop(0)
            if order_id:
                await paper.venue.send([CancelRequest(order_id=order_id)])
            else:
                (answer,) = await paper.venue.send([request])
                if isinstance(answer, VenueError):
                    return None
                order_id = answer
        paper.now_ns = before_ns
        paper.see(now_ns, text)
    if any(isinstance(event, OrderEvent) and event.kind is OrderEventKind.REJECTED for event in paper.told):
        return None
    return [ModelFill(event.ts_ns, event.price, event.size) for event in paper.told if isinstance(event, FillEvent)]


def track_of(messages: list[Message], cfg: AppConfig, wish: Wish) -> Track | None:
    order = LiveOrder(
        name=ClientOrderId("x"),
        order_id=OrderId("JRF"),
        tag="stall",
        side=wish.side,
        price=Ticks(wish.price),
        size=Lots(wish.size),
        ttl_ns=0,
        sent_ns=wish.place_ns,
        accepted_ns=None,
        registered_ns=wish.place_ns,
        is_registered_told=True,
        cancel_sent_ns=None,
        cancelled_ns=wish.cancel_ns,
        expired_ns=None,
        is_live=False,
        fills=(),
    )
    placed = Placed(order=order, effect_ns=wish.place_ns, end_ns=wish.cancel_ns, cancel_ns=0)
    reader = TrackReader(cfg, [placed], frozenset(), are_shown=False)
    return reader.read(messages).tracks.get("x")


def compare(seed: int, rule: int, at: int, length: int, side: Side, away: int, size: int) -> bool | None:
    """Whether both were filled, in the same way; None without anything to compare."""
    messages = random_tape(seed, 250)
    stamps = [max(ns for ns, _ in messages[: n + 1]) for n in range(len(messages))]
    place_ns = stamps[at] + 1
    cancel_ns = min(place_ns + length * 10**6, place_ns + 50 * 10**9)
    cfg = config(paper={"order_latency": NOW, "cancel_latency": NOW, **RULES[rule]})
    wish = Wish(side, MID + away, size, place_ns, cancel_ns)
    track = track_of(messages, cfg, wish)
    expected = asyncio.run(on_paper(messages, cfg, wish))
    if track is None or expected is None:
        return None
    share, power = queue_rule(cfg.paper)
    assert played(track, QueueRule(share, power, cfg.paper.print_through is PrintThrough.QUEUE)) == expected
    return bool(expected)


@settings(max_examples=2 * settings().max_examples)
@given(
    seed=st.integers(1, 10_000),
    rule=st.integers(0, 3),
    at=st.integers(3, 150),
    length=st.integers(1, 20_000),
    side=st.sampled_from(Side),
    away=st.integers(-12, 12),
    size=st.sampled_from((100_000, 1_000_000, 60_000_000)),
)
def test_order_is_filled_as_the_paper_venue_fills_it(
    seed: int, rule: int, at: int, length: int, side: Side, away: int, size: int
) -> None:
    compare(seed, rule, at, length, side, away, size)


def test_comparison_is_of_something() -> None:
    found = [
        compare(seed, seed % 3, 10, 3_000, side, -2 * side.sign, 1_000_000) for seed in range(1, 60) for side in Side
    ]
    assert found.count(True) > 20
    assert found.count(False) > 10


# --- our own part in the market ---------------------------------------------------------------------------------------

NONE_AHEAD, HALF = QueueRule(0, 0), QueueRule(SHARE_SCALE // 2, 0)


def bid(*happenings: Happening, size: int = 10) -> Track:
    return Track(side=Side.BUY, price=100, size=size, happenings=happenings)


def test_print_that_filled_the_real_order_fills_the_one_in_its_place() -> None:
    track = bid(Happening(1, ARRIVAL, 4), Happening(2, PRINT_AT, 4), Happening(2, PRINT_AT, 10, own=10))
    assert played(track, NONE_AHEAD) == [ModelFill(2, 100, 10)]


def test_own_print_explains_no_decrease_of_others() -> None:
    """Later decreases are cancels, half of them ahead of us, so the last print reaches us."""
    others = (Happening(1, ARRIVAL, 40), Happening(2, PRINT_AT, 10, own=10), Happening(3, BOOK, 30))
    track = bid(*others, Happening(4, PRINT_AT, 26))
    assert played(track, HALF) == [ModelFill(4, 100, 1)]
    public = bid(others[0], Happening(2, PRINT_AT, 10), others[2], Happening(4, PRINT_AT, 26))
    assert played(public, HALF) == []  # the ten lots that left had been filled


def test_own_closing_order_serves_those_ahead_and_not_us() -> None:
    own = Happening(2, PRINT_AT, 50, is_self=True)
    assert played(bid(Happening(1, ARRIVAL, 40), own), NONE_AHEAD) == []
    assert played(bid(Happening(1, ARRIVAL, 40), own, Happening(3, PRINT_AT, 3)), NONE_AHEAD) == [ModelFill(3, 100, 3)]


def test_print_and_displayed_order_through_the_price_fill() -> None:
    passing = bid(Happening(1, ARRIVAL, 40), Happening(2, PRINT_THROUGH, 3), Happening(3, PRINT_THROUGH, 39))
    assert played(passing, NONE_AHEAD) == [ModelFill(3, 100, 2)], "those ahead first"
    assert played(passing, QueueRule(0, 0, queues_through=False))[0] == ModelFill(2, 100, 3)
    through = Happening(2, BOOK, 40, levels=((99, 4), (100, 9)))
    assert played(bid(Happening(1, ARRIVAL, 40), through), NONE_AHEAD) == [ModelFill(2, 100, 4)]
    closed = through._replace(is_open=False)
    assert played(bid(Happening(1, ARRIVAL, 40), closed), NONE_AHEAD) == []


def test_what_is_displayed_is_taken_once() -> None:
    crossed = Happening(1, ARRIVAL, 0, levels=((99, 4), (100, 2)))
    again = Happening(2, BOOK, 0, levels=((99, 4),))
    more = Happening(3, BOOK, 0, levels=((99, 5),))
    taken = [ModelFill(1, 99, 4), ModelFill(1, 100, 2)]
    assert played(bid(crossed, again), NONE_AHEAD) == taken
    assert played(bid(crossed, again, more), NONE_AHEAD) == [*taken, ModelFill(3, 100, 1)]
