"""Keys, signatures and tokens, held against the official signer's."""

from __future__ import annotations

import base64
import random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stall_then_strike.sim.lighter.crypto import schnorr
from stall_then_strike.sim.lighter.crypto.ecgfp5 import ORDER
from tests.shared_data import lighter_file

SECRET = (12345678901234567890).to_bytes(40, "little")
MESSAGE = bytes(range(40))


def signed(seed: int = 1, secret: bytes = SECRET, message: bytes = MESSAGE) -> bytes:
    return schnorr.sign(secret, message, random.Random(seed).randrange)


def test_a_signature_is_good_for_its_key_and_message_only() -> None:
    public = schnorr.public_key(SECRET)
    other = schnorr.public_key((77).to_bytes(40, "little"))
    assert schnorr.verify(public, MESSAGE, signed())
    assert not schnorr.verify(other, MESSAGE, signed())
    assert not schnorr.verify(public, MESSAGE[::-1], signed())
    assert signed(1) != signed(2), "signatures are randomised"


@settings(max_examples=12, deadline=None)
@given(bit=st.integers(0, 639))
def test_a_changed_bit_spoils_a_signature(bit: int) -> None:
    spoilt = bytearray(signed())
    spoilt[bit // 8] ^= 1 << bit % 8
    assert not schnorr.verify(schnorr.public_key(SECRET), MESSAGE, bytes(spoilt))


@pytest.mark.parametrize(
    ("public", "message", "signature"),
    [
        (bytes(40), MESSAGE, signed()),
        (b"\x01" * 39, MESSAGE, signed()),
        (schnorr.public_key(SECRET), MESSAGE[:-1], signed()),
        (schnorr.public_key(SECRET), MESSAGE, signed()[:-1]),
    ],
    ids=["neutral key", "short key", "short message", "short signature"],
)
def test_what_is_no_key_hash_or_signature_is_refused(public: bytes, message: bytes, signature: bytes) -> None:
    assert not schnorr.verify(public, message, signature)


@pytest.mark.parametrize("secret", [bytes(40), ORDER.to_bytes(40, "little"), b"short"])
def test_what_is_no_private_key_is_an_error(secret: bytes) -> None:
    with pytest.raises(ValueError, match="private key"):
        schnorr.public_key(secret)


def test_half_of_all_numbers_are_no_point() -> None:
    found = [schnorr.is_public_key(bytes([n]) + bytes(39)) for n in range(1, 101)]
    assert 30 < sum(found) < 70


def test_official_signatures_and_tokens_are_good() -> None:
    vectors = orjson.loads(lighter_file("signing_vectors.json").read_bytes())
    public = schnorr.public_key(bytes.fromhex(vectors["private_key"][2:]))
    assert public.hex() == vectors["public_key"][2:]
    assert len(vectors["transactions"]) == 18
    for vector in vectors["transactions"]:
        signature = base64.b64decode(orjson.loads(vector["tx_info"])["Sig"])
        assert schnorr.verify(public, bytes.fromhex(vector["tx_hash"]), signature), vector["name"]
    assert len(vectors["auth_tokens"]) == 2
    for vector in vectors["auth_tokens"]:
        text, _, signature = vector["token"].rpartition(":")
        assert schnorr.verify(public, schnorr.token_hash(text), bytes.fromhex(signature))
        assert not schnorr.verify(public, schnorr.token_hash(text + "0"), bytes.fromhex(signature))
