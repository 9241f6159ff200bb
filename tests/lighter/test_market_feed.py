"""One Lighter market's frames as market events: captured ones digit by digit, broken ones without harm."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
import pytest

from stall_then_strike.infra.market_source import InstrumentFeed
from stall_then_strike.infra.orderbook_view import OwnQuote
from stall_then_strike.lighter.market_feed import LighterMarketFeed
from stall_then_strike.types.dto import BoardSnapshot, BoardState, BookStatus, Health, PublicTrades, Side, VenueStatus
from stall_then_strike.types.instrument import Lots, Ticks
from tests.lighter.captured import BTC, BTC_FILE, ETH, NaiveBook, book, messages

MS = 1_000_000
RUNNING = VenueStatus(ts_ns=1, state=BoardState.RUNNING, health=Health.NORMAL)
STATS = {
    "channel": "market_stats:0",
    "market_stats": {"market_id": 0, "index_price": "2000.10", "funding_rate": "0.0012", "funding_timestamp": 7},
    "type": "update/market_stats",
}
SNAPSHOT = book([("2000.00", "0.5000"), ("1999.00", "1.0000")], [("2001.00", "2.0000")], nonce=100, first=True)


def trade(trade_id: int, **fields: Any) -> dict[str, Any]:
    row = {"trade_id": trade_id, "market_id": 0, "price": "2000.50", "size": "0.0100", "bid_id": 7, "ask_id": 8}
    return row | {"is_maker_ask": True, "type": "trade"} | fields


def trades(*rows: Any, first: bool = False, liquidations: Any = None) -> dict[str, Any]:
    kind = "subscribed" if first else "update"
    return {"channel": "trade:0", "trades": list(rows), "liquidation_trades": liquidations, "type": f"{kind}/trade"}


@pytest.fixture
def asked() -> list[tuple[str, str]]:
    """Channels that the feed wants to have subscribed anew."""
    return []


@pytest.fixture
def feed(asked: list[tuple[str, str]]) -> LighterMarketFeed:
    feed = LighterMarketFeed(ETH)
    feed.on_resync = lambda channel, why: asked.append((channel, why))
    feed.on_connect()
    return feed


def say(feed: LighterMarketFeed, message: Any, at_ns: int = 1) -> Any:
    return feed.on_text(orjson.dumps(message), at_ns)


def test_feed_has_the_surface_that_all_feeds_share() -> None:
    feed: InstrumentFeed = LighterMarketFeed(ETH)
    assert feed.channels == ("market_stats/0", "order_book/0", "trade/0")
    assert feed.frame_names == ("market_stats:0", "order_book:0", "trade:0")
    assert feed.product == "ETH"


def test_captured_stream_gives_the_naive_best_every_trade_and_a_running_venue() -> None:
    feed, naive, told, running = LighterMarketFeed(BTC), NaiveBook(), set[int](), 0
    unit = BTC.instrument
    feed.on_connect()
    for number, message in enumerate(messages(BTC_FILE)):
        event = say(feed, message, number)
        kind = str(message["type"])
        if isinstance(event, BoardSnapshot):
            if kind.endswith("/order_book"):
                naive.take(message)
            (bid, bid_size), (ask, ask_size) = max(naive.bids.items()), min(naive.asks.items())
            assert (unit.price(event.best_bid_price), unit.size(event.best_bid_size)) == (bid, bid_size)
            assert (unit.price(event.best_ask_price), unit.size(event.best_ask_size)) == (ask, ask_size)
            assert (event.status, event.ts_ns) == (BookStatus.OK, number)
        elif isinstance(event, VenueStatus):
            running += event.state is BoardState.RUNNING
        if isinstance(event, PublicTrades):
            assert kind == "update/trade"
            told |= {one.exec_id for one in event.trades}
    made = {
        row["trade_id"] for one in messages(BTC_FILE) if one["type"] == "update/trade" for row in one["trades"] or ()
    }
    assert (told, running) == (made, 1)
    counts = feed.statistics()
    assert (counts.board_snapshots, counts.board_deltas) == (1, 228)
    assert (counts.book_gaps, counts.refused, counts.deltas_before_snapshot) == (0, {}, 0)
    assert counts.mid_agreed == counts.mid_checked == 229
    assert feed.stats is not None
    assert feed.stats.funding_rate == Decimal("0.0012")


def test_trades_of_the_past_are_no_events_and_each_is_told_once(feed: LighterMarketFeed) -> None:
    assert say(feed, trades(trade(1), trade(2), first=True, liquidations=[trade(3, type="liquidation")])) is None
    event = say(feed, trades(trade(2), trade(4, is_maker_ask=False), liquidations=[trade(5, type="liquidation")]), 9)
    assert [(one.exec_id, one.taker, one.price, one.size) for one in event.trades] == [
        (4, Side.SELL, 200_050, 100),
        (5, Side.BUY, 200_050, 100),
    ]
    assert [(one.is_liquidation, one.buy_order_id, one.sell_order_id) for one in event.trades] == [
        (False, "7", "8"),
        (True, "7", "8"),
    ]


def test_book_that_misses_a_message_is_unknown_until_its_next_snapshot(
    feed: LighterMarketFeed, asked: list[tuple[str, str]]
) -> None:
    assert say(feed, book(nonce=100, begin=90)) is None
    assert say(feed, SNAPSHOT).status is BookStatus.OK
    lost = say(feed, book([("2000.50", "1.0000")], nonce=120, begin=110), 5)
    assert (lost.status, lost.best_bid_price, lost.ts_ns) == (BookStatus.UNKNOWN, 0, 5)
    assert asked == [("order_book/0", "messages are missing: nonce 110 after 100")]
    assert say(feed, book([("2000.60", "1.0000")], nonce=130, begin=120)) is None
    assert say(feed, STATS) == RUNNING
    assert say(feed, STATS) is None
    again = say(feed, SNAPSHOT, 8)
    assert (again.status, again.best_bid_price, again.best_since_ns) == (BookStatus.OK, 200_000, 8)
    counts = feed.statistics()
    assert (counts.book_gaps, counts.deltas_before_snapshot, counts.board_snapshots) == (1, 2, 2)


def test_crossed_book_is_never_shown(feed: LighterMarketFeed, asked: list[tuple[str, str]]) -> None:
    crossed = book([("2002.00", "0.5000")], [("2001.00", "2.0000")], first=True)
    assert say(feed, crossed)[1:5] == (0, 0, 0, 0)
    say(feed, SNAPSHOT)
    shown = say(feed, book([("2001.00", "1.0000")], nonce=101, begin=100))
    assert (shown.status, shown.best_bid_price, shown.best_ask_price) == (BookStatus.UNKNOWN, 0, 0)
    assert len(asked) == 2


def test_statistics_prove_that_a_still_book_is_alive(feed: LighterMarketFeed) -> None:
    assert say(feed, STATS) == RUNNING
    say(feed, SNAPSHOT, 10)
    alive = say(feed, STATS, 700 * MS)
    assert (alive.status, alive.ts_ns, alive.best_since_ns, alive.best_bid_price) == (
        BookStatus.OK,
        700 * MS,
        10,
        200_000,
    )
    of_all = {"channel": "market_stats:all", "market_stats": {"0": STATS["market_stats"]}, "type": STATS["type"]}
    assert say(feed, of_all, 900 * MS).ts_ns == 900 * MS
    assert say(feed, {**of_all, "market_stats": {"1": STATS["market_stats"]}}, 950 * MS) is None


def test_book_that_stands_still_beside_the_mid_price_is_asked_for_again(
    feed: LighterMarketFeed, asked: list[tuple[str, str]]
) -> None:
    def stats(mid: str) -> dict[str, Any]:
        return {**STATS, "market_stats": {"market_id": 0, "mid_price": mid}}

    say(feed, STATS)
    say(feed, SNAPSHOT)
    assert say(feed, stats("2000.50"), 5).ts_ns == 5
    assert [say(feed, stats("1990.50"), 6), say(feed, stats("2010.50"), 7)] == [None, None]
    assert say(feed, book([("1990.00", "1.0000")], nonce=101, begin=100)).status is BookStatus.OK
    assert [say(feed, stats("1990.50"), 8), say(feed, stats("2010.50"), 9)] == [None, None]
    assert asked == []
    assert say(feed, stats("1990.50"), 10).status is BookStatus.UNKNOWN
    assert asked == [("order_book/0", "it stands still beside the mid price")]


def test_own_orders_are_taken_out_of_the_book(feed: LighterMarketFeed) -> None:
    say(feed, SNAPSHOT)
    feed.view.set_own([OwnQuote(side=Side.BUY, price=Ticks(200_050), remaining=Lots(100))])
    shown = say(feed, book([("2000.50", "0.0100")], nonce=101, begin=100), 3)
    assert (shown.best_bid_price, shown.best_bid_size, shown.best_since_ns) == (200_000, 5_000, 1)


def test_part_of_a_level_that_was_ours_is_others_when_the_level_never_changed(feed: LighterMarketFeed) -> None:
    say(feed, SNAPSHOT)
    feed.view.set_own([OwnQuote(side=Side.BUY, price=Ticks(200_050), remaining=Lots(100))])
    say(feed, book([("2000.50", "0.0100")], nonce=101, begin=100), 2)
    feed.view.set_own([])
    for number in range(1, 4):
        shown = say(feed, book([("1990.00", "1.0000")], nonce=101 + number, begin=100 + number), number * 6_000 * MS)
    assert shown.best_bid_price == 200_050


def test_new_connection_begins_unknown(feed: LighterMarketFeed) -> None:
    say(feed, SNAPSHOT)
    say(feed, STATS)
    lost = feed.on_recorded(None, 50)
    assert isinstance(lost, BoardSnapshot)
    assert (lost.status, lost.ts_ns) == (BookStatus.UNKNOWN, 50)
    assert feed.heard_ns == {}
    assert say(feed, book(nonce=110, begin=100)) is None
    assert say(feed, STATS) == RUNNING
    assert feed.on_recorded(orjson.dumps(SNAPSHOT).decode(), 60) is not None
    assert feed.heard_ns["order_book/0"] == 60


def test_market_that_the_venue_has_closed_is_told_closed() -> None:

    feed = LighterMarketFeed(replace(ETH, is_active=False))
    assert say(feed, STATS).state is BoardState.CLOSED


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"{", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b"[" * 3000, "not_json"),
        (b"[]", "not_an_object"),
        (b"7", "not_an_object"),
        (b'{"pad":"' + b"x" * 4_000_000 + b'"}', "too_long"),
        (b'{"channel":"trade:0","type":"update/trade","trades":{}}', "bad_executions"),
        (b'{"channel":"trade:0","type":"update/trade","trades":[{"trade_id":"1"}]}', "bad_executions"),
        (
            b'{"channel":"trade:0","type":"update/trade","trades":[{"trade_id":1,"price":"1.00","size":"0.0000"}]}',
            "bad_executions",
        ),
        (b'{"channel":"market_stats:0","type":"update/market_stats"}', "bad_ticker"),
        (b'{"channel":"market_stats:0","type":"update/market_stats","market_stats":{"market_id":3}}', "bad_ticker"),
        (b'{"channel":"order_book:0","type":"subscribed/order_book"}', "bad_board"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_broken_frames_are_counted_and_raise_nothing(feed: LighterMarketFeed, text: bytes, kind: str) -> None:
    event = feed.on_text(text, 1)
    assert event is None or (isinstance(event, BoardSnapshot) and event.status is BookStatus.UNKNOWN)
    assert feed.statistics().refused == {kind: 1}


def test_unreadable_frame_of_the_book_makes_it_doubtful_until_the_next_shows_the_gap(feed: LighterMarketFeed) -> None:
    say(feed, SNAPSHOT)
    doubtful = feed.on_text('{"channel":"order_book:0","type":"update/order_book", oops', 2)
    assert isinstance(doubtful, BoardSnapshot)
    assert doubtful.status is BookStatus.SUSPECT
    assert say(feed, book(nonce=120, begin=110)).status is BookStatus.UNKNOWN
    assert feed.on_text("nonsense", 3) is None
    assert feed.statistics().refused == {"not_json": 2}


@pytest.mark.parametrize(
    "message",
    [
        {"type": "connected", "session_id": "x"},
        {"type": "pong"},
        {"error": {"code": 30005, "message": "Invalid Channel"}},
        {"channel": "order_book:1", "type": "update/order_book", "order_book": {}},
        {"channel": "account_all:7", "type": "update/account_all"},
    ],
)
def test_messages_of_others_are_passed_over(feed: LighterMarketFeed, message: dict[str, Any]) -> None:
    assert say(feed, message) is None
    assert feed.statistics().refused == {}
    assert feed.statistics().replies == 1
