"""A market's trades by the period."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.sim.lighter.clearing.candles import MOST_CANDLES, RESOLUTIONS_NS, CandleChart
from stall_then_strike.sim.lighter.clearing.records import LighterTrade
from tests.sim.exchange_rig import SECOND, START_NS

TRADES = st.lists(st.tuples(st.integers(0, 3 * 86_400), st.integers(1, 1_000), st.integers(1, 50)), min_size=1)


def trade(number: int, second: int, price: int, size: int) -> LighterTrade:
    party: Any = None
    return LighterTrade(
        trade_id=number,
        tx_hash="",
        market=0,
        price=price,
        size=size,
        maker=party,
        taker=party,
        is_maker_ask=True,
        time_ns=START_NS + second * SECOND,
        block_height=0,
    )


@given(TRADES, st.sampled_from(sorted(RESOLUTIONS_NS)))
def test_a_candle_has_the_trades_of_its_period(given_trades: list[tuple[int, int, int]], resolution: str) -> None:
    trades = [trade(n, *one) for n, one in enumerate(sorted(given_trades))]
    chart, step_ns = CandleChart(), RESOLUTIONS_NS[resolution]
    for one in trades:
        chart.add(one)
    candles = chart.candles(resolution)
    starts = [one.time_ns // step_ns * step_ns for one in trades]
    assert [candle.start_ns for candle in candles] == sorted(set(starts))
    for candle in candles:
        own = [one for one, start_ns in zip(trades, starts, strict=True) if start_ns == candle.start_ns]
        prices = [one.price for one in own]
        assert (candle.open, candle.high, candle.low, candle.close) == (
            prices[0], max(prices), min(prices), prices[-1],
        )  # fmt: skip
        assert (candle.base, candle.quote) == (sum(one.size for one in own), sum(one.quote for one in own))
        assert candle.last_trade_id == own[-1].trade_id
    assert chart.newest(resolution) is candles[-1]


def test_only_the_newest_are_kept() -> None:
    chart = CandleChart()
    assert chart.newest("1m") is None
    for minute in range(MOST_CANDLES + 3):
        chart.add(trade(minute, 60 * minute, 100, 1))
    assert [candle.last_trade_id for candle in chart.candles("1m")] == list(range(3, MOST_CANDLES + 3))
    assert len(chart.candles("1w")) <= 2
