"""The crowd: a market worth trading in, in every market at its own scale."""

from __future__ import annotations

import pytest

from stall_then_strike.sim.exchange.flow_model import FlowModel
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS, MICRO, LighterMarket
from stall_then_strike.sim.lighter.crowd import MAKER, TAKER, Crowd, model_of
from stall_then_strike.sim.lighter.lighter_venue import LighterVenue
from stall_then_strike.types.dto import Side
from tests.sim.exchange_rig import SECOND, START_NS


def run(market: LighterMarket, seconds: float) -> LighterVenue:
    venue = LighterVenue([market], start_ns=START_NS, seed=1)
    crowd = Crowd(venue, seed=1, start_ns=START_NS)
    while (next_ns := crowd.next_ns()) is not None and next_ns <= START_NS + seconds * SECOND:
        crowd.step()
        venue.advance(next_ns)
    return venue


@pytest.mark.parametrize("market", MARKETS, ids=lambda market: str(market.symbol))
def test_every_market_has_a_narrow_book_and_trades(market: LighterMarket) -> None:
    venue = run(market, 20)
    engine = venue.pits[market.market_id].engine
    bid, ask = engine.best_price(Side.BUY), engine.best_price(Side.SELL)
    assert bid is not None
    assert ask is not None
    assert 0 < (ask - bid) / bid < 0.001
    assert 0.98 < bid / market.start_price < 1.02
    assert 20 < len(engine.depth(Side.BUY)) < 1_000
    worth = [trade.quote / MICRO for trade in venue.trades[market.market_id]]
    assert 2 <= len(worth) <= 200
    assert min(worth) > 5
    assert max(worth) < 1_000_000


def test_money_is_only_moved() -> None:
    venue = run(MARKETS[1], 20)
    assert venue.accounts.wealth() == venue.accounts.deposits
    assert {trade.maker.account for trade in venue.trades[1]} == {MAKER}
    assert {trade.taker.account for trade in venue.trades[1]} == {TAKER}
    assert venue.add_account().index == 100_001, "the crowd takes no number from clients"


def test_distances_are_scaled_to_the_price() -> None:
    for market in MARKETS:
        model = model_of(market)
        assert model.fair_ticks == market.start_price
        assert all(0 < band.near_ticks < band.far_ticks for band in model.bands)
        assert model.volatility / model.fair_ticks == pytest.approx(FlowModel().volatility / FlowModel().fair_ticks)
