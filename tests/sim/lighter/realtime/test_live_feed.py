"""The stream's frames in virtual time: order, pace, and the same frames for the same seed."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import Any

import orjson
import pytest

from stall_then_strike.sim.exchange.flow_model import FlowModel
from stall_then_strike.sim.exchange.source import Frame
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS, MICRO
from stall_then_strike.sim.lighter.clearing.records import OrderTerms
from stall_then_strike.sim.lighter.crowd import MAKER, TAKER, Crowd
from stall_then_strike.sim.lighter.lighter_venue import LighterVenue
from stall_then_strike.sim.lighter.market_calls import MarketCalls
from stall_then_strike.sim.lighter.query import Query
from stall_then_strike.sim.lighter.realtime.channel_names import Subject, Topic, read_channel
from stall_then_strike.sim.lighter.realtime.live_feed import LiveFeed
from stall_then_strike.types.dto import Side
from tests.sim.exchange_rig import SECOND, START_NS
from tests.sim.lighter.realtime.test_book_channel import ClientBook
from tests.sim.lighter.stream_rig import BTC, captured, differences, fixtures_2026

BUSY = FlowModel(takers_per_s=6.0)


def feed(seed: int = 1, markets: Any = MARKETS[:2], *, has_crowd: bool = True) -> LiveFeed:
    venue = LighterVenue(markets, start_ns=START_NS, seed=seed)
    made = LiveFeed(venue, Crowd(venue, seed=seed, start_ns=START_NS) if has_crowd else None)
    made.accounts.is_watched = lambda _account: False
    return made


def by_channel(frames: list[Frame]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for frame in frames:
        found[frame.channel].append(orjson.loads(frame.text))
    return found


@pytest.fixture(scope="module")
def ten_seconds() -> tuple[LiveFeed, dict[str, dict[str, Any]], list[Frame]]:
    """A feed, snapshots of its public channels at the start, and the frames of ten seconds after it."""
    made = feed()
    names = ("order_book/1", "trade/1", "ticker/1", "market_stats/1", "market_stats/all", "height")
    first = {name: made.snapshot(read_channel(name)) for name in names}
    return made, first, made.advance(START_NS + 10 * SECOND)


def test_a_client_keeps_the_venues_book_through_ten_seconds(ten_seconds: Any) -> None:
    made, first, frames = ten_seconds
    client = ClientBook(first["order_book/1"])
    updates = by_channel(frames)["order_book/1"]
    for update in updates:
        client.feed(update)
    assert len(updates) > 100
    assert client.sides == ClientBook(made.snapshot(read_channel("order_book/1"))).sides
    terms, engine = made.venue.accounts.markets[BTC], made.venue.pits[BTC].engine
    best = terms.price_text(engine.best_price(Side.BUY))
    assert made.books[BTC].has_changed or max(client.sides["bids"], key=float) == best
    assert max(map(float, client.sides["bids"])) < min(map(float, client.sides["asks"]))


def test_books_are_published_at_most_every_fifty_milliseconds(ten_seconds: Any) -> None:
    _, _, frames = ten_seconds
    times = [frame.time_ns for frame in frames if frame.channel == "order_book/1"]
    assert min(after - before for before, after in pairwise(times)) >= 50_000_000
    assert [frame.time_ns for frame in frames] == sorted(frame.time_ns for frame in frames)


def test_nonces_rise_and_the_tickers_is_its_books(ten_seconds: Any) -> None:
    _, _, frames = ten_seconds
    found = by_channel(frames)
    books = {update["order_book"]["nonce"] for update in found["order_book/1"]}
    tickers = [update["nonce"] for update in found["ticker/1"]]
    assert tickers
    assert set(tickers) <= books
    trades = [update["nonce"] for update in found["trade/1"]]
    assert trades == sorted(trades)


def test_trades_are_the_venues_and_add_up_in_the_figures(ten_seconds: Any) -> None:
    made, _, frames = ten_seconds
    found = by_channel(frames)
    shown = [trade for update in found["trade/1"] for trade in update["trades"]]
    assert [trade["trade_id"] for trade in shown] == [trade.trade_id for trade in made.venue.trades[BTC]]
    assert {trade["ask_account_id"] for trade in shown} | {trade["bid_account_id"] for trade in shown} == {MAKER, TAKER}
    stats = made.snapshot(read_channel("market_stats/1"))["market_stats"]
    assert stats["daily_base_token_volume"] == pytest.approx(sum(float(trade["size"]) for trade in shown))
    newest = made.snapshot(read_channel("trade/1"))["trades"]
    assert [trade["trade_id"] for trade in newest] == [trade["trade_id"] for trade in reversed(shown)][:50]


def test_all_markets_figures_come_as_a_dictionary_of_those_that_changed(ten_seconds: Any) -> None:
    _, first, frames = ten_seconds
    assert list(first["market_stats/all"]["market_stats"]) == ["0", "1"]
    found = by_channel(frames)
    updates = found["market_stats/all"]
    assert {market for update in updates for market in update["market_stats"]} == {"0", "1"}
    assert sum("1" in update["market_stats"] for update in updates) == len(found["market_stats/1"])
    assert 10 <= len(found["height"]) <= 21
    assert found["height"][0]["height"] < found["height"][-1]["height"]


def test_public_forms_are_the_venues(ten_seconds: Any) -> None:
    _, first, frames = ten_seconds
    found = by_channel(frames)
    theirs = fixtures_2026()
    stats = theirs["ws_market_stats_subscribed_single.json"]
    assert differences(first["market_stats/1"], stats) == []
    assert differences(found["market_stats/1"][0], {**stats, "type": "update/market_stats"}) == []
    assert differences(found["height"][0], theirs["ws_height_update.json"]) == []
    optional = {"maker_fee", "taker_fee", "ask_account_pnl", "bid_account_pnl"}
    optional |= {f"{role}_{what}" for role in ("maker", "taker") for what in _BEFORE}
    lists = {"trades", "liquidation_trades"}
    for kind in ("subscribed", "update"):
        mine = first["trade/1"] if kind == "subscribed" else found["trade/1"][0]
        assert differences(_without(mine, lists), _without(theirs[f"ws_trade_{kind}.json"], lists)) == []
    [mine] = found["trade/1"][0]["trades"][:1]
    [other] = theirs["ws_trade_update.json"]["trades"]
    assert differences(mine, other, optional=frozenset(optional)) == []


_BEFORE = (
    "position_size_before",
    "entry_quote_before",
    "initial_margin_fraction_before",
    "position_sign_changed",
)


def _without(message: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name not in names}


def test_trades_have_the_fields_of_the_captured_ones(ten_seconds: Any) -> None:
    _, _, frames = ten_seconds
    ours = [trade for update in by_channel(frames)["trade/1"] for trade in update["trades"]]
    added = {"trade_id_str", "ask_id_str", "bid_id_str", "ask_client_id_str", "bid_client_id_str", "transaction_time"}
    added |= {"ask_account_pnl", "bid_account_pnl"}
    absent = {"maker_fee", "taker_fee", "ask_client_id", "bid_client_id"}
    absent |= {"maker_position_sign_changed", "taker_position_sign_changed", "taker_initial_margin_fraction_before"}
    theirs = [
        trade
        for name in ("ws_trade_20251009.jsonl", "ws_book_trade_stats_btc_20251210.jsonl")
        for message in captured(name)
        if message.get("type") in {"subscribed/trade", "update/trade"}
        for trade in [*(message["trades"] or []), *(message["liquidation_trades"] or [])]
    ]
    assert [differences(ours[0], trade, optional=frozenset(added | absent)) for trade in theirs] == [[]] * len(theirs)
    assert len(theirs) > 400


def test_the_same_seed_gives_the_same_frames_however_time_is_cut() -> None:
    whole = feed(3, MARKETS[1:2]).advance(START_NS + 3 * SECOND)
    pieces, cut = list[Frame](), feed(3, MARKETS[1:2])
    for step in range(1, 101):
        pieces += cut.advance(START_NS + step * 3 * SECOND // 100)
    assert [frame.text for frame in pieces if frame.channel != "height"] == [
        frame.text for frame in whole if frame.channel != "height"
    ]
    assert [frame.text for frame in feed(4, MARKETS[1:2]).advance(START_NS + 3 * SECOND)] != [f.text for f in whole]


def test_nothing_is_written_for_channels_that_nobody_wants() -> None:
    made = feed(1, MARKETS[1:2])
    made.is_wanted = lambda key: key == "ticker/1"
    frames = made.advance(START_NS + 2 * SECOND)
    assert {frame.channel for frame in frames} == {"ticker/1"}
    assert made.books[BTC].nonce > 9_000_000_000


def test_prices_follow_the_flow_and_an_empty_market_stands_still() -> None:
    made, still = feed(1, MARKETS[1:2]), feed(1, MARKETS[1:2], has_crowd=False)
    for one in (made, still):
        one.advance(START_NS + 5 * SECOND)
    prices, start = made.venue.accounts.prices[BTC], MARKETS[1].start_price
    assert prices.underlying != start
    assert abs(prices.mark - prices.underlying) < start / 1_000
    assert still.venue.accounts.prices[BTC][:2] == (start, start)
    assert still.snapshot(Subject(Topic.ORDER_BOOK, BTC))["order_book"]["bids"] == []
    assert still.snapshot(Subject(Topic.TRADE, BTC))["trades"] is None


def test_a_liquidation_has_its_own_list_beside_no_trades() -> None:
    made = feed(1, MARKETS[:1], has_crowd=False)
    venue, price = made.venue, MARKETS[0].start_price
    loser, other = venue.add_account(100 * MICRO).index, venue.add_account(10**6 * MICRO).index
    for account, is_ask, limit in ((other, True, price), (loser, False, price), (other, False, price - 14_000)):
        venue.place(account, OrderTerms(market=0, is_ask=is_ask, size=6_000, price=limit), START_NS)
    made.advance(START_NS + 1)
    venue.set_prices(0, price - 13_700, START_NS + 2)
    [update] = by_channel(made.advance(START_NS + 3))["trade/0"]
    assert update["trades"] is None
    [forced] = update["liquidation_trades"]
    assert (forced["type"], forced["ask_account_id"], forced["is_maker_ask"]) == ("liquidation", loser, False)
    snapshot = made.snapshot(read_channel("trade/0"))
    assert [len(snapshot[name]) for name in ("trades", "liquidation_trades")] == [1, 1]


def test_a_candle_grows_with_the_trades_and_is_the_one_of_rest() -> None:
    made = feed(1, MARKETS[1:2])
    names = {"candle/1/1m", "candle/1/1h"}
    made.is_wanted = names.__contains__
    theirs = fixtures_2026()
    assert made.snapshot(read_channel("candle/1/1m"))["candles"] == []
    found = by_channel(made.advance(START_NS + 20 * SECOND))
    assert set(found) == names
    rest = MarketCalls(made.venue).calls()["candles"]
    for name, updates in found.items():
        resolution = name.rpartition("/")[2]
        first = made.snapshot(read_channel(name))
        assert differences(first, theirs["ws_candle_subscribed.json"]) == []
        assert differences(updates[0], theirs["ws_candle_update.json"]) == []
        query = Query({"market_id": "1", "resolution": resolution, "count_back": "500"})
        assert first["candles"] == updates[-1]["candles"] == rest(query)["c"][-1:]
        assert len({update["timestamp"] // 500 for update in updates}) == len(updates), "twice a second at most"
    [hour] = found["candle/1/1h"][-1]["candles"]
    trades = made.venue.trades[BTC]
    assert (hour["o"], hour["c"], hour["i"]) == (trades[0].price / 10, trades[-1].price / 10, trades[-1].trade_id)
    assert hour["V"] == pytest.approx(sum(trade.quote for trade in trades) / MICRO)
