"""A converted tape: each reader's rows in the order of its stamps, and a book that is ours.

hftbacktest itself reads one in `studies/crosscheck/test_npz.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.research.tables.npz import (
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    EVENT_DTYPE,
    EXCH_EVENT,
    LOCAL_EVENT,
    TRADE_EVENT,
    write_npz,
)
from stall_then_strike.tapes.tape_reader import read_tape
from stall_then_strike.types.dto import NS_PER_S, Side
from stall_then_strike.types.instrument import fx_btc_jpy
from tests.research.replay.replay_rig import START_NS, frames
from tests.shared_data import real_tape_path


@pytest.fixture(params=["made up", "recorded"])
def tape(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "recorded":
        return real_tape_path()
    path = tmp_path / "t.jsonl"
    path.write_text("".join(f'{{"recv_ns":{f.time_ns},"msg":{f.text}}}\n' for f in frames(120)))
    return path


def check_order(data: Any) -> None:
    """Each reader's rows are in the order of its own stamps; nothing is received before it is."""
    local, exch = (data["ev"] & flag > 0 for flag in (LOCAL_EVENT, EXCH_EVENT))
    assert (local | exch).all()
    assert (np.diff(data["local_ts"][local]) >= 0).all()
    assert (np.diff(data["exch_ts"][exch]) >= 0).all()
    assert (data["local_ts"] >= data["exch_ts"]).all()


def test_both_readers_have_the_same_events_each_in_its_own_order(tape: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    count = write_npz(tape, path, fx_btc_jpy(), feed_latency_ms=30)
    data = np.load(path)["data"]
    assert (data.dtype, len(data)) == (EVENT_DTYPE, count)
    check_order(data)
    flags = np.uint64(LOCAL_EVENT | EXCH_EVENT)
    local, exch = (data[data["ev"] & flag > 0] for flag in (LOCAL_EVENT, EXCH_EVENT))
    for rows in (local, exch):
        rows["ev"] &= ~flags
    assert sorted(local.tolist()) == sorted(exch.tolist())


def test_book_built_from_the_local_events_is_ours_at_every_second(tape: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    write_npz(tape, path, fx_btc_jpy())
    data = np.load(path)["data"]
    rows = iter(data[data["ev"] & LOCAL_EVENT > 0].tolist())
    row: Any = next(rows)
    feed, lines = MarketFeed(AppConfig()), list(read_tape(tape))
    books: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
    done = compared = 0
    for stamp_ns in range(lines[0].recv_ns + NS_PER_S, lines[-1].recv_ns, NS_PER_S):
        while lines[done].recv_ns <= stamp_ns:
            feed.on_text(lines[done].text, lines[done].recv_ns)
            done += 1
        while row is not None and row[2] <= stamp_ns:
            change(books, row)
            row = next(rows, None)
        if feed.board.best_bid:
            compared += 1
            for side, book in books.items():
                assert book == dict(feed.board.levels(side))
    assert compared > 20


def change(books: dict[Side, dict[int, int]], row: Any) -> None:
    """What one event does to the book."""
    event, price, size = row[0], round(row[3]), round(row[4] * 1e8)
    side = Side.BUY if event & BUY_EVENT else Side.SELL
    book = books[side]
    if event & 0xFF == TRADE_EVENT:
        return
    if event & 0xFF == DEPTH_CLEAR_EVENT:
        for level in [level for level in book if (level - price) * side.sign >= 0]:
            del book[level]
    elif size:
        book[price] = size
    else:
        book.pop(price, None)


def test_trades_carry_the_venues_stamp_and_boards_a_constant_latency(tape: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    write_npz(tape, path, fx_btc_jpy(), feed_latency_ms=30)
    data = np.load(path)["data"]
    latency = data["local_ts"] - data["exch_ts"]
    is_trade = data["ev"] & 0xFF == TRADE_EVENT
    assert (latency[~is_trade] == 30_000_000).all()
    assert len(set(latency[is_trade].tolist())) > 5


def test_stamps_that_cannot_be_are_bounded(tmp_path: Path) -> None:
    item = (
        '{"id":%d,"side":"BUY","price":5.0,"size":0.1,"exec_date":"%s","buy_child_order_acceptance_id":"a",'
        '"sell_child_order_acceptance_id":"b"}'
    )
    dates = ["2026-01-05T01:00:00.0Z", "2020-01-05T00:00:00.0Z", "yesterday"]
    items = ",".join(item % (n, date) for n, date in enumerate(dates, start=1))
    params = f'{{"channel":"lightning_executions_FX_BTC_JPY","message":[{items}]}}'
    tape, path = tmp_path / "t.jsonl", tmp_path / "t.npz"
    tape.write_text(f'{{"recv_ns":{START_NS},"msg":{{"method":"channelMessage","params":{params}}}}}\n')
    write_npz(tape, path, fx_btc_jpy(), feed_latency_ms=30)
    data = np.load(path)["data"]
    heard = data[data["ev"] & LOCAL_EVENT > 0]
    assert (START_NS - heard["exch_ts"]).tolist() == [0, 10 * NS_PER_S, 30_000_000]
    check_order(data)
