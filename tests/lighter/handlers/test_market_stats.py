"""Captured statistics equal the raw fields, for each market and from both channels."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from stall_then_strike.lighter.handlers.base import Unreadable
from stall_then_strike.lighter.handlers.market_stats import MarketStatsHandler
from stall_then_strike.lighter.messages import MarketStats
from tests.lighter.captured import BTC, BTC_FILE, ETH, STATS_FILE, all_markets, messages, modelled


def same(found: MarketStats | None, raw: dict[str, Any]) -> None:
    """Each field has the digits that it had; those that have no name of their own are kept."""
    assert found is not None
    for name, value in raw.items():
        kept = getattr(found, name)
        assert str(kept) == value if isinstance(kept, Decimal) else kept == value, name
    assert found.model_fields_set | set(found.model_extra or {}) == set(raw)


def test_every_captured_figure_of_all_markets_equals_its_raw_field() -> None:
    perpetuals = [market for market in all_markets().all() if market.market_type == "SWAP"]
    handlers = {market.market_index: MarketStatsHandler(market) for market in perpetuals}
    seen = set()
    for message in messages(STATS_FILE):
        for index, handler in handlers.items():
            assert handler.can_handle(message)
            raw = message["market_stats"].get(str(index))
            found = handler.handle(message, 1)
            if raw is None:
                assert found is None
                continue
            same(found, raw)
            assert handler.newest is found
            seen.add(index)
        assert set(message["market_stats"]) <= {str(index) for index in handlers}
    assert len(seen) > 85


def test_every_captured_figure_of_one_market_equals_its_raw_field() -> None:
    handler, other, count = MarketStatsHandler(BTC), MarketStatsHandler(ETH), 0
    for message in messages(BTC_FILE):
        assert not other.can_handle(message)
        if handler.can_handle(message):
            same(handler.handle(message, 1), message["market_stats"])
            count += 1
    assert count == 12


@pytest.mark.parametrize("name", ["ws_market_stats_update_single.json", "ws_market_stats_update_all.json"])
def test_forms_of_2026_are_read(name: str) -> None:
    message, handler = modelled(name), MarketStatsHandler(ETH)
    assert handler.can_handle(message)
    found = handler.handle(message, 1)
    same(found, message["market_stats"].get("0", message["market_stats"]))
    assert found is not None
    assert found.mid_price == Decimal("2064.39")


def test_spot_markets_have_a_channel_of_their_own() -> None:
    message = modelled("ws_spot_market_stats_update_all.json")
    spot = next(market for market in all_markets().all() if market.market_index == 2048)
    assert not MarketStatsHandler(ETH).can_handle(message)
    same(MarketStatsHandler(spot).handle(message, 1), message["spot_market_stats"]["2048"])


@pytest.mark.parametrize("figures", [None, 7, [], {}, {"market_id": 1}, {"market_id": 0, "mark_price": "x"}])
def test_unreadable_figures_are_refused_and_change_nothing(figures: Any) -> None:
    handler = MarketStatsHandler(ETH)
    with pytest.raises(Unreadable):
        handler.handle({"channel": "market_stats:0", "market_stats": figures, "type": "update/market_stats"}, 1)
    assert handler.newest is None
