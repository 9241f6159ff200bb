"""The exchange on loopback, as the official SDK sees it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from stall_then_strike.sim.lighter.clearing.contracts import Plan
from stall_then_strike.sim.lighter.clearing.records import Status

pytest.importorskip("lighter")

from tests.sim.lighter.sdk_rig import ETH, QUICK, client, exchange, executed, good, lighter, refused


async def limit(signer: Any, client_index: int, size: int, price: int, *, is_ask: bool) -> Any:
    return good(
        await signer.create_order(
            ETH, client_index, size, price, is_ask, signer.ORDER_TYPE_LIMIT, signer.ORDER_TIME_IN_FORCE_GOOD_TILL_TIME
        )
    )


async def test_the_sdk_checks_its_key() -> None:
    async with exchange() as venue, client(venue) as signer:
        assert await asyncio.to_thread(signer.check_client) is None


async def test_an_order_lives_through_create_modify_and_cancel() -> None:
    async with exchange() as venue, client(venue) as signer:
        orders = lighter.OrderApi(signer.api_client)
        token, error = signer.create_auth_token_with_expiry()
        assert error is None

        async def active() -> list[Any]:
            return list((await orders.account_active_orders(token, signer.account_index, ETH)).orders)

        await executed(venue, await limit(signer, 11, 100, 310_000, is_ask=True))
        [order] = await active()
        assert (order.client_order_index, order.price, order.remaining_base_amount) == (11, "3100.00", "0.0100")
        assert order.order_index == 2**48 + 1

        await executed(venue, good(await signer.modify_order(ETH, 11, 200, 311_000)))
        [order] = await active()
        assert (order.client_order_index, order.price, order.remaining_base_amount) == (11, "3110.00", "0.0200")

        await executed(venue, good(await signer.cancel_order(ETH, order.order_index)))
        assert await active() == []
        closed = await orders.account_inactive_orders(token, signer.account_index, 10)
        assert [order.status for order in closed.orders] == ["canceled"]


async def test_a_market_order_trades() -> None:
    async with exchange() as venue, client(venue) as maker, client(venue) as taker:
        await executed(venue, await limit(maker, 1, 100, 310_000, is_ask=True))
        await executed(venue, good(await taker.create_market_order(ETH, 2, 60, 320_000, False)))
        answer = await lighter.AccountApi(taker.api_client).account("index", str(taker.account_index))
        [position] = answer.accounts[0].positions
        assert (position.sign, position.position, position.avg_entry_price) == (1, "0.0060", "3100.00")
        [trade] = (await lighter.OrderApi(taker.api_client).recent_trades(ETH, 10)).trades
        assert (trade.size, trade.usd_amount, trade.is_maker_ask) == ("0.0060", "18.600000", True)
        assert (trade.ask_account_id, trade.bid_account_id) == (maker.account_index, taker.account_index)
        assert venue.venue.accounts.wealth() == venue.venue.accounts.deposits


async def test_cancel_all_clears_all_markets() -> None:
    async with exchange() as venue, client(venue) as signer:
        answers = [await limit(signer, n, 100, 310_000 + n, is_ask=True) for n in range(1, 4)]
        await executed(venue, *answers, good(await signer.cancel_all_orders(signer.CANCEL_ALL_TIF_IMMEDIATE, 0)))
        account = venue.venue.account(signer.account_index)
        assert account.orders == {}
        assert [order.status for order in account.closed] == [Status.CANCELED] * 3


async def test_the_hash_is_the_signers_and_leads_to_the_transaction() -> None:
    async with exchange() as venue, client(venue) as signer:
        transactions = lighter.TransactionApi(signer.api_client)
        tx_type, info, tx_hash, _ = signer.sign_cancel_order(ETH, 5, nonce=0, api_key_index=4)
        response = await signer.send_tx(tx_type, info)
        assert response.tx_hash == tx_hash
        await executed(venue, response)
        found = await transactions.tx("hash", tx_hash)
        assert (found.nonce, found.status, found.info) == (0, 0, info)
        with refused(21500):
            await transactions.tx("hash", "00" * 40)


async def test_a_batch_is_taken_as_a_whole_or_not_at_all() -> None:
    async with exchange() as venue, client(venue) as signer:

        def batch(*nonces: int) -> tuple[list[int], list[str], list[str]]:
            signed = [signer.sign_cancel_order(ETH, 5, nonce=nonce, api_key_index=4) for nonce in nonces]
            return [tx[0] for tx in signed], [tx[1] for tx in signed], [tx[2] for tx in signed]

        types, infos, hashes = batch(0, 1, 2)
        answer = await signer.send_tx_batch(types, infos)
        assert (answer.code, answer.tx_hash) == (200, hashes)
        for code, nonces in ((21104, (3, 5)), (21105, (4, 3)), (21514, range(3, 54))):
            types, infos, _ = batch(*nonces)
            with refused(code):
                await signer.send_tx_batch(types, infos)
        transactions = lighter.TransactionApi(signer.api_client)
        with refused(21513):
            await transactions.send_tx_batch("[15, 15]", "[]")
        nonce = await transactions.next_nonce(signer.account_index, 4)
        assert nonce.nonce == 3


async def test_forgeries_and_stale_nonces_are_refused() -> None:
    async with exchange() as venue, client(venue) as signer, client(venue) as other:
        tx_type, info, _, _ = signer.sign_cancel_order(ETH, 5, nonce=0, api_key_index=4)
        with refused(21120):
            await signer.send_tx(tx_type, info.replace('"Index":5', '"Index":6'))
        with refused(21120):
            await signer.send_tx(tx_type, info.replace(str(signer.account_index), str(other.account_index)))
        await signer.send_tx(tx_type, info)
        with refused(21104):
            await signer.send_tx(tx_type, info)


async def test_orders_are_their_owners_alone() -> None:
    async with exchange() as venue, client(venue) as signer, client(venue) as other:
        orders = lighter.OrderApi(signer.api_client)
        token, _ = other.create_auth_token_with_expiry()
        with refused(20013):
            await orders.account_active_orders(token, signer.account_index)
        with refused(20013):
            await orders.account_active_orders(token[:-1] + ("1" if token[-1] == "0" else "0"), other.account_index)
        with refused(20001):
            await orders.account_active_orders("", other.account_index)


async def test_every_call_answers_as_the_sdk_reads_it() -> None:
    """The SDK's classes find in each answer what they name; trades, positions and orders exist."""
    async with exchange(replace(QUICK, plan=Plan.PREMIUM)) as venue, client(venue) as maker, client(venue) as taker:
        api, index = taker.api_client, taker.account_index
        await executed(venue, await limit(maker, 1, 100, 310_000, is_ask=True))
        await executed(venue, good(await taker.create_market_order(ETH, 2, 60, 320_000, False)))
        token, _ = taker.create_auth_token_with_expiry()
        orders, accounts, root = lighter.OrderApi(api), lighter.AccountApi(api), lighter.RootApi(api)
        transactions, charts = lighter.TransactionApi(api), lighter.CandlestickApi(api)
        span = (0, 5_000_000_000_000, 10)
        assert (await root.status()).network_id == 304
        assert (await root.info()).contract_address.startswith("0x")
        assert len((await orders.order_books()).order_books) == 5
        assert (await orders.order_book_details(market_id=ETH)).order_book_details[0].last_trade_price == 3_100.0
        book = await orders.order_book_orders(ETH, 10)
        assert [row.remaining_base_amount for row in book.asks] == ["0.0040"]
        assert (await orders.exchange_stats()).daily_trades_count == 1
        own = await orders.trades("timestamp", 10, authorization=token, account_index=index)
        assert [trade.taker_fee for trade in own.trades] == [280]
        assert len((await orders.trades("block_height", 10)).trades) == 1
        found = await orders.account_orders(token, client_order_indexes="2", account_index=index)
        assert [order.status for order in found.orders] == ["filled"]
        assert (await accounts.apikeys(index)).api_keys[0].api_key_index == 4
        assert (await accounts.accounts_by_l1_address(venue.venue.account(index).l1_address)).sub_accounts
        assert (await accounts.account_limits(index, token)).user_tier == "premium"
        assert (await accounts.position_funding(index, 10, authorization=token)).position_fundings == []
        assert (await accounts.liquidations(token, index, 10)).liquidations == []
        assert (await charts.candles(ETH, "1m", *span)).c[0].v == 0.006
        assert (await charts.fundings(ETH, "1h", *span)).fundings == []
        assert len((await lighter.FundingApi(api).funding_rates()).funding_rates) == 5
        assert len((await transactions.txs(10)).txs) == 2
        assert len((await transactions.account_txs(10, "account_index", str(index))).txs) == 1
        assert (await lighter.BlockApi(api).current_height()).height > 0


