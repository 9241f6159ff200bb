"""Transactions between acceptance and effect."""

from __future__ import annotations

import orjson

from stall_then_strike.sim.lighter.clearing.records import OrderTerms, Status, TxStatus
from stall_then_strike.sim.lighter.lighter_venue import LighterVenue, Receipt, VenueSettings
from stall_then_strike.sim.lighter.transactions import TxType
from stall_then_strike.sim.lighter.venue_events import OrderChanged, Traded, TxDone
from tests.sim.lighter.floor_rig import START_NS
from tests.sim.lighter.venue_rig import MINUTE_MS, MS, NOW_MS, UNSIGNED, Client


def status_of(client: Client, receipt: Receipt) -> TxStatus:
    return client.venue.txs[receipt.tx_hash].status


def error_of(client: Client, receipt: Receipt) -> str:
    return str(orjson.loads(client.venue.txs[receipt.tx_hash].event_info)["ae"])


def test_the_effect_comes_a_fifth_to_three_tenths_of_a_second_later() -> None:
    delays = set()
    for seed in range(20):
        client = Client(venue=LighterVenue(start_ns=START_NS, seed=seed, settings=UNSIGNED))
        receipt = client.create()
        assert client.venue.advance(receipt.due_ns - 1) == []
        assert status_of(client, receipt) is TxStatus.PENDING
        events = client.venue.advance(receipt.due_ns)
        assert [type(event) for event in events[1:]] == [OrderChanged, TxDone]
        assert status_of(client, receipt) is TxStatus.EXECUTED
        delays.add(receipt.due_ns - START_NS)
    assert 200 * MS <= min(delays) < max(delays) <= 300 * MS
    assert len(delays) == 20


def test_the_same_seed_does_the_same() -> None:
    def run() -> tuple[int, ...]:
        client = Client(venue=LighterVenue(start_ns=START_NS, seed=5, settings=UNSIGNED))
        return client.account.index, *client.private, *(client.create().due_ns for _ in range(5))

    assert run() == run()


def test_transactions_of_a_key_keep_their_order() -> None:
    client = Client()
    dues = [client.create(ClientOrderIndex=n + 1).due_ns for n in range(30)]
    assert dues == sorted(dues)
    client.settle()
    numbers = [order.client_index for order in client.account.orders.values()]
    assert numbers == sorted(numbers)


def test_a_transaction_that_comes_to_nothing_still_consumes_its_nonce() -> None:
    client = Client()
    receipts = [client.cancel(77), client.modify(77, 100, 310_000)]
    client.settle()
    assert [status_of(client, receipt) for receipt in receipts] == [TxStatus.FAILED] * 2
    assert [error_of(client, receipt) for receipt in receipts] == ["order not found"] * 2
    assert client.venue.next_nonce(client.account.index, 4) == 2


def test_an_order_that_expired_on_its_way() -> None:
    client = Client(VenueSettings(verifies_orders=False, delay_ms=(6 * MINUTE_MS, 6 * MINUTE_MS)))
    receipt = client.create(OrderExpiry=NOW_MS + 5 * MINUTE_MS)
    late = client.create(ExpiredAt=NOW_MS + 5 * MINUTE_MS)
    client.settle(6 * MINUTE_MS)
    assert error_of(client, receipt) == "order expired"
    assert error_of(client, late) == "transaction expired"
    assert not client.account.orders


def test_modify_and_cancel_by_either_index() -> None:
    client = Client()
    client.create(ClientOrderIndex=9)
    client.settle()
    [order] = client.account.orders.values()
    client.modify(9, 200, 311_000)
    client.settle()
    [changed] = client.account.orders.values()
    assert (changed.order_index, changed.size, changed.price) == (order.order_index, 200, 311_000)
    client.cancel(order.order_index)
    client.settle()
    assert client.account.closed[-1].status is Status.CANCELED


def test_a_plain_order_cannot_be_modified_to_nothing_or_with_a_trigger() -> None:
    client = Client()
    client.create(ClientOrderIndex=9)
    client.settle()
    receipts = [client.modify(9, 0, 310_000), client.modify(9, 100, 310_000, 5)]
    client.settle()
    assert {error_of(client, receipt) for receipt in receipts} == {"invalid modify of a plain order"}
    assert len(client.account.orders) == 1


def test_cancel_all_now_later_and_not_at_all() -> None:
    client = Client()
    client.create()
    client.create(MarketIndex=1, Price=950_000)
    client.cancel_all(L2TxAttributes={"5": 1})
    client.settle()
    assert [order.market for order in client.account.orders.values()] == [0]
    client.cancel_all(1, NOW_MS + 6 * MINUTE_MS)
    client.settle()
    assert client.account.cancel_all_ms == NOW_MS + 6 * MINUTE_MS
    client.cancel_all(2)
    client.settle()
    assert client.account.cancel_all_ms == 0
    client.cancel_all()
    client.settle()
    assert not client.account.orders


def test_leverage() -> None:
    client = Client()
    client.leverage(1_000)
    client.settle()
    assert client.account.positions[0].fraction == 1_000


def test_a_trade_is_told_in_the_transactions_own_words() -> None:
    client = Client()
    maker = client.venue.add_account(10**12)
    client.venue.place(maker.index, OrderTerms(market=0, is_ask=False, size=60, price=310_000), client.venue.now_ns)
    receipt = client.create(ClientOrderIndex=8)
    client.settle()
    info = orjson.loads(client.venue.txs[receipt.tx_hash].event_info)
    assert info["t"] == {"p": 310_000, "s": 60, "tf": 0, "mf": 0}
    assert (info["to"]["u"], info["to"]["rs"], info["to"]["st"]) == (8, 40, Status.OPEN)
    assert (info["mo"]["a"], info["mo"]["rs"], info["mo"]["st"]) == (maker.index, 0, Status.FILLED)
    [traded] = [event for event in client.venue.advance(client.venue.now_ns) if isinstance(event, Traded)]
    assert traded.trade.tx_hash == receipt.tx_hash


def test_a_mishap_swallows_the_effect_but_not_the_nonce() -> None:
    client = Client()
    client.venue.mishap = lambda tx: tx.type is TxType.CREATE_ORDER
    receipt = client.create()
    client.settle()
    assert status_of(client, receipt) is TxStatus.EXECUTED
    assert not client.account.orders
    assert client.venue.next_nonce(client.account.index, 4) == 1


def test_orders_without_a_signature() -> None:
    client = Client()
    index = client.venue.place(
        client.account.index, OrderTerms(market=0, is_ask=True, size=60, price=310_000), client.venue.now_ns
    )
    assert client.venue.cancel(index, client.venue.now_ns)
    assert not client.venue.cancel(index, client.venue.now_ns)


def test_the_sender_of_a_transaction_or_a_batch() -> None:
    client = Client()
    info = client.text(TxType.CANCEL_ORDER, {"MarketIndex": 0, "Index": 7})
    assert client.venue.sender(info) is client.account
    assert client.venue.sender(orjson.dumps([info, info]).decode()) is client.account
    for text in ("", "{}", '{"AccountIndex":5}', '{"AccountIndex":99999999999999999999}'):
        assert client.venue.sender(text) is None
