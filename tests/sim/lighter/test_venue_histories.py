"""Random histories of the whole venue: whatever clients send, nothing is lost, doubled or left behind."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from stall_then_strike.sim.lighter.clearing.contracts import Plan
from stall_then_strike.sim.lighter.clearing.records import LighterOrder, TxStatus
from stall_then_strike.sim.lighter.lighter_venue import LighterVenue, VenueSettings
from stall_then_strike.sim.lighter.transactions import TxType
from stall_then_strike.sim.lighter.venue_events import BookChanged, OrderChanged, Traded, TxDone, VenueEvent
from stall_then_strike.types.dto import Side
from tests.sim.lighter.floor_rig import START_NS
from tests.sim.lighter.venue_rig import MINUTE_MS, MS, Client

SETTINGS = VenueSettings(plan=Plan.PREMIUM, verifies_orders=False)
STEPS = 240


class Watcher:
    """Rebuilds books, orders and fills from the events alone."""

    def __init__(self) -> None:
        self.books: dict[tuple[int, Side], dict[int, int]] = {}
        self.orders: dict[int, LighterOrder] = {}
        self.filled: Counter[int] = Counter()
        self.done: Counter[str] = Counter()
        self.trade_ids: set[int] = set()

    def see(self, event: VenueEvent) -> None:
        match event:
            case BookChanged(market, side, price, size):
                book = self.books.setdefault((market, side), {})
                book[price] = size
                if not size:
                    del book[price]
            case OrderChanged(_, _, order):
                before = self.orders.get(order.order_index)
                assert before is None or before.is_live, "an order that ended stays as it is"
                self.orders[order.order_index] = order
            case Traded(_, trade):
                assert trade.trade_id not in self.trade_ids
                self.trade_ids.add(trade.trade_id)
                for party in (trade.maker, trade.taker):
                    self.filled[party.order_index] += trade.size
            case TxDone(_, tx):
                self.done[tx.hash] += 1
            case _:
                pass


class History:
    """Three clients, one of them poor, in two markets."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.venue = LighterVenue(start_ns=START_NS, seed=seed, settings=SETTINGS)
        self.clients = [Client(SETTINGS, venue=self.venue) for _ in range(3)]
        self.venue.accounts.deposit(self.clients[2].account, -99_950 * 10**6)
        self.marks = {0: 310_000, 1: 923_000}
        self.watcher = Watcher()
        self.accepted: list[str] = []
        self.client_index = 0

    def terms(self) -> tuple[TxType, dict[str, Any]]:
        """A transaction: mostly good, sometimes pointless."""
        chance, market = self.random.random(), self.random.choice((0, 1))
        mark = self.marks[market]
        near = mark + self.random.randint(-mark // 2_000, mark // 2_000)
        index = self.random.choice(
            (self.random.randint(1, max(1, self.client_index)), 2**48 + self.random.randint(1, 50))
        )
        if chance < 0.05:
            return TxType.CREATE_GROUPED_ORDERS, self.group(market, near)
        if chance < 0.55:
            return TxType.CREATE_ORDER, self.order(market, near)
        if chance < 0.75:
            return TxType.CANCEL_ORDER, {"MarketIndex": market, "Index": index}
        if chance < 0.95:
            size = self.random.randint(50, 20_000 if market == 0 else 2_000)
            return TxType.MODIFY_ORDER, {
                "MarketIndex": market, "Index": index, "BaseAmount": size, "Price": near, "TriggerPrice": 0,
            }  # fmt: skip
        if chance < 0.98:
            return TxType.UPDATE_LEVERAGE, {
                "MarketIndex": market, "InitialMarginFraction": self.random.randint(200, 5_000), "MarginMode": 0,
            }  # fmt: skip
        return TxType.CANCEL_ALL_ORDERS, {"TimeInForce": 0, "Time": 0}

    def order(self, market: int, price: int) -> dict[str, Any]:
        kind, in_force = self.random.choice(((0, 1), (0, 1), (0, 1), (0, 2), (0, 0), (1, 0), (2, 0), (4, 0)))
        self.client_index += 1
        now_ms = self.venue.now_ns // MS
        return {
            "MarketIndex": market, "ClientOrderIndex": self.client_index,
            "BaseAmount": self.random.randint(50, 20_000 if market == 0 else 2_000),
            "Price": price, "IsAsk": self.random.randint(0, 1), "Type": kind, "TimeInForce": in_force,
            "ReduceOnly": int(self.random.random() < 0.2),
            "TriggerPrice": price if kind in {2, 4} else 0,
            "OrderExpiry": 0 if in_force == 0 and kind < 2 else now_ms + self.random.randint(5, 15) * MINUTE_MS + 1_000,
        }  # fmt: skip

    def group(self, market: int, price: int) -> dict[str, Any]:
        """A parent that rests, with a stop-loss and a take-profit."""
        parent = {**self.order(market, price), "Type": 0, "TimeInForce": 1, "TriggerPrice": 0, "ReduceOnly": 0}
        parent["OrderExpiry"] = self.venue.now_ns // MS + 10 * MINUTE_MS
        side = 1 if parent["IsAsk"] else -1
        child = {**parent, "IsAsk": 1 - parent["IsAsk"], "BaseAmount": 0, "TimeInForce": 0, "ReduceOnly": 1}
        away = price // 1_000
        legs = [
            {**child, "ClientOrderIndex": 0, "Type": kind, "TriggerPrice": price + sign * side * away,
             "Price": price + sign * side * 2 * away}
            for kind, sign in ((2, 1), (4, -1))
        ]  # fmt: skip
        return {"GroupingType": 3, "Orders": [parent, *legs]}

    def send(self) -> None:
        """One transaction or a batch, for one client."""
        client = self.random.choice(self.clients)
        count = self.random.choice((1, 1, 2, 10))
        expired_at = self.venue.now_ns // MS + 9 * MINUTE_MS
        given = [self.terms() for _ in range(count)]
        infos = [
            client.text(kind, body, Nonce=client.nonce + n, ExpiredAt=expired_at)
            for n, (kind, body) in enumerate(given)
        ]
        receipt = self.venue.submit_batch([kind for kind, _ in given], infos, self.venue.now_ns)
        if receipt.code == 200:
            client.nonce += count
            self.accepted += receipt.tx_hashes
        assert self.venue.next_nonce(client.account.index, client.key) == client.nonce

    def pass_time(self) -> None:
        if self.random.random() < 0.3:
            market = self.random.choice((0, 1))
            self.marks[market] = self.marks[market] * self.random.randint(9_960, 10_040) // 10_000
            self.venue.set_prices(market, self.marks[market], self.venue.now_ns)
        step_ms = self.random.choice((1, 50, 400, 20_000, 120_000))
        for event in self.venue.advance(self.venue.now_ns + step_ms * MS):
            self.watcher.see(event)

    def check(self) -> None:
        venue, seen = self.venue, self.watcher
        assert venue.accounts.wealth() == venue.accounts.deposits
        for market, pit in venue.pits.items():
            for side in Side:
                assert sorted(seen.books.get((market, side), {}).items()) == sorted(pit.engine.depth(side))
            assert {index: seen.orders[index] for index in pit.live} == pit.live
        live = {index for pit in venue.pits.values() for index in pit.live}
        assert {index for index, order in seen.orders.items() if order.is_live} == live
        assert all(seen.filled[index] == order.filled for index, order in seen.orders.items())


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_lost_doubled_or_left_behind(seed: int) -> None:
    history = History(seed)
    for step in range(STEPS):
        history.send()
        history.pass_time()
        if step % 4 == 0:
            history.check()
    for event in history.venue.advance(history.venue.now_ns + 30 * MINUTE_MS * MS):
        history.watcher.see(event)
    history.check()
    assert history.watcher.done == Counter(history.accepted), "each transaction has its effect once"
    assert not any(pit.live for pit in history.venue.pits.values()), "all have expired"
    states = {history.venue.txs[tx].status for tx in history.accepted}
    assert states == {TxStatus.EXECUTED, TxStatus.FAILED}
    assert len(history.watcher.trade_ids) > 20
    assert any(order.children and order.filled for order in history.watcher.orders.values()), "groups were set going"
    kinds = {order.status for order in history.watcher.orders.values()}
    assert len(kinds) >= 7, "histories reach most ends of an order"


def test_the_same_seed_has_the_same_history() -> None:
    def run() -> list[str]:
        history = History(7)
        for _ in range(60):
            history.send()
            history.pass_time()
        return [*history.accepted, *map(repr, history.watcher.orders.values())]

    assert run() == run()
