"""Auctions: the price as a table, the engine against a naive model, and the market around one."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stall_then_strike.sim.exchange.auction import clearing_price
from stall_then_strike.sim.exchange.book_side import Owner
from stall_then_strike.sim.exchange.matching import Fate, MatchingEngine
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import BoardState, OrderId, Side, TimeInForce
from stall_then_strike.types.instrument import Lots, Ticks
from tests.sim.exchange_rig import BOARD, EXECUTIONS, SECOND, START_NS, TICKER, message_of, of_channel
from tests.sim.private_rig import BID, MID, Room, order

Levels = list[tuple[int, int]]


@pytest.mark.parametrize(
    ("bids", "asks", "buys", "sells", "reference", "price"),
    [
        ([(99, 5)], [(101, 5)], 0, 0, 100, None),
        ([(101, 5)], [(99, 5)], 0, 0, 100, 100),  # any price trades all: the reference
        ([(101, 5)], [(99, 5)], 0, 0, 120, 101),
        ([(101, 5), (100, 5)], [(99, 4)], 0, 0, 100, 101),  # least left over
        ([(102, 3), (100, 9)], [(99, 3), (100, 9)], 0, 0, 90, 100),  # most traded
        ([(99, 5)], [(101, 5)], 4, 0, 100, 101),
        ([(99, 5)], [(101, 5)], 4, 4, 100, 100),
        ([], [], 4, 4, 100, 100),
        ([], [], 4, 0, 100, None),
    ],
)
def test_price(bids: Levels, asks: Levels, buys: int, sells: int, reference: int, price: int | None) -> None:
    def levels(pairs: Levels) -> list[tuple[Ticks, Lots]]:
        return [(Ticks(p), Lots(s)) for p, s in pairs]

    assert clearing_price(levels(bids), levels(sorted(asks)), Lots(buys), Lots(sells), Ticks(reference)) == price


def collect(engine: MatchingEngine, name: str, side: Side, price: int | None, size: int) -> Fate:
    submitted = engine.submit(
        order_id=OrderId(name),
        owner=Owner(name),
        side=side,
        size=Lots(size),
        price=None if price is None else Ticks(price),
    )
    return submitted.fate


ORDERS = st.lists(
    st.tuples(st.sampled_from(Side), st.one_of(st.none(), st.integers(95, 105)), st.integers(1, 9)), max_size=14
)


@given(orders=ORDERS, reference=st.integers(95, 105))
@settings(max_examples=3 * settings().max_examples)
def test_auction_trades_the_most_at_one_price_by_priority_and_loses_nothing(
    orders: list[tuple[Side, int | None, int]], reference: int
) -> None:
    engine = MatchingEngine()
    engine.begin_auction()
    for number, (side, price, size) in enumerate(orders):
        assert collect(engine, str(number), side, price, size) is Fate.RESTING
    trades, left = engine.uncross(Ticks(reference))

    def tradable(side: Side, at: int) -> int:
        return sum(n for s, p, n in orders if s is side and (p is None or side.sign * (p - at) >= 0))

    most = max(min(tradable(Side.BUY, at), tradable(Side.SELL, at)) for at in range(90, 111))
    assert sum(t.size for t in trades) == most
    assert len({t.price for t in trades}) <= 1
    done: dict[str, int] = {}
    for trade in trades:
        assert trade.taker_side is None
        for name in (trade.maker_id, trade.taker_id):
            done[name] = done.get(name, 0) + trade.size
    for side in Side:
        # By priority: after the first partly filled order, later orders get nothing.
        line = [
            (number, n)
            for number, (s, p, n) in sorted(
                enumerate(orders), key=lambda o: (o[1][1] is not None, -o[1][0].sign * (o[1][1] or 0), o[0])
            )
            if s is side
        ]
        unmet = [n - done.get(str(number), 0) for number, n in line]
        first = next((i for i, rest in enumerate(unmet) if rest), len(line))
        assert all(done.get(str(number), 0) == 0 for number, _ in line[first + 1 :])
    bid, ask = engine.best_price(Side.BUY), engine.best_price(Side.SELL)
    assert bid is None or ask is None or bid < ask
    resting = sum(engine.total(side) for side in Side)
    assert sum(n for _, _, n in orders) == 2 * most + resting + sum(o.remaining for o in left)
    assert all(o.price == 0 for o in left)


def test_market_orders_wait_beside_the_book_at_price_zero() -> None:
    engine = MatchingEngine()
    engine.begin_auction()
    collect(engine, "m", Side.BUY, None, 5)
    collect(engine, "b", Side.BUY, 99, 2)
    assert engine.drain_changes() == ([(99, 2), (0, 5)], [])
    assert engine.depth(Side.BUY) == [(99, 2)]
    assert engine.waiting(Side.BUY) == 5
    order_out = engine.cancel(OrderId("m"))
    assert order_out is not None
    assert order_out.remaining == 5
    assert engine.drain_changes() == ([(0, 0)], [])


@pytest.mark.parametrize("tif", [TimeInForce.IOC, TimeInForce.FOK])
def test_orders_that_cannot_wait_expire_while_an_auction_collects(tif: TimeInForce) -> None:
    engine = MatchingEngine()
    engine.begin_auction()
    outcome = engine.submit(
        order_id=OrderId("x"),
        owner=Owner("x"),
        side=Side.BUY,
        size=Lots(1),
        price=Ticks(100),
        time_in_force=tif,
    )
    assert outcome.fate is Fate.EXPIRED
    assert len(engine) == 0


def test_market_reopens_by_an_auction_in_public() -> None:
    market = Market(seed=3, start_ns=START_NS)
    frames = market.advance(START_NS + 5 * SECOND)
    market.set_condition(state=BoardState.PREOPEN)
    closed = market.advance(START_NS + 20 * SECOND)
    assert not of_channel(closed[5:], EXECUTIONS)
    waiting = [message_of(f) for f in of_channel(closed, TICKER)][-1]
    assert waiting["state"] == "PREOPEN"
    assert waiting["market_bid_size"] > 0
    assert any(e["price"] == 0 and e["size"] > 0 for f in of_channel(closed, BOARD) for e in message_of(f)["bids"])
    market.set_condition(state=BoardState.RUNNING)
    bid, ask = market.engine.best_price(Side.BUY), market.engine.best_price(Side.SELL)
    assert bid is not None
    assert ask is not None
    assert bid < ask
    opened = market.advance(START_NS + 21 * SECOND)
    executions = message_of(of_channel(opened, EXECUTIONS)[0])
    assert {e["side"] for e in executions} == {""}
    assert len({e["price"] for e in executions}) == 1
    assert any(e == {"price": 0.0, "size": 0.0} for f in of_channel(opened, BOARD) for e in message_of(f)["bids"])
    assert len(of_channel(frames, EXECUTIONS)) < len(of_channel(market.advance(START_NS + 60 * SECOND), EXECUTIONS))


def test_our_orders_take_part_in_an_auction_and_may_not_cross_each_other() -> None:
    r = Room()
    r.market.set_condition(state=BoardState.PREOPEN)
    limit = r.send(order("BUY", MID + 900, 0.01))
    r.advance()
    for crossing in (order("SELL", MID + 900), order("SELL", None)):
        assert r.post("sendchildorder", crossing)[1]["status"] == -159
    market_order = r.send(order("BUY", None, 0.01))
    r.advance()
    assert r.post("sendchildorder", order("SELL", BID, 0.01))[1]["status"] == -159
    (first, second) = r.get("getchildorders")
    assert (first["child_order_type"], second["child_order_type"]) == ("MARKET", "LIMIT")
    r.market.set_condition(state=BoardState.RUNNING)
    r.advance()
    for name in (limit, market_order):
        assert r.story(name)[0] == "ORDER"
        assert r.story(name)[-1] == "EXECUTION 0"
    rows = [message_of(f) for f in of_channel(r.frames, EXECUTIONS)]
    assert any(limit == e["buy_child_order_acceptance_id"] and e["side"] == "" for m in rows for e in m)
    assert orjson.loads(r.answer("GET", "/v1/me/getpositions?product_code=FX_BTC_JPY").text)[0]["side"] == "BUY"


def test_own_order_behind_others_is_in_the_way_while_an_auction_collects() -> None:
    r = Room()
    r.market.set_condition(state=BoardState.PREOPEN)
    r.send(order("SELL", MID + 500, 0.01))
    r.advance()
    r.other(Side.SELL, 1_000_000_000, MID - 5_000)
    assert r.post("sendchildorder", order("BUY", MID + 500))[1]["status"] == -159
    r.send(order("BUY", MID + 499))


def test_market_order_that_found_nobody_expires_after_the_auction() -> None:
    r = Room()
    r.market.set_condition(state=BoardState.PREOPEN)
    r.advance()
    big = r.market.engine.total(Side.BUY) + r.market.engine.waiting(Side.BUY)
    r.other(Side.SELL, int(big))
    name = r.send(order("SELL", None, 0.01))
    r.advance()
    r.market.set_condition(state=BoardState.RUNNING)
    r.advance()
    assert r.story(name) == ["ORDER", "EXPIRE"]
