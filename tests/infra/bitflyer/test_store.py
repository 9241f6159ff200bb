"""The board equals a naive one, and pybotters' own, whatever comes; a bad message changes nothing."""

from __future__ import annotations

import asyncio
import inspect
import math
from decimal import Decimal
from typing import Any

import pybotters
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pybotters.models.bitflyer import Board as PybottersBoard
from pybotters.store import DataStore

from stall_then_strike.infra.bitflyer.store import BitflyerStore, Board
from stall_then_strike.infra.levels import BoardError
from stall_then_strike.types.dto import Side
from stall_then_strike.types.instrument import Instrument, Lots, Ticks, fx_btc_jpy
from tests.infra.session_rig import data
from tests.shared_data import real_tape

CODE = "FX_BTC_JPY"


def message(
    bids: list[tuple[Any, Any]] | None = None, asks: list[tuple[Any, Any]] | None = None, mid: Any = 100.0
) -> dict[str, Any]:
    def levels(pairs: list[tuple[Any, Any]] | None) -> list[dict[str, Any]]:
        return [{"price": price, "size": size} for price, size in pairs or []]

    return {"mid_price": mid, "bids": levels(bids), "asks": levels(asks)}


def contents(board: Board) -> tuple[dict[int, int], dict[int, int]]:
    return dict(board.levels(Side.BUY)), dict(board.levels(Side.SELL))


@pytest.fixture
def board() -> Board:
    board = Board(fx_btc_jpy())
    board.apply_snapshot(message([(98.0, 0.5), (99.0, 0.1)], [(101.0, 0.2), (103.0, 1.0)]))
    return board


# --- Against a naive model -------------------------------------------------------------------------------------------

LEVELS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=12)
MESSAGES = st.lists(st.tuples(st.sampled_from(["delta", "delta", "delta", "snapshot"]), LEVELS, LEVELS), max_size=25)


@given(MESSAGES, st.booleans())
def test_board_equals_a_dict_of_prices(messages: list[tuple[str, Any, Any]], as_float: bool) -> None:
    board = Board(fx_btc_jpy())
    model: dict[str, dict[int, int]] = {"bids": {}, "asks": {}}
    for kind, bids, asks in messages:
        wire = message(*([(float(p) if as_float else p, n / 1e8) for p, n in side] for side in (bids, asks)), mid=20)
        if kind == "snapshot":
            board.apply_snapshot(wire)
            model = {"bids": {}, "asks": {}}
        else:
            board.apply_delta(wire)
        for name, side in (("bids", bids), ("asks", asks)):
            for price, size in side:
                if price == 0:
                    continue
                model[name].pop(price, None)
                if size:
                    model[name][price] = size

        assert list(board.levels(Side.BUY)) == sorted(model["bids"].items(), reverse=True)
        assert list(board.levels(Side.SELL)) == sorted(model["asks"].items())
        assert board.best_bid == max(model["bids"], default=0)
        assert board.best_ask == min(model["asks"], default=0)
        assert board.best_bid_size == model["bids"].get(board.best_bid, 0)
        assert board.best_ask_size == model["asks"].get(board.best_ask, 0)
        assert len(board) == len(model["bids"]) + len(model["asks"]) == len(list(board))
        for price in range(41):
            assert board.size_at(Side.BUY, Ticks(price)) == model["bids"].get(price, 0)
            assert board.size_at(Side.SELL, Ticks(price)) == model["asks"].get(price, 0)


def test_board_equals_pybotters_own_board_on_the_real_tape_apart_from_trimming() -> None:
    """pybotters drops levels on the wrong side of each message's mid; where it would not, both hold the same items."""
    ours, theirs = Board(fx_btc_jpy()), PybottersBoard("board")
    compared = 0
    for line in real_tape():
        if line.channel == f"lightning_board_snapshot_{CODE}":
            ours.apply_snapshot(line.content)
            theirs._clear()
        elif line.channel == f"lightning_board_{CODE}" and len(ours):
            ours.apply_delta(line.content)
        else:
            continue
        theirs._onmessage(CODE, line.content)
        mid = line.content["mid_price"]
        mine = ours.sorted()
        mine["bids"] = [item for item in mine["bids"] if item["price"] <= mid]
        mine["asks"] = [item for item in mine["asks"] if item["price"] > mid]
        assert mine == theirs.sorted()
        assert ours.mid_price == theirs.mid_price
        compared += 1
    assert compared == 219


