from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.lighter.markets import BASE_MAX, BUILT_IN, BUILT_IN_NS, PRICE_MAX, Markets, exact
from stall_then_strike.types.errors import ConfigError, UnfitOrder
from tests.shared_data import lighter_file

ETH = Markets().named("ETH")
BTC = Markets().named("BTC")


def test_built_in_markets_have_the_venues_indexes_and_scales() -> None:
    assert (ETH.market_index, ETH.size_scale, ETH.price_scale) == (0, 10_000, 100)
    assert (BTC.market_index, BTC.size_scale, BTC.price_scale) == (1, 100_000, 10)
    assert len({market.market_index for market in BUILT_IN}) == len({market.symbol for market in BUILT_IN})
    assert all(market.size_decimals + market.price_decimals == 6 for market in BUILT_IN)


def test_built_in_table_is_the_captured_list() -> None:
    path = lighter_file("rest_orderBooks_20251208.json")
    body = json.loads(path.read_text())
    listed = Markets.from_wire(_body(body), as_of_ns=1, source="captured")
    assert len(listed) == 119
    assert [listed.at(market.market_index) for market in BUILT_IN] == list(BUILT_IN)


def _body(found: Any) -> Any:
    while "order_books" not in found:
        found = found.get("response") or found["body"]
    return found


@pytest.mark.parametrize(
    ("price", "raw"),
    [(3800.05, 380_005), ("3800.05", 380_005), (Decimal("0.01"), 1), (4400, 440_000), (4400.0, 440_000)],
)
def test_price_is_converted_exactly(price: float | str | Decimal, raw: int) -> None:
    assert ETH.raw_price(price) == raw


@pytest.mark.parametrize("price", [3800.055, 0.001, 0.1 + 0.2, "3800.001"])
def test_price_off_the_step_is_refused(price: float | str) -> None:
    with pytest.raises(UnfitOrder, match=r"is not a whole number of steps of 0\.01"):
        ETH.raw_price(price)


@pytest.mark.parametrize("raw", [0, -1, 2**32, 2**32 + 5, 2**40])
def test_price_that_the_signer_would_wrap_is_refused(raw: int) -> None:
    with pytest.raises(UnfitOrder, match=r"out of range; accepted: 0\.01 to 42949672\.95"):
        ETH.raw_price(Decimal(raw) / 100)


@pytest.mark.parametrize("raw", [0, -1, 2**48, 2**64 + 7])
def test_size_that_the_signer_would_wrap_is_refused(raw: int) -> None:
    with pytest.raises(UnfitOrder, match="out of range"):
        ETH.base_amount(Decimal(raw) / 10_000)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "", "ten", None, "1_0x"])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(UnfitOrder, match="number"):
        ETH.raw_price(value)


@given(st.integers(1, PRICE_MAX))
def test_every_price_in_range_survives_the_way_through_a_float(raw: int) -> None:
    for market in (ETH, BTC):
        assert market.raw_price(float(market.instrument.price(raw))) == raw


@given(st.integers(1, 10**15 - 1))
def test_every_size_of_fifteen_digits_survives_the_way_through_a_float(raw: int) -> None:
    if raw <= BASE_MAX:
        assert BTC.base_amount(float(BTC.instrument.size(raw))) == raw


def test_minimums_bind_resting_orders_only() -> None:
    with pytest.raises(UnfitOrder, match=r"size 0\.0049 is below the minimum; accepted: 0\.0050"):
        ETH.require_quote(49, 380_000, is_resting=True)
    with pytest.raises(UnfitOrder, match=r"is below the minimum; accepted: 10\.000000"):
        ETH.require_quote(50, 190_000, is_resting=True)
    ETH.require_quote(50, 200_000, is_resting=True)
    ETH.require_quote(1, 1, is_resting=False)


def test_largest_quote_binds_every_order() -> None:
    with pytest.raises(UnfitOrder, match="is too much"):
        ETH.require_quote(BASE_MAX, PRICE_MAX, is_resting=False)


def test_unknown_market_names_the_accepted_ones() -> None:
    with pytest.raises(ConfigError, match=r"symbol 'ETH-USD': no such market .*accepted: ETH, BTC, SOL"):
        Markets().named("ETH-USD")
    with pytest.raises(ConfigError, match=r"market_index 4: its scales are unknown .*accepted: 0, 1, 2"):
        Markets().indexed(4)
    assert Markets().named("eth") is Markets().named("XLIGHTER:SWAP:ETH-USDC") is ETH


def test_cache_keeps_everything_and_its_age(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "markets.json"
    Markets(as_of_ns=BUILT_IN_NS + 5, source="venue").save(path)
    found = Markets.load(path)
    assert found is not None
    assert found.all() == Markets().all()
    assert found.age_ns(BUILT_IN_NS + 7) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"as_of_ns": "x"}', '{"as_of_ns": 1, "order_books": [{}]}'])
def test_damaged_cache_counts_as_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "markets.json"
    path.write_text(text)
    assert Markets.load(path) is None


def test_unreadable_row_is_left_out() -> None:
    rows = [{"symbol": "ETH", "market_id": 0}, None, {"symbol": "X", "market_id": "a"}]
    assert len(Markets.from_wire({"order_books": rows}, as_of_ns=1, source="")) == 0
    assert len(Markets.from_wire({"order_books": None}, as_of_ns=1, source="")) == 0


def test_exact_is_what_python_prints() -> None:
    assert exact(1e-7, "size") == Decimal("1E-7")
