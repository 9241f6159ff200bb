"""The rate of an hour's funding."""

from __future__ import annotations

from typing import Any

import pytest

from stall_then_strike.sim.lighter.clearing.contracts import MARKETS
from stall_then_strike.sim.lighter.clearing.funding_rates import FundingRates
from tests.sim.lighter.floor_rig import PRICE

DEEP = 10**9


def hour(bid: int | None, ask: int | None, minutes: int = 60, size: int = DEEP) -> int:
    rates = FundingRates(MARKETS[0])
    bids: Any = [] if bid is None else [(bid, size)]
    asks: Any = [] if ask is None else [(ask, size)]
    for _ in range(minutes):
        rates.sample(bids, asks, PRICE)
    return rates.close(0, PRICE).rate


@pytest.mark.parametrize(
    ("bid", "ask", "rate", "why"),
    [
        (None, None, 12, "no depth: interest alone, 100 / 8"),
        (PRICE - 100, PRICE + 100, 12, "the index price is inside the spread"),
        (PRICE + 310, PRICE + 400, 62, "+0.1 %: 1,000 - 500, an eighth"),
        (PRICE - 400, PRICE - 310, -62, "-0.1 %: -1,000 + 500, an eighth towards zero"),
        (PRICE + 124, PRICE + 125, 12, "+0.04 %: brought back to the interest"),
        (PRICE * 2, PRICE * 3, 5_000, "clamped to 4 % in eight hours"),
        (PRICE // 3, PRICE // 2, -5_000, "and to -4 %"),
    ],
)
def test_rates(bid: int | None, ask: int | None, rate: int, why: str) -> None:
    assert hour(bid, ask) == rate, why


def test_minutes_that_are_missing_count_as_zero() -> None:
    assert hour(PRICE + 3_100, PRICE + 3_200, minutes=30) == (5_000 - 500) // 8


def test_thin_books_have_no_premium() -> None:
    assert hour(PRICE + 310, PRICE + 400, size=80_000) == 12, "25,000 USDC at 3,103.10 take more than 8 ETH"
    assert hour(PRICE + 310, PRICE + 400, size=81_000) == 62


def test_the_impact_price_is_an_average() -> None:
    rates = FundingRates(MARKETS[0])
    for _ in range(60):
        rates.sample([(PRICE + 620, 40_000), (PRICE, DEEP)], [(PRICE + 700, DEEP)], PRICE)  # type: ignore[list-item]
    assert 45 < rates.estimate() < 63, "half at +0.2 %, half at the index price"


def test_estimate_and_rounds() -> None:
    rates = FundingRates(MARKETS[0])
    assert rates.estimate() == 12
    rates.sample([], [], PRICE)
    assert rates.close(7, PRICE) == (7, 12, PRICE)
    assert list(rates.rounds) == [(7, 12, PRICE)]