def test_sizes_and_prices_come_out_as_they_went_in() -> None:
    board = Board(fx_btc_jpy())
    for line in real_tape():
        if "board" in line.channel:
            for name in ("bids", "asks"):
                wire = {level["price"]: level["size"] for level in line.content[name] if level["size"]}
                board.apply_snapshot({**message(), name: line.content[name]})
                assert {item["price"]: item["size"] for item in board} == wire


# --- Refusals --------------------------------------------------------------------------------------------------------

BAD_NUMBERS = [None, "1", "", [], {}, [1], True, False, math.nan, math.inf, -math.inf, -1, -0.5, 10**400]
BAD_LEVELS = [
    *({"price": bad, "size": 0.1} for bad in [*BAD_NUMBERS, 100.5]),
    *({"price": 100.0, "size": bad} for bad in [*BAD_NUMBERS, 1e301]),
    {"price": 100.0},
    {"size": 0.1},
    {},
    [],
    None,
    "x",
    7,
    ["price", "size"],
]


@pytest.mark.parametrize("apply", [Board.apply_delta, Board.apply_snapshot])
@pytest.mark.parametrize("side", ["bids", "asks"])
@pytest.mark.parametrize("bad", BAD_LEVELS, ids=repr)
def test_bad_level_leaves_the_board_as_it_was(board: Board, apply: Any, side: str, bad: Any) -> None:
    before = contents(board), board.best_bid, board.best_ask, dict(board.mid_price)
    wire = message([(98.0, 0.0), (97.0, 1.0)], [(101.0, 0.0), (102.0, 1.0)], mid=99.0)
    wire[side] = [*wire[side], bad]
    with pytest.raises(BoardError):
        apply(board, wire)
    assert (contents(board), board.best_bid, board.best_ask, dict(board.mid_price)) == before


@pytest.mark.parametrize(
    "bad",
    [
        *({**message([(97.0, 1.0)]), "mid_price": bad} for bad in BAD_NUMBERS),
        *({**message([(97.0, 1.0)]), "bids": bad} for bad in [None, "", "ab", {}, {"price": 1}, 5, True]),
        *({**message([(97.0, 1.0)]), "asks": bad} for bad in [None, "", "ab", {}, {"price": 1}, 5, True]),
        {"mid_price": 100.0, "bids": []},
        {"bids": [], "asks": []},
        {},
        [],
        None,
        "text",
        3,
    ],
    ids=repr,
)
def test_bad_message_leaves_the_board_as_it_was(board: Board, bad: Any) -> None:
    before = contents(board)
    for apply in (board.apply_delta, board.apply_snapshot):
        with pytest.raises(BoardError):
            apply(bad)
    assert contents(board) == before


def test_more_levels_than_the_cap_are_refused_whole() -> None:
    board = Board(fx_btc_jpy(), max_levels=4)
    board.apply_snapshot(message([(price, 1) for price in (96, 97, 98, 99)]))
    before = contents(board)
    for refused in (message([(95, 1)]), message(asks=[(price, 1) for price in range(101, 106)])):
        with pytest.raises(BoardError, match="more than 4"):
            board.apply_delta(refused)
    with pytest.raises(BoardError, match="more than 4"):
        board.apply_snapshot(message([(price, 1) for price in range(90, 95)]))
    assert contents(board) == before


def test_auction_entries_at_price_zero_are_ignored(board: Board) -> None:
    board.apply_delta(message([(0, 5.0), (99.0, 0.3)], [(0.0, 0.0)]))
    assert contents(board) == ({99: 30_000_000, 98: 50_000_000}, {101: 20_000_000, 103: 100_000_000})


def test_deleting_what_is_not_there_is_no_error(board: Board) -> None:
    before = contents(board)
    board.apply_delta(message([(50.0, 0.0)], [(150.0, 0)]))
    assert contents(board) == before


def test_half_yen_ticks_are_kept_apart() -> None:
    half = Instrument(product_code="X", tick_size=Decimal("0.5"), lot_size=Decimal("0.001"), min_size=Lots(1))
    board = Board(half)
    board.apply_snapshot(message([(99.5, 0.001)], [(100.0, 0.002)], mid=99.5))
    assert (board.best_bid, board.best_ask) == (199, 200)
    tenth = Board(Instrument(product_code="X", tick_size=Decimal("0.1"), lot_size=Decimal("0.001"), min_size=Lots(1)))
    tenth.apply_snapshot(message([(0.3, 1), (4.3, 1), (1.1, 1)], mid=5))
    assert [price for price, _ in tenth.levels(Side.BUY)] == [43, 11, 3]
    with pytest.raises(BoardError, match="off the grid"):
        tenth.apply_delta(message([(4.35, 1)]))


