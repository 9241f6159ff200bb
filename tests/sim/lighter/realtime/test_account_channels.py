"""Private channels: their forms, and their order after a fill, as captured from the venue."""

from __future__ import annotations

from typing import Any

import orjson

from stall_then_strike.sim.exchange.source import Frame
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS, MICRO
from stall_then_strike.sim.lighter.clearing.records import InForce, OrderTerms, OrderType
from stall_then_strike.sim.lighter.lighter_venue import LighterVenue, VenueSettings
from stall_then_strike.sim.lighter.realtime.channel_names import Subject, Topic
from stall_then_strike.sim.lighter.realtime.live_feed import LiveFeed
from stall_then_strike.sim.lighter.transactions import TxType
from tests.sim.exchange_rig import SECOND, START_NS
from tests.sim.lighter.stream_rig import (
    ETH,
    QUICK,
    Json,
    Trader,
    captured,
    differences,
    fixtures_2026,
    listening,
    streaming,
)

ADDED = frozenset(
    {
        "api_key_index",
        "ask_account_pnl",
        "ask_client_id",
        "ask_client_id_str",
        "ask_id_str",
        "assets",
        "bid_account_pnl",
        "bid_client_id",
        "bid_client_id_str",
        "bid_id_str",
        "account_trading_mode",
        "integrator_fee_collector_index",
        "integrator_maker_fee",
        "integrator_taker_fee",
        "timestamp",
        "total_discount",
        "trade_id_str",
        "transaction_time",
    }
)
"""Fields that 2026 has and the captures of 2025 have not."""
OMITTED = frozenset(
    {
        "maker_fee",
        "maker_position_sign_changed",
        "taker_fee",
        "taker_position_sign_changed",
        "total_funding_paid_out",
    }
)
"""Fields that are absent when they are zero or false."""
PRIVATE = [topic for topic in Topic if topic.is_of_account]
WHAT_CHANGES = ("assets", "funding_history", "orders", "position", "trades")


class Room:
    """A venue with a maker and a taker, without sockets and without delay."""

    def __init__(self) -> None:
        self.venue = LighterVenue(MARKETS[:2], start_ns=START_NS, settings=VenueSettings(delay_ms=(0, 0)))
        self.maker, self.taker = (self.venue.add_account(10_000 * MICRO).index for _ in range(2))
        self.feed = LiveFeed(self.venue)

    def place(
        self, account: int, size: int, price: int, *, is_ask: bool = False, takes: bool = False, **more: Any
    ) -> int:
        kinds = {"type": OrderType.MARKET, "in_force": InForce.IMMEDIATE_OR_CANCEL} if takes else {}
        terms = OrderTerms(market=ETH, is_ask=is_ask, size=size, price=price, **{**kinds, **more})
        return self.venue.place(account, terms, self.feed.now_ns)

    def frames(self, account: int, seconds: float = 0.01) -> list[Json]:
        """The private messages of an account until then, in their order."""
        sent = self.feed.advance(self.feed.now_ns + round(seconds * SECOND))
        return [orjson.loads(frame.text) for frame in sent if self._is_of(frame, account)]

    def first(self, topic: Topic, account: int) -> Json:
        market = ETH if "market" in topic.parts else None
        return self.feed.snapshot(Subject(topic, market, account))

    def _is_of(self, frame: Frame, account: int) -> bool:
        return frame.channel.endswith(f"/{account}")


def topics(messages: list[Json]) -> list[str]:
    return [message["type"].removeprefix("update/") for message in messages]


def test_messages_after_a_fill_come_in_the_venues_order() -> None:
    room = Room()
    room.place(room.maker, 100, 310_000, is_ask=True)
    room.frames(room.taker)
    room.place(room.taker, 60, 320_000, takes=True)
    messages = room.frames(room.taker)
    assert topics(messages) == [
        "account_all_orders",
        "account_orders",
        "account_market",
        "account_all",
        "account_all_trades",
        "account_market",
        "user_stats",
        "account_all_assets",
        "account_all",
        "account_all_positions",
        "account_market",
    ]
    trades, positions = (message for message in messages if message["type"] == "update/account_all")
    assert trades["positions"] == {}, "unchanged, not flat"
    assert (positions["trades"], list(positions["positions"])) == ({}, [str(ETH)])
    assert positions["positions"][str(ETH)]["position"] == "0.0060"
    [order] = messages[0]["orders"][str(ETH)]
    assert (order["status"], order["filled_base_amount"], order["base_size"]) == ("filled", "0.0060", 0)


