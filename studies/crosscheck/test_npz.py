"""hftbacktest reads what we convert, and sees our book."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import hftbacktest
import numpy as np
import pytest
from hftbacktest import types as hft
from hftbacktest.data import correct_event_order, validate_event_order

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.research.tables import npz
from stall_then_strike.research.tables.npz import EVENT_DTYPE, write_npz
from stall_then_strike.tapes.tape_reader import read_tape
from stall_then_strike.types.dto import NS_PER_S, Side
from stall_then_strike.types.instrument import fx_btc_jpy
from tests.research.replay.replay_rig import frames
from tests.shared_data import real_tape_path


@pytest.fixture(params=["made up", "recorded"])
def tape(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "recorded":
        return real_tape_path()
    path = tmp_path / "t.jsonl"
    path.write_text("".join(f'{{"recv_ns":{f.time_ns},"msg":{f.text}}}\n' for f in frames(120)))
    return path


def test_constants_are_theirs() -> None:
    assert hft.event_dtype == EVENT_DTYPE
    for name in (
        *("DEPTH_EVENT", "TRADE_EVENT", "DEPTH_CLEAR_EVENT", "DEPTH_SNAPSHOT_EVENT"),
        *("EXCH_EVENT", "LOCAL_EVENT", "BUY_EVENT", "SELL_EVENT"),
    ):
        assert getattr(npz, name) == getattr(hft, name)


def test_order_is_right_for_both_readers_and_theirs(tape: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    count = write_npz(tape, path, fx_btc_jpy())
    data = np.load(path)["data"]
    assert data.dtype == EVENT_DTYPE
    assert len(data) == count
    validate_event_order(data)
    assert (data["local_ts"] >= data["exch_ts"]).all()
    # The same rows, taken from the local ones, by their own correction.
    heard = data[data["ev"] & hft.LOCAL_EVENT > 0].astype(hft.event_dtype)  # a file knows no alignment, numba does
    heard["ev"] &= ~np.uint64(hft.EXCH_EVENT | hft.LOCAL_EVENT)
    theirs = correct_event_order(
        heard, np.argsort(heard["exch_ts"], kind="mergesort"), np.argsort(heard["local_ts"], kind="mergesort")
    )
    assert Counter(map(tuple, theirs.tolist())) == Counter(map(tuple, data.tolist()))
    for flag in (hft.EXCH_EVENT, hft.LOCAL_EVENT):
        assert (theirs[theirs["ev"] & flag > 0] == data[data["ev"] & flag > 0]).all()


def test_their_book_is_ours_at_every_second(tape: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    write_npz(tape, path, fx_btc_jpy())
    asset = (
        hftbacktest.BacktestAsset()
        .data(str(path))
        .linear_asset(1.0)
        .constant_order_latency(10_000_000, 10_000_000)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(0.0, 0.0)
        .tick_size(1.0)
        .lot_size(1e-8)
        .last_trades_capacity(10_000)
    )
    theirs = hftbacktest.HashMapMarketDepthBacktest([asset])
    feed, lines = MarketFeed(AppConfig()), list(read_tape(tape))
    assert theirs.elapse(1) == 0  # its clock begins with the data
    done = compared = 0
    end_ns = lines[-1].recv_ns
    stamp_ns = lines[0].recv_ns
    while stamp_ns + NS_PER_S < end_ns:
        stamp_ns += NS_PER_S
        while lines[done].recv_ns <= stamp_ns:
            feed.on_text(lines[done].text, lines[done].recv_ns)
            done += 1
        assert theirs.elapse(stamp_ns - theirs.current_timestamp) == 0
        if not feed.board.best_bid:
            continue
        depth, compared = theirs.depth(0), compared + 1
        assert (depth.best_bid_tick, depth.best_ask_tick) == (feed.board.best_bid, feed.board.best_ask)
        for price, lots in list(feed.board.levels(Side.BUY))[:50]:
            assert round(depth.bid_qty_at_tick(price) * 1e8) == lots
        for price, lots in list(feed.board.levels(Side.SELL))[:50]:
            assert round(depth.ask_qty_at_tick(price) * 1e8) == lots
    assert compared > 20
    assert len(theirs.last_trades(0)) == feed.statistics().executions
    theirs.close()
