"""Transactions: the JSON text that a client signs, its fields, and its hash. Pure.

The hash covers the chain, the type, nonce, expiry, account and key, and the body's fields in their order; with
attributes it is the hash of the body's hash and the attributes' hash. It is what the venue answers as ``tx_hash``.

Source: the venue's published signer, its circuits, and transactions made by SDK 1.1.8.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum, unique
from functools import reduce
from typing import Any, Final

import orjson

from stall_then_strike.sim.lighter.crypto.poseidon2 import hash_words
from stall_then_strike.sim.lighter.crypto.schnorr import words_to_bytes


@unique
class TxType(IntEnum):
    """The transactions that this venue carries out."""

    CREATE_ORDER = 14
    CANCEL_ORDER = 15
    CANCEL_ALL_ORDERS = 16
    MODIFY_ORDER = 17
    UPDATE_LEVERAGE = 20
    CREATE_GROUPED_ORDERS = 28


@unique
class Attribute(IntEnum):
    """The attributes that a transaction may carry; any other than zero."""

    INTEGRATOR_ACCOUNT = 1
    INTEGRATOR_TAKER_FEE = 2
    INTEGRATOR_MAKER_FEE = 3
    SKIP_NONCE = 4
    CANCEL_ALL_MARKET = 5
    SELF_TRADE_MODE = 6
    SELF_TRADE_EQUALITY = 7
    ORDER_VERSION = 8


_ORDER_FIELDS: Final = (
    "MarketIndex",
    "ClientOrderIndex",
    "BaseAmount",
    "Price",
    "IsAsk",
    "Type",
    "TimeInForce",
    "ReduceOnly",
    "TriggerPrice",
    "OrderExpiry",
)
_BODIES: Final[Mapping[TxType, tuple[str, ...]]] = {
    TxType.CREATE_ORDER: _ORDER_FIELDS,
    TxType.CANCEL_ORDER: ("MarketIndex", "Index"),
    TxType.CANCEL_ALL_ORDERS: ("TimeInForce", "Time"),
    TxType.MODIFY_ORDER: ("MarketIndex", "Index", "BaseAmount", "Price", "TriggerPrice"),
    TxType.UPDATE_LEVERAGE: ("MarketIndex", "InitialMarginFraction", "MarginMode"),
    TxType.CREATE_GROUPED_ORDERS: ("GroupingType",),
}
_TIMES: Final = frozenset({"OrderExpiry", "Time"})
_MOST_ATTRIBUTES: Final = 4
_PAIRS: Final = 8
_MOST_GROUPED: Final = 3

_SIGNATURE: Final = re.compile(r',?[\\"]*Sig[\\"]+:[\\"]+[A-Za-z0-9+/=]*[\\"]+')
INVALID_TX_INFO: Final = 21501
UNSUPPORTED_TX_TYPE: Final = 21505


class Refusal(Exception):
    """The venue refuses a request: its code, and its message."""

    def __init__(self, code: int, message: str, http_status: int = 400) -> None:
        """``http_status`` is what a REST answer carries."""
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.http_status = http_status


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A decoded transaction. ``info`` is the text as it came."""

    type: TxType
    account: int
    api_key_index: int
    nonce: int
    expired_at_ms: int
    body: Mapping[str, int]
    orders: tuple[Mapping[str, int], ...]
    """The orders of a group."""
    attributes: Mapping[int, int]
    signature: bytes
    info: str
    hash: bytes

    @property
    def new_orders(self) -> tuple[Mapping[str, int], ...]:
        """The orders that it makes."""
        return (self.body,) if self.type is TxType.CREATE_ORDER else self.orders

    @property
    def client_indices(self) -> list[int]:
        """The client order indices of new orders, those without one left out."""
        return [order["ClientOrderIndex"] for order in self.new_orders if order["ClientOrderIndex"]]

    def moved(self, by_ms: int) -> Transaction:
        """This one with its times of orders and of a scheduled cancel-all moved; zero means none and stays."""
        return replace(self, body=_moved(self.body, by_ms), orders=tuple(_moved(order, by_ms) for order in self.orders))

    @property
    def skips_nonces(self) -> bool:
        """Whether any larger nonce is welcome."""
        return self.attributes.get(Attribute.SKIP_NONCE) == 1


def _moved(fields: Mapping[str, int], by_ms: int) -> dict[str, int]:
    return {name: value + by_ms if name in _TIMES and value > 0 else value for name, value in fields.items()}


def decode(tx_type: int, info: str, chain_id: int) -> Transaction:
    """Read a transaction and compute its hash. Raises Refusal: unsupported type (21505), invalid tx info (21501)."""
    try:
        kind = TxType(tx_type)
    except ValueError:
        raise Refusal(UNSUPPORTED_TX_TYPE, "unsupported tx type") from None
    try:
        fields = orjson.loads(info)
        if not isinstance(fields, dict):
            raise TypeError
        head = [_whole(fields, name) for name in ("Nonce", "ExpiredAt", "AccountIndex", "ApiKeyIndex")]
        body = {name: _whole(fields, name) for name in _BODIES[kind]}
        orders = _grouped(fields) if kind is TxType.CREATE_GROUPED_ORDERS else ()
        attributes = _attributes(fields.get("L2TxAttributes"))
        signature = base64.b64decode(fields["Sig"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise Refusal(INVALID_TX_INFO, "invalid tx info") from None
    words = [chain_id, kind, *head, *body.values(), *_fold(orders)]
    return Transaction(
        type=kind,
        account=head[2],
        api_key_index=head[3],
        nonce=head[0],
        expired_at_ms=head[1],
        body=body,
        orders=orders,
        attributes=attributes,
        signature=signature,
        info=info,
        hash=_hash(words, attributes),
    )


def _hash(words: list[int], attributes: Mapping[int, int]) -> bytes:
    # The signer writes a negative number as an unsigned one of 64 bits before the field reduces it.
    digest = hash_words([word & (2**64 - 1) for word in words])
    if attributes:
        pairs = [word for pair in sorted(attributes.items()) for word in pair]
        digest = hash_words((*digest, *hash_words(pairs + [0] * (_PAIRS - len(pairs)))))
    return words_to_bytes(digest)


def _fold(orders: tuple[Mapping[str, int], ...]) -> tuple[int, ...]:
    """The four words that stand for the orders of a group."""
    if not orders:
        return ()
    digests = [hash_words([order[name] & (2**64 - 1) for name in _ORDER_FIELDS], 4) for order in orders]
    return reduce(lambda total, digest: hash_words((*total, *digest), 4), digests)


def _grouped(fields: Mapping[str, Any]) -> tuple[dict[str, int], ...]:
    orders = fields["Orders"]
    if not isinstance(orders, list) or not 0 < len(orders) <= _MOST_GROUPED:
        raise TypeError
    return tuple({name: _whole(order, name) for name in _ORDER_FIELDS} for order in orders)


def _attributes(given: Any) -> dict[int, int]:
    if given is None:
        return {}
    if not isinstance(given, dict) or len(given) > _MOST_ATTRIBUTES:
        raise TypeError
    attributes = {int(key): _whole(given, key) for key in given}
    return {Attribute(key): value for key, value in attributes.items()}


def _whole(fields: Mapping[str, Any], name: str) -> int:
    value = fields[name]
    if type(value) is not int:
        raise TypeError(name)
    return value


def without_signatures(text: str) -> str:
    """A text with transactions, plain or encoded in JSON, for a log: no signature is left in it."""
    return _SIGNATURE.sub("", text)
