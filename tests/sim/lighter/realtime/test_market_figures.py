"""What `market_stats` shows of a market."""

from __future__ import annotations

from typing import Any

from stall_then_strike.sim.lighter.clearing.contracts import MARKETS, MICRO
from stall_then_strike.sim.lighter.clearing.records import OrderTerms
from stall_then_strike.sim.lighter.lighter_venue import LighterVenue
from stall_then_strike.sim.lighter.realtime.market_figures import market_figures
from tests.sim.exchange_rig import SECOND, START_NS
from tests.sim.lighter.stream_rig import ETH, captured, differences, fixtures_2026


def traded() -> LighterVenue:
    """A market in which 2.5 ETH changed hands, and where an account is long."""
    venue = LighterVenue(MARKETS[:1], start_ns=START_NS)
    maker, taker = (venue.add_account(100_000 * MICRO).index for _ in range(2))
    for size, price in ((20_000, 310_000), (5_000, 309_000)):
        venue.place(maker, OrderTerms(market=ETH, is_ask=True, size=size, price=price), START_NS)
        venue.place(taker, OrderTerms(market=ETH, is_ask=False, size=size, price=price), START_NS)
    venue.set_prices(ETH, 310_000, START_NS, 310_050)
    return venue


def row(venue: LighterVenue) -> dict[str, Any]:
    return market_figures(venue.floor, ETH, 310_025)


def test_prices_and_rates_are_texts_and_the_days_figures_floats() -> None:
    shown = row(traded())
    assert (shown["mark_price"], shown["index_price"], shown["mid_price"]) == ("3100.50", "3100.00", "3100.25")
    assert (shown["current_funding_rate"], shown["funding_rate"]) == ("0.0012", "0.0012")
    assert (shown["open_interest"], shown["last_trade_price"]) == ("7751.250000", "3090.00")
    assert (shown["daily_base_token_volume"], shown["daily_quote_token_volume"]) == (2.5, 7_745.0)
    assert (shown["daily_price_low"], shown["daily_price_high"]) == (3_090.0, 3_100.0)


def test_the_last_round_of_funding_is_shown_with_its_time() -> None:
    venue = traded()
    hour_ns = 3_600 * SECOND
    assert row(venue)["funding_timestamp"] == START_NS // hour_ns * 3_600_000
    venue.advance(START_NS + hour_ns)
    shown = row(venue)
    assert shown["funding_timestamp"] == (START_NS // hour_ns + 1) * 3_600_000
    assert shown["funding_rate"] == "0.0012"


def test_forms_are_the_venues() -> None:
    ours = row(traded())
    assert differences(ours, fixtures_2026()["ws_market_stats_subscribed_single.json"]["market_stats"]) == []
    added = frozenset({"symbol", "mid_price", "base_interest_rate"})
    messages = [m for m in captured("ws_market_stats_all_20251009.jsonl") if m.get("channel") == "market_stats:all"]
    theirs = [market for message in messages for market in message["market_stats"].values()]
    assert [differences(ours, market, optional=added) for market in theirs] == [[]] * len(theirs)
    assert len(theirs) > 100
