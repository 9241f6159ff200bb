"""Group G, the case that needs a whole run: no look-ahead. G1 to G8 are with the paper venue's own tests."""

from __future__ import annotations

import asyncio

import pytest

from stall_then_strike.app.trader.trader import PaperTrader
from stall_then_strike.app.trader.virtual import VirtualRun
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.sim.exchange.source import iter_frames
from stall_then_strike.sim.market import Market
from tests.market_script import START_NS, RowList, config


def rows_of(messages: list[tuple[int, str]]) -> RowList:
    """All rows up to the last message; what is live then stays so."""
    cfg = config(strategy={"max_reverse_ticks": 500})
    clock, feed, log = VirtualClock(0), MarketFeed(cfg), RowList()
    asyncio.run(VirtualRun(PaperTrader(cfg, clock, feed, log), clock, feed).run(messages, settle=False))
    return log


@pytest.mark.parametrize("seed", [1, 2])
def test_g9_what_comes_later_changes_no_earlier_row(seed: int) -> None:
    """Every run on a shorter tape is the beginning of the run on the whole tape."""
    market = Market(seed=seed, start_ns=START_NS)
    messages = [(frame.time_ns, frame.text) for frame in iter_frames(market, until_ns=START_NS + 120 * 10**9)]
    whole = rows_of(messages).rows
    assert len(whole) > 300
    for length in range(100, len(messages), 97):
        shorter = rows_of(messages[:length]).rows
        assert shorter == whole[: len(shorter)]
        assert all(row.ts_ns >= messages[length - 1][0] for row in whole[len(shorter) :])


def test_g9_a_message_shifted_by_one_place_changes_nothing_before_it() -> None:
    market = Market(seed=3, start_ns=START_NS)
    messages = [(frame.time_ns, frame.text) for frame in iter_frames(market, until_ns=START_NS + 60 * 10**9)]
    at = len(messages) // 2
    late = [
        *messages[:at],
        *((stamp, text) for (stamp, _), (_, text) in zip(messages[at + 1 :], messages[at:-1], strict=True)),
    ]
    whole, shifted = rows_of(messages).rows, rows_of(late).rows
    before = [row for row in whole if row.ts_ns < messages[at][0]]
    assert before
    assert shifted[: len(before)] == before
    assert shifted != whole