async def test_the_transaction_comes_last_and_another_accounts_messages_do_not_come() -> None:
    async with streaming(QUICK) as exchange, listening(exchange) as client:
        maker, taker = (Trader(exchange, exchange.add_account()) for _ in range(2))
        token = taker.token()
        for topic in (Topic.ACCOUNT_TX, Topic.ACCOUNT_ALL_ORDERS, Topic.USER_STATS, Topic.ACCOUNT_ALL):
            await client.subscribe(f"{topic}/{taker.account}", token)
        await client.send_tx(TxType.CREATE_ORDER, maker.order(1, 100, 310_000, is_ask=True))
        taken = await client.send_tx(TxType.CREATE_ORDER, taker.order(2, 60, 310_000, TimeInForce=0))
        client.messages.clear()
        done = await client.of("update/account_tx")
        theirs = [m["type"] for m in captured("ws_account_20251012.jsonl") if m["type"].startswith("update/")]
        assert [message["type"] for message in client.messages] == theirs[:5]
        [captured_tx, *_] = [m["txs"][0] for m in captured("ws_account_20251012.jsonl") if m.get("txs")]
        [tx] = done["txs"]
        assert differences(tx, captured_tx, optional=ADDED) == []
        for text in ("info", "event_info"):
            assert differences(orjson.loads(tx[text]), orjson.loads(captured_tx[text])) == []
        assert (tx["hash"], tx["status"], tx["nonce"]) == (taken["tx_hash"], 2, 0)
        assert orjson.loads(tx["event_info"])["t"] == {"p": 310_000, "s": 60, "tf": 0, "mf": 0}


def by_type(name: str) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = {}
    for message in captured(name):
        if "channel" in message:
            found.setdefault(message["type"], []).append(message)
    return found


def test_forms_are_those_of_the_captured_fills() -> None:
    room = Room()
    ours = {f"subscribed/{topic}": [room.first(topic, room.taker)] for topic in PRIVATE}
    room.place(room.maker, 100, 310_000, is_ask=True)
    room.place(room.maker, 100, 300_000)
    room.place(room.taker, 60, 320_000, takes=True)
    room.place(room.taker, 60, 290_000, takes=True, is_ask=True, is_reduce_only=True)
    for message in room.frames(room.taker):
        ours.setdefault(message["type"], []).append(message)
    theirs = by_type("ws_account_20251012.jsonl")
    compared = 0
    for kind, messages in theirs.items():
        if "account_tx" in kind:
            continue
        for one in messages:
            for mine in ours[kind]:
                assert differences(_one_market(mine), _one_market(one), optional=ADDED | OMITTED) == []
                compared += 1
    assert compared > 20


def _one_market(message: Json) -> Json:
    """Maps by market as lists, so that captures of another market compare, and nothing with an empty map."""
    maps = {"orders", "trades", "positions", "funding_histories"}
    return {name: list(value.values()) if name in maps else value for name, value in message.items()}


def test_order_forms_are_those_of_the_captured_orders() -> None:
    room = Room()
    room.place(room.maker, 100, 300_000)
    [all_orders, orders, _] = room.frames(room.maker)
    snapshots = [room.first(topic, room.maker) for topic in (Topic.ACCOUNT_ALL_ORDERS, Topic.ACCOUNT_ORDERS)]
    theirs = by_type("ws_orders_open_cancel_20251210.jsonl")
    for mine in (all_orders, orders, *snapshots):
        for message in theirs[mine["type"]]:
            assert differences(_one_market(mine), _one_market(message), optional=ADDED) == []


def test_forms_of_2026_are_ours() -> None:
    room, theirs = Room(), fixtures_2026()
    room.place(room.maker, 100, 310_000, is_ask=True)
    room.place(room.taker, 60, 320_000, takes=True)
    ours = {message["type"]: message for message in room.frames(room.taker)}
    for topic in PRIVATE:
        first = room.first(topic, room.taker)
        ours[first["type"]] = first
    optional = OMITTED | {
        "maker_entry_quote_before",
        "maker_initial_margin_fraction_before",
        "maker_position_size_before",
        "taker_entry_quote_before",
        "taker_initial_margin_fraction_before",
        "taker_position_size_before",
    }
    compared = []
    for name, message in theirs.items():
        if name.startswith(("ws_account_", "ws_user_")):
            found = differences(ours[message["type"]], message, optional=frozenset(optional))
            assert found == [], name
            compared.append(name)
    assert len(compared) == 7


def test_an_order_that_ends_is_shown_once_more_and_then_no_longer() -> None:
    room = Room()
    index = room.place(room.maker, 100, 300_000)
    room.frames(room.maker)
    assert room.first(Topic.ACCOUNT_ALL_ORDERS, room.maker)["orders"] != {}
    room.venue.cancel(index, room.feed.now_ns)
    [all_orders, one_market, _] = room.frames(room.maker)
    assert all_orders["orders"][str(ETH)][0]["status"] == "canceled"
    assert one_market["orders"] == all_orders["orders"]
    assert room.first(Topic.ACCOUNT_ALL_ORDERS, room.maker)["orders"] == {}


