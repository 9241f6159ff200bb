"""Every example of the specification, against the exchange on loopback, with prices and sizes as written there."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from stall_then_strike.lighter import DealerConfig, LighterDealer
from tests.lighter.dealer_rig import Credentials, LighterExchange, config, exchange, rig, sent

CONFIG = """
// as in the documentation
{
  "base_url": "%s",   // where
  "account_index": %d,
  "l1_private_key": "0x0123456789abcdef",
  /* one key
     is enough */
  "api_keys": [{"api_key_index": %d, "api_key_private_key": "%s"}],
  "symbol": "ETH",
  "use_websocket": true,
  "prefer_high_level": false,
  "jitter_ms": [0, 0],
  "max_ws_batch": 50
}
"""


def config_file(tmp_path: Path, venue: LighterExchange, key: Credentials, *, in_section: bool = False) -> str:
    path = tmp_path / "config.json"
    text = CONFIG % (venue.base_url, key.account_index, key.api_key_index, key.private_key)
    path.write_text(f'{{"Lighter": {text}}}' if in_section else text)
    return str(path)


async def test_quick_start() -> None:
    async with exchange() as venue:
        key = venue.add_account()
        cfg: DealerConfig = config(venue.base_url, key, prefer_high_level=False, use_websocket=True)
        dealer = await LighterDealer.create(cfg)
        async with dealer:
            await dealer.create_limit_order(price=3800.05, size=+0.0001)
            await dealer.create_limit_order(price=4400.00, size=-0.0001)
            result = await dealer.flush()
        assert result["accepted"] == 2
        assert list(venue.venue.txs) == result["tx_hash"]
        assert [(tx["Price"], tx["BaseAmount"], tx["IsAsk"]) for tx in sent(venue)] == [
            (380_005, 1, 0),
            (440_000, 1, 1),
        ]


@pytest.mark.parametrize("in_section", [False, True])
async def test_from_config(tmp_path: Path, in_section: bool) -> None:
    async with exchange() as venue:
        path = config_file(tmp_path, venue, venue.add_account(), in_section=in_section)
        dealer = await LighterDealer.from_config(path)
        async with dealer:
            await dealer.create_limit_order(3805.0, +0.0002)
            await dealer.flush()
        assert [tx["BaseAmount"] for tx in sent(venue)] == [2]


async def test_batch_block_flushes_once_at_its_end(tmp_path: Path) -> None:
    async with exchange() as venue:
        path = config_file(tmp_path, venue, venue.add_account())
        async with await LighterDealer.from_config(path) as dealer:
            async with dealer.batch():
                await dealer.create_limit_order(3800.0, +0.0001)
                await dealer.create_limit_order(4399.0, -0.0001)
                assert not venue.venue.txs
            assert len(venue.venue.txs) == 2
        assert venue.audit.counts["POST /api/v1/sendTxBatch"] == 1


async def test_several_cancels_and_creates_in_one_batch() -> None:
    async with rig() as at:
        dealer = at.dealer
        first = [await dealer.create_limit_order(3700.0 + n, +0.0001) for n in range(3)]
        await dealer.flush()
        await at.settled()
        by_client = {order.client_index: order.order_index for order in at.orders()}
        indexes: list[int | str] = [by_client[order["client_order_index"]] for order in first[1:]]
        before = at.requests("sendTxBatch")
        result = await dealer.batch_cancel_and_create(
            cancel_client_order_indices=[first[0]["client_order_index"]],
            cancel_order_indices=indexes,
            new_limit_orders=[(3810.0, +0.0002), (4390.0, -0.0002)],
        )
        assert at.requests("sendTxBatch") == before + 1
        assert [entry["status"] for entry in (*result["cancels"], *result["creates"])] == ["accepted"] * 5
        assert result["flushed"]["accepted"] == 5
        await at.settled()
        assert sorted(order.price for order in at.orders()) == [381_000, 439_000]
        assert {order.client_index for order in at.orders()} == {c["client_order_index"] for c in result["creates"]}


async def test_update_order() -> None:
    async with rig() as at:
        dealer = at.dealer
        order_id = (await dealer.create_limit_order(3800.0, +0.0001))["client_order_index"]
        await dealer.flush()
        await at.settled()
        await dealer.update_order(order_id=order_id, price=3812.0, quantity=None)
        await dealer.update_order(order_id=order_id, price=None, quantity=0.0003)
        await dealer.flush()
        await at.settled()
        assert [(order.price, order.size) for order in at.orders()] == [(381_200, 3)]
        # The third call of the example has a trigger price; the venue takes one only for an order with a trigger.
        with pytest.raises(ValueError, match="has no trigger"):
            await dealer.update_order(order_id=order_id, price=3815.0, quantity=0.0002, trigger_price=3810.0)
        await dealer.update_order(order_id=order_id, price=3815.0, quantity=0.0002)
        await dealer.flush()
        await at.settled()
        assert [(order.price, order.size) for order in at.orders()] == [(381_500, 2)]


async def test_market_sell_without_a_price() -> None:
    async with rig() as at:
        maker = at.venue.add_account()
        async with await LighterDealer.create(config(at.venue.base_url, maker)) as other:
            await other.create_limit_order(3750.0, +0.0010)
            await other.flush()
        await at.settled()
        await at.dealer.create_market_order(size=-0.0005)
        await at.settled()
        position = await at.dealer.fetch_my_position("ETH")
        assert str(position) == "-0.0005"


async def test_a_hundred_orders_at_once_none_lost_no_nonce_twice() -> None:
    async with rig() as at:
        dealer = at.dealer

        async def place_pair(i: int) -> None:
            await dealer.create_limit_order(3800.0 + i, +0.0001)
            await dealer.create_limit_order(4400.0 - i, -0.0001)

        async with asyncio.TaskGroup() as tg:
            for i in range(50):
                tg.create_task(place_pair(i))
        await dealer.flush()
        await at.settled()
        wanted = sorted([380_000 + 100 * i for i in range(50)] + [440_000 - 100 * i for i in range(50)])
        assert sorted(order.price for order in at.orders()) == wanted
        assert len({order.client_index for order in at.orders()}) == 100
        assert at.nonces() == list(range(100))


async def test_thirty_orders_at_five_a_second_then_flush() -> None:
    async with rig() as at:
        qps = 1_000  # the example's 5 would take six seconds
        interval = 1.0 / qps
        next_at = time.monotonic()
        for _ in range(30):
            await at.dealer.create_limit_order(999999.0, -0.0001)
            next_at += interval
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
        await at.dealer.flush()
        await at.settled()
        assert [order.price for order in at.orders()] == [99_999_900] * 30


async def test_example_sizes_are_below_todays_minimum() -> None:
    from stall_then_strike.sim.lighter.clearing.contracts import MARKETS

    async with exchange(markets=MARKETS) as venue:
        async with await LighterDealer.create(config(venue.base_url, venue.add_account())) as dealer:
            with pytest.raises(ValueError, match=r"size 0.0001 is below the minimum; accepted: 0.0050 or more"):
                await dealer.create_limit_order(price=3800.05, size=+0.0001)
            assert dealer.queued == 0
        assert not venue.venue.txs
