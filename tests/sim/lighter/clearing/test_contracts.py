"""Terms of markets, and how amounts are written."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from stall_then_strike.sim.lighter.clearing.contracts import MARKETS, LighterMarket, Plan, decimal_text
from stall_then_strike.sim.lighter.forms import order_book_form
from tests.shared_data import lighter_file


@pytest.mark.parametrize(
    ("amount", "decimals", "text"),
    [(0, 2, "0.00"), (5, 2, "0.05"), (-5, 2, "-0.05"), (12345, 3, "12.345"), (-70, 0, "-70"), (10, 1, "1.0")],
)
def test_decimals(amount: int, decimals: int, text: str) -> None:
    assert decimal_text(amount, decimals) == text


@pytest.mark.parametrize("changes", [{"price_decimals": 3}, {"min_base": 0}, {"market_id": 255}, {"start_price": 0}])
def test_terms_that_do_not_fit_are_an_error(changes: dict[str, Any]) -> None:
    terms = {"market_id": 1, "symbol": "X", "price_decimals": 2, "size_decimals": 4, "min_base": 1, "start_price": 1}
    with pytest.raises(ValueError, match="market X"):
        LighterMarket(**{**terms, **changes})


def test_the_markets_are_the_venues() -> None:
    listed = {
        row["market_id"]: row
        for row in orjson.loads(lighter_file("rest_orderBooks_20251208.json").read_bytes())["order_books"]
    }
    for market in MARKETS:
        known, ours = listed[market.market_id], order_book_form(market, Plan.STANDARD)
        assert {name: ours[name] for name in known} == known
