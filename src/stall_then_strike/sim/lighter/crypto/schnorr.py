"""Keys, signatures and tokens of the venue: Schnorr signatures over ECgFp5 with Poseidon2. Pure.

A signature is s and e, 40 bytes each, little-endian. It is good when R = s G + e Q hashes, together with the message,
to e. A private key is a scalar of 40 bytes, little-endian; a public key is the w of the product with the generator.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Final

from stall_then_strike.sim.lighter.crypto import ecgfp5
from stall_then_strike.sim.lighter.crypto.goldilocks import ZERO, from_bytes, to_bytes
from stall_then_strike.sim.lighter.crypto.poseidon2 import hash_words

SIGNATURE_BYTES: Final = 80
_KEYS_KEPT: Final = 64
"""Tables of public keys, of about a megabyte each."""


def public_key(private_key: bytes) -> bytes:
    """The 40 bytes of the public key. Raises ValueError for a key that is not 40 bytes or is zero in the group."""
    return to_bytes(ecgfp5.encode(_generator().add_to(ecgfp5.NEUTRAL, _scalar(private_key))))


def sign(private_key: bytes, message_hash: bytes, nonce_source: Callable[[int], int]) -> bytes:
    """Sign 40 bytes. ``nonce_source(n)`` gives a secret number below n, another one at each call.

    Raises ValueError for a bad key or hash.
    """
    secret, k = _scalar(private_key), 1 + nonce_source(ecgfp5.ORDER - 1)
    r = _generator().add_to(ecgfp5.NEUTRAL, k)
    e = _challenge(r, message_hash)
    s = (k - e * secret) % ecgfp5.ORDER
    return s.to_bytes(40, "little") + e.to_bytes(40, "little")


def verify(public: bytes, message_hash: bytes, signature: bytes) -> bool:
    """Whether the key's owner signed those 40 bytes. False for what is no key, hash or signature."""
    if len(signature) != SIGNATURE_BYTES or len(message_hash) != 40:
        return False
    multiples = _multiples(public)
    if multiples is None:
        return False
    s = int.from_bytes(signature[:40], "little") % ecgfp5.ORDER
    e = int.from_bytes(signature[40:], "little") % ecgfp5.ORDER
    r = multiples.add_to(_generator().add_to(ecgfp5.NEUTRAL, s), e)
    return _challenge(r, message_hash) == e


def is_public_key(public: bytes) -> bool:
    """Whether the bytes are a point of the curve other than the neutral one."""
    return len(public) == 40 and from_bytes(public) != ZERO and ecgfp5.decode(from_bytes(public)) is not None


def token_hash(text: str) -> bytes:
    """The hash that an auth token signs: of the text ``deadline:account:key``, eight characters to a word.

    Raises UnicodeEncodeError for a text that is not ASCII.
    """
    data = text.encode("ascii")
    return words_to_bytes(hash_words([int.from_bytes(data[n : n + 8], "little") for n in range(0, len(data), 8)]))


def words_to_bytes(words: tuple[int, ...]) -> bytes:
    """The words of a hash, eight bytes each, little-endian."""
    return b"".join(word.to_bytes(8, "little") for word in words)


def _challenge(r: ecgfp5.Point, message_hash: bytes) -> int:
    words = (*ecgfp5.encode(r), *from_bytes(message_hash))
    return int.from_bytes(words_to_bytes(hash_words(words)), "little") % ecgfp5.ORDER


def _scalar(private_key: bytes) -> int:
    if len(private_key) != 40:
        raise ValueError(f"a private key has 40 bytes, got {len(private_key)}")
    scalar = int.from_bytes(private_key, "little") % ecgfp5.ORDER
    if not scalar:
        raise ValueError("the private key is zero in the group")
    return scalar


@cache
def _generator() -> ecgfp5.Multiples:
    """The multiples of the generator, the point with w = 4."""
    point = ecgfp5.decode((4, 0, 0, 0, 0))
    if point is None:
        raise AssertionError("w = 4 is a point of the curve")
    return ecgfp5.Multiples(point)


@lru_cache(maxsize=_KEYS_KEPT)
def _multiples(public: bytes) -> ecgfp5.Multiples | None:
    if not is_public_key(public):
        return None
    point = ecgfp5.decode(from_bytes(public))
    return None if point is None else ecgfp5.Multiples(point)
