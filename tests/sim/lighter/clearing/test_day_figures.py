"""A market's last 24 hours."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.sim.lighter.clearing.day_figures import MINUTE_NS, DayFigures
from tests.sim.exchange_rig import SECOND, START_NS

DAY = 86_400


@given(st.lists(st.tuples(st.integers(0, 3 * DAY), st.integers(1, 1_000), st.integers(1, 50)), min_size=1, max_size=40))
def test_a_day_has_the_trades_of_its_minutes(trades: list[tuple[int, int, int]]) -> None:
    trades.sort(key=lambda trade: trade[0])
    day = DayFigures()
    for second, price, size in trades:
        day.add(START_NS + second * SECOND, price, size)
    now_ns = START_NS + trades[-1][0] * SECOND
    kept = [
        (price, size)
        for second, price, size in trades
        if (START_NS + second * SECOND) // MINUTE_NS > now_ns // MINUTE_NS - 24 * 60
    ]
    assert (day.base, day.trades) == (sum(size for _, size in kept), len(kept))
    assert day.quote == sum(price * size for price, size in kept)
    assert (day.low, day.high) == (min(price for price, _ in kept), max(price for price, _ in kept))
    assert day.last == trades[-1][1]
    assert day.change == (day.last - kept[0][0]) * 100 / kept[0][0]


def test_a_day_without_trades_shows_the_last_price() -> None:
    day = DayFigures()
    day.add(START_NS, 500, 3)
    day.forget(START_NS + 2 * DAY * SECOND)
    assert (day.base, day.quote, day.trades, day.low, day.high, day.last, day.change) == (0, 0, 0, 500, 500, 500, 0.0)