def test_first_trades_are_a_flat_list_with_volumes_and_the_first_transactions_are_none() -> None:
    room = Room()
    room.place(room.maker, 100, 310_000, is_ask=True)
    room.place(room.taker, 60, 320_000, takes=True)
    room.frames(room.taker)
    first = room.first(Topic.ACCOUNT_ALL_TRADES, room.taker)
    assert [trade["size"] for trade in first["trades"]] == ["0.0060"]
    assert (first["total_trades_count"], first["total_volume"]) == (1, 18.6)
    assert set(room.first(Topic.ACCOUNT_TX, room.taker)) == {"channel", "type"}


def test_nothing_is_made_for_accounts_that_nobody_watches() -> None:
    room = Room()
    room.feed.accounts.is_watched = lambda account: account == room.taker
    room.place(room.maker, 100, 310_000, is_ask=True)
    room.place(room.taker, 60, 320_000, takes=True)
    assert room.frames(room.maker) == []


def test_funding_comes_with_its_round_and_leaves_trades_and_orders_alone() -> None:
    room = Room()
    room.place(room.maker, 10_000, 310_000, is_ask=True)
    room.place(room.taker, 10_000, 320_000, takes=True)
    room.frames(room.taker)
    hour_s = 3_600 - START_NS // SECOND % 3_600
    messages = room.frames(room.taker, hour_s)
    assert topics(messages) == [
        "user_stats",
        "account_all_assets",
        "account_all",
        "account_all_positions",
        "account_market",
        "account_market",
    ]
    [paid] = messages[2]["funding_histories"][str(ETH)]
    assert (paid["rate"], paid["position_side"], paid["position_size"]) == ("0.0012", "long", "1.0000")
    assert paid["change"] == "-0.037200"
    assert messages[3]["last_funding_round"] == {str(ETH): paid["change"]}
    assert messages[3]["last_funding_discount"] == {str(ETH): paid["discount"]}
    assert [message["funding_history"] for message in messages[4:]] == [None, paid]
    assert messages[0]["stats"]["collateral"] == "10000.000000", "it is booked when the position is next touched"


def test_each_update_of_one_market_has_one_thing_that_changed() -> None:
    room = Room()
    room.place(room.maker, 100, 310_000, is_ask=True)
    room.place(room.taker, 60, 320_000, takes=True)
    room.place(room.taker, 10, 300_000)
    messages = [m for m in room.frames(room.taker) if m["type"] == "update/account_market"]
    assert {message["channel"] for message in messages} == {f"account_market:{ETH}:{room.taker}"}
    changed = [[name for name in WHAT_CHANGES if message[name]] for message in messages]
    assert changed == [["orders"], ["trades"], ["position"], ["orders"]]
    assert (messages[0]["position"], messages[0]["trades"], messages[0]["assets"]) == (None, [], None)
    first = room.first(Topic.ACCOUNT_MARKET, room.taker)
    assert ([order["price"] for order in first["orders"]], first["trades"]) == (["3000.00"], [])
    assert first["position"] == messages[2]["position"] | {"open_order_count": 1}
    assert room.first(Topic.ACCOUNT_MARKET, room.venue.add_account().index)["position"] is None


def test_a_liquidation_is_notified_and_kept() -> None:
    room = Room()
    loser = room.venue.add_account(100 * MICRO).index
    for account, is_ask, size, price in (
        (room.maker, True, 6_000, 310_000),
        (loser, False, 6_000, 310_000),
        (room.maker, False, 200, 296_200),
        (room.maker, False, 6_000, 296_100),
    ):
        room.place(account, size, price, is_ask=is_ask)
    room.frames(loser)
    assert room.first(Topic.NOTIFICATION, loser)["notifs"] == []
    room.venue.set_prices(ETH, 296_300, room.feed.now_ns)
    [message] = [m for m in room.frames(loser) if m["type"] == "update/notification"]
    [notice] = message["notifs"]
    sold = [trade for trade in room.venue.account(loser).trades if trade.kind == "liquidation"]
    assert [trade.price for trade in sold] == [296_200, 296_100], "one notice for the two trades of one order"
    content, size = notice["content"], sum(trade.size for trade in sold)
    assert content == {
        "id": notice["id"],
        "is_ask": True,
        "usdc_amount": f"{sum(trade.quote for trade in sold) / MICRO:.6f}",
        "size": f"{size / 10_000:.4f}",
        "market_index": ETH,
        "price": "2961.00",
        "timestamp": sold[0].time_ns // SECOND,
        "avg_price": f"{sum(trade.quote for trade in sold) // size / 100:.2f}",
    }
    assert (notice["kind"], notice["account_index"], notice["ack"], notice["acked_at"]) == (
        "liquidation", loser, False, None,
    )  # fmt: skip
    assert room.first(Topic.NOTIFICATION, loser)["notifs"] == [notice]
    assert room.first(Topic.NOTIFICATION, room.maker)["notifs"] == []
