"""Each method of the dealer on the exchange on loopback: its answer, and what the exchange's books say."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.lighter import DealerConfig, LighterDealer
from stall_then_strike.lighter.instruments import FRESH_NS
from stall_then_strike.lighter.markets import Markets
from stall_then_strike.lighter.signing.intents import COI_MAX
from stall_then_strike.sim.lighter.lighter_venue import VenueSettings
from stall_then_strike.types.errors import BatchFailed, ConfigError, NotSent, Rejected, UnfitOrder
from stall_then_strike.types.names import NS_PER_MS, NS_PER_S
from stall_then_strike.venues.lighter_hand import LighterHand
from tests.lighter.dealer_rig import BTC, ETH, Rig, config, exchange, rig, sent
from tests.live.pace import steady_clock

SIGNED = VenueSettings(delay_ms=(1, 3), verifies_orders=True)


async def test_methods_have_the_specifications_names_and_arguments() -> None:
    wanted = {
        "create": ["cfg", "logger"],
        "from_config": ["path", "symbol", "logger"],
        "aclose": ["self"],
        "fetch_order": ["self", "order_id"],
        "fetch_open_orders": ["self", "market_index"],
        "fetch_my_balance": ["self"],
        "fetch_my_position": ["self", "symbol"],
        "create_limit_order": ["self", "price", "size", "nonce_override"],
        "create_market_order": ["self", "size", "avg_execution_price"],
        "cancel_order": ["self", "order_id"],
        "cancel_all_orders": ["self"],
        "update_order": ["self", "order_id", "price", "quantity", "trigger_price"],
        "flush": ["self"],
        "batch": ["self", "auto_flush"],
        "batch_cancel_and_create": [
            "self",
            "cancel_order_indices",
            "cancel_client_order_indices",
            "new_limit_orders",
            "fetch_if_unresolved",
        ],
        "get_next_nonce": ["self", "api_key_index"],
    }
    for name, arguments in wanted.items():
        assert list(inspect.signature(getattr(LighterDealer, name)).parameters)[: len(arguments)] == arguments


async def placed(at: Rig, price: float = 3000.0, size: float = 0.01) -> int:
    """A resting order; its client order index."""
    order = await at.dealer.create_limit_order(price, size)
    if order["status"] == "queued":
        await at.dealer.flush()
    await at.settled()
    return int(order["client_order_index"])


async def test_signatures_are_those_that_the_venue_verifies() -> None:
    async with rig(settings=SIGNED) as at:
        coi = await placed(at)
        await at.dealer.update_order(coi, 3001.0, 0.02)
        await at.dealer.cancel_order(coi)
        await at.dealer.cancel_all_orders()
        assert [tx["Nonce"] for tx in sent(at.venue)] == [0, 1, 2, 3]


async def test_limit_order_of_each_side_carries_its_terms() -> None:
    async with rig() as at:
        await at.dealer.create_limit_order(3000.5, 0.01, post_only=True)
        await at.dealer.create_limit_order(3500, -0.02, reduce_only=True)
        await at.dealer.flush()
        buy, sell = sent(at.venue)
        assert (buy["Price"], buy["BaseAmount"], buy["IsAsk"], buy["TimeInForce"]) == (300_050, 100, 0, 2)
        assert (sell["Price"], sell["BaseAmount"], sell["IsAsk"], sell["ReduceOnly"]) == (350_000, 200, 1, 1)
        assert all(0 < tx["ClientOrderIndex"] <= COI_MAX and tx["OrderExpiry"] > tx["ExpiredAt"] for tx in (buy, sell))


async def test_immediate_modes_send_at_once() -> None:
    for more in ({"prefer_high_level": True}, {"use_websocket": False}):
        async with rig(**more) as at:
            order = await at.dealer.create_limit_order(3000.0, 0.01)
            assert order["status"] == "accepted"
            assert order["tx_hash"] in at.venue.venue.txs
            assert at.requests("sendTx") == 1
            assert (await at.dealer.cancel_order(order["client_order_index"]))["status"] == "accepted"
            await at.settled()
            assert at.orders() == []


async def test_queue_is_flushed_by_itself_at_its_threshold_and_split_where_larger_than_a_batch() -> None:
    async with rig(max_ws_batch=3) as at:
        orders = [await at.dealer.create_limit_order(3000.0 + n, 0.01) for n in range(7)]
        assert [order["status"] for order in orders[2::3]] == ["accepted"] * 2
        assert (at.requests("sendTxBatch"), at.dealer.queued) == (2, 1)
    assert at.nonces() == list(range(7))
    async with rig(max_ws_batch=120) as at:
        for n in range(120):
            await at.dealer.create_limit_order(3000.0 + n, 0.01)
        assert at.requests("sendTxBatch") == 3
        assert at.nonces() == list(range(120))


async def test_batch_block_without_automatic_flush_and_one_that_fails() -> None:
    async with rig() as at:
        dealer = at.dealer
        async with dealer.batch(auto_flush=False):
            await dealer.create_limit_order(3000.0, 0.01)
            await dealer.create_market_order(0.01, 3500.0)
        assert (dealer.queued, len(at.venue.venue.txs)) == (2, 0)

        async def fail_half_way() -> None:
            async with dealer.batch():
                await dealer.create_limit_order(3001.0, 0.01)
                await dealer.create_limit_order(3001.001, 0.01)

        with pytest.raises(UnfitOrder):
            await fail_half_way()
        assert dealer.queued == 2, "what the failed block queued is dropped"
        await dealer.flush()
        assert [tx["Type"] for tx in sent(at.venue)] == [0, 1]
        assert (await dealer.flush())["accepted"] == 0


async def test_block_that_fails_after_a_flush_of_its_own_leaves_nothing_in_the_queue() -> None:
    async with rig() as at:
        dealer = at.dealer
        for _ in range(2):
            await dealer.create_limit_order(3000.0, 0.01)

        async def fail_after_a_flush() -> None:
            async with dealer.batch():
                await dealer.flush()
                await dealer.create_limit_order(3001.0, 0.01)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail_after_a_flush()
        assert dealer.queued == 0
        await dealer.flush()
        assert len(at.venue.venue.txs) == 2


async def test_closing_sends_the_queue_unless_the_block_failed() -> None:
    async with rig() as at:
        await at.dealer.create_limit_order(3000.0, 0.01)
        await at.dealer.aclose()
        await at.dealer.aclose()
        assert len(at.venue.venue.txs) == 1
        with pytest.raises(RuntimeError, match="closed"):
            await at.dealer.create_limit_order(3000.0, 0.01)

        async def fail() -> None:
            async with await LighterDealer.create(config(at.venue.base_url, *at.keys)) as dealer:
                await dealer.create_limit_order(3000.0, 0.01)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        assert len(at.venue.venue.txs) == 1


async def test_orders_are_found_by_either_index_open_ended_and_unknown() -> None:
    async with rig() as at:
        coi = await placed(at)
        listed = await at.dealer.fetch_open_orders()
        assert [order["client_order_index"] for order in listed] == [coi]
        index = listed[0]["order_index"]
        assert at.dealer.orders.order_index(coi) == index
        assert (await at.dealer.fetch_order(coi))["order_index"] == index
        assert (await at.dealer.fetch_order(str(index)))["client_order_index"] == coi
        await at.dealer.cancel_order(index)
        await at.dealer.flush()
        await at.settled()
        assert (await at.dealer.fetch_order(coi))["status"] == "canceled"
        assert (await at.dealer.fetch_order(index))["status"] == "canceled"
        assert await at.dealer.fetch_order(12345) == {}
        assert await at.dealer.fetch_open_orders(BTC) == []


async def test_public_book_tells_of_orders_of_others() -> None:
    async with rig() as at:
        other = at.venue.add_account()
        async with await LighterDealer.create(config(at.venue.base_url, other)) as dealer:
            await dealer.create_limit_order(2900.0, 0.01)
            await dealer.flush()
        await at.settled()
        index = next(iter(at.venue.venue.account(other.account_index).orders))
        found = await at.dealer.fetch_order(index)
        assert (found["owner_account_index"], found["price"]) == (other.account_index, "2900.00")


async def another_offers(at: Rig) -> None:
    """Another account offers 0.03 ETH at 3,100."""
    async with await LighterDealer.create(config(at.venue.base_url, at.venue.add_account())) as dealer:
        await dealer.create_limit_order(3100.0, -0.03)
        await dealer.flush()
    await at.settled()


async def test_balance_and_positions_after_a_trade() -> None:
    async with rig() as at:
        await another_offers(at)
        balance = await at.dealer.fetch_my_balance()
        assert balance["collateral"] == Decimal(10_000)  # type: ignore[index]  # it is a dictionary here
        assert await at.dealer.fetch_my_position("ETH") == 0
        await at.dealer.create_market_order(+0.02)
        await at.settled()
        assert await at.dealer.fetch_my_position("ETH") == Decimal("0.02")
        assert await at.dealer.fetch_my_position("BTC") == 0
        everything: Any = await at.dealer.fetch_my_position()
        assert (everything["ETH"]["size"], everything["ETH"]["avg_entry_price"]) == (Decimal("0.02"), "3100.00")
        with pytest.raises(ConfigError, match="symbol 'XYZ'"):
            await at.dealer.fetch_my_position("XYZ")


async def test_candles_and_funding_of_a_market() -> None:
    async with rig() as at:
        await another_offers(at)
        await at.dealer.create_market_order(+0.02)
        await at.settled()
        now_ms = at.venue.venue.floor.now_ns // NS_PER_MS
        (candle,) = await at.dealer.calls.candles(ETH, "1m", now_ms - 120_000, now_ms)
        assert {candle[part] for part in "ohlc"} == {3100.0}
        assert (candle["v"], candle["V"]) == (0.02, 62.0)
        assert await at.dealer.calls.candles(ETH, "1m", now_ms - 7_200_000, now_ms - 3_600_000) == []
        assert await at.dealer.calls.funding_history(ETH, now_ms - 60_000, now_ms - 1) == [], "no hour is over"
        with pytest.raises(Rejected, match="candles"):
            await at.dealer.calls.candles(ETH, "7m", now_ms - 120_000, now_ms)


async def test_market_order_needs_somebody_on_the_other_side_or_a_bound() -> None:
    async with rig() as at:
        with pytest.raises(Rejected, match="no opposite order"):
            await at.dealer.create_market_order(-0.01)
        await at.dealer.create_market_order(-0.01, 2500.0)
        (tx,) = sent(at.venue)
        assert (tx["Type"], tx["TimeInForce"], tx["OrderExpiry"], tx["Price"]) == (1, 0, 0, 250_000)


async def test_market_order_is_bounded_five_percent_beyond_the_best_price() -> None:
    async with rig() as at:
        await placed(at, 3000.0)
        await placed(at, 3200.01, -0.01)
        other = at.venue.add_account()
        async with await LighterDealer.create(config(at.venue.base_url, other)) as dealer:
            await dealer.create_market_order(0.001)
            await dealer.create_market_order(-0.001)
        assert [tx["Price"] for tx in sent(at.venue)[2:]] == [336_001, 285_000]


async def test_cancel_all_reaches_every_market_after_what_is_queued() -> None:
    async with rig() as at:
        await placed(at)
        async with await LighterDealer.create(config(at.venue.base_url, *at.keys, symbol="BTC")) as other:
            await other.create_limit_order(80_000.0, 0.001)
            await other.flush()
        await at.settled()
        assert (len(at.orders(ETH)), len(at.orders(BTC))) == (1, 1)
        await at.dealer.create_limit_order(3001.0, 0.01)
        await at.dealer.cancel_all_orders()
        await at.settled()
        assert (at.orders(ETH), at.orders(BTC)) == ([], [])


async def test_transactions_stay_valid_at_a_venue_whose_clock_runs_faster_than_the_signers() -> None:
    async with (
        steady_clock(600.0, SystemClock().now_ns()) as clock,
        exchange(clock=clock) as venue,
        await LighterDealer.create(config(venue.base_url, venue.add_account(1_000))) as dealer,
    ):
        await clock.sleep_until(clock.now_ns() + 15 * 60 * NS_PER_S)
        await dealer.create_limit_order(2_000, 0.01)
        assert (await dealer.flush())["results"][0]["status"] == "accepted"


async def test_client_on_the_machines_clock_stays_in_time_at_a_venue_an_hour_ahead() -> None:
    async with (
        steady_clock(1_200.0, SystemClock().now_ns()) as clock,
        exchange(clock=clock, clients_ns=time.time_ns) as venue,
        AsyncExitStack() as stack,
    ):
        key = venue.add_account(1_000)
        dealer = await stack.enter_async_context(await LighterDealer.create(config(venue.base_url, key)))
        await clock.sleep_until(clock.now_ns() + 70 * 60 * NS_PER_S)
        await dealer.create_limit_order(2_000, 0.01)
        await dealer.flush()
        (order,) = await dealer.fetch_open_orders()
        ahead_s = order["order_expiry"] / 1e3 - clock.now_ns() / 1e9
        assert 27 < ahead_s / 86_400 < 28.01, "28 days, by the venue's clock"
        hand = LighterHand(dealer.signer, dealer.calls, key.api_key_index, SystemClock(), has_own_key=True)
        await hand.while_alive()
        assert hand.is_set, "a switch six minutes ahead"


async def test_unknown_client_index_is_cancelled_as_given() -> None:
    async with rig() as at:
        result = await at.dealer.batch_cancel_and_create(cancel_client_order_indices=["77"], fetch_if_unresolved=False)
        assert result["cancels"][0]["order_id"] == 77
        assert at.requests("accountActiveOrders") == 0
        result = await at.dealer.batch_cancel_and_create(cancel_client_order_indices=[78])
        assert at.requests("accountActiveOrders") == 1
        assert result["creates"] == []


async def test_batch_with_an_unfit_order_sends_nothing_of_it() -> None:
    async with rig() as at:
        coi = await placed(at)
        with pytest.raises(UnfitOrder):
            await at.dealer.batch_cancel_and_create(
                cancel_client_order_indices=[coi], new_limit_orders=[(3000.0, 0.01), (3000.0, 0.00001)]
            )
        assert (at.dealer.queued, len(at.orders())) == (0, 1)


async def test_update_of_an_order_that_only_the_venue_knows() -> None:
    async with rig() as at:
        coi = await placed(at, 3000.0, 0.05)
        async with await LighterDealer.create(config(at.venue.base_url, *at.keys)) as other:
            await other.update_order(coi, 3002.0, None)
            await other.flush()
            with pytest.raises(UnfitOrder, match="order 999 is not listed"):
                await other.update_order(999, 3002.0, None)
            with pytest.raises(UnfitOrder, match="nothing is to change"):
                await other.update_order(coi, None, None)
        await at.settled()
        assert [(order.price, order.size) for order in at.orders()] == [(300_200, 500)]


async def test_nonce_of_each_key() -> None:
    async with rig(n_keys=2) as at:
        await placed(at)
        assert (await at.dealer.get_next_nonce(), await at.dealer.get_next_nonce(5)) == (1, 0)


async def test_nonce_override_is_used_as_given_and_counting_goes_on_from_it() -> None:
    async with rig() as at:
        await placed(at)
        await at.dealer.create_limit_order(3000.0, 0.01, nonce_override=1)
        await at.dealer.create_limit_order(3001.0, 0.01)
        await at.dealer.flush()
        assert at.nonces() == [0, 1, 2]
        with pytest.raises(UnfitOrder, match="nonce_override"):
            await at.dealer.create_limit_order(3000.0, 0.01, nonce_override=-1)


async def test_two_keys_share_creates_and_keep_the_order_of_what_belongs_together() -> None:
    async with rig(n_keys=2, max_ws_batch=1000) as at:
        orders = [await at.dealer.create_limit_order(3000.0 + n, 0.01) for n in range(100)]
        await at.dealer.flush()
        await at.settled()
        keys = {tx["ClientOrderIndex"]: tx["ApiKeyIndex"] for tx in sent(at.venue)}
        assert sorted(keys.values()) == [4] * 50 + [5] * 50
        for order in orders[40:60]:
            await at.dealer.cancel_order(order["client_order_index"])
        await at.dealer.flush()
        cancels = [tx for tx in sent(at.venue) if "Index" in tx]
        assert {tx["Index"]: tx["ApiKeyIndex"] for tx in cancels} == {
            order["client_order_index"]: keys[order["client_order_index"]] for order in orders[40:60]
        }
        await at.dealer.cancel_all_orders()
        await at.settled()
        assert at.orders() == []
        assert sorted(tx["ApiKeyIndex"] for tx in sent(at.venue)[-2:]) == [4, 5]


async def test_refused_order_is_reported_with_its_index_and_the_others_go_through() -> None:
    async with rig() as at:
        first = await at.dealer.create_limit_order(3000.0, 0.01)
        await at.dealer.flush()
        at.dealer._client_indexes.new = lambda: int(first["client_order_index"])
        await at.dealer.create_limit_order(3001.0, 0.01)
        del at.dealer._client_indexes.new
        good = await at.dealer.create_limit_order(3002.0, 0.01)
        with pytest.raises(BatchFailed, match="1 of 2 not accepted") as caught:
            await at.dealer.flush()
        bad, fine = caught.value.results
        assert (bad["status"], bad["code"], bad["client_order_index"]) == (
            "refused",
            21728,
            first["client_order_index"],
        )
        assert (fine["status"], fine["client_order_index"]) == ("accepted", good["client_order_index"])
        assert isinstance(caught.value.__cause__, Rejected)


async def test_cancel_that_fails_at_once_is_queued_in_high_level_mode(caplog: pytest.LogCaptureFixture) -> None:
    async with rig(prefer_high_level=True) as at:
        coi = await placed(at)
        send = at.dealer.calls.send

        async def refuse(batch: object) -> None:
            raise Rejected("sendTx", "no", code=21501)

        await at.dealer._sender.route(refuse, 50)
        with caplog.at_level(logging.WARNING):
            assert (await at.dealer.cancel_order(coi))["status"] == "queued"
        assert "queued for the next flush" in caplog.text
        await at.dealer._sender.route(send, 50)
        await at.dealer.flush()
        await at.settled()
        assert at.orders() == []


@pytest.mark.parametrize(
    ("price", "size"),
    [
        (3000.001, 0.01),
        (3000.0, 0.00001),
        (3000.0, 0.0),
        (0.0, 0.01),
        ((2**32 + 5) / 100, 0.01),
        (3000.0, (2**64 + 7) / 10_000),
        (float("nan"), 0.01),
        (-5.0, 0.01),
        (0.01, 0.0001),
    ],
)
async def test_unfit_order_never_reaches_the_wire(price: float, size: float) -> None:
    async with rig() as at:
        for call in (
            at.dealer.create_limit_order(price, size),
            at.dealer.batch_cancel_and_create(new_limit_orders=[(price, size)]),
            at.dealer.update_order(5, price, size),
        ):
            with pytest.raises(UnfitOrder):
                await call
        await at.dealer.flush()
        assert not at.venue.venue.txs


@pytest.mark.parametrize("order_id", ["abc", "", 0, -1, 2**56, True, 1.5])
async def test_order_id_that_is_none_is_refused(order_id: Any) -> None:
    async with rig() as at:
        with pytest.raises(UnfitOrder, match="order id"):
            await at.dealer.cancel_order(order_id)


async def test_unknown_market_and_wrong_scale_are_refused_at_the_start() -> None:
    async with exchange() as venue:
        key = venue.add_account()
        for more, message in (
            ({"symbol": "NOPE"}, "symbol 'NOPE'"),
            ({"symbol": None, "market_index": 4000}, "market_index 4000"),
            ({"price_scale": 10}, "price_scale: 10 is wrong for ETH; accepted: 100"),
            ({"base_scale": 100_000}, "size_scale: 100000 is wrong for ETH"),
        ):
            with pytest.raises(ConfigError, match=message):
                await LighterDealer.create(config(venue.base_url, key, **more))


async def test_symbol_decides_the_market() -> None:
    async with rig(symbol="BTC", market_index=0) as at:
        assert (at.dealer.market.market_index, at.dealer.cfg.market_index) == (BTC, BTC)


async def test_unreachable_venue_leaves_the_built_in_table_and_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async with exchange() as venue:
        cfg = config("http://127.0.0.1:9", venue.add_account())
    with caplog.at_level(logging.WARNING, "LighterDealer"):
        async with await LighterDealer.create(cfg) as dealer:
            assert dealer.market.symbol == "ETH"
            with pytest.raises(NotSent):
                await dealer.get_next_nonce()
    assert "going on with the built-in table" in caplog.text


async def test_list_of_markets_is_cached_with_its_age(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = tmp_path / "markets.json"
    async with rig() as at:
        dealer = at.dealer
        await dealer.refresh_markets(cache)
        asked = at.requests("orderBooks")
        fresh = await dealer.refresh_markets(cache)
        assert (at.requests("orderBooks"), fresh.source) == (asked, str(cache))
        Markets(fresh.all(), as_of_ns=fresh.as_of_ns - 2 * FRESH_NS).save(cache)
        await dealer.refresh_markets(cache)
        assert at.requests("orderBooks") == asked + 1
        Markets(fresh.all(), as_of_ns=fresh.as_of_ns - 5 * FRESH_NS).save(cache)
        cfg = config("http://127.0.0.1:9", at.venue.add_account())
    other = LighterDealer(cfg)
    with caplog.at_level(logging.WARNING, "LighterDealer"):
        await other.refresh_markets(cache)
    await other.aclose()
    assert re.search(r"going on with the .*markets\.json, 5 h old", caplog.text)


async def test_two_keys_of_one_index_in_one_process_are_refused() -> None:
    async with rig() as at, exchange() as second:
        key = second.add_account()
        assert key.account_index == at.account
        with pytest.raises(ConfigError, match=r"key 4 is in use with another private key or address"):
            await LighterDealer.create(config(second.base_url, key))
        await at.dealer.aclose()
        await (await LighterDealer.create(config(second.base_url, key))).aclose()


async def test_given_logger_is_used() -> None:
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger = logging.getLogger("mine")
    logger.addHandler(Lines())
    logger.setLevel(logging.DEBUG)
    async with exchange() as venue:
        dealer = await LighterDealer.create(config(venue.base_url, venue.add_account()), logger)
        await dealer.create_limit_order(3000.0, 0.01)
        await dealer.aclose()
    assert lines == ["1 transactions accepted"]


async def test_signing_a_batch_makes_no_call_and_lets_other_tasks_run() -> None:
    async with rig() as at:
        calls = at.venue.audit.counts.total()
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        counter = asyncio.create_task(count_turns())
        for n in range(20):
            await at.dealer.create_limit_order(3000.0 + n, 0.01)
        await at.dealer.flush()
        counter.cancel()
        made = at.venue.audit.counts.total() - calls
        assert made == 2, "the nonce once, and the batch"
        assert at.dealer.calls.made == 3, "the list of markets at the start"
        assert turns >= 20


def test_package_is_imported_without_the_sdk_and_says_how_to_install_it() -> None:
    code = """
import sys
sys.modules["lighter"] = None
from stall_then_strike.infra.clock import ScaledClock, SystemClock
from stall_then_strike.lighter import DealerConfig, LighterDealer
import asyncio
cfg = DealerConfig(base_url="http://127.0.0.1:9", account_index=1,
                   api_keys=[{"api_key_index": 4, "api_key_private_key": "ab" * 40}])
try:
    asyncio.run(LighterDealer.create(cfg))
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.startswith("ConfigError needs lighter from the extra lighter"), done.stderr
    assert "pip install 'stall-then-strike[lighter]'" in done.stdout
    assert isinstance(DealerConfig, type)
