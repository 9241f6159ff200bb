"""Price-time priority, conservation and the times in force, by examples and against a naive model."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stall_then_strike.sim.exchange.book_side import Order, Owner
from stall_then_strike.sim.exchange.matching import Fate, MatchingEngine, Referee, Ruling, Submitted, Trade
from stall_then_strike.types.dto import OrderId, Side, TimeInForce
from stall_then_strike.types.instrument import Lots, Ticks

BUY, SELL = Side.BUY, Side.SELL
GTC, IOC, FOK = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK
ME = Owner("me")


def send(
    engine: MatchingEngine,
    name: str,
    side: Side,
    size: int,
    price: int | None = None,
    tif: TimeInForce = GTC,
    expires_ns: int | None = None,
    referee: Referee | None = None,
) -> Submitted:
    return engine.submit(
        order_id=OrderId(name),
        owner=ME,
        side=side,
        size=Lots(size),
        price=None if price is None else Ticks(price),
        time_in_force=tif,
        expires_ns=expires_ns,
        referee=referee,
    )


def asks_of(*levels: tuple[str, int, int]) -> MatchingEngine:
    """An engine with sell orders (name, price, size)."""
    engine = MatchingEngine()
    for name, price, size in levels:
        assert send(engine, name, SELL, size, price).fate is Fate.RESTING
    return engine


def test_taker_pays_best_price_first_and_oldest_order_first() -> None:
    engine = asks_of(("far", 102, 5), ("old", 101, 5), ("new", 101, 5))
    outcome = send(engine, "taker", BUY, 12, 102)
    assert [(t.maker_id, t.price, t.size) for t in outcome.trades] == [
        ("old", 101, 5),
        ("new", 101, 5),
        ("far", 102, 2),
    ]
    assert outcome.fate is Fate.FILLED
    assert [t.taker_remaining for t in outcome.trades] == [7, 2, 0]
    assert engine.depth(SELL) == [(102, 3)]


def test_rest_of_a_limit_order_rests_at_its_own_price() -> None:
    engine = asks_of(("a", 101, 5))
    outcome = send(engine, "taker", BUY, 8, 105)
    assert (outcome.fate, outcome.remaining) == (Fate.RESTING, 3)
    assert outcome.trades[0].price == 101
    assert engine.depth(BUY) == [(105, 3)]
    assert engine.best(SELL) is None


@pytest.mark.parametrize(
    ("price", "tif", "size", "fate", "traded", "remaining"),
    [
        (101, IOC, 5, Fate.FILLED, 5, 0),
        (101, IOC, 9, Fate.EXPIRED, 5, 4),
        (100, IOC, 5, Fate.EXPIRED, 0, 5),
        (102, FOK, 10, Fate.FILLED, 10, 0),
        (102, FOK, 11, Fate.EXPIRED, 0, 11),
        (101, FOK, 6, Fate.EXPIRED, 0, 6),
        (None, GTC, 7, Fate.FILLED, 7, 0),
        (None, GTC, 11, Fate.EXPIRED, 10, 1),
        (None, FOK, 11, Fate.EXPIRED, 0, 11),
    ],
)
def test_ioc_fok_and_market_never_rest(
    price: int | None, tif: TimeInForce, size: int, fate: Fate, traded: int, remaining: int
) -> None:
    engine = asks_of(("a", 101, 5), ("b", 102, 5))
    outcome = send(engine, "taker", BUY, size, price, tif)
    assert (outcome.fate, sum(t.size for t in outcome.trades), outcome.remaining) == (fate, traded, remaining)
    assert engine.best(BUY) is None
    assert engine.total(SELL) == 10 - traded


def test_market_order_into_an_empty_side_expires_whole() -> None:
    outcome = send(MatchingEngine(), "m", SELL, 5)
    assert (outcome.fate, outcome.trades, outcome.remaining) == (Fate.EXPIRED, (), 5)


def test_cancel_returns_the_order_as_it_stood_and_none_for_what_does_not_rest() -> None:
    engine = asks_of(("a", 101, 5))
    send(engine, "taker", BUY, 2, 101)
    order = engine.cancel(OrderId("a"))
    assert order is not None
    assert (order.remaining, order.size, order.owner) == (3, 5, ME)
    assert engine.cancel(OrderId("a")) is None
    assert engine.best(SELL) is None


def test_expiry_takes_due_orders_in_the_order_of_their_times() -> None:
    engine = MatchingEngine()
    send(engine, "late", BUY, 5, 100, expires_ns=30)
    send(engine, "soon", BUY, 5, 99, expires_ns=10)
    send(engine, "ever", BUY, 5, 98)
    assert engine.next_expiry_ns() == 10
    assert engine.expire(9) == []
    assert [o.order_id for o in engine.expire(30)] == ["soon", "late"]
    assert engine.next_expiry_ns() is None
    assert engine.depth(BUY) == [(98, 5)]


def test_expiry_of_a_filled_order_does_not_touch_a_later_one_of_the_same_name() -> None:
    engine = MatchingEngine()
    send(engine, "x", BUY, 5, 100, expires_ns=10)
    send(engine, "taker", SELL, 5, 100)
    send(engine, "x", BUY, 5, 100, expires_ns=50)
    assert engine.expire(20) == []
    assert OrderId("x") in engine


def test_changes_are_absolute_sizes_with_zero_for_a_level_that_is_gone() -> None:
    engine = asks_of(("a", 101, 5), ("b", 102, 5))
    send(engine, "c", BUY, 4, 99)
    assert engine.drain_changes() == ([(99, 4)], [(101, 5), (102, 5)])
    send(engine, "taker", BUY, 7, 102)
    assert engine.drain_changes() == ([], [(101, 0), (102, 3)])
    assert engine.drain_changes() == ([], [])


@pytest.mark.parametrize(("size", "price"), [(0, 100), (-1, 100), (1, 0), (1, -5)])
def test_sizes_and_prices_that_are_not_positive_are_refused(size: int, price: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        send(MatchingEngine(), "x", BUY, size, price)


def test_a_name_that_rests_is_refused() -> None:
    engine = asks_of(("a", 101, 5))
    with pytest.raises(ValueError, match="already rests"):
        send(engine, "a", SELL, 1, 105)


class Scripted:
    """A referee that rules as it was told, maker by maker."""

    def __init__(self, **rulings: Ruling) -> None:
        self.rulings = rulings
        self.settled: list[tuple[str, int]] = []
        self.left: list[tuple[str, int]] = []

    def rule(self, maker: Order, lots: Lots) -> Ruling:
        lots_allowed, *flags = self.rulings.get(maker.order_id, Ruling(lots))
        return Ruling(min(lots, lots_allowed), *flags)

    def settle(self, trade: Trade) -> None:
        self.settled.append((trade.maker_id, trade.size))

    def dropped(self, maker: Order) -> None:
        self.left.append((maker.order_id, maker.remaining))


@pytest.mark.parametrize(
    ("ruling", "trades", "left", "depth", "fate", "remaining"),
    [
        (Ruling(5), [("a", 5), ("b", 5)], [], [(102, 2)], Fate.FILLED, 0),
        (Ruling(0), [], [], [(101, 5), (102, 7)], Fate.EXPIRED, 10),
        (Ruling(0, drops_maker=True), [("b", 7)], [("a", 5)], [], Fate.RESTING, 3),
        (Ruling(2, drops_maker=True), [("a", 2), ("b", 7)], [("a", 3)], [], Fate.RESTING, 1),
        (Ruling(5, is_void=True), [("b", 5)], [("a", 5)], [(102, 2)], Fate.FILLED, 0),
    ],
    ids=["all", "stop", "drop", "part, then drop", "void"],
)
def test_a_referee_rules_each_match(
    ruling: Ruling,
    trades: list[tuple[str, int]],
    left: list[tuple[str, int]],
    depth: list[tuple[int, int]],
    fate: Fate,
    remaining: int,
) -> None:
    engine, referee = asks_of(("a", 101, 5), ("b", 102, 7)), Scripted(a=ruling)
    outcome = send(engine, "taker", BUY, 10, 102, referee=referee)
    assert referee.settled == trades == [(t.maker_id, t.size) for t in outcome.trades]
    assert referee.left == left
    assert engine.depth(SELL) == depth
    assert (outcome.fate, outcome.remaining) == (fate, remaining)
    assert engine.depth(BUY) == ([(102, remaining)] if fate is Fate.RESTING else [])


def test_void_lots_leave_the_rest_of_a_larger_maker() -> None:
    engine, referee = asks_of(("a", 101, 5)), Scripted(a=Ruling(5, is_void=True))
    outcome = send(engine, "taker", BUY, 2, 101, referee=referee)
    assert (outcome.fate, outcome.trades, engine.depth(SELL)) == (Fate.FILLED, (), [(101, 3)])
    assert referee.left == []


def test_a_referee_that_allows_everything_changes_nothing() -> None:
    outcomes = [
        send(asks_of(("a", 101, 5), ("b", 102, 7)), "taker", BUY, 9, 102, referee=referee)
        for referee in (None, Scripted())
    ]
    assert outcomes[0] == outcomes[1]


@dataclass
class NaiveOrder:
    name: str
    side: Side
    price: int
    remaining: int
    expires_ns: int | None


class AgainstNaiveModel(RuleBasedStateMachine):
    """The same orders go into the engine and into a list that is searched from the front."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = MatchingEngine()
        self.orders: list[NaiveOrder] = []
        self.shown: dict[Side, dict[int, int]] = {BUY: {}, SELL: {}}
        self.count = 0
        self.now_ns = 0
        self.submitted = self.traded = self.dropped = 0

    @rule(
        side=st.sampled_from(Side),
        price=st.one_of(st.none(), st.integers(95, 105)),
        size=st.integers(1, 20),
        tif=st.sampled_from(TimeInForce),
        life=st.one_of(st.none(), st.integers(1, 20)),
    )
    def submit(self, side: Side, price: int | None, size: int, tif: TimeInForce, life: int | None) -> None:
        self.count += 1
        name = f"o{self.count}"
        expires_ns = None if life is None else self.now_ns + life
        outcome = send(self.engine, name, side, size, price, tif, expires_ns)
        makers = sorted(
            (
                o
                for o in self.orders
                if o.side is side.opposite and (price is None or side.sign * (o.price - price) <= 0)
            ),
            key=lambda o: side.sign * o.price,  # stable: equal prices stay in the order of arrival
        )
        left = size
        expected: list[tuple[str, int, int]] = []
        if tif is not FOK or sum(o.remaining for o in makers) >= size:
            for maker in makers:
                lots = min(left, maker.remaining)
                if not lots:
                    break
                maker.remaining -= lots
                left -= lots
                expected.append((maker.name, maker.price, lots))
        assert [(t.maker_id, t.price, t.size) for t in outcome.trades] == expected
        assert outcome.remaining == left
        self.orders = [o for o in self.orders if o.remaining]
        self.submitted += size
        self.traded += 2 * (size - left)
        if left and price is not None and tif is GTC:
            assert outcome.fate is Fate.RESTING
            self.orders.append(NaiveOrder(name, side, price, left, expires_ns))
        else:
            assert outcome.fate is (Fate.EXPIRED if left else Fate.FILLED)
            self.dropped += left

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        victim = data.draw(st.sampled_from(self.orders))
        order = self.engine.cancel(OrderId(victim.name))
        assert order is not None
        assert order.remaining == victim.remaining
        self.orders.remove(victim)
        self.dropped += victim.remaining

    @rule(step=st.integers(1, 10))
    def pass_time(self, step: int) -> None:
        self.now_ns += step
        gone = {o.order_id for o in self.engine.expire(self.now_ns)}
        due = [o for o in self.orders if o.expires_ns is not None and o.expires_ns <= self.now_ns]
        assert gone == {o.name for o in due}
        self.dropped += sum(o.remaining for o in due)
        self.orders = [o for o in self.orders if o not in due]

    @rule()
    def drain(self) -> None:
        for side, changes in zip((BUY, SELL), self.engine.drain_changes(), strict=True):
            self.shown[side].update(changes)
            self.shown[side] = {price: size for price, size in self.shown[side].items() if size}
            assert self.shown[side] == dict(self.engine.depth(side))

    @invariant()
    def book_is_the_models(self) -> None:
        for side in Side:
            expected: dict[int, int] = {}
            for order in self.orders:
                if order.side is side:
                    expected[order.price] = expected.get(order.price, 0) + order.remaining
            levels = sorted(expected.items(), reverse=side is BUY)
            assert self.engine.depth(side) == levels
            assert self.engine.depth(side, 2) == levels[:2]
            assert self.engine.best(side) == (levels[0] if levels else None)
            assert self.engine.total(side) == sum(expected.values())
            in_line = sorted((o for o in self.orders if o.side is side), key=lambda o: -side.sign * o.price)
            assert [o.order_id for o in self.engine.resting(side)] == [o.name for o in in_line]

    @invariant()
    def never_crossed_and_nothing_lost(self) -> None:
        bid, ask = self.engine.best_price(BUY), self.engine.best_price(SELL)
        assert bid is None or ask is None or bid < ask
        resting = self.engine.total(BUY) + self.engine.total(SELL)
        # A trade consumes size of two orders, and both were counted when submitted.
        assert self.submitted == self.traded + self.dropped + resting


TestAgainstNaiveModel = AgainstNaiveModel.TestCase
TestAgainstNaiveModel.settings = settings(stateful_step_count=40)
