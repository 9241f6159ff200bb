"""The page about paper fills is what the recordings give, and its measures count what they say."""

from __future__ import annotations

import numpy as np
import pytest

from stall_then_strike.research.figures.mid_path import MidPath
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S
from studies.crosscheck.order_script import Order
from studies.facts import piece, shared_folder
from studies.paper_fills import PAGE, Heard, allowed, improvements, outbid_rate, outbid_within, page, quotes

MINUTE = 60 * NS_PER_S


@pytest.mark.slow(seconds=20)
@pytest.mark.timeout(600)
def test_page_is_what_the_recordings_give() -> None:
    folder = shared_folder()
    if folder is None:
        pytest.skip("the recordings are not here (set STS_SHARED to the folder that holds data/bitflyer)")
    assert page(folder) == PAGE.read_text(encoding="utf-8")


def test_improved_best_is_outbid_or_ends_otherwise() -> None:
    """Bids of 100, 103, 105, 101 and 102, a second each; asks stand at 110."""
    bids = [100, 103, 105, 101, 102, 102]
    stamps = [n * NS_PER_S for n in range(len(bids))]
    found = improvements([piece(stamps, (bids, [110] * 6, [1] * 6, [1] * 6), [])])
    assert found.stamps.tolist() == [NS_PER_S, 2 * NS_PER_S, 4 * NS_PER_S]
    assert found.lasted_s.tolist() == [1, 1, 1]
    assert found.is_outbid.tolist() == [True, False, False], "outbid, gone, and the end of the piece"
    assert found.room == pytest.approx(np.array([7, 5, 8]) / 8)


def test_rate_is_outbid_quotes_over_the_time_that_all_stood() -> None:
    """Quotes are outbid twice a second and leave once a second, whichever is first."""
    rng = np.random.default_rng(1)
    outbid, leave = rng.exponential(0.5, 20_000), rng.exponential(1.0, 20_000)
    found = improvements([piece([0, 1, 2], ([1, 2, 3], [9, 9, 9], [1, 1, 1], [1, 1, 1]), [])])
    found = type(found)(np.arange(20_000) * NS_PER_S, np.minimum(outbid, leave), outbid < leave, np.ones(20_000))
    chosen = np.ones(20_000, bool)
    rate = outbid_rate(found, chosen)
    assert rate is not None
    assert rate.low is not None
    assert rate.high is not None
    assert rate.low < 2 < rate.high
    assert outbid_within(found, chosen, 0.5) == pytest.approx(1 - np.exp(-1), abs=0.02)


def market(prints: list[tuple[int, int, int, int]]) -> Heard:
    return Heard([], MidPath(), [(n * NS_PER_S, 100, 110) for n in range(4)], prints)


def test_quotes_stand_on_both_sides_at_the_strategys_prices() -> None:
    found = quotes(market([]), "mid", 1)
    assert [(order.side, order.price) for order in found[:2]] == [(1, 104), (-1, 106)]
    assert [order.at_ns // NS_PER_S for order in found] == [0, 0, 2, 2]
    assert [(order.side, order.price) for order in quotes(market([]), "inside", 0)[:2]] == [(1, 100), (-1, 110)]


@pytest.mark.parametrize(
    ("at_ms", "taker", "price", "part"),
    [(200, -1, 100, 3), (200, -1, 99, 3), (200, -1, 101, 0), (200, 1, 100, 0), (99, -1, 100, 0), (901, -1, 100, 0)],
    ids=["at", "past", "short of it", "the other side", "before it stands", "after it ended"],
)
def test_prints_allow_what_was_traded_at_the_price_or_past_it(at_ms: int, taker: int, price: int, part: int) -> None:
    order = Order(0, 800 * NS_PER_MS, 1, 100, 5)
    found = list(allowed(market([(at_ms * NS_PER_MS, taker, price, 3)]), [order], 100 * NS_PER_MS))
    assert found == [(part, at_ms * NS_PER_MS if part else 0)]
