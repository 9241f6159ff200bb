"""The snapshot as plain values: its keys are what consoles and monitors read."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import orjson
import pytest

from stall_then_strike.app.view.snapshot import Counts, Halt, ReasonCount, Snapshot, as_plain
from tests.app.view.snapshots import BAD, EMPTY, FULL, LIVE, TWO, changed

DAY = {"pnl", "realised", "drawdown", "max_drawdown", "fills"}
COUNTS = {
    "messages",
    "strikes",
    "placed",
    "filled",
    "partly_filled",
    "fills",
    "cancels",
    "closes",
    "rejects",
    "garbage",
}
ACCOUNT = {
    "ts",
    "mode",
    "uptime_s",
    "halt",
    "paused",
    "awaited",
    "connected",
    "reconnects",
    "account",
    "quote",
    "date",
    "day",
    "pnl_limit",
    "drawdown_limit",
    "equity",
    "budget",
    "budget_wait",
    "latency",
    "counts",
    "instruments",
}
INSTRUMENT = {
    "product",
    "base",
    "quote",
    "reason",
    "venue_state",
    "venue_health",
    "book",
    "message_age_ms",
    "stale_ms",
    "best_bid",
    "best_ask",
    "spread_ticks",
    "bids",
    "asks",
    "best_age_ms",
    "stall_ms",
    "word",
    "position",
    "max_position",
    "avg_price",
    "day",
    "run",
    "counts",
    "orders",
    "quotes",
    "decisions",
    "fills",
}
PARTS = {
    "account": {"is_live", "is_settled", "reported_s", "in_doubt", "lag_p99_ms"},
    "halt": {"reason", "ts", "detail"},
    "day": DAY,
    "latency": {"p50_us", "p99_us", "samples"},
    "counts": COUNTS,
    "budget": {"name", "used", "limit", "next_s"},
}
OWN_PARTS = {
    "day": DAY,
    "counts": COUNTS,
    "run": {"realised", "marked", "max_drawdown", "volume", "mid_checks", "mid_agreed", "reasons"},
    "orders": {"sent", "client_order_id", "order_id", "side", "price", "size", "remaining", "state", "tag"},
    "quotes": {"side", "price", "size"},
    "decisions": {"ts", "decision_type", "reason", "detail"},
    "fills": {"ts", "side", "price", "size", "pnl", "inventory_after", "tag"},
}


def keys_of(value: object) -> set[str]:
    """Those of an object, or of each object of a list that is not empty."""
    if isinstance(value, list):
        (keys,) = {tuple(item) for item in value}
        return set(keys)
    assert isinstance(value, dict)
    return set(value)


def test_keys_that_programs_read() -> None:
    told = as_plain(replace(TWO, halt=Halt(reason="kill_pnl")))
    assert set(told) == ACCOUNT
    assert {name: keys_of(told[name]) for name in PARTS} == PARTS
    assert len(told["instruments"]) == 2
    for one in told["instruments"]:
        assert set(one) == INSTRUMENT
        assert {name: keys_of(one[name]) for name in OWN_PARTS} == OWN_PARTS


def test_values_are_those_of_the_logs() -> None:
    told = as_plain(LIVE)
    (one,) = told["instruments"]
    assert (told["ts"], told["date"]) == ("2026-11-21T07:30:13.123456Z", "2026-11-21")
    assert (told["day"]["pnl"], told["pnl_limit"], told["halt"]) == ("-16234.5", "-30000", None)
    assert (one["position"], one["max_position"], one["avg_price"]) == ("-0.012", "0.2", "13600444")
    assert (one["book"], one["venue_state"], one["venue_health"]) == ("ok", "RUNNING", "NORMAL")
    assert one["orders"][0] == {
        "sent": "2026-11-21T07:30:12.611456Z",
        "client_order_id": "k1-0s",
        "order_id": None,
        "side": "BUY",
        "price": "13600749",
        "size": "0.001",
        "remaining": "0.0004",
        "state": "partial",
        "tag": "stall",
    }
    use = {"name": "small orders", "used": 57, "limit": 100, "next_s": None}
    assert (told["latency"]["samples"], told["budget"][3]) == (5234, use)


@pytest.mark.parametrize("seen", [EMPTY, FULL, LIVE, BAD, TWO])
def test_json_has_texts_for_decimals_and_no_float_for_money(seen: Snapshot) -> None:
    def floats(value: object, at: str = "") -> set[str]:
        match value:
            case dict():
                return {name for key, item in value.items() for name in floats(item, key)}
            case list():
                return {name for item in value for name in floats(item, at)}
        return {at} if isinstance(value, float) else set()

    told = as_plain(seen)
    assert orjson.loads(orjson.dumps(told)) == told
    assert floats(told) <= {"uptime_s", "reported_s", "lag_p99_ms", "p50_us", "p99_us", "seconds"}


def test_keys_can_be_named_otherwise() -> None:
    assert as_plain(ReasonCount(reason="r", count=1, seconds=None), {"count": "times"}) == {
        "reason": "r",
        "times": 1,
        "seconds": None,
    }


def test_counts_of_the_account_are_those_of_its_instruments_together() -> None:
    first, second = TWO.instruments
    assert TWO.counts == first.counts + second.counts
    assert TWO.counts.strikes == 1_500
    assert replace(TWO, instruments=(first,)).counts == first.counts
    assert Counts(placed=4, filled=1, partly_filled=2).fill_ratio == 0.75


@pytest.mark.parametrize(
    ("seen", "doing"),
    [
        (EMPTY, "starting"),
        (LIVE, "budget"),
        (TWO, "trading"),
        (changed(TWO, awaited="stopping: waiting"), "stopping: waiting"),
        (replace(TWO, instruments=tuple(replace(one, reason="") for one in TWO.instruments)), "starting"),
    ],
)
def test_what_is_being_done_in_a_word(seen: Snapshot, doing: str) -> None:
    assert seen.doing == doing


def test_limits_have_their_use_beside_them() -> None:
    told = as_plain(FULL)
    assert Decimal(told["day"]["pnl"]) / Decimal(told["pnl_limit"]) == Decimal("0.54115")
    assert told["budget"][0]["used"] / told["budget"][0]["limit"] == 0.824
