"""The venue's limits: windows by stamps, then in the answers of calls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from stall_then_strike.sim.bitflyer.limits import CallWindow, Limits, SmallOrders
from stall_then_strike.sim.bitflyer.private_rest import RestAnswer
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings
from stall_then_strike.types.dto import NS_PER_S
from tests.sim.exchange_rig import PRODUCT
from tests.sim.private_rig import BID, NO_CALENDAR, NO_LIMITS, Room, order


def test_window_begins_with_its_first_call_and_is_reset_as_a_whole() -> None:
    window = CallWindow(3)
    start = 1_000 * NS_PER_S + 1
    stamps = [0, 10, 299, 299.9, 300, 301]
    readings = [window.count(start + int(s * NS_PER_S)) for s in stamps]
    assert [r.is_allowed for r in readings] == [True, True, True, False, True, True]
    assert [r.remaining for r in readings] == [2, 1, 0, 0, 2, 1]
    assert [r.period_s for r in readings] == [300, 290, 1, 1, 300, 299]
    assert readings[0].reset_s == 1_301
    assert window.breaches == 1


def test_breach_lowers_the_next_ceilings_for_a_while() -> None:
    window = CallWindow(4, lowered_share=0.5, lowered_s=400)
    for _ in range(5):
        window.count(0)
    at = [window.count(s * NS_PER_S).remaining for s in (300, 600, 900)]
    assert at == [1, 1, 3]


def test_small_orders_roll_and_a_breach_costs_an_hour() -> None:
    small = SmallOrders(100, after_breach=10, penalty_s=3_600)
    assert all(small.allow(n * NS_PER_S // 2) for n in range(100))
    assert not small.allow(59 * NS_PER_S)
    assert small.is_penalised(60 * NS_PER_S)
    later = 200 * NS_PER_S
    assert [small.allow(later + n) for n in range(11)] == [True] * 10 + [False]
    assert small.allow(later + 60 * NS_PER_S)
    assert not small.is_penalised(3_660 * NS_PER_S)
    assert all(small.allow(3_700 * NS_PER_S + n) for n in range(100))
    assert small.breaches == 2


def room(ip_limit: int | None = None, **limits: Any) -> Room:
    settings = PrivateSettings(limits=replace(NO_LIMITS, **limits), calendar=NO_CALENDAR)
    return Room(settings=settings, ip_limit=ip_limit)


def headers(answer: RestAnswer) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


def code(answer: RestAnswer) -> tuple[int, int]:
    return answer.status, orjson.loads(answer.text)["status"]


def test_private_calls_are_counted_and_told_in_headers() -> None:
    r = room(private_calls=2, order_calls=7)
    first = r.answer("GET", "/v1/me/getbalance")
    assert headers(first) == {
        "x-ratelimit-period": "300",
        "x-ratelimit-remaining": "1",
        "x-ratelimit-reset": str(r.now_ns // NS_PER_S + 300),
    }
    body = orjson.dumps({"product_code": PRODUCT})
    second = headers(r.answer("POST", "/v1/me/cancelallchildorders", body))
    assert (second["x-ratelimit-remaining"], second["x-orderrequest-ratelimit-remaining"]) == ("0", "6")
    third = r.answer("GET", "/v1/me/getbalance")
    assert code(third) == (429, -1)
    assert headers(third)["x-ratelimit-remaining"] == "0"
    r.advance(300)
    assert r.answer("GET", "/v1/me/getbalance").status == 200
    assert r.venue.limit_breaches == 1


def test_single_cancels_are_not_in_the_order_bucket() -> None:
    r = room(order_calls=2)
    name = r.send(order())
    fields = {"product_code": PRODUCT, "child_order_acceptance_id": name}
    for _ in range(5):
        answer = r.answer("POST", "/v1/me/cancelchildorder", orjson.dumps(fields))
        assert answer.status == 200
        assert "x-orderrequest-ratelimit-remaining" not in headers(answer)
    assert r.post("cancelallchildorders", {"product_code": PRODUCT})[0] == 200
    status, answer = r.post("sendchildorder", order(price=BID - 1))
    assert (status, answer["status"]) == (429, -1)


def test_refused_orders_count_too() -> None:
    r = room(order_calls=2)
    for expected in (400, 400, 429):
        assert r.post("sendchildorder", order(side="UP"))[0] == expected


@pytest.mark.parametrize(("size", "allowed"), [(0.1, False), ("0.10000001", True)])
def test_only_small_orders_are_under_the_small_rule(size: Any, allowed: bool) -> None:
    r = room(small_orders=1)
    r.send(order(size=0.001))
    status, answer = r.post("sendchildorder", order(size=size))
    assert (status == 200) is allowed
    assert allowed or answer["status"] == -1


def test_calls_of_an_address_count_before_the_signature() -> None:
    r = room(ip_limit=2)
    assert r.answer("GET", "/v1/me/nothing").status == 404
    assert r.answer("GET", "/v1/me/getbalance").status == 200
    refused = r.answer("GET", "/v1/me/getbalance")
    assert code(refused) == (429, -1)
    assert headers(refused)["x-ratelimit-remaining"] == "0"


def test_documented_limits_are_the_defaults() -> None:
    limits = Limits()
    assert (limits.private_calls, limits.order_calls, limits.small_orders) == (500, 300, 100)
    assert (limits.small_orders_after_breach, limits.small_penalty_s, limits.small_size) == (10, 3_600, "0.1")
