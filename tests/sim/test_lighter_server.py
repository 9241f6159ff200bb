"""The exchange on loopback, as the official SDK sees it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stall_then_strike.sim.lighter.clearing.records import Status

pytest.importorskip("lighter")

from tests.sim.lighter.sdk_rig import ETH, client, exchange, good, lighter, refused, until


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

        await until(venue, await limit(signer, 11, 100, 310_000, is_ask=True))
        [order] = await active()
        assert (order.client_order_index, order.price, order.remaining_base_amount) == (11, "3100.00", "0.0100")
        assert order.order_index == 2**48 + 1

        await until(venue, good(await signer.modify_order(ETH, 11, 200, 311_000)))
        [order] = await active()
        assert (order.client_order_index, order.price, order.remaining_base_amount) == (11, "3110.00", "0.0200")

        await until(venue, good(await signer.cancel_order(ETH, order.order_index)))
        assert await active() == []
        closed = await orders.account_inactive_orders(token, signer.account_index, 10)
        assert [order.status for order in closed.orders] == ["canceled"]


async def test_a_market_order_trades() -> None:
    async with exchange() as venue, client(venue) as maker, client(venue) as taker:
        await until(venue, await limit(maker, 1, 100, 310_000, is_ask=True))
        await until(venue, good(await taker.create_market_order(ETH, 2, 60, 320_000, False)))
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
        await until(venue, *answers, good(await signer.cancel_all_orders(signer.CANCEL_ALL_TIF_IMMEDIATE, 0)))
        account = venue.venue.account(signer.account_index)
        assert account.orders == {}
        assert [order.status for order in account.closed] == [Status.CANCELED] * 3


async def test_the_hash_is_the_signers_and_leads_to_the_transaction() -> None:
    async with exchange() as venue, client(venue) as signer:
        transactions = lighter.TransactionApi(signer.api_client)
        tx_type, info, tx_hash, _ = signer.sign_cancel_order(ETH, 5, nonce=0, api_key_index=4)
        response = await signer.send_tx(tx_type, info)
        assert response.tx_hash == tx_hash
        await until(venue, response)
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
            await orders.account_active_orders(token[:-1] + "0", other.account_index)
        with refused(20001):
            await orders.account_active_orders("", other.account_index)
