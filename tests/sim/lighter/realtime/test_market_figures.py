"""The day's trades and what `market_stats` shows of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.sim.lighter.clearing.accounts import Prices
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS
from stall_then_strike.sim.lighter.realtime.market_figures import MINUTE_NS, DayFigures, Funding, MarketFigures
from tests.sim.exchange_rig import SECOND, START_NS
from tests.sim.lighter.stream_rig import captured, differences, fixtures_2026

ETH = MARKETS[0]
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
    assert day.change == 100 * (day.last / kept[0][0] - 1)


def test_a_day_without_trades_shows_the_last_price() -> None:
    day = DayFigures()
    day.add(START_NS, 500, 3)
    day.forget(START_NS + 2 * DAY * SECOND)
    assert (day.base, day.quote, day.trades, day.low, day.high, day.last, day.change) == (0, 0, 0, 500, 500, 500, 0.0)


def row(figures: MarketFigures) -> dict[str, object]:
    funding = Funding(-28, 12, START_NS)
    prices = Prices(310_050, 310_000)
    return figures.row(prices=prices, mid=310_025, open_interest=5_000_001, funding=funding, now_ns=START_NS)


def test_prices_and_rates_are_texts_and_the_days_figures_floats() -> None:
    figures = MarketFigures(ETH)
    figures.day.add(START_NS, 310_000, 20_000)
    figures.day.add(START_NS, 309_000, 5_000)
    shown = row(figures)
    assert (shown["mark_price"], shown["index_price"], shown["mid_price"]) == ("3100.50", "3100.00", "3100.25")
    assert (shown["current_funding_rate"], shown["funding_rate"]) == ("-0.0028", "0.0012")
    assert (shown["open_interest"], shown["last_trade_price"]) == ("5.000001", "3090.00")
    assert (shown["daily_base_token_volume"], shown["daily_quote_token_volume"]) == (2.5, 7_745.0)
    assert (shown["daily_price_low"], shown["daily_price_high"]) == (3_090.0, 3_100.0)
    assert shown["funding_timestamp"] == START_NS // 1_000_000


def test_forms_are_the_venues() -> None:
    ours = row(MarketFigures(ETH))
    assert differences(ours, fixtures_2026()["ws_market_stats_subscribed_single.json"]["market_stats"]) == []
    added = frozenset({"symbol", "mid_price", "base_interest_rate"})
    [first, *updates] = [
        m for m in captured("ws_market_stats_all_20251009.jsonl") if m["channel"] == "market_stats:all"
    ]
    theirs = [market for message in (first, *updates) for market in message["market_stats"].values()]
    assert [differences(ours, market, optional=added) for market in theirs] == [[]] * len(theirs)
