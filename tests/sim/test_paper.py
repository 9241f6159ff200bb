"""The paper venue: what fills, at which price, how much, when, and what never does.

Group G of the scenarios is here under its own names; G9, no look-ahead, is also run on whole tapes in tests/scenarios.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stall_then_strike.config.models import (
    AppConfig,
    LatencyConfig,
    LatencyKind,
    PaperConfig,
    PrintThrough,
    SessionConfig,
)
from stall_then_strike.engine.executor import OrderExecutor
from stall_then_strike.engine.venue.rules import VenueRules
from stall_then_strike.infra.bitflyer.bitflyer_rules import bitflyer_rules
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.sim.latency import ORDERS, OUTBIDS, Latency, drawn_ns, stream_seed, waiting_table
from stall_then_strike.sim.paper import PaperGateway
from stall_then_strike.types.dto import (
    BoardState,
    CancelRequest,
    ClientOrderId,
    Event,
    ExecId,
    FillEvent,
    FundingEvent,
    OrderEvent,
    OrderEventKind,
    OrderId,
    OrderRequest,
    PlaceLimit,
    PublicTrade,
    PublicTrades,
    Reason,
    Side,
    TimeInForce,
    VenueStatus,
)
from stall_then_strike.types.errors import Rejected, VenueError
from stall_then_strike.types.instrument import Lots, Ticks, fx_btc_jpy
from tests.engine.core_rig import BTC, BUY, MIN, MS, SELL, START_NS, at, properties
from tests.engine.venue.other_rules import OTHER_RULES

K = OrderEventKind
IOC, GTC = TimeInForce.IOC, TimeInForce.GTC
T = TypeVar("T")
ORDER_MS, CANCEL_MS = 20, 30


class Book:
    """A displayed book."""

    def __init__(self, bids: Mapping[int, int], asks: Mapping[int, int]) -> None:
        self.sides = {BUY: dict(bids), SELL: dict(asks)}

    def size_at(self, side: Side, price: Ticks) -> Lots:
        return Lots(self.sides[side].get(price, 0))

    def best(self, side: Side) -> Ticks:
        return next((price for price, _ in self.levels(side)), Ticks(0))

    def levels(self, side: Side) -> Iterator[tuple[Ticks, Lots]]:
        for price in sorted(self.sides[side], reverse=side is BUY):
            yield Ticks(price), Lots(self.sides[side][price])


def constant(ms: int) -> LatencyConfig:
    return LatencyConfig(kind=LatencyKind.CONSTANT, median_ms=Decimal(ms), spread_ms=Decimal(0))


def at_once(request: Coroutine[Any, Any, T]) -> T:
    """The result of a request to the paper venue, which never waits for anything."""
    try:
        request.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]  # what a coroutine returns
    raise AssertionError("it waited")


class Venue:
    """A paper gateway with a clock, a book, and all that it told."""

    def __init__(
        self,
        *,
        start_ns: int = START_NS,
        session: SessionConfig | None = None,
        rules: VenueRules | None = None,
        **keys: Any,
    ) -> None:
        settings: dict[str, Any] = {
            "order_latency": constant(ORDER_MS),
            "cancel_latency": constant(CANCEL_MS),
            "outbid_per_s": Decimal(0),
            "funding_times": (),
            **{key: Decimal(value) if type(value) is str else value for key, value in keys.items()},
        }
        self.clock = VirtualClock(start_ns)
        self.events: list[Event] = []
        self.gateway = PaperGateway(
            PaperConfig(**settings),
            session or SessionConfig(),
            fx_btc_jpy(),
            rules or bitflyer_rules(AppConfig()),
            sink=self.events.append,
            now_ns=self.clock.now_ns,
        )
        self._names = 0

    def to(self, ms: float) -> None:
        """Let time pass, deadline by deadline."""
        while (deadline := self.gateway.next_deadline_ns) <= at(ms):
            self.clock.advance_to(deadline)
            self.gateway.advance(deadline)
        self.clock.advance_to(at(ms))
        self.gateway.advance(at(ms))

    def book(self, ms: float, bids: Mapping[int, int], asks: Mapping[int, int]) -> None:
        self.to(ms)
        self.gateway.on_book(Book(bids, asks), at(ms))

    def no_book(self, ms: float) -> None:
        self.to(ms)
        self.gateway.on_book(None, at(ms))

    def trade(self, ms: float, *prints: tuple[Side | None, int, int]) -> None:
        self.to(ms)
        trades = tuple(
            PublicTrade(exec_id=ExecId(n), taker=taker, price=Ticks(price), size=Lots(size))
            for n, (taker, price, size) in enumerate(prints)
        )
        self.gateway.on_trades(PublicTrades(ts_ns=at(ms), trades=trades))

    def status(self, ms: float, state: BoardState) -> None:
        self.to(ms)
        self.gateway.on_status(VenueStatus(ts_ns=at(ms), state=state))

    def place(
        self,
        ms: float,
        side: Side,
        price: int | None,
        size: int = MIN,
        time_in_force: TimeInForce = GTC,
        *,
        post_only: bool = False,
    ) -> OrderId:
        self.to(ms)
        self._names += 1
        request = OrderRequest(
            client_order_id=ClientOrderId(f"n{self._names}"),
            side=side,
            price=None if price is None else Ticks(price),
            size=Lots(size),
            time_in_force=time_in_force,
            post_only=post_only,
        )
        (answer,) = at_once(self.gateway.send([request]))
        if isinstance(answer, VenueError):
            raise answer
        return answer

    def cancel(self, ms: float, order_id: OrderId) -> None:
        self.to(ms)
        at_once(self.gateway.send([CancelRequest(order_id=order_id)]))

    def fills(self, order_id: OrderId | None = None) -> list[tuple[int, int]]:
        """(price, size) of the fills of one order, or of all."""
        return [
            (e.price, e.size)
            for e in self.events
            if isinstance(e, FillEvent) and (order_id is None or e.order_id == order_id)
        ]

    def told(self, order_id: OrderId) -> list[tuple[float, str]]:
        """(ms, what) of all that was told of one order."""
        return [
            ((e.ts_ns - START_NS) / MS, e.kind.value if isinstance(e, OrderEvent) else f"{e.size}@{e.price}")
            for e in self.events
            if isinstance(e, OrderEvent | FillEvent) and e.order_id == order_id
        ]


def resting(price: int = 100, size: int = MIN, ahead: int = 0, **keys: Any) -> tuple[Venue, OrderId]:
    """A buy of ours that rests since 20 ms behind ``ahead``."""
    venue = Venue(**keys)
    venue.book(0, {price: ahead, 90: 5 * BTC} if ahead else {90: 5 * BTC}, {110: 5 * BTC})
    order = venue.place(0, BUY, price, size)
    venue.to(ORDER_MS)
    return venue, order


# --- Group G ----------------------------------------------------------------------------------------------------------


def test_g1_those_ahead_are_served_first() -> None:
    """100 ahead, trade 80: none. Trade 30: 10 of 50. Trade 50: the other 40."""
    unit = MIN
    venue, order = resting(size=50 * unit, ahead=100 * unit)
    got = []
    for ms, size in ((100, 80), (200, 30), (300, 50)):
        venue.trade(ms, (SELL, 100, size * unit))
        got.append(sum(lots for _, lots in venue.fills(order)) // unit)
    assert got == [0, 10, 50]
    assert venue.fills(order) == [(100, 10 * unit), (100, 40 * unit)]


def test_g2_wrong_side_trade_never_fills() -> None:
    """A taker that bought met the asks, not our bid, whatever its price."""
    venue, order = resting()
    for price in (50, 99, 100, 101, 110):
        venue.trade(100, (BUY, price, 10 * BTC))
    assert venue.fills() == []
    assert venue.told(order) == [(ORDER_MS, "registered")]


@pytest.mark.parametrize(("first", "second"), [(100, 100), (101, 100), (100, 101)])
def test_g3_one_trade_fills_two_orders_up_to_its_size(first: int, second: int) -> None:
    venue = Venue()
    venue.book(0, {90: BTC}, {110: BTC})
    orders = [venue.place(0, BUY, first, 3 * MIN), venue.place(1, BUY, second, 3 * MIN)]
    venue.trade(100, (SELL, 100, 4 * MIN))
    assert sum(size for _, size in venue.fills()) == 4 * MIN
    better = orders[0] if first >= second else orders[1]
    assert sum(size for _, size in venue.fills(better)) == 3 * MIN, "the better price first, then first come"


def test_g4_level_deleted_leaves_nobody_ahead_and_fills_nothing() -> None:
    venue, order = resting(ahead=BTC)
    venue.book(100, {90: BTC}, {110: BTC})
    assert venue.fills() == []
    venue.book(200, {100: BTC, 90: BTC}, {110: BTC})
    venue.trade(300, (SELL, 100, MIN))
    assert venue.fills(order) == [(100, MIN)], "who comes back to the level stands behind us"


def test_g5_touch_without_trade_fills_nothing() -> None:
    venue, _ = resting()
    venue.book(100, {90: BTC}, {100: BTC})
    assert venue.fills() == []


def test_g6_trade_strictly_through_fills_at_our_price_up_to_its_size() -> None:
    venue, order = resting(size=3 * MIN, ahead=10 * BTC, print_through=PrintThrough.ALL)
    venue.trade(100, (SELL, 99, 2 * MIN))
    assert venue.fills(order) == [(100, 2 * MIN)], "at our price, not at the print's, and those ahead are gone"
    venue.trade(200, (SELL, 100, 5 * MIN))
    assert venue.fills(order) == [(100, 2 * MIN), (100, MIN)]


def test_g6_trade_strictly_through_serves_those_ahead_first() -> None:
    venue, order = resting(size=3 * MIN, ahead=10 * MIN)
    venue.trade(100, (SELL, 99, 4 * MIN))
    assert venue.fills(order) == []
    venue.trade(200, (SELL, 98, 7 * MIN), (SELL, 97, MIN))
    assert venue.fills(order) == [(100, MIN), (100, MIN)], "at our price, behind the ten ahead"


def test_g6_print_through_two_orders_of_ours_serves_each_queue_once() -> None:
    venue = Venue()
    venue.book(0, {100: 4 * MIN, 99: 2 * MIN}, {110: BTC})
    first, second, third = venue.place(0, BUY, 100), venue.place(0, BUY, 100), venue.place(0, BUY, 99)
    venue.trade(100, (SELL, 98, 8 * MIN))
    assert [venue.fills(order) for order in (first, second, third)] == [[(100, MIN)], [(100, MIN)], []]
    venue.trade(200, (SELL, 98, MIN))
    assert venue.fills(third) == [(99, MIN)], "four and two of ours at 100, two and ours at 99"


# --- others that outbid us


def rivalled(**keys: Any) -> tuple[Venue, OrderId, int]:
    """A buy inside the spread, ahead of a best of 5 MIN, and the ms at which somebody outbids it."""
    venue = Venue(outbid_per_s=Decimal(1), **keys)
    venue.book(0, {90: 5 * MIN}, {110: BTC})
    order = venue.place(0, BUY, 100)
    wait_ns = drawn_ns(waiting_table(1.0), stream_seed(1, OUTBIDS), 1)
    return venue, order, ORDER_MS + wait_ns // MS


def test_quote_inside_the_spread_is_alone_until_somebody_outbids_it() -> None:
    venue, order, outbid_ms = rivalled()
    venue.trade(outbid_ms, (SELL, 90, MIN))
    assert venue.fills(order) == [(100, MIN)]


@pytest.mark.parametrize("price", [100, 90], ids=["at", "through"])
def test_who_outbids_is_served_first_and_is_as_large_as_the_best_that_was_improved(price: int) -> None:
    venue, order, outbid_ms = rivalled()
    venue.trade(outbid_ms + 1, (SELL, price, 5 * MIN))
    assert venue.fills(order) == []
    venue.trade(outbid_ms + 2, (SELL, price, MIN))
    assert venue.fills(order) == [(100, MIN)]


def test_displayed_order_through_the_price_meets_who_outbid_us_first() -> None:
    venue, order, outbid_ms = rivalled()
    venue.book(outbid_ms + 1, {90: 5 * MIN}, {95: 5 * MIN, 110: BTC})
    assert venue.fills(order) == []
    venue.book(outbid_ms + 2, {90: 5 * MIN}, {95: 5 * MIN, 96: MIN, 110: BTC})
    assert venue.fills(order) == [(100, MIN)], "the five at 95 are taken"


def test_nobody_outbids_a_quote_at_the_best_or_behind_it() -> None:
    venue = Venue(outbid_per_s=Decimal(1_000))
    venue.book(0, {90: 5 * MIN}, {110: BTC})
    order = venue.place(0, BUY, 90)
    venue.trade(10_000, (SELL, 90, 6 * MIN))
    assert venue.fills(order) == [(90, MIN)]


def test_waits_until_somebody_outbids_are_exponential() -> None:
    table = waiting_table(0.5)
    waits = [drawn_ns(table, stream_seed(3, OUTBIDS), number) / 10**9 for number in range(1, 4_001)]
    assert statistics.mean(waits) == pytest.approx(2.0, rel=0.05)
    assert statistics.stdev(waits) == pytest.approx(2.0, rel=0.08)
    assert waiting_table(1e-9)[-1] == 86_400 * 10**9


def test_g7_inside_spread_quote_has_nobody_ahead() -> None:
    venue, order = resting(price=100, ahead=0)
    venue.trade(100, (SELL, 100, 1))
    assert venue.fills(order) == [(100, 1)]


def test_g8_cancel_in_latency_window_still_fills() -> None:
    venue, order = resting()
    venue.cancel(100, order)
    venue.trade(100 + CANCEL_MS - 1, (SELL, 100, MIN))
    venue.to(500)
    assert venue.told(order) == [
        (ORDER_MS, "registered"),
        (129, f"{MIN}@100"),
        (130, "cancel_failed"),
    ]


def test_g9_later_messages_change_nothing_that_was_told_before() -> None:
    def run(messages: int) -> list[Event]:
        venue, rng = Venue(order_latency=LatencyConfig(), cancel_latency=LatencyConfig()), random.Random(5)
        orders = []
        for n in range(messages):
            bid = 100 + rng.randrange(10)
            venue.book(n * 50, {bid: rng.randrange(1, 9) * MIN}, {bid + 5: rng.randrange(1, 9) * MIN})
            orders.append(venue.place(n * 50, rng.choice([BUY, SELL]), bid + rng.randrange(6), MIN))
            venue.trade(n * 50 + 20, (rng.choice([BUY, SELL]), bid + rng.randrange(6), rng.randrange(1, 5) * MIN))
            venue.cancel(n * 50 + 30, rng.choice(orders))
        return venue.events

    whole = run(60)
    assert len(whole) > 60
    for messages in range(1, 60, 7):
        part = run(messages)
        assert whole[: len(part)] == part


# --- Arrival ----------------------------------------------------------------------------------------------------------


def test_order_reaches_the_book_one_latency_later() -> None:
    venue = Venue()
    venue.book(0, {90: BTC}, {110: BTC})
    order = venue.place(5, BUY, 100)
    assert venue.gateway.next_deadline_ns == at(25)
    venue.trade(24, (SELL, 100, BTC))
    assert venue.events == [], "it was not there yet"
    venue.trade(25, (SELL, 100, BTC))
    assert venue.told(order) == [(25, "registered"), (25, f"{MIN}@100")]


def test_arrival_meets_the_book_of_that_moment_not_of_the_decision() -> None:
    venue = Venue()
    venue.book(0, {90: BTC}, {110: BTC})
    order = venue.place(0, BUY, 100)
    venue.book(10, {90: BTC}, {95: MIN // 2, 110: BTC})
    venue.book(21, {90: BTC}, {94: BTC})
    assert venue.fills(order)[0] == (95, MIN // 2), "no post-only: it takes, at the displayed price"


def test_book_of_the_very_moment_of_arrival_is_not_seen_yet() -> None:
    venue = Venue()
    venue.book(0, {90: BTC}, {110: BTC})
    order = venue.place(0, BUY, 105, time_in_force=IOC)
    venue.book(ORDER_MS, {90: BTC}, {100: BTC})
    assert venue.told(order) == [(ORDER_MS, "registered"), (ORDER_MS, "expired")]


def test_taking_order_walks_the_displayed_levels_up_to_its_limit() -> None:
    venue = Venue()
    venue.book(0, {90: BTC}, {100: MIN, 101: 2 * MIN, 102: MIN, 103: BTC})
    order = venue.place(0, BUY, 102, 10 * MIN)
    venue.to(100)
    assert venue.fills(order) == [(100, MIN), (101, 2 * MIN), (102, MIN)]
    venue.trade(200, (SELL, 102, BTC))
    assert venue.fills(order)[3:] == [(102, 6 * MIN)], "the rest rests"


def test_rest_of_an_ioc_expires() -> None:
    venue = Venue()
    venue.book(0, {90: BTC}, {100: MIN, 103: BTC})
    order = venue.place(0, BUY, 102, 2 * MIN, IOC)
    venue.trade(100, (SELL, 50, BTC))
    assert venue.told(order) == [(ORDER_MS, "registered"), (ORDER_MS, f"{MIN}@100"), (ORDER_MS, "expired")]


@pytest.mark.parametrize("side", [BUY, SELL])
def test_market_close_in_a_thin_book_leaves_the_rest_unfilled(side: Side) -> None:
    venue = Venue()
    venue.book(0, {90: MIN, 80: MIN}, {100: MIN, 110: MIN})
    order = venue.place(0, side, None, 5 * MIN, IOC)
    venue.to(100)
    prices = [100, 110] if side is BUY else [90, 80]
    assert venue.fills(order) == [(price, MIN) for price in prices]
    assert venue.told(order)[-1] == (ORDER_MS, "expired")


def test_what_was_taken_cannot_be_taken_again() -> None:
    venue = Venue()
    venue.book(0, {90: BTC}, {100: 3 * MIN, 110: BTC})
    for ms in (0, 1):
        venue.place(ms, BUY, 100, 2 * MIN, IOC)
    venue.to(50)
    assert venue.fills() == [(100, 2 * MIN), (100, MIN)]


@pytest.mark.parametrize(
    ("shown", "takeable"),
    [
        pytest.param([3, 2], 0, id="shrunk: what is left may be just what we took"),
        pytest.param([3, 1, 2], 1, id="shrunk and grown: the growth is new"),
        pytest.param([3, 4], 1, id="grown"),
        pytest.param([3, 0, 3], 3, id="gone and back: all of it is new"),
        pytest.param([3, 3], 0, id="the same"),
    ],
)
def test_only_growth_of_a_level_can_be_taken_after_it_was_taken_whole(shown: list[int], takeable: int) -> None:
    venue = Venue()
    for n, size in enumerate(shown):
        venue.book(100 * n, {90: BTC}, {100: size * MIN, 110: BTC} if size else {110: BTC})
        if not n:
            venue.place(0, BUY, 100, 3 * MIN, IOC)
    order = venue.place(1_000, BUY, 100, 9 * MIN, IOC)
    venue.to(1_100)
    assert sum(size for _, size in venue.fills(order)) == takeable * MIN


def test_memory_of_taken_levels_ends_with_the_levels() -> None:
    venue = Venue()
    for n in range(200):
        venue.book(100 * n, {90: BTC}, {100 + n: MIN, 1_000: BTC})
        venue.place(100 * n, BUY, 100 + n, MIN, IOC)
    venue.to(30_000)
    assert len(venue.fills()) == 200
    assert len(venue.gateway._taken) <= 1
    assert venue.gateway._orders == {}
    assert venue.gateway._due == []


# --- An unknown book, a venue that does not run -----------------------------------------------------------------------


@pytest.mark.parametrize("price", [None, 1_000], ids=["market", "limit"])
def test_unknown_book_fills_nothing(price: int | None) -> None:
    venue = Venue()
    venue.book(0, {90: BTC}, {100: BTC})
    venue.no_book(1)
    order = venue.place(2, BUY, price, MIN, IOC)
    venue.to(100)
    assert venue.told(order)[1:] == [(2 + ORDER_MS, "expired")]


def test_order_that_came_on_an_unknown_book_has_no_place_before_it_is_known() -> None:
    venue = Venue()
    order = venue.place(0, BUY, 100)
    venue.trade(100, (SELL, 100, BTC), (SELL, 99, BTC))
    assert venue.fills() == []
    venue.book(200, {100: MIN, 90: BTC}, {110: BTC})
    venue.trade(300, (SELL, 100, MIN))
    assert venue.fills() == []
    venue.trade(400, (SELL, 100, MIN))
    assert venue.fills(order) == [(100, MIN)]


def test_prints_go_on_filling_while_the_book_is_unknown() -> None:
    venue, order = resting()
    venue.no_book(100)
    venue.trade(200, (SELL, 100, MIN))
    assert venue.fills(order) == [(100, MIN)]


def test_auction_prints_fill_nothing() -> None:
    venue, _ = resting()
    venue.trade(100, (None, 50, BTC))
    assert venue.fills() == []


def test_order_in_flight_is_refused_when_the_board_stops() -> None:
    venue = Venue()
    venue.book(0, {90: BTC}, {100: BTC})
    venue.status(0, BoardState.RUNNING)
    order = venue.place(0, BUY, None, MIN, IOC)
    venue.status(10, BoardState.CIRCUIT_BREAK)
    venue.to(100)
    assert venue.told(order) == [(ORDER_MS, "rejected")]


def test_board_that_is_not_running_matches_no_displayed_orders() -> None:
    """Orders cross in the book of an auction and do not trade."""
    venue, order = resting()
    venue.status(50, BoardState.PREOPEN)
    venue.book(100, {90: BTC}, {95: BTC})
    assert venue.fills() == []
    venue.status(200, BoardState.RUNNING)
    venue.book(300, {90: BTC}, {95: BTC})
    assert venue.fills(order) == [(100, MIN)]


# --- Refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "size", "state", "code"),
    [
        (100, MIN - 1, BoardState.RUNNING, -110),
        (None, MIN - 1, BoardState.RUNNING, -110),
        (0, MIN, BoardState.RUNNING, -106),
        (-5, MIN, BoardState.RUNNING, -106),
        *((100, MIN, state, -204) for state in BoardState if state not in (BoardState.RUNNING, BoardState.UNKNOWN)),
    ],
)
def test_refusals_of_the_venue(price: int | None, size: int, state: BoardState, code: int) -> None:
    venue = Venue()
    venue.status(0, state)
    with pytest.raises(Rejected) as caught:
        venue.place(1, BUY, price, size)
    assert caught.value.code == code
    venue.to(1_000)
    assert venue.events == []


@pytest.mark.parametrize(
    ("side", "price", "refused"),
    [
        (SELL, 100, True),
        (SELL, 99, True),
        (SELL, None, True),
        (SELL, 101, False),
        (BUY, 100, False),
        (BUY, None, False),
    ],
)
def test_order_that_would_meet_one_of_ours_is_refused_and_the_resting_one_stays(
    side: Side, price: int | None, refused: bool
) -> None:
    venue, mine = resting()
    order = venue.place(100, side, price, MIN, IOC)
    venue.to(200)
    first = venue.told(order)[0]
    assert first == (120, "rejected" if refused else "registered")
    if refused:
        detail = next(e.detail for e in venue.events if isinstance(e, OrderEvent) and e.order_id == order)
        assert "-159" in detail
        assert venue.fills(order) == []
    venue.trade(300, (SELL, 100, MIN))
    assert venue.fills(mine) == [(100, MIN)]


def test_close_passes_once_the_quote_is_cancelled() -> None:
    venue, mine = resting()
    venue.cancel(100, mine)
    venue.to(130)
    order = venue.place(130, SELL, None, MIN, IOC)
    venue.to(200)
    assert venue.fills(order) == [(90, MIN)]


# --- Resting ----------------------------------------------------------------------------------------------------------


def test_displayed_order_through_ours_comes_to_us_at_our_price() -> None:
    venue, order = resting(size=3 * MIN)
    venue.book(100, {90: BTC}, {99: 2 * MIN, 110: BTC})
    assert venue.fills(order) == [(100, 2 * MIN)]
    venue.book(200, {90: BTC}, {99: 2 * MIN, 110: BTC})
    assert venue.fills(order) == [(100, 2 * MIN)], "the same two lots are still displayed: they were ours"


@pytest.mark.parametrize("prices", [(100, 104), (104, 100)])
def test_displayed_order_through_two_of_ours_goes_to_the_better_price(prices: tuple[int, int]) -> None:
    venue = Venue()
    venue.book(0, {90: BTC}, {110: BTC})
    orders = {price: venue.place(n, BUY, price) for n, price in enumerate(prices)}
    venue.book(100, {90: BTC}, {95: MIN})
    assert venue.fills() == venue.fills(orders[104]) == [(104, MIN)]


def test_first_come_first_served_at_one_price() -> None:
    venue = Venue()
    venue.book(0, {100: BTC}, {110: BTC})
    first = venue.place(0, BUY, 100)
    venue.book(50, {100: 2 * BTC}, {110: BTC})
    second = venue.place(50, BUY, 100)
    venue.trade(100, (SELL, 100, BTC + MIN // 2))
    assert (venue.fills(first), venue.fills(second)) == ([(100, MIN // 2)], [])
    venue.trade(200, (SELL, 100, MIN // 2))
    assert (venue.fills(first)[1:], venue.fills(second)) == ([(100, MIN // 2)], [])
    venue.trade(300, (SELL, 100, BTC))
    assert venue.fills(second) == [], "the lot that joined between us"
    venue.trade(400, (SELL, 100, 1))
    assert venue.fills(second) == [(100, 1)]


@pytest.mark.parametrize(("share", "ahead"), [("0", 80), ("0.5", 60), ("1", 40)])
def test_configured_share_of_cancels_is_ahead(share: str, ahead: int) -> None:
    venue, order = resting(ahead=80 * MIN, size=MIN, queue_cancel_share=share)
    venue.book(100, {100: 120 * MIN}, {110: BTC})
    venue.book(200, {100: 80 * MIN}, {110: BTC})
    venue.trade(300, (SELL, 100, ahead * MIN))
    assert venue.fills() == []
    venue.trade(301, (SELL, 100, MIN))
    assert venue.fills(order) == [(100, MIN)]


def test_decrease_that_a_print_explains_is_no_cancel() -> None:
    venue, order = resting(ahead=80 * MIN)
    venue.trade(100, (SELL, 100, 40 * MIN))
    venue.book(200, {100: 40 * MIN}, {110: BTC})
    venue.trade(300, (SELL, 100, 40 * MIN))
    assert venue.fills() == [], "40 served, 40 to serve; not 20"
    venue.trade(301, (SELL, 100, MIN))
    assert venue.fills(order) == [(100, MIN)]


def test_print_that_was_long_ago_explains_no_decrease() -> None:
    venue, order = resting(ahead=80 * MIN)
    venue.trade(100, (SELL, 100, 10 * MIN))
    venue.book(150, {100: 90 * MIN}, {110: BTC})
    venue.book(2_000, {100: 70 * MIN}, {110: BTC})
    venue.trade(2_100, (SELL, 100, 60 * MIN))
    assert venue.fills() == []
    venue.trade(2_101, (SELL, 100, MIN))
    assert venue.fills(order) == [(100, MIN)], "70 ahead, then half of 20 cancelled"


def test_order_ends_after_a_minute() -> None:
    venue, order = resting()
    venue.to(100_000)
    assert venue.told(order)[-1] == (ORDER_MS + 60_000, "expired")


def test_many_prints_in_one_message_are_matched_in_order() -> None:
    venue, order = resting(size=3 * MIN)
    venue.trade(100, (SELL, 100, MIN), (BUY, 110, BTC), (SELL, 99, MIN), (SELL, 100, 5 * MIN))
    assert venue.fills(order) == [(100, MIN)] * 3


# --- Cancels ----------------------------------------------------------------------------------------------------------


def test_cancel_takes_effect_one_latency_later() -> None:
    venue, order = resting(size=2 * MIN)
    venue.cancel(100, order)
    venue.trade(120, (SELL, 100, MIN))
    venue.trade(130, (SELL, 100, MIN))
    assert venue.told(order)[1:] == [(120, f"{MIN}@100"), (130, "cancelled")]


def test_cancel_never_arrives_before_its_order() -> None:
    venue = Venue(order_latency=constant(500))
    venue.book(0, {90: BTC}, {110: BTC})
    order = venue.place(0, BUY, 100)
    venue.cancel(1, order)
    venue.to(1_000)
    assert venue.told(order) == [(500, "registered"), (500, "cancelled")]


def test_cancel_of_what_is_gone_or_never_was_fails() -> None:
    venue, order = resting()
    for _ in range(2):
        venue.cancel(100, order)
    venue.cancel(100, OrderId("nobody's"))
    venue.to(200)
    assert [what for _, what in venue.told(order)] == ["registered", "cancelled", "cancel_failed"]
    assert [what for _, what in venue.told(OrderId("nobody's"))] == ["cancel_failed"]


# --- Money ------------------------------------------------------------------------------------------------------------


def fees(venue: Venue) -> list[int]:
    return [e.fee for e in venue.events if isinstance(e, FillEvent)]


def test_maker_and_taker_pay_their_own_rates() -> None:
    venue, _ = resting(size=2 * MIN, maker_fee="-0.0001", taker_fee="0.0002")
    venue.trade(100, (SELL, 100, MIN))
    venue.book(200, {90: BTC}, {99: MIN})
    venue.place(300, SELL, None, MIN, IOC)
    venue.to(400)
    assert venue.fills() == [(100, MIN), (100, MIN), (90, MIN)]
    assert fees(venue) == [-1_000, -1_000, 1_800]


def test_fee_is_rounded_against_us() -> None:
    for rate, expected in (("0.001", 34), ("-0.001", -33)):
        venue, _ = resting(maker_fee=rate)
        venue.trade(100, (SELL, 100, 333))
        assert fees(venue) == [expected]


@pytest.mark.parametrize(
    ("side", "rate", "amount"),
    [
        pytest.param(BUY, "0.0001", -Fraction(95, 10_000), id="long pays a positive rate"),
        pytest.param(SELL, "0.0001", Fraction(95, 10_000), id="short receives it"),
        pytest.param(BUY, "-0.0001", Fraction(95, 10_000), id="long receives a negative one"),
        pytest.param(SELL, "-0.0001", -Fraction(95, 10_000), id="short pays it"),
    ],
)
def test_funding_is_position_times_mid_times_rate(side: Side, rate: str, amount: Fraction) -> None:
    venue = Venue(funding_rate=rate, funding_times=("09:01",))
    venue.book(0, {90: BTC}, {100: BTC})
    venue.place(0, side, None, 3 * MIN, IOC)
    venue.to(59_999)
    assert not any(isinstance(e, FundingEvent) for e in venue.events)
    assert venue.gateway.next_deadline_ns == at(60_000)
    venue.to(60_000)
    (event,) = [e for e in venue.events if isinstance(e, FundingEvent)]
    assert (event.ts_ns, Fraction(event.amount)) == (at(60_000), amount * 3 * MIN)
    venue.to(120_000)
    assert sum(isinstance(e, FundingEvent) for e in venue.events) == 1, "and the next one tomorrow"


def test_funding_is_rounded_against_us_and_flat_pays_none() -> None:
    amounts = {}
    for side in Side:
        venue = Venue(funding_rate="0.0001", funding_times=("09:01", "09:02", "09:03"))
        venue.book(0, {90: BTC}, {101: BTC})
        venue.to(60_000)
        venue.place(61_000, side, None, MIN + 1, IOC)
        venue.to(120_000)
        venue.place(130_000, side.opposite, None, MIN + 1, IOC)
        venue.to(200_000)
        (event,) = [e for e in venue.events if isinstance(e, FundingEvent)]
        amounts[side] = event.amount
    exact = Fraction(191, 2) * (MIN + 1) / 10_000
    assert exact.denominator != 1
    assert amounts == {BUY: -(int(exact) + 1), SELL: int(exact)}


# --- Latency ----------------------------------------------------------------------------------------------------------


def draws(kind: LatencyKind, median: str, spread: str, *, seed: int = 1, count: int = 20_000) -> list[float]:
    cfg = LatencyConfig(kind=kind, median_ms=Decimal(median), spread_ms=Decimal(spread))
    latency = Latency(cfg, seed, ORDERS)
    return [latency.draw_ns(START_NS) / MS for _ in range(count)]


def test_constant_latency_is_constant() -> None:
    assert set(draws(LatencyKind.CONSTANT, "12.5", "99", count=100)) == {12.5}


def test_uniform_latency_fills_its_range() -> None:
    sample = draws(LatencyKind.UNIFORM, "100", "40")
    assert 60 <= min(sample) < 61
    assert 139 < max(sample) <= 140
    assert statistics.median(sample) == pytest.approx(100, abs=1)


def test_lognormal_latency_has_its_median_and_95th_percentile() -> None:
    sample = sorted(draws(LatencyKind.LOGNORMAL, "100", "60"))
    assert statistics.median(sample) == pytest.approx(100, rel=0.02)
    assert sample[int(0.95 * len(sample))] == pytest.approx(160, rel=0.03)
    assert sample[0] > 0


@pytest.mark.parametrize(("median", "spread", "value"), [("0", "60", 0), ("100", "0", 100)])
def test_lognormal_latency_without_median_or_spread_is_constant(median: str, spread: str, value: int) -> None:
    assert set(draws(LatencyKind.LOGNORMAL, median, spread, count=100)) == {value}


def test_same_seed_same_latencies_another_seed_others() -> None:
    one, same, other = (draws(LatencyKind.LOGNORMAL, "100", "60", seed=seed, count=100) for seed in (1, 1, 2))
    assert one == same
    assert one != other


@pytest.mark.parametrize("key", ["order_latency", "cancel_latency"])
def test_venue_draws_from_its_seed(key: str) -> None:
    def ends(seed: int) -> list[tuple[float, str]]:
        keys: dict[str, Any] = {key: LatencyConfig()}
        venue = Venue(seed=seed, **keys)
        venue.book(0, {90: BTC}, {110: BTC})
        orders = [venue.place(0, BUY, 100 - n) for n in range(5)]
        for order in orders:
            venue.cancel(500, order)
        venue.to(5_000)
        return [told for order in orders for told in venue.told(order)]

    assert ends(1) == ends(1) != ends(2)


# --- A venue with other rules -----------------------------------------------------------------------------------------


def test_where_self_trades_are_not_refused_the_resting_order_ends_and_the_new_one_goes_on() -> None:
    venue = Venue(rules=OTHER_RULES)
    venue.book(0, {90: BTC}, {110: BTC})
    resting = venue.place(0, BUY, 100)
    passed = venue.place(100, BUY, 95)
    close = venue.place(200, SELL, 96, 2 * MIN, IOC)
    venue.to(1_000)
    assert venue.told(resting)[-1][1] == K.CANCELLED
    assert venue.told(passed)[-1][1] == K.REGISTERED
    assert venue.told(close)[-1][1] == K.EXPIRED, "nobody else bids as much"


@pytest.mark.parametrize(("price", "kind"), [(109, K.REGISTERED), (110, K.CANCELLED)])
def test_a_post_only_order_that_would_take_ends(price: int, kind: OrderEventKind) -> None:
    venue = Venue(rules=OTHER_RULES)
    venue.book(0, {90: BTC}, {110: BTC})
    order = venue.place(0, BUY, price, post_only=True)
    venue.to(1_000)
    assert venue.told(order)[-1][1] == kind
    assert not venue.fills(order)


def test_where_names_are_ours_the_venues_id_is_our_name_and_orders_live_as_long_as_it_says() -> None:
    venue = Venue(rules=OTHER_RULES)
    venue.book(0, {90: BTC}, {110: BTC})
    order = venue.place(0, BUY, 100)
    assert order == "n1"
    venue.to(ORDER_MS + 299_999)
    assert venue.told(order)[-1][1] == K.REGISTERED
    venue.to(ORDER_MS + 300_000)
    assert venue.told(order)[-1][1] == K.EXPIRED


# --- As the executor's gateway ----------------------------------------------------------------------------------------


async def test_executor_and_paper_venue_speak_the_same_protocol() -> None:
    venue = Venue()
    venue.book(0, {90: BTC}, {110: BTC})
    executor = OrderExecutor(venue.gateway, venue.events.append, venue.clock.now_ns)
    quotes = [
        PlaceLimit(
            client_order_id=ClientOrderId(name),
            side=side,
            price=Ticks(price),
            size=Lots(size),
            ttl_ms=800,
            tag="stall",
            reason=Reason.STRIKE,
        )
        for name, side, price, size in (("b", BUY, 99, MIN), ("a", SELL, 101, MIN), ("c", BUY, 98, 1))
    ]
    await executor.execute(quotes)
    kinds = [(e.client_order_id, e.kind) for e in venue.events if isinstance(e, OrderEvent)]
    assert kinds == [("b", K.ACCEPTED), ("a", K.ACCEPTED), ("c", K.REJECTED)]


# --- Any market, any orders -------------------------------------------------------------------------------------------


@dataclass
class Mine:
    """What the test knows of an order."""

    side: Side
    price: int | None
    size: int
    time_in_force: TimeInForce
    filled: int = 0
    registered: bool = False
    ended: str = ""
    at_price_prints: int = 0
    """Lots printed at its price, or through it, by takers of the other side, since it was registered."""
    at_price_fills: int = 0


class AnyMarket(RuleBasedStateMachine):
    """Random books, prints and orders; every fill is held against what the market showed in that very moment."""

    def __init__(self) -> None:
        super().__init__()
        self.venue = Venue(
            order_latency=LatencyConfig(kind=LatencyKind.UNIFORM, median_ms=Decimal(40), spread_ms=Decimal(40)),
            cancel_latency=LatencyConfig(kind=LatencyKind.UNIFORM, median_ms=Decimal(40), spread_ms=Decimal(40)),
        )
        self.ms: float = 0
        self.mine: dict[OrderId, Mine] = {}
        self.seen = 0
        self.shown: Book | None = None
        self.position = 0

    @initialize()
    def first_book(self) -> None:
        self.show({90: 5, 95: 2}, {105: 2, 110: 5})

    # --- rules

    @rule(pause=st.sampled_from([0, 5, 30, 100, 1_500, 70_000]))
    def wait(self, pause: float) -> None:
        self.ms += pause
        self.venue.to(self.ms)
        self.check()

    sizes = st.dictionaries(st.integers(88, 104), st.integers(1, 6), max_size=4)

    @rule(bids=sizes, gap=st.integers(1, 8), asks=st.dictionaries(st.integers(0, 8), st.integers(1, 6), max_size=4))
    def book_changes(self, bids: dict[int, int], gap: int, asks: dict[int, int]) -> None:
        best = max(bids, default=95)
        self.show(bids, {best + gap + distance: size for distance, size in asks.items()})

    def show(self, bids: dict[int, int], asks: dict[int, int]) -> None:
        # What is due is done on the book before this one.
        self.venue.to(self.ms)
        self.check()
        new = Book({p: s * MIN for p, s in bids.items()}, {p: s * MIN for p, s in asks.items()})
        self.shown = new
        self.venue.book(self.ms, new.sides[BUY], new.sides[SELL])
        self.check(cause="book")

    @rule()
    def book_is_lost(self) -> None:
        self.venue.to(self.ms)
        self.check()
        self.shown = None
        self.venue.no_book(self.ms)
        self.check()

    @rule(taker=st.sampled_from(Side), price=st.integers(86, 114), size=st.integers(1, 8))
    def somebody_trades(self, taker: Side, price: int, size: int) -> None:
        self.venue.to(self.ms)
        self.check()
        for mine in self.mine.values():
            through = mine.price is not None and (mine.price - price) * mine.side.sign >= 0
            if mine.registered and not mine.ended and mine.side is not taker and through:
                mine.at_price_prints += size * MIN
        before = self.seen
        self.venue.trade(self.ms, (taker, price, size * MIN))
        self.check(cause="print", printed=(taker, price, size * MIN))
        got = sum(e.size for e in self.venue.events[before:] if isinstance(e, FillEvent))
        assert got <= size * MIN, "more than was traded"

    @precondition(lambda self: len([m for m in self.mine.values() if not m.ended]) < 6)
    @rule(
        side=st.sampled_from(Side),
        price=st.one_of(st.integers(88, 112), st.integers(96, 104)),
        size=st.integers(1, 6),
        how=st.sampled_from(["rest", "rest", "rest", "ioc", "market"]),
    )
    def order(self, side: Side, price: int, size: int, how: str) -> None:
        limit = None if how == "market" else price
        time_in_force = GTC if how == "rest" else IOC
        order_id = self.venue.place(self.ms, side, limit, size * MIN, time_in_force)
        assert order_id not in self.mine
        self.mine[order_id] = Mine(side, limit, size * MIN, time_in_force)
        self.check()

    @precondition(lambda self: self.mine)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.venue.cancel(self.ms, data.draw(st.sampled_from(list(self.mine))))
        self.check()

    # --- what holds for every fill

    def check(self, cause: str = "arrival", printed: tuple[Side, int, int] = (BUY, 0, 0)) -> None:
        """Look at all that was told since the last look, for one of three causes."""
        events = self.venue.events[self.seen :]
        self.seen = len(self.venue.events)
        taken: dict[Side, int] = {BUY: 0, SELL: 0}
        for event in events:
            assert isinstance(event, OrderEvent | FillEvent)
            assert event.order_id is not None
            mine = self.mine[event.order_id]
            if isinstance(event, OrderEvent):
                self.told(mine, event.kind)
                continue
            assert event.side is mine.side
            assert mine.registered
            assert not mine.ended, "filled after its end"
            mine.filled += event.size
            self.position += event.size * event.side.sign
            assert mine.filled <= mine.size
            if cause == "print":
                self.filled_by_print(event.order_id, mine, event, printed)
            else:
                taken[event.side.opposite] += event.size
                self.filled_by_book(mine, event, cause)
            if mine.filled == mine.size:
                mine.ended = "filled"
        for side, lots in taken.items():
            assert not lots or (self.shown and lots <= sum(self.shown.sides[side].values())), "more than displayed"

    def told(self, mine: Mine, kind: OrderEventKind) -> None:
        if kind is K.CANCEL_FAILED:
            assert mine.ended
        elif kind is K.REGISTERED:
            assert not mine.registered
            mine.registered = True
        else:
            assert kind in (K.CANCELLED, K.EXPIRED, K.REJECTED)
            assert not mine.ended
            mine.ended = kind

    def filled_by_print(self, order_id: OrderId, mine: Mine, event: FillEvent, printed: tuple[Side, int, int]) -> None:
        taker, price, _ = printed
        assert event.price == mine.price, "a resting order is filled at its own price"
        assert mine.side is not taker
        assert (event.price - price) * mine.side.sign >= 0, "the print was not at, or through, our price"
        mine.at_price_fills += event.size
        assert mine.at_price_fills <= mine.at_price_prints
        for other_id, other in self.mine.items():
            if other.ended or not other.registered or other.side is not mine.side or other.price is None:
                continue
            better = (other.price - event.price) * mine.side.sign
            resting = self.venue.gateway._resting
            order = [r.order_id for r in resting]
            first = other_id in order and order_id in order and order.index(other_id) < order.index(order_id)
            known = next((r.queue for r in resting if r.order_id == other_id), None) is not None
            assert not (known and (better > 0 or (better == 0 and first))), "another order of ours was first"

    def filled_by_book(self, mine: Mine, event: FillEvent, cause: str) -> None:
        assert self.shown is not None, "an unknown book fills nothing"
        displayed = self.shown.sides[mine.side.opposite]
        if cause == "arrival":
            assert event.price in displayed, "who takes is filled at displayed prices"
            assert event.size <= displayed[event.price]
            assert mine.price is None or (mine.price - event.price) * mine.side.sign >= 0, "and within the limit"
        else:
            assert event.price == mine.price, "who rests is filled at the own price"
            assert any((event.price - price) * mine.side.sign > 0 for price in displayed), "if it is priced through"

    @invariant()
    def no_more_is_ever_taken_of_a_level_than_it_offered(self) -> None:
        for (side, price), lots in self.venue.gateway._taken.items():
            if self.shown is not None:
                assert lots <= self.shown.sides[side].get(price, 0)

    @invariant()
    def position_is_the_sum_of_fills(self) -> None:
        if self.seen == len(self.venue.events):
            assert self.venue.gateway._position == self.position

    @invariant()
    def nothing_rests_that_ended_and_no_two_of_ours_cross(self) -> None:
        resting = self.venue.gateway._resting
        assert all(not self.mine[r.order_id].ended for r in resting)
        bids = [r.request.price or 0 for r in resting if r.request.side is BUY]
        asks = [r.request.price or 0 for r in resting if r.request.side is SELL]
        assert not bids or not asks or max(bids) < min(asks)

    def teardown(self) -> None:
        """Two minutes later nothing is left: every order has an end, and nothing is remembered."""
        self.ms += 130_000
        self.venue.to(self.ms)
        self.check()
        assert all(mine.ended for mine in self.mine.values())
        gateway = self.venue.gateway
        assert (gateway._orders, gateway._resting, gateway._due) == ({}, [], [])


TestAnyMarket = AnyMarket.TestCase
TestAnyMarket.settings = properties(150, steps=50)


@properties(150)
@given(
    steps=st.lists(st.tuples(st.sampled_from(["grow", "shrink", "take"]), st.integers(1, 5)), max_size=40),
    first=st.integers(1, 8),
)
def test_all_that_is_ever_taken_of_a_level_is_no_more_than_it_ever_offered(
    steps: list[tuple[str, int]], first: int
) -> None:
    """First size and every growth since, however often it shrank between."""
    venue, size, offered = Venue(), first, first
    venue.book(0, {90: BTC}, {100: first * MIN, 500: BTC})
    for n, (what, by) in enumerate(steps, 1):
        if what == "take":
            venue.place(n * 100, BUY, 100, by * MIN, IOC)
        else:
            size = size + by if what == "grow" else max(1, size - by)
            offered += by if what == "grow" else 0
            venue.book(n * 100, {90: BTC}, {100: size * MIN, 500: BTC})
    venue.to(len(steps) * 100 + 1_000)
    assert sum(lots for _, lots in venue.fills()) <= offered * MIN
