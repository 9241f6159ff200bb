"""What is refused before the answer, with which code, and that a refusal consumes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from stall_then_strike.sim.lighter.clearing.records import OrderTerms
from stall_then_strike.sim.lighter.lighter_venue import LighterVenue, VenueSettings
from stall_then_strike.sim.lighter.transactions import Refusal, TxType
from tests.sim.lighter.venue_rig import MINUTE_MS, NOW_MS, START_NS, Client

DAY_MS = 24 * 60 * MINUTE_MS
IOC = {"TimeInForce": 0, "OrderExpiry": 0}
STOP = {"Type": 2, "TimeInForce": 0, "TriggerPrice": 300_000}


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        (21602, {"MarketIndex": 9}),
        (21602, {"MarketIndex": 2048}),
        (21727, {"ClientOrderIndex": -1}),
        (21727, {"ClientOrderIndex": 2**48}),
        (21701, {"BaseAmount": 0}),
        (21701, {"BaseAmount": 2**48}),
        (21702, {"Price": 0}),
        (21702, {"Price": 2**32}),
        (21703, {"IsAsk": 2}),
        (21704, {"Type": 7}),
        (21704, {"Type": -1}),
        (21618, {"Type": 6}),
        (21705, {"TimeInForce": 3}),
        (21705, {"Type": 1}),
        (21729, {"TriggerPrice": 5}),
        (21729, {"Type": 2, "TimeInForce": 0}),
        (21711, {"OrderExpiry": 0}),
        (21711, {"OrderExpiry": NOW_MS + 5 * MINUTE_MS - 1}),
        (21711, {"OrderExpiry": NOW_MS + 30 * DAY_MS + 1}),
        (21711, {"TimeInForce": 0}),
        (21711, {**STOP, "OrderExpiry": 0}),
        (21706, {"BaseAmount": 49}),
        (21706, {"BaseAmount": 50, "Price": 199_999}),
        (21706, {"BaseAmount": 2**47, "Price": 2**20}),
        (21706, {**IOC, "BaseAmount": 2**47, "Price": 2**20}),
        (21501, {"ReduceOnly": 2}),
        (21501, {"ExpiredAt": NOW_MS}),
        (21501, {"Price": "310000"}),
        (21100, {"AccountIndex": 5}),
        (21109, {"ApiKeyIndex": 5}),
        (21149, {"L2TxAttributes": {"1": 77, "2": 10}}),
        (21501, {"L2TxAttributes": {"6": 4}}),
        (21501, {"L2TxAttributes": {"7": 2}}),
        (21104, {"Nonce": 1}),
        (21104, {"Nonce": -1}),
    ],
)
def test_orders_that_are_refused(code: int, changes: dict[str, Any]) -> None:
    client = Client()
    assert client.create(**changes).code == code
    assert client.venue.next_nonce(client.account.index, 4) == 0
    assert client.create().code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"BaseAmount": 50, "Price": 200_000},
        {"OrderExpiry": NOW_MS + 5 * MINUTE_MS},
        {"OrderExpiry": NOW_MS + 30 * DAY_MS},
        {"ClientOrderIndex": 2**48 - 1},
        {"TimeInForce": 2},
        {**IOC, "BaseAmount": 1},
        {**IOC, "Type": 1, "BaseAmount": 0, "ReduceOnly": 1},
        STOP,
    ],
)
def test_orders_at_the_edge_are_taken(changes: dict[str, Any]) -> None:
    assert Client().create(**changes).code == 200


def test_modifies_that_are_refused() -> None:
    client = Client()
    for code, terms in (
        (21700, (0, 100, 310_000)),
        (21700, (2**60, 100, 310_000)),
        (21701, (7, -1, 310_000)),
        (21702, (7, 100, 0)),
        (21729, (7, 100, 310_000, -1)),
        (21706, (7, 49, 310_000)),
        (21706, (7, 2**47, 2**20)),
    ):
        assert client.modify(*terms).code == code, terms
    assert client.cancel(0).code == 21700
    assert client.cancel(7, market=9).code == 21602


def test_cancel_all_and_leverage_that_are_refused() -> None:
    client = Client()
    for code, mode, time_ms in (
        (21713, 3, 0),
        (21714, 0, 1),
        (21714, 1, 0),
        (21714, 1, NOW_MS + 5 * MINUTE_MS - 1),
        (21714, 1, NOW_MS + 15 * DAY_MS + 1),
        (21714, 2, 1),
    ):
        assert client.cancel_all(mode, time_ms).code == code, (mode, time_ms)
    assert client.cancel_all(L2TxAttributes={"5": 9}).code == 21602
    assert client.cancel_all(2, L2TxAttributes={"5": 0}).code == 21713
    assert client.leverage(199).code == client.leverage(10_001).code == 21113
    assert client.leverage(500, mode=1).code == 21132


def leg(**changes: int) -> dict[str, int]:
    return {
        "MarketIndex": 0, "ClientOrderIndex": 0, "BaseAmount": 0, "Price": 290_000, "IsAsk": 1, "Type": 2,
        "TimeInForce": 0, "ReduceOnly": 1, "TriggerPrice": 300_000, "OrderExpiry": NOW_MS + 60 * MINUTE_MS, **changes,
    }  # fmt: skip


PARENT = leg(BaseAmount=100, Price=310_000, IsAsk=0, Type=0, TimeInForce=1, ReduceOnly=0, TriggerPrice=0)
STOP_LEG = leg()
PROFIT_LEG = leg(Type=4, TriggerPrice=320_000)


@pytest.mark.parametrize(
    ("code", "grouping", "orders"),
    [
        (200, 1, [PARENT, STOP_LEG]),
        (200, 2, [STOP_LEG, PROFIT_LEG]),
        (200, 3, [PARENT, STOP_LEG, PROFIT_LEG]),
        (200, 1, [{**PARENT, "Type": 1, "TimeInForce": 0, "OrderExpiry": 0}, PROFIT_LEG]),
        (21743, 0, [PARENT, STOP_LEG]),
        (21743, 1, [PARENT, STOP_LEG, PROFIT_LEG]),
        (21743, 3, [PARENT, STOP_LEG]),
        (21743, 1, [STOP_LEG, PROFIT_LEG]),
        (21743, 1, [PARENT, {**STOP_LEG, "BaseAmount": 100}]),
        (21743, 1, [PARENT, {**STOP_LEG, "IsAsk": 0}]),
        (21743, 1, [PARENT, {**STOP_LEG, "OrderExpiry": NOW_MS + 61 * MINUTE_MS}]),
        (21743, 1, [PARENT, {**STOP_LEG, "MarketIndex": 1}]),
        (21743, 2, [STOP_LEG, STOP_LEG]),
        (21743, 2, [PARENT, STOP_LEG]),
        (21743, 2, [STOP_LEG, {**PROFIT_LEG, "ReduceOnly": 0, "BaseAmount": 100}]),
        (21743, 2, [STOP_LEG, {**PROFIT_LEG, "BaseAmount": 100}]),
        (21729, 1, [PARENT, {**STOP_LEG, "TriggerPrice": 0}]),
        (21728, 1, [{**PARENT, "ClientOrderIndex": 5}, {**STOP_LEG, "ClientOrderIndex": 5}]),
    ],
)
def test_groups(code: int, grouping: int, orders: list[dict[str, int]]) -> None:
    receipt = Client().send(TxType.CREATE_GROUPED_ORDERS, {"GroupingType": grouping, "Orders": orders})
    assert receipt.code == code


def test_a_client_index_is_taken_from_acceptance_until_the_order_ends() -> None:
    client = Client()
    assert client.create(ClientOrderIndex=5).code == 200
    assert client.create(ClientOrderIndex=5).code == 21728
    client.settle()
    assert client.create(ClientOrderIndex=5).code == 21728
    assert client.create(ClientOrderIndex=5, MarketIndex=1, Price=950_000).code == 21728, "over all markets"
    client.cancel(5)
    client.settle()
    assert client.create(ClientOrderIndex=5).code == 200
    assert client.create().code == client.create().code == 200, "zero is none"


def test_accidental_prices_are_refused_only_with_price_protection() -> None:
    client = Client()
    for terms, code in (
        ({"IsAsk": 1, "Price": 248_000}, 200),
        ({"IsAsk": 1, "Price": 247_999}, 21733),
        ({"IsAsk": 0, "Price": 372_001}, 21733),
        ({"IsAsk": 0, "Price": 100_000, "BaseAmount": 500}, 200),
    ):
        assert client.create(is_protected=True, **terms).code == code, terms
    assert client.create(IsAsk=1, Price=200_000).code == 200


def test_limits_of_live_orders() -> None:
    client = Client()
    place = client.venue.floor
    for n in range(999):
        place.place(client.account, OrderTerms(market=0, is_ask=True, size=50, price=320_000 + n), START_NS)
    assert client.create().code == 200
    client.settle()
    assert client.create().code == 21718
    for n in range(500):
        place.place(client.account, OrderTerms(market=1, is_ask=True, size=50, price=990_000 + n), client.venue.now_ns)
    assert client.create(MarketIndex=2, Price=200_000).code == 21717


def test_skip_nonce_takes_any_larger_one() -> None:
    client = Client()
    skip = {"L2TxAttributes": {"4": 1}}
    assert client.create(Nonce=9, **skip).code == 200
    assert client.venue.next_nonce(client.account.index, 4) == 10
    assert client.create(Nonce=9, **skip).code == 21104
    assert client.create(Nonce=2**47, **skip).code == 21104
    assert client.create(Nonce=10).code == 200


def test_keys_have_their_own_nonces() -> None:
    first = Client()
    second = Client(venue=first.venue, account=first.account.index, key=5)
    assert [first.create().code, second.create().code, first.create().code, second.create().code] == [200] * 4


def test_batches() -> None:
    client = Client()
    stranger = Client(venue=client.venue)

    def texts(*nonces: int, sender: Client = client) -> list[str]:
        terms = {"MarketIndex": 0, "Index": 7}
        return [sender.text(TxType.CANCEL_ORDER, terms, Nonce=nonce) for nonce in nonces]

    def send(infos: list[str], most: int = 50) -> int:
        return client.venue.submit_batch([15] * len(infos), infos, START_NS, most).code

    assert send([]) == 21513
    assert send(texts(*range(51))) == 21514
    assert send(texts(*range(16)), most=15) == 21514
    assert send(texts(0) + texts(1, sender=stranger)) == 21121
    assert send(texts(0, 0)) == 21105
    assert send(texts(0, 2)) == 21104
    assert send(texts(1, 2)) == 21104
    assert client.venue.submit_batch([15, 14], texts(0, 1), START_NS).code == 21501
    assert client.venue.next_nonce(client.account.index, 4) == 0, "refused as a whole"
    assert send(texts(*range(50))) == 200
    assert client.venue.next_nonce(client.account.index, 4) == 50


def test_a_client_index_twice_in_a_batch_is_refused() -> None:
    client = Client()
    body = {
        "MarketIndex": 0, "ClientOrderIndex": 3, "BaseAmount": 100, "Price": 310_000, "IsAsk": 1, "Type": 0,
        "TimeInForce": 1, "ReduceOnly": 0, "TriggerPrice": 0, "OrderExpiry": NOW_MS + 60 * MINUTE_MS,
    }  # fmt: skip
    infos = [client.text(TxType.CREATE_ORDER, body, Nonce=nonce) for nonce in (0, 1)]
    assert client.venue.submit_batch([14, 14], infos, START_NS).code == 21728


def test_signatures() -> None:
    client = Client(VenueSettings())
    assert client.create().code == 200
    good = client.text(TxType.CANCEL_ORDER, {"MarketIndex": 0, "Index": 5})
    for forged in (good.replace('"Index":5', '"Index":6'), good.replace('"Nonce":1', '"Nonce":2')):
        assert client.venue.submit(15, forged, START_NS).code == 21120
    assert client.venue.submit(15, good, START_NS).code == 200
    stranger = Client(VenueSettings(), venue=client.venue)
    assert stranger.create(AccountIndex=client.account.index).code == 21120


def test_the_wrong_chain_is_an_invalid_signature() -> None:
    client = Client(VenueSettings())
    elsewhere = LighterVenue(start_ns=START_NS, seed=1, settings=VenueSettings(chain_id=300))
    assert elsewhere.add_key(elsewhere.add_account(1), 4) == client.private
    assert (
        elsewhere.submit(15, client.text(TxType.CANCEL_ORDER, {"MarketIndex": 0, "Index": 5}), START_NS).code == 21120
    )


def test_tokens() -> None:
    client, now_s = Client(), START_NS // 10**9
    venue, index = client.venue, client.account.index
    token = client.token(now_s + 600)
    assert venue.authenticate(token, START_NS) == venue.authenticate(token, START_NS) == index
    assert venue.authenticate(client.token(now_s + 8 * 3_600), START_NS) == index
    for bad, message in (
        (token, "expired token"),
        (client.token(now_s + 8 * 3_600 + 602), "invalid deadline"),
        ("", "invalid auth string"),
        ("a:b:c:d", "invalid auth string"),
        (token + ":00", "invalid auth string"),
        (client.token(now_s + 900).replace(f":{index}:", ":77:"), "invalid signature"),
        (client.token(now_s + 900).replace(":4:", ":5:"), "invalid signature"),
        (client.token(now_s + 900).replace(str(now_s + 900), str(now_s + 901)), "invalid signature"),
    ):
        with pytest.raises(Refusal, match=message) as refused:
            venue.authenticate(bad, START_NS + 601 * 10**9)
        assert (refused.value.code, refused.value.http_status) == (20013, 401)
