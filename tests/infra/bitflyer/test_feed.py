"""Frames become events; garbage becomes a count."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loguru import logger

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.feed import REMEMBERED_EXECUTIONS, MarketFeed
from stall_then_strike.infra.line.refusals import LOG_PAUSE_NS
from stall_then_strike.types.dto import (
    BoardSnapshot,
    BoardState,
    BookStatus,
    PublicTrade,
    PublicTrades,
    Side,
    VenueStatus,
)
from tests.infra.session_rig import BOARD, EXECUTIONS, PRODUCT, SNAPSHOT, TICKER, WHOLE, data
from tests.shared_data import real_tape


def frame(channel: Any, content: Any) -> bytes:
    return orjson.dumps(data(channel, content))


def execution(exec_id: Any = 1, side: Any = "BUY", price: Any = 100.0, size: Any = 0.01) -> dict[str, Any]:
    return {"id": exec_id, "side": side, "price": price, "size": size, "exec_date": "2021-12-12T23:05:29.9692063Z"}


@pytest.fixture
def feed() -> MarketFeed:
    feed = MarketFeed(AppConfig())
    feed.on_text(frame(SNAPSHOT, WHOLE), 1_000)
    return feed


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line)), level="DEBUG", format="{extra} {message}")
    yield lines
    logger.remove(sink)


# --- Events ----------------------------------------------------------------------------------------------------------


def test_board_messages_become_snapshots(feed: MarketFeed) -> None:
    delta = {"mid_price": 106.0, "bids": [{"price": 102.0, "size": 0.1}], "asks": []}
    event = feed.on_text(frame(BOARD, delta).decode(), 5_000)
    assert event == BoardSnapshot(
        ts_ns=5_000,
        best_bid_price=102,
        best_bid_size=10_000_000,
        best_ask_price=110,
        best_ask_size=50_000_000,
        best_since_ns=5_000,
        status=BookStatus.OK,
    )
    assert feed.heard_ns == {SNAPSHOT: 1_000, BOARD: 5_000}


def test_deltas_before_the_first_snapshot_of_a_connection_are_not_applied(feed: MarketFeed) -> None:
    gone = feed.on_disconnect(2_000)
    assert gone.status is BookStatus.UNKNOWN
    feed.on_connect()
    assert feed.heard_ns == {}
    delta = {"mid_price": 106.0, "bids": [{"price": 102.0, "size": 0.1}], "asks": []}
    assert feed.on_text(frame(BOARD, delta), 3_000) is None
    assert feed.heard_ns == {BOARD: 3_000}, "the channel is alive all the same"
    assert feed.board.best_bid == 100
    event = feed.on_text(frame(SNAPSHOT, WHOLE), 4_000)
    assert isinstance(event, BoardSnapshot)
    assert (event.status, event.best_bid_price, event.best_age_ms) == (BookStatus.OK, 100, 0)
    assert feed.statistics().deltas_before_snapshot == 1


def test_executions_become_trades(feed: MarketFeed) -> None:
    content = [execution(7, "BUY", 5860832.0, 0.01), execution(8, "SELL", 5860831, 1e-8), execution(9, "", 5.0, 3)]
    assert feed.on_text(frame(EXECUTIONS, content), 9) == PublicTrades(
        ts_ns=9,
        trades=(
            PublicTrade(exec_id=7, taker=Side.BUY, price=5_860_832, size=1_000_000),
            PublicTrade(exec_id=8, taker=Side.SELL, price=5_860_831, size=1),
            PublicTrade(exec_id=9, taker=None, price=5, size=300_000_000),
        ),
    )


@pytest.mark.parametrize("name", [None, 7, ["JRF1"], {}])
def test_execution_names_both_orders_and_stands_without(feed: MarketFeed, name: Any) -> None:
    named = {"buy_child_order_acceptance_id": "JRF1", "sell_child_order_acceptance_id": "JRF2"}
    event = feed.on_text(
        frame(EXECUTIONS, [{**execution(1), **named}, {**execution(2), **dict.fromkeys(named, name)}]), 9
    )
    assert isinstance(event, PublicTrades)
    assert [(trade.buy_order_id, trade.sell_order_id) for trade in event.trades] == [("JRF1", "JRF2"), ("", "")]


def test_private_message_goes_unread_to_its_ear() -> None:
    heard: list[tuple[Any, int]] = []
    feed = MarketFeed(AppConfig(), on_private=lambda content, recv_ns: heard.append((content, recv_ns)))
    assert feed.on_text(frame("child_order_events", [{"any": 1}]), 9) is None
    assert heard == [([{"any": 1}], 9)]
    assert feed.statistics().refused == {}


def test_execution_ids_are_watched_for_gaps_and_repeats(feed: MarketFeed) -> None:
    def ids(*wire: int) -> list[int]:
        event = feed.on_text(frame(EXECUTIONS, [execution(number) for number in wire]), 1)
        return [] if event is None else [trade.exec_id for trade in event.trades]

    assert ids(10, 11) == [10, 11]
    assert ids(11, 12, 12) == [12], "what came already does not trade twice"
    assert ids(12) == []
    assert ids(20, 16) == [20, 16], "out of order is not a repeat"
    feed.on_connect()
    assert ids(500) == [500], "a gap over a reconnect is no surprise"
    assert ids(20) == []
    counts = feed.statistics()
    assert (counts.execution_gaps, counts.executions_missing, counts.executions) == (1, 7, 6)


def test_memory_of_execution_ids_is_bounded(feed: MarketFeed) -> None:
    for number in range(1, REMEMBERED_EXECUTIONS * 2, 16):
        feed.on_message(data(EXECUTIONS, [execution(number + i) for i in range(16)]), 1)
    assert len(feed._recent_ids) == len(feed._recent_order) == REMEMBERED_EXECUTIONS


@pytest.mark.parametrize(
    ("word", "state"),
    [*((state.value, state) for state in BoardState), ("AWAITING SQ", BoardState.UNKNOWN), ("", BoardState.UNKNOWN)],
)
def test_ticker_tells_the_state_of_the_board(feed: MarketFeed, word: str, state: BoardState) -> None:
    event = feed.on_text(frame(TICKER, {"product_code": PRODUCT, "state": word, "ltp": 5.0}), 3)
    assert event == VenueStatus(ts_ns=3, state=state)


def test_replies_are_kept_by_id(feed: MarketFeed) -> None:
    feed.expect_replies([1, 2, 3, 4])
    for text in (
        b'{"jsonrpc":"2.0","id":1,"result":true}',
        b'{"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"invalid channel"}}',
        b'{"jsonrpc":"2.0","id":3,"result":false}',
        b'{"jsonrpc":"2.0","id":4,"error":[[]]}',
    ):
        assert feed.on_text(text, 1) is None
    assert feed.replies == {1: None, 2: "invalid channel (-32602)", 3: "False", 4: "(list)"}
    feed.expect_replies([1])
    assert feed.replies == {}
    assert feed.statistics().replies == 4


def test_replies_on_a_tape_are_to_what_its_recorder_asked() -> None:
    feed = MarketFeed(AppConfig(), is_recorded=True)
    for text in (b'{"jsonrpc":"2.0","id":7,"result":true}', b'{"jsonrpc":"2.0","id":null,"result":true}'):
        assert feed.on_text(text, 1) is None
    assert feed.statistics().replies == 1
    assert feed.statistics().refused == {"stray_reply": 1}, "no request had that id"


def test_real_tape_is_understood_to_the_last_message() -> None:
    feed = MarketFeed(AppConfig())
    events = [feed.on_text(orjson.dumps(line.msg), line.recv_ns) for line in real_tape()]
    counts = feed.statistics()
    assert (counts.board_snapshots, counts.board_deltas, counts.deltas_before_snapshot) == (6, 213, 16)
    assert (counts.mid_checked, counts.mid_agreed) == (219, 218)
    assert (counts.executions, counts.execution_gaps, dict(counts.refused)) == (142, 0, {})
    assert sum(event is None for event in events) == 16


# --- Garbage ---------------------------------------------------------------------------------------------------------

DEEP = b"[" * 900 + b"]" * 900
GARBAGE: list[tuple[str, bytes | str]] = [
    ("not_json", b""),
    ("not_json", b"hello"),
    ("not_json", b'{"method":"channelMessage"'),
    ("not_json", b"\xff\xfe\x00"),
    ("not_json", '{"a":"\ud800"}'),
    ("not_json", b"NaN"),
    ("not_json", frame(BOARD, WHOLE).replace(b"0.5", b"NaN")),
    ("not_json", frame(BOARD, WHOLE).replace(b"0.5", b"Infinity")),
    ("not_json", frame(BOARD, WHOLE).replace(b"0.5", b"1e999")),
    ("not_json", b"[" * 100_000),
    ("too_long", b" " * 10_000_000 + frame(SNAPSHOT, WHOLE)),
    ("batch", b"[]"),
    ("batch", b"[" + frame(BOARD, WHOLE) + b"]"),
    ("batch", DEEP),
    ("not_an_object", b"null"),
    ("not_an_object", b"17"),
    ("not_an_object", b'"text"'),
    ("unknown_method", b"{}"),
    ("unknown_method", b'{"method":"subscribe","params":{"channel":"x"},"id":1}'),
    ("unknown_method", orjson.dumps(data(BOARD, WHOLE, method="hello"))),
    ("unknown_method", orjson.dumps(data(BOARD, WHOLE, method=None))),
    ("unknown_method", b'{"method":' + DEEP + b"}"),
    ("bad_params", b'{"method":"channelMessage"}'),
    ("bad_params", b'{"method":"channelMessage","params":[1]}'),
    ("bad_params", b'{"method":"channelMessage","params":null}'),
    ("bad_params", b'{"method":"channelMessage","params":{"channel":"lightning_board_FX_BTC_JPY"}}'),
    ("unknown_channel", frame("lightning_board_BTC_JPY", WHOLE)),
    ("unknown_channel", frame("", WHOLE)),
    ("unknown_channel", frame(None, WHOLE)),
    ("unknown_channel", frame(["x"], WHOLE)),
    ("stray_reply", b'{"jsonrpc":"2.0","id":77,"result":true}'),
    ("stray_reply", b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}'),
    ("stray_reply", b'{"id":[1],"result":true}'),
    ("stray_reply", b'{"id":true,"result":true}'),
    *(("bad_board", frame(BOARD, content)) for content in (None, [], "x", 5, {}, {"bids": [], "asks": []})),
    *(
        ("bad_board", frame(channel, {**WHOLE, "bids": [{"price": 101.0, "size": 1.0}, bad]}))
        for channel in (BOARD, SNAPSHOT)
        for bad in (
            {"price": 99.0, "size": -0.1},
            {"price": -99.0, "size": 0.1},
            {"price": "99", "size": 0.1},
            {"price": 99.0, "size": "0.1"},
            {"price": 99.0, "size": None},
            {"price": 99.0, "size": True},
            {"price": 99.0, "size": False},
            {"price": 99.5, "size": 0.1},
            {"price": 99.0},
            [99.0, 0.1],
            None,
        )
    ),
    ("bad_board", frame(BOARD, {**WHOLE, "mid_price": "105"})),
    ("bad_board", frame(BOARD, {**WHOLE, "mid_price": None})),
    ("bad_board", b'{"method":"channelMessage","params":{"channel":"%s","message":%s}}' % (BOARD.encode(), DEEP)),
    (
        "bad_board",
        b'{"method":"channelMessage","params":{"channel":"%s","message":{"mid_price":1,"asks":[],"bids":[%s]}}}'
        % (BOARD.encode(), b'{"price":%s,"size":1}' % DEEP),
    ),
    *(("bad_executions", frame(EXECUTIONS, content)) for content in (None, {}, "x", 5, [None], [[]], [{}], ["id"])),
    *(
        ("bad_executions", frame(EXECUTIONS, [bad]))
        for bad in (
            execution("5"),
            execution(True),
            execution(0),
            execution(1.5),
            execution(side="LONG"),
            execution(side=["BUY"]),
            execution(price=-1.0),
            execution(price=0),
            execution(price="100"),
            execution(price=100.5),
            execution(size=-0.01),
            execution(size=0),
            execution(size=True),
            execution(size=1e305),
        )
    ),
    (
        "bad_executions",
        b'{"method":"channelMessage","params":{"channel":"%s","message":[%s]}}'
        % (EXECUTIONS.encode(), b'{"id":3,"side":%s,"price":1,"size":1}' % DEEP),
    ),
    *(("bad_ticker", frame(TICKER, content)) for content in (None, [], "x", 7)),
    ("bad_ticker", frame(TICKER, {"product_code": "BTC_JPY", "state": "RUNNING"})),
    ("bad_ticker", frame(TICKER, {"product_code": PRODUCT, "state": ["RUNNING"]})),
]


@pytest.mark.parametrize(("kind", "text"), GARBAGE, ids=lambda value: repr(value[:70]))
def test_garbage_is_counted_by_kind_and_moves_nothing(feed: MarketFeed, kind: str, text: bytes | str) -> None:
    """What was about the book puts it in doubt at once: it lacks what the message told."""
    levels, before = list(feed.board), feed.view.snapshot(0)
    heard = dict(feed.heard_ns)
    is_of_book = kind == "bad_board" or (kind != "unknown_method" and f'"{BOARD}"' in repr(text[:200]))
    event = feed.on_text(text, 2_000)
    assert dict(feed.statistics().refused) == {kind: 1}
    assert list(feed.board) == levels
    if is_of_book:
        assert event == feed.view.snapshot(2_000)
        assert feed.view.snapshot(0) == before._replace(status=BookStatus.SUSPECT)
    else:
        assert event is None
        assert feed.view.snapshot(0) == before
    assert feed.heard_ns == heard, "a channel that sends only garbage is a silent one"
    event = feed.on_text(frame(BOARD, WHOLE), 3_000)
    assert isinstance(event, BoardSnapshot)
    assert event.status is BookStatus.OK, "and the next message is taken as if nothing had been"


@pytest.mark.parametrize("text", [frame(BOARD, None), frame(SNAPSHOT, None), frame(BOARD, WHOLE)[:-9]])
def test_refused_board_message_makes_no_book_out_of_none(text: bytes) -> None:
    feed = MarketFeed(AppConfig())
    assert feed.on_text(text, 1_000) is None
    assert feed.view.status is BookStatus.UNKNOWN


def test_an_execution_that_cannot_be_read_spoils_no_other(feed: MarketFeed) -> None:
    bad = [None, execution(0), execution(7, side="LONG"), execution(8, price="100")]
    trades = feed.on_text(frame(EXECUTIONS, [execution(5), *bad, execution(6, side=None)]), 2_000)
    assert isinstance(trades, PublicTrades)
    assert [(trade.exec_id, trade.taker) for trade in trades.trades] == [(5, Side.BUY), (6, None)]
    assert dict(feed.statistics().refused) == {"bad_executions": len(bad)}


def test_ticker_without_a_state_says_nothing_of_it_and_is_heard(feed: MarketFeed) -> None:
    status = feed.on_text(frame(TICKER, {"ltp": 100.0}), 2_000)
    assert status == VenueStatus(ts_ns=2_000, state=None, health=None)
    assert TICKER in feed.heard_ns
    assert not feed.statistics().refused


def test_binary_frames_are_counted(feed: MarketFeed) -> None:
    feed.on_binary(b"\x00\x01", 5)
    assert dict(feed.statistics().refused) == {"binary": 1}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
LEVEL = st.fixed_dictionaries({"price": JSON, "size": JSON})
SHAPED = st.builds(
    data,
    st.sampled_from([BOARD, SNAPSHOT, EXECUTIONS, TICKER]) | JSON,
    JSON
    | st.fixed_dictionaries({"mid_price": JSON, "bids": st.lists(LEVEL, max_size=3) | JSON, "asks": JSON})
    | st.lists(st.builds(execution, JSON, JSON, JSON, JSON), max_size=3)
    | st.fixed_dictionaries({"product_code": JSON, "state": JSON}),
    st.just("channelMessage") | JSON,
)


@given(JSON | SHAPED)
def test_no_message_of_any_shape_raises(message: Any) -> None:
    feed = MarketFeed(AppConfig())
    feed.on_message(data(SNAPSHOT, WHOLE), 1)
    feed.on_message(message, 2)
    assert all(lots > 0 for side in Side for _, lots in feed.board.levels(side))


NUMBER = st.sampled_from([0, 0.0, 1, 1.0, 2, 100, 102.0, 105.0, 10**400, 1e9, 0.5, -1, -0.0, True, False, None, "1"])
LEVELS = st.lists(st.builds(lambda price, size: {"price": price, "size": size}, NUMBER, NUMBER), max_size=4)
DELTA = st.fixed_dictionaries({"mid_price": NUMBER, "bids": LEVELS, "asks": LEVELS})


@given(st.lists(DELTA | DELTA.map(lambda delta: {**delta, "more": [delta]}) | JSON, max_size=4))
def test_board_message_means_the_same_however_it_is_written(contents: list[Any]) -> None:
    """One that begins as the venue's do is read in its form at once, others by way of plain objects."""
    feeds = [MarketFeed(AppConfig()) for _ in range(3)]
    for feed in feeds:
        feed.on_text(frame(SNAPSHOT, WHOLE), 1)
    for content in contents:
        text = json.dumps(data(BOARD, content), separators=(",", ":"))
        events = [feed.on_text(wire, 2) for feed, wire in zip(feeds, (text, text.encode(), " " + text), strict=True)]
        assert events[0] == events[1] == events[2]
    assert feeds[0].statistics() == feeds[1].statistics() == feeds[2].statistics()
    assert list(feeds[0].board) == list(feeds[1].board) == list(feeds[2].board)


