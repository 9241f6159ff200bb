"""Transactions are read and hashed as the official signer and the venue do."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from stall_then_strike.sim.lighter.transactions import Refusal, TxType, decode
from tests.shared_data import lighter_file

CANCEL = {
    "AccountIndex": 5, "ApiKeyIndex": 4, "MarketIndex": 0, "Index": 77, "ExpiredAt": 1_800_000_000_000, "Nonce": 3,
    "Sig": "", "L2TxAttributes": None,
}  # fmt: skip


def text(**changes: Any) -> str:
    return orjson.dumps({**CANCEL, **changes}).decode()


def test_official_hashes() -> None:
    vectors = orjson.loads(lighter_file("signing_vectors.json").read_bytes())
    for vector in vectors["transactions"]:
        tx = decode(vector["tx_type"], vector["tx_info"], vectors["chain_id"])
        assert tx.hash.hex() == vector["tx_hash"], vector["name"]
        assert decode(vector["tx_type"], vector["tx_info"], 300).hash != tx.hash


def test_hashes_of_captured_transactions() -> None:
    lines = lighter_file("ws_account_20251012.jsonl").read_bytes().splitlines()
    txs = [tx for line in lines for tx in orjson.loads(line)["msg"].get("txs", [])]
    assert len(txs) == 2
    for tx in txs:
        assert decode(tx["type"], tx["info"], 304).hash.hex() == tx["hash"]


def test_fields() -> None:
    tx = decode(TxType.CANCEL_ORDER, text(L2TxAttributes={"4": 1}), 304)
    assert (tx.account, tx.api_key_index, tx.nonce, tx.expired_at_ms) == (5, 4, 3, 1_800_000_000_000)
    assert tx.body == {"MarketIndex": 0, "Index": 77}
    assert tx.skips_nonces


@pytest.mark.parametrize("name", ["MarketIndex", "Index", "Nonce", "ExpiredAt", "AccountIndex", "ApiKeyIndex"])
def test_every_field_counts_in_the_hash(name: str) -> None:
    assert decode(15, text(**{name: 78}), 304).hash != decode(15, text(), 304).hash


def test_an_absent_attribute_is_an_empty_one() -> None:
    plain = {name: value for name, value in CANCEL.items() if name != "L2TxAttributes"}
    assert decode(15, orjson.dumps(plain).decode(), 304).hash == decode(15, text(), 304).hash
    assert decode(15, text(L2TxAttributes={"4": 1}), 304).hash != decode(15, text(), 304).hash


@pytest.mark.parametrize(
    ("info", "code"),
    [
        ("{", 21501),
        ("[]", 21501),
        (text(Index="77"), 21501),
        (text(Index=1.5), 21501),
        (text(Nonce=True), 21501),
        (text(Sig="?"), 21501),
        (text(Sig=None), 21501),
        (text(L2TxAttributes={"99": 1}), 21501),
        (text(L2TxAttributes=[4]), 21501),
    ],
)
def test_what_cannot_be_read_is_refused(info: str, code: int) -> None:
    with pytest.raises(Refusal) as refused:
        decode(15, info, 304)
    assert refused.value.code == code


def test_unknown_types_are_refused() -> None:
    with pytest.raises(Refusal, match="unsupported tx type") as refused:
        decode(21, text(), 304)
    assert refused.value.code == 21505