async def test_the_sdks_ways_to_buy_at_the_market() -> None:
    """They read the best price from orderBookOrders as text with all decimals."""
    async with exchange() as venue, client(venue) as maker, client(venue) as taker:
        await executed(venue, *[await limit(maker, n, 1_000, 310_000 + n, is_ask=True) for n in (1, 2)])
        assert await taker.get_best_price(ETH, is_ask=False) == 310_001
        await executed(venue, good(await taker.create_market_order_limited_slippage(ETH, 1, 50, 0.001, False)))
        await executed(venue, good(await taker.create_market_order_quote_amount(ETH, 2, 31.1, 0.001, False)))
        assert venue.venue.account(taker.account_index).size_in(ETH) == 150


async def test_stops_wait_for_the_mark_price() -> None:
    async with exchange() as venue, client(venue) as maker, client(venue) as signer:
        await executed(venue, await limit(maker, 1, 100, 310_000, is_ask=True))
        await executed(venue, good(await signer.create_market_order(ETH, 1, 100, 320_000, False)))
        await executed(venue, good(await signer.create_sl_order(ETH, 2, 100, 300_000, 290_000, True, reduce_only=True)))
        account = venue.venue.account(signer.account_index)
        assert [order.status for order in account.orders.values()] == [Status.PENDING]
        await executed(venue, await limit(maker, 2, 100, 299_000, is_ask=False))
        venue.venue.set_prices(ETH, 299_900, venue.venue.now_ns)
        assert account.size_in(ETH) == 0