def test_clear_empties_the_board(board: Board) -> None:
    board.clear()
    assert (len(board), board.best_bid, board.best_ask, board.mid_price) == (0, 0, 0, {})


# --- pybotters' face -------------------------------------------------------------------------------------------------


def test_public_methods_are_those_of_pybotters() -> None:
    for name, method in inspect.getmembers(PybottersBoard, inspect.isfunction):
        if not name.startswith("_"):
            theirs, ours = inspect.signature(method), inspect.signature(getattr(Board, name))
            assert list(theirs.parameters) == list(ours.parameters), name
    assert issubclass(Board, DataStore)


def test_queries_answer_as_pybotters_does(board: Board) -> None:
    theirs = PybottersBoard("board")
    theirs._onmessage(CODE, message([(98.0, 0.5), (99.0, 0.1)], [(101.0, 0.2), (103.0, 1.0)]))
    assert theirs.get({"product_code": CODE, "side": "bids", "price": 99.0}) is not None
    keys: list[dict[str, Any]] = [
        {"product_code": CODE, "side": "bids", "price": 99.0},
        {"product_code": CODE, "side": "bids", "price": 99, "size": 7},
        {"product_code": CODE, "side": "asks", "price": 99.0},
        {"product_code": CODE, "side": "asks", "price": 101.4},
        {"product_code": "BTC_JPY", "side": "bids", "price": 99.0},
        {"product_code": CODE, "side": "neither", "price": 99.0},
        {"side": "bids", "price": 99.0},
    ]
    for key in keys:
        assert board.get(key) == theirs.get(key)
    queries: list[dict[str, Any] | None] = [
        None,
        {},
        {"product_code": CODE},
        {"product_code": "BTC_JPY"},
        {"side": "asks"},
        {"price": 98.0, "side": "bids"},
        {"size": 0.2},
        {"unheard_of": 1},
    ]

    def order(items: list[dict[str, Any]]) -> list[Any]:
        return sorted(items, key=lambda item: item["price"])

    for query in queries:
        assert order(board.find(query)) == order(theirs.find(query))
        for limit in (None, 0, 1, 2, 9):
            assert board.sorted(query, limit) == theirs.sorted(query, limit)
    assert order(list(reversed(board))) == order(list(theirs))


async def test_watch_sends_one_change_a_message_and_only_the_newest(board: Board) -> None:
    with board.watch() as stream:
        for size in (0.1, 0.2, 0.3):
            board.apply_delta(message([(99.0, size), (98.0, size), (97.0, size)]))
        change = await asyncio.wait_for(stream.get(), 1)
        assert (change.store, change.operation, change.data["product_code"]) == (board, "update", CODE)
        assert change.source == message([(99.0, 0.3), (98.0, 0.3), (97.0, 0.3)])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stream.get(), 0.01)
        board.apply_snapshot(message([(99.0, 1)]))
        assert (await anext(stream)).operation == "insert"
        board.clear()
        assert (await anext(stream)).operation == "delete"
    board.apply_delta(message([(99.0, 0.4)]))
    assert stream._queue.empty()


async def test_wait_returns_at_the_next_message(board: Board) -> None:
    waiter = asyncio.create_task(board.wait())
    await asyncio.sleep(0)
    assert not waiter.done()
    board.apply_delta(message([(99.0, 0.4)]))
    await asyncio.wait_for(waiter, 1)


def test_store_routes_boards_by_channel_and_keeps_taking_snapshots() -> None:
    store = BitflyerStore(fx_btc_jpy())
    assert isinstance(store, pybotters.bitFlyerDataStore)
    assert store["board"] is store.board

    store.onmessage(data(f"lightning_board_{CODE}", message([(90.0, 1)])))
    assert len(store.board) == 0, "a delta means nothing before a snapshot"
    for size in (1.0, 2.0):
        store.onmessage(data(f"lightning_board_snapshot_{CODE}", message([(99.0, size)], [(101.0, size)])))
        assert store.board.size_at(Side.BUY, Ticks(99)) == size * 1e8
    store.onmessage(data(f"lightning_board_{CODE}", message([(98.0, 1)])))
    store.onmessage(data("lightning_board_BTC_JPY", message([(97.0, 1)])))
    store.onmessage(data("lightning_board_snapshot_BTC_JPY", message([(97.0, 1)])))
    assert [item["price"] for item in store.board.sorted()["bids"]] == [99.0, 98.0]
    store.onmessage(data(f"lightning_ticker_{CODE}", {"product_code": CODE, "ltp": 5.0}))
    store.onmessage({"jsonrpc": "2.0", "id": 1, "result": True})
    assert store.ticker.find() == [{"product_code": CODE, "ltp": 5.0}]