@pytest.mark.parametrize("more", ['"\\ud800"', '"\ud800"', "[" * 100_000], ids=["escape", "surrogate", "depth"])
def test_what_no_parser_takes_in_a_board_message_is_refused(feed: MarketFeed, more: str) -> None:
    text = frame(BOARD, {"mid_price": 106.0, "bids": [], "asks": []}).decode().replace("[]}", '[],"more":' + more + "}")
    feed.on_text(text, 2_000)
    assert dict(feed.statistics().refused) == {"not_json": 1}


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_no_text_raises(text: bytes | str) -> None:
    MarketFeed(AppConfig()).on_text(text, 2)


def test_garbage_is_logged_now_and_then_with_its_count(feed: MarketFeed, log_lines: list[str]) -> None:
    for number in range(1_000):
        feed.on_text(b"garbage", 1_000 + number)
    feed.on_text(b"[]", 2_000)
    assert len(log_lines) == 2
    feed.on_text(b"x" * 100_000, 1_000 + LOG_PAUSE_NS)
    assert len(log_lines) == 3
    assert "refused 1000 frame(s), not_json" in log_lines[-1]
    assert "'channel': 'ws'" in log_lines[-1]
    assert len(log_lines[-1]) < 500


def test_statistics_cannot_be_changed(feed: MarketFeed) -> None:
    counts = feed.statistics()
    with pytest.raises(AttributeError):
        counts.replies = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        counts.refused["x"] = 1  # type: ignore[index]