async def test_an_order_with_a_stop_and_a_profit_target() -> None:
    async with exchange() as venue, client(venue) as maker, client(venue) as signer:
        make, expiry = lighter.signer_client.CreateOrderTxReq, signer.DEFAULT_28_DAY_ORDER_EXPIRY
        legs = [
            make(ETH, 1, 100, 310_000, 0, signer.ORDER_TYPE_LIMIT, 1, 0, 0, expiry),
            make(ETH, 2, 0, 290_000, 1, signer.ORDER_TYPE_STOP_LOSS, 0, 1, 300_000, expiry),
            make(ETH, 3, 0, 315_000, 1, signer.ORDER_TYPE_TAKE_PROFIT, 0, 1, 320_000, expiry),
        ]
        await executed(venue, good(await signer.create_grouped_orders(3, legs)))
        token, _ = signer.create_auth_token_with_expiry()
        orders = lighter.OrderApi(signer.api_client)
        shown = (await orders.account_active_orders(token, signer.account_index)).orders
        by_client_index = {order.client_order_index: order for order in shown}
        assert [by_client_index[n].trigger_status for n in (1, 2, 3)] == ["na", "parent-order", "parent-order"]
        assert by_client_index[1].to_trigger_order_id_0 == by_client_index[2].order_id
        assert by_client_index[2].to_cancel_order_id_0 == by_client_index[3].order_id
        await executed(venue, await limit(maker, 1, 100, 310_000, is_ask=True))
        await executed(venue, await limit(maker, 2, 100, 316_000, is_ask=False))
        venue.venue.set_prices(ETH, 320_000, venue.venue.now_ns)
        closed = (await orders.account_inactive_orders(token, signer.account_index, 10)).orders
        assert {o.client_order_index: o.status for o in closed} == {1: "filled", 2: "canceled-oco", 3: "filled"}


async def test_keys_rotate_and_each_has_its_nonces() -> None:
    async with exchange() as venue:
        first = venue.add_account()
        keys = (first, venue.add_key(first.account_index, 5), venue.add_key(first.account_index, 6))
        async with client(venue, *keys) as signer:
            answers = await asyncio.gather(*(limit(signer, n, 100, 310_000 + n, is_ask=True) for n in range(1, 10)))
            await executed(venue, *answers)
            account = venue.venue.account(first.account_index)
            assert {key: entry.nonce for key, entry in account.keys.items()} == {4: 3, 5: 3, 6: 3}
            assert len(account.orders) == 9


async def test_a_standard_account_has_sixty_calls_a_minute() -> None:
    async with exchange() as venue, client(venue) as signer:
        api = lighter.TransactionApi(signer.api_client)
        for _ in range(60):
            await api.next_nonce(signer.account_index, 4)
        with refused(23000):
            await api.next_nonce(signer.account_index, 4)
        with refused(23000):
            await signer.send_tx(15, signer.sign_cancel_order(ETH, 5, nonce=0, api_key_index=4)[1])


async def test_the_volume_quota_of_a_premium_account() -> None:
    settings = replace(QUICK, plan=Plan.PREMIUM, has_volume_quota=True)
    async with exchange(settings) as venue, client(venue) as signer:
        free = await limit(signer, 1, 100, 310_000, is_ask=True)
        assert (free.message, free.volume_quota_remaining) == ('{"ratelimit": "didn\'t use volume quota"}', 1_000)
        paid = await limit(signer, 2, 100, 310_000, is_ask=True)
        assert (paid.message, paid.volume_quota_remaining) == ('{"ratelimit": "999 volume quota remaining."}', 999)
        cancelled = good(await signer.cancel_order(ETH, 1))
        assert cancelled.volume_quota_remaining == 999
        venue.venue.account(signer.account_index).quota_used = 1_000
        with refused(23000):
            await signer.send_tx(*signer.sign_modify_order(ETH, 2, 100, 310_000, nonce=3, api_key_index=4)[:2])


async def test_what_the_exchange_received_is_recorded_without_secrets() -> None:
    async with exchange() as venue, client(venue) as signer:
        token, _ = signer.create_auth_token_with_expiry()
        await limit(signer, 1, 100, 310_000, is_ask=True)
        await lighter.OrderApi(signer.api_client).account_active_orders(token, signer.account_index)
        records = venue.audit.records()
        assert [record.what for record in records] == [
            "GET /api/v1/nextNonce", "POST /api/v1/sendTx", "GET /api/v1/accountActiveOrders",
        ]  # fmt: skip
        assert "Price" in records[1].body
        assert "Sig" not in records[1].body
        assert not any(token.rpartition(":")[2] in record.body + record.answer for record in records)
