"""Fresh signatures of the SDK's native signer, held against the pure Python arithmetic."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from stall_then_strike.sim.lighter.crypto import schnorr
from stall_then_strike.sim.lighter.transactions import decode

lighter = pytest.importorskip("lighter")
ACCOUNT, KEY = 987_654, 7


@asynccontextmanager
async def native() -> AsyncIterator[tuple[Any, bytes]]:
    """The SDK's client with a new key, and the public key. Signing makes no call."""
    private, public, error = lighter.signer_client.create_api_key()
    assert error is None
    client = lighter.SignerClient("http://127.0.0.1:1", ACCOUNT, {KEY: private})
    try:
        yield client, bytes.fromhex(public.removeprefix("0x"))
    finally:
        await client.close()


async def test_public_keys() -> None:
    for _ in range(3):
        private, public, _ = lighter.signer_client.create_api_key()
        assert schnorr.public_key(bytes.fromhex(private.removeprefix("0x"))).hex() == public.removeprefix("0x")


def signed(client: Any) -> dict[str, tuple[int, str, str, str | None]]:
    """One transaction of each kind and shape."""
    own = {"nonce": 3, "api_key_index": KEY}
    expiry = 1_900_000_000_000
    return {
        "create": client.sign_create_order(1, 77, 20, 900_001, True, 0, 1, order_expiry=expiry, **own),
        "post only": client.sign_create_order(0, 78, 50, 310_000, False, 0, 2, True, order_expiry=expiry, **own),
        "market": client.sign_create_order(0, 0, 50, 310_000, False, 1, 0, order_expiry=0, **own),
        "stop": client.sign_create_order(0, 9, 50, 310_000, True, 2, 0, True, 300_000, expiry, **own),
        "skip nonce": client.sign_create_order(
            0, 79, 50, 310_000, False, 0, 1, order_expiry=expiry, skip_nonce=1, **own
        ),
        "modes": client.sign_create_order(
            0, 80, 50, 310_000, False, 0, 1, order_expiry=expiry, self_trade_behavior_mode=2,
            self_trade_equality_mode=1, **own,
        ),
        "cancel": client.sign_cancel_order(1, 77, **own),
        "modify": client.sign_modify_order(1, 77, 40, 900_002, **own),
        "version": client.sign_modify_order(1, 77, 40, 900_002, order_version=4, **own),
        "cancel all": client.sign_cancel_all_orders(0, 0, **own),
        "cancel one market": client.sign_cancel_all_orders(0, 0, 24, **own),
        "switch": client.sign_cancel_all_orders(1, expiry, **own),
        "leverage": client.sign_update_leverage(0, 500, 0, **own),
    }  # fmt: skip


async def test_hashes_and_signatures() -> None:
    async with native() as (client, public):
        for name, (tx_type, info, tx_hash, error) in signed(client).items():
            assert error is None, (name, error)
            tx = decode(tx_type, info, 304)
            assert tx.hash.hex() == tx_hash, name
            assert schnorr.verify(public, tx.hash, tx.signature), name
            changed = orjson.loads(info)
            changed["Nonce"] += 1
            other = decode(tx_type, orjson.dumps(changed).decode(), 304)
            assert not schnorr.verify(public, other.hash, tx.signature), name


async def test_grouped_orders_are_hashed_alike() -> None:
    async with native() as (client, public):
        expiry = 1_900_000_000_000
        legs = [
            lighter.signer_client.CreateOrderTxReq(0, 1, 50, 310_000, 0, 0, 1, 0, 0, expiry),
            lighter.signer_client.CreateOrderTxReq(0, 2, 0, 290_000, 1, 2, 0, 1, 300_000, expiry),
            lighter.signer_client.CreateOrderTxReq(0, 3, 0, 330_000, 1, 4, 0, 1, 320_000, expiry),
        ]
        tx_type, info, tx_hash, error = client.sign_create_grouped_orders(3, legs, nonce=4, api_key_index=KEY)
        assert error is None
        tx = decode(tx_type, info, 304)
        assert len(tx.orders) == 3
        assert tx.hash.hex() == tx_hash
        assert schnorr.verify(public, tx.hash, tx.signature)


async def test_tokens() -> None:
    async with native() as (client, public):
        for seconds in (600, 28_800):
            token, error = client.create_auth_token_with_expiry(seconds, timestamp=1_800_000_000, api_key_index=KEY)
            assert error is None
            text, _, signature = token.rpartition(":")
            assert text == f"{1_800_000_000 + seconds}:{ACCOUNT}:{KEY}"
            assert schnorr.verify(public, schnorr.token_hash(text), bytes.fromhex(signature))
