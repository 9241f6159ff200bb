"""The life of orders in virtual time: golden event sequences, refusals, and the answers of private calls."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
import pytest

from stall_then_strike.sim.bitflyer.desk import Delays
from stall_then_strike.sim.bitflyer.keys import ApiKey
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings, PrivateVenue
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, BoardState, Health, Side
from tests.sim.exchange_rig import PRODUCT, START_NS
from tests.sim.private_rig import ASK, BID, KEY, MID, NO_CALENDAR, NO_LIMITS, Room, order

FIXED = Delays(
    answer=(0, 0),
    registration=(100 * NS_PER_MS, 100 * NS_PER_MS),
    late_share=0,
    cancel=(100 * NS_PER_MS, 100 * NS_PER_MS),
    event=(50 * NS_PER_MS, 50 * NS_PER_MS),
    listing=(200 * NS_PER_MS, 200 * NS_PER_MS),
)
SETTINGS = PrivateSettings(limits=NO_LIMITS, calendar=NO_CALENDAR, delays=FIXED)


def room(**options: Any) -> Room:
    return Room(settings=replace(SETTINGS, **options))


# --- golden sequences -------------------------------------------------------------------------------------------------


def test_registered_order_is_told_word_for_word_as_the_venue_does() -> None:
    r = room()
    name = r.send(order("BUY", BID, 0.01, minute_to_expire=1))
    r.advance(0.149)
    assert not r.frames
    r.advance(0.001)
    (frame,) = [f for f in r.frames if f.account == "main"]
    registered = r.events()[0]["child_order_id"]
    assert frame.text == (
        '{"jsonrpc":"2.0","method":"channelMessage","params":{"channel":"child_order_events","message":[{'
        f'"product_code":"FX_BTC_JPY","child_order_id":"{registered}","child_order_acceptance_id":"{name}"'
        ',"event_date":"2026-09-21T14:13:20.1000000Z","event_type":"ORDER","child_order_type":"LIMIT","side":"BUY"'
        ',"price":9999000,"size":0.01,"expire_date":"2026-09-21T14:14:20"}]}}'
    )
    assert name.startswith("JRF20260921-141320-")
    assert registered.startswith("JFX20260921-141320-")


def test_execution_is_told_with_what_is_left_and_whole_numbers_without_a_point() -> None:
    r = room(collateral_jpy=Decimal(100_000_000))
    name = r.send(order("SELL", ASK - 10, 2))
    r.advance()
    r.other(Side.BUY, 200_000_000)
    r.advance()
    executed = r.events(name)[-1]
    assert list(executed)[5:] == ["exec_id", "side", "price", "size", "commission", "sfd", "outstanding_size"]
    text = next(f.text for f in r.frames if f.account and "EXECUTION" in f.text)
    assert '"side":"SELL","price":10000990,"size":2,"commission":0,"sfd":0,"outstanding_size":0}' in text


def test_two_fills_of_one_match_share_a_message_with_the_order() -> None:
    r = room()
    r.other(Side.SELL, 400_000, ASK - 5)
    r.other(Side.SELL, 300_000, ASK - 5)
    r.send(order("BUY", ASK - 5, 0.01))
    r.advance()
    assert [[e["event_type"] for e in m] for m in r.messages()] == [["ORDER", "EXECUTION", "EXECUTION"]]
    assert r.story() == ["ORDER", "EXECUTION 0.006", "EXECUTION 0.003"]


@pytest.mark.parametrize(
    ("fields", "story", "filled"),
    [
        (order("BUY", BID, 0.01, time_in_force="IOC"), ["ORDER", "EXPIRE"], 0),
        (order("BUY", ASK - 5, 0.01, time_in_force="IOC"), ["ORDER", "EXECUTION 0.006", "EXPIRE"], 400_000),
        (order("BUY", ASK - 5, 0.01, time_in_force="FOK"), ["ORDER", "EXPIRE"], 0),
        (order("BUY", ASK - 5, 0.004, time_in_force="FOK"), ["ORDER", "EXECUTION 0"], 400_000),
        (order("BUY", None, 0.004), ["ORDER", "EXECUTION 0"], 400_000),
        (order("BUY", ASK - 5, 0.01, minute_to_expire=1), ["ORDER", "EXECUTION 0.006", "EXPIRE"], 400_000),
    ],
)
def test_story_by_type_and_time_in_force(fields: dict[str, Any], story: list[str], filled: int) -> None:
    r = room()
    r.other(Side.SELL, 400_000, ASK - 5)
    name = r.send(fields)
    r.advance(61)
    assert r.story(name) == story
    assert r.venue.ledger().position == filled


def test_market_order_eats_the_book_and_expires_with_its_rest() -> None:
    r = room(collateral_jpy=Decimal(100_000_000))
    resting = r.market.engine.total(Side.SELL)
    name = r.send(order("BUY", None, "10"))
    r.advance()
    assert r.events()[0]["price"] == 0
    assert r.story(name)[-1] == "EXPIRE"
    assert r.venue.ledger().position == resting
    (row,) = r.get("getchildorders")
    assert (row["child_order_state"], row["price"], row["executed_size"]) == ("EXPIRED", 0.0, resting / 1e8)


def test_expiry_counts_from_the_second_of_acceptance() -> None:
    r = Room(settings=SETTINGS, start_ns=START_NS + 700 * NS_PER_MS)
    r.send(order(minute_to_expire=2))
    r.advance(119.2)
    assert r.story() == ["ORDER"]
    r.advance(0.2)
    assert r.story() == ["ORDER", "EXPIRE"]
    assert r.events()[-1]["event_date"] == "2026-09-21T14:15:20.0000000Z"


def test_cancel_by_either_name_takes_effect_later() -> None:
    r = room()
    first, second = r.send(order()), r.send(order(price=BID - 1))
    r.advance()
    r.cancel(first)
    registered = r.events(second)[0]["child_order_id"]
    fields = {"product_code": PRODUCT, "child_order_id": registered}
    assert r.post("cancelchildorder", fields) == (200, None)
    assert r.venue.live_orders == 2
    r.advance()
    assert r.story(first) == r.story(second) == ["ORDER", "CANCEL"]


def test_fill_wins_the_race_against_a_cancel() -> None:
    r = room()
    name = r.send(order("BUY", BID + 100, 0.01))
    r.advance()
    r.cancel(name)
    r.other(Side.SELL, 1_000_000)
    r.advance()
    assert r.story(name) == ["ORDER", "EXECUTION 0", "CANCEL_FAILED"]


def test_partial_fill_then_cancel_keeps_the_fill() -> None:
    r = room()
    name = r.send(order("BUY", BID + 100, 0.01))
    r.advance()
    r.cancel(name)
    r.other(Side.SELL, 300_000)
    r.advance()
    assert r.story(name) == ["ORDER", "EXECUTION 0.007", "CANCEL"]


def test_cancel_sent_right_after_the_order_waits_its_turn() -> None:
    r = room()
    name = r.send(order())
    r.cancel(name)
    r.advance()
    assert r.story(name) == ["ORDER", "CANCEL"]


def test_cancel_all_means_what_is_registered_when_it_is_taken() -> None:
    r = room()
    first = r.send(order())
    r.advance()
    late = r.send(order(price=BID - 1))
    assert r.post("cancelallchildorders", {"product_code": PRODUCT}) == (200, None)
    r.advance()
    assert r.story(first) == ["ORDER", "CANCEL"]
    assert r.story(late) == ["ORDER"]


@pytest.mark.parametrize("fields", [{"child_order_acceptance_id": "JRF0"}, {"child_order_id": "JFX0F"}])
def test_cancel_of_an_unknown_order_is_refused(fields: dict[str, Any]) -> None:
    status, answer = room().post("cancelchildorder", {"product_code": PRODUCT, **fields})
    assert (status, answer["status"], answer["error_message"]) == (400, -111, "Order not found")


def test_cancel_of_a_dead_order_fails_by_event_until_the_venue_forgets_it() -> None:
    r = room()
    name = r.send(order(time_in_force="IOC"))
    r.advance()
    r.cancel(name)
    r.advance()
    assert r.story(name) == ["ORDER", "EXPIRE", "CANCEL_FAILED"]
    r.advance(600)
    fields = {"product_code": PRODUCT, "child_order_acceptance_id": name}
    assert r.post("cancelchildorder", fields)[1]["status"] == -111


def test_requests_keep_their_order_however_long_each_takes() -> None:
    r = Room()
    names = [r.send(order(price=BID - n, size=0.001)) for n in range(30)]
    r.advance(10)
    assert [event["child_order_acceptance_id"] for event in r.events()] == names
    stamps = [f.time_ns for f in r.frames if f.account]
    assert stamps == sorted(stamps)


def test_same_seed_same_frames_however_time_is_cut() -> None:
    def run(step: float) -> list[tuple[int, str]]:
        r = Room()
        r.send(order("BUY", BID + 3))
        r.send(order("SELL", ASK - 3, minute_to_expire=1))
        for _ in range(round(64 / step)):
            r.advance(step)
        return [(f.time_ns, f.text) for f in r.frames]

    assert run(64) == run(0.25)


# --- refusals ---------------------------------------------------------------------------------------------------------

INVALID: list[tuple[dict[str, Any], int]] = [
    ({"product_code": "BTC_JPY"}, -100),
    ({"product_code": None}, -100),
    ({"child_order_type": "STOP"}, -108),
    ({"child_order_type": None}, -108),
    ({"side": "buy"}, -108),
    ({"side": ["BUY"]}, -108),
    ({"time_in_force": "GTD"}, -108),
    ({"minute_to_expire": 0}, -108),
    ({"minute_to_expire": 43_201}, -108),
    ({"minute_to_expire": 1.5}, -108),
    ({"minute_to_expire": True}, -108),
    ({"price": None}, -108),
    ({"price": "a lot"}, -108),
    ({"price": MID + 0.5}, -108),
    ({"price": 0}, -106),
    ({"price": -5}, -106),
    ({"price": MID // 2 - 1}, -106),
    ({"price": MID * 3 // 2 + 1}, -107),
    ({"price": 10**16}, -108),
    ({"size": None}, -108),
    ({"size": {}}, -108),
    ({"size": "NaN"}, -108),
    ({"size": "1_0"}, -108),
    ({"size": " 1"}, -108),
    ({"size": "\uff11"}, -108),
    ({"size": "0.00100000000000000000000000000001"}, -108),
    ({"size": 1e-300}, -108),
    ({"price": 1e300}, -108),
    ({"size": 0}, -110),
    ({"size": -1}, -110),
    ({"size": 0.0009}, -110),
    ({"size": "0.00099999"}, -110),
    ({"size": "0.001000001"}, -110),
    ({"size": 1}, -205),
]


@pytest.mark.parametrize(("change", "code"), INVALID)
def test_invalid_order_is_refused(change: dict[str, Any], code: int) -> None:
    r = room()
    status, answer = r.post("sendchildorder", {**order(), **change})
    assert (status, answer["status"], answer["data"]) == (400, code, None)
    r.advance()
    assert not r.events()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"size":NaN}', b"\xff", b"[" * 100_000])
def test_body_that_is_no_object_is_refused(body: bytes) -> None:
    answer = room().answer("POST", "/v1/me/sendchildorder", body)
    assert (answer.status, orjson.loads(answer.text)["status"]) == (400, -108)


@pytest.mark.parametrize(
    "change",
    [
        {"price": str(BID), "size": "0.01", "minute_to_expire": "1"},
        {"price": float(BID)},
        {"price": MID // 2},
        {"size": "0.00100001"},
        {"size": 1e-3},
        {"product_code": "fx_btc_jpy"},
        {"minute_to_expire": 43_200},
        {"child_order_type": "MARKET", "price": None},
    ],
)
def test_valid_forms_are_taken(change: dict[str, Any]) -> None:
    room().send({**order(), **change})


@pytest.mark.parametrize(
    ("state", "send", "ioc", "cancel"),
    [
        (BoardState.RUNNING, 200, 200, 200),
        (BoardState.PREOPEN, 200, -204, 200),
        (BoardState.CIRCUIT_BREAK, -204, -204, 200),
        (BoardState.CLOSED, -204, -204, -204),
        (BoardState.STARTING, -204, -204, -204),
    ],
)
def test_state_of_the_board_gates_requests(state: BoardState, send: int, ioc: int, cancel: int) -> None:
    r = room()
    name = r.send(order())
    r.advance()
    r.market.set_condition(state=state)

    def outcome(call: str, fields: dict[str, Any]) -> int:
        status, answer = r.post(call, fields)
        return status if status == 200 else int(answer["status"])

    assert outcome("sendchildorder", order(price=BID - 1)) == send
    assert outcome("sendchildorder", order(price=BID - 1, time_in_force="IOC")) == ioc
    assert outcome("cancelchildorder", {"product_code": PRODUCT, "child_order_acceptance_id": name}) == cancel
    assert outcome("cancelallchildorders", {"product_code": PRODUCT}) == cancel


@pytest.mark.parametrize("health", [Health.NO_ORDER, Health.STOP])
def test_overload_is_a_500_with_its_own_code(health: Health) -> None:
    r = room()
    r.market.set_condition(health=health)
    status, answer = r.post("sendchildorder", order())
    assert (status, answer["status"]) == (500, -208)


def test_board_that_closes_between_acceptance_and_registration_fails_the_order() -> None:
    r = room()
    name = r.send(order())
    r.market.set_condition(state=BoardState.CLOSED)
    r.advance()
    assert r.story(name) == ["ORDER_FAILED"]
    assert r.events()[0]["reason"] == "The market state is closed."
    assert r.venue.live_orders == 0


def test_order_that_outlives_its_time_in_the_queue_fails() -> None:
    r = room(delays=replace(FIXED, registration=(61 * NS_PER_S, 61 * NS_PER_S)))
    name = r.send(order(minute_to_expire=1))
    r.advance(62)
    assert r.story(name) == ["ORDER_FAILED"]


def test_self_trade_is_refused_and_the_resting_order_stays() -> None:
    r = room()
    resting = r.send(order("SELL", ASK - 10))
    r.advance()
    for crossing in (order("BUY", ASK - 10), order("BUY", None)):
        status, answer = r.post("sendchildorder", crossing)
        assert (status, answer["status"]) == (400, -159)
    r.send(order("BUY", ASK - 11))
    r.advance()
    assert r.story(resting) == ["ORDER"]


def test_order_that_is_filled_before_it_meets_the_own_one_is_taken() -> None:
    r = room()
    r.send(order("SELL", ASK - 10))
    r.advance()
    r.other(Side.SELL, 1_000_000, ASK - 20)
    name = r.send(order("BUY", None, 0.01))
    r.advance()
    assert r.story(name) == ["ORDER", "EXECUTION 0"]


def test_self_trade_of_two_orders_in_the_queue_fails_the_second_by_event() -> None:
    r = room()
    first = r.send(order("SELL", ASK - 10))
    second = r.send(order("BUY", ASK - 10))
    r.advance()
    assert r.story(first) == ["ORDER"]
    assert r.story(second) == ["ORDER_FAILED"]


def test_margin_counts_orders_of_both_sides_and_lets_closing_ones_pass() -> None:
    r = room()  # 1,000,000 JPY at leverage 2 and a price of 10,000,000: 0.2 BTC
    r.other(Side.SELL, 50_000_000, ASK - 1)
    r.send(order("BUY", ASK - 1, 0.1))
    r.advance()
    r.send(order("BUY", BID, 0.09))
    assert r.post("sendchildorder", order("BUY", BID, 0.02))[1]["status"] == -205
    closing = r.send(order("SELL", ASK - 2, 0.1))
    assert r.post("sendchildorder", order("SELL", ASK - 2, 0.02))[1]["status"] == -205
    r.cancel(closing)
    r.advance()
    assert r.get("getcollateral")["require_collateral"] == r.market.mid() / 20


def test_account_without_margin_may_still_close() -> None:
    r = room()
    r.other(Side.SELL, 19_000_000, ASK - 1)
    r.send(order("BUY", ASK - 1, 0.19))
    r.advance()
    r.other(Side.SELL, int(r.market.engine.total(Side.BUY)))
    r.other(Side.BUY, 100_000_000, BID - 3_000_000)
    assert r.venue.accounts["main"].margin(r.market.mid()).available < 0
    assert r.post("sendchildorder", order("BUY", BID - 3_000_000, 0.001))[1]["status"] == -205
    r.send(order("SELL", None, 0.19))
    r.advance()
    assert r.venue.ledger().position == 0


# --- what the account's calls show ------------------------------------------------------------------------------------


def test_order_shows_up_after_registration_and_a_while() -> None:
    r = room()
    name = r.send(order())
    for seconds, shown in ((0.0, 0), (0.1, 0), (0.19, 0), (0.01, 1)):
        r.advance(seconds)
        assert len(r.get("getchildorders")) == shown
    assert r.get("getchildorders")[0]["child_order_acceptance_id"] == name


def test_row_of_an_order_word_for_word() -> None:
    r = room()
    name = r.send(order("BUY", BID + 10, "0.01234567", minute_to_expire=1))
    r.advance()
    r.other(Side.SELL, 234_567)
    r.advance()
    registered = r.events()[0]["child_order_id"]
    text = r.answer("GET", f"/v1/me/getchildorders?product_code={PRODUCT}").text
    assert text == (
        f'[{{"id":0,"child_order_id":"{registered}","product_code":"FX_BTC_JPY","side":"BUY","child_order_type":"LIMIT"'
        ',"price":9999010.0,"average_price":9999010.0,"size":0.01234567,"child_order_state":"ACTIVE"'
        ',"expire_date":"2026-09-21T14:14:20","child_order_date":"2026-09-21T14:13:20"'
        f',"child_order_acceptance_id":"{name}","outstanding_size":0.01,"cancel_size":0.0'
        ',"executed_size":0.00234567,"total_commission":0.0,"time_in_force":"GTC"}]'
    )


def traded(r: Room, count: int) -> list[str]:
    """Orders that were filled, oldest first."""
    names = []
    for _ in range(count):
        names.append(r.send(order("BUY", BID + 10, 0.001)))
        r.advance()
        r.other(Side.SELL, 100_000)
        r.advance()
    return names


def test_orders_that_died_unfilled_are_hidden_and_the_rest_is_newest_first() -> None:
    r = room()
    filled = traded(r, 3)
    for dead in (order(time_in_force="IOC"), order(price=BID - 1)):
        name = r.send(dead)
        r.advance()
        r.cancel(name)
        r.advance()
    active = [r.send(order(price=BID - n)) for n in (2, 3)]
    r.advance()
    rows = r.get("getchildorders")
    assert [row["child_order_acceptance_id"] for row in rows] == active[::-1] + filled[::-1]
    assert [row["id"] == 0 for row in rows] == [True, True, False, False, False]
    assert r.get("getchildorders", f"product_code={PRODUCT}&child_order_state=CANCELED") == []


def test_filters_and_paging_of_orders() -> None:
    r = room()
    filled = traded(r, 4)
    active = r.send(order())
    r.advance()

    def names(query: str) -> list[str]:
        return [row["child_order_acceptance_id"] for row in r.get("getchildorders", f"product_code={PRODUCT}&{query}")]

    ids = [row["id"] for row in r.get("getchildorders")][1:]
    assert ids == sorted(ids, reverse=True)
    assert names("child_order_state=ACTIVE") == [active]
    assert names("child_order_state=COMPLETED") == filled[::-1]
    assert names(f"child_order_acceptance_id={filled[1]}") == [filled[1]]
    assert names(f"child_order_id={r.events(filled[2])[0]['child_order_id']}") == [filled[2]]
    assert names("parent_order_id=JCP1") == []
    assert names("count=2") == [active, filled[3]]
    assert names("count=0") == []
    assert names(f"before={ids[1]}") == [filled[1], filled[0]]  # exclusive, and without the ACTIVE order
    assert names(f"after={ids[2]}") == [filled[3], filled[2]]
    assert names(f"after={ids[3]}&before={ids[0]}&count=1") == [filled[2]]
    answer = r.answer("GET", f"/v1/me/getchildorders?product_code={PRODUCT}&child_order_state=CANCELLED")
    assert answer.status == 400
    assert r.answer("GET", f"/v1/me/getchildorders?product_code={PRODUCT}&count=many").status == 400


def test_omitted_product_means_another_one() -> None:
    r = room()
    for call in ("getchildorders", "getexecutions", "getpositions", "gettradingcommission"):
        answer = r.answer("GET", f"/v1/me/{call}")
        assert (answer.status, orjson.loads(answer.text)["status"]) == (400, -100)


def test_executions_carry_the_public_ids_and_page() -> None:
    r = room()
    filled = traded(r, 3)
    rows = r.get("getexecutions")
    public = {e.exec_id for e in r.market.executions()}
    assert [row["child_order_acceptance_id"] for row in rows] == filled[::-1]
    assert {row["id"] for row in rows} <= public
    assert list(rows[0].items())[2:6] == [("side", "BUY"), ("price", BID + 10.0), ("size", 0.001), ("commission", 0.0)]
    assert r.get("getexecutions", f"product_code={PRODUCT}&after={rows[1]['id']}") == rows[:1]
    assert r.get("getexecutions", f"product_code={PRODUCT}&before={rows[1]['id']}&count=1") == rows[2:]
    assert r.get("getexecutions", f"product_code={PRODUCT}&child_order_acceptance_id={filled[0]}") == rows[2:]


def test_positions_are_lots_first_in_first_out() -> None:
    r = room()
    for price in (ASK - 30, ASK - 20):
        r.other(Side.SELL, 1_000_000, price)
        r.send(order("BUY", price, 0.01))
        r.advance()
    r.other(Side.BUY, 1_500_000, BID + 10)
    r.send(order("SELL", None, 0.015))
    r.advance()
    (lot,) = r.get("getpositions")
    assert (lot["side"], lot["price"], lot["size"], lot["leverage"]) == ("BUY", ASK - 20.0, 0.005, 2.0)
    assert lot["pnl"] == (r.market.mid() - (ASK - 20)) * 0.005
    r.other(Side.BUY, 700_000, BID + 10)
    r.send(order("SELL", None, 0.007))
    r.advance()
    (lot,) = r.get("getpositions")
    assert (lot["side"], lot["price"], lot["size"]) == ("SELL", BID + 10.0, 0.002)
    realised = (BID + 10) * 0.02 - (ASK - 30) * 0.01 - (ASK - 20) * 0.01
    assert r.get("getcollateral")["collateral"] == pytest.approx(1_000_000 + realised)


def test_account_calls_of_a_flat_account() -> None:
    r = room()
    assert r.get("getpositions") == []
    assert r.get("getcollateral", "") == {
        "collateral": 1_000_000.0,
        "open_position_pnl": 0.0,
        "require_collateral": 0.0,
        "keep_rate": 0.0,
        "margin_call_amount": 0.0,
        "margin_call_due_date": None,
    }
    assert r.get("getbalance", "")[0] == {"currency_code": "JPY", "amount": 1_000_000.0, "available": 1_000_000.0}
    assert r.get("gettradingcommission") == {"commission_rate": 0.0}
    assert "/v1/me/sendchildorder" in r.get("getpermissions", "")


def test_public_hears_the_same_whether_or_not_somebody_has_an_account() -> None:
    alone = Market(seed=9, start_ns=START_NS)
    shared = Market(seed=9, start_ns=START_NS)
    PrivateVenue(shared, [KEY])
    until_ns = START_NS + 120 * NS_PER_S
    assert alone.advance(until_ns) == shared.advance(until_ns)


def test_account_may_not_be_called_as_the_flow() -> None:
    r = room()
    with pytest.raises(ValueError, match="flow"):
        PrivateVenue(r.market, [ApiKey(key="k", secret="s", account="flow")])
    with pytest.raises(ValueError, match="joined"):
        PrivateVenue(r.market, [KEY])
