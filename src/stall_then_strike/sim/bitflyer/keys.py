"""API keys and their signatures: who sent a request, and is it permitted?

Pure: headers, text and the time in; an :class:`ApiKey` out, or :class:`KeyRefused`.

Venue facts. REST: HMAC-SHA256 in hex over timestamp + METHOD + path with its query as sent + raw body; the format of
the timestamp is hardly checked, the allowed skew is not documented (API documentation; clients in use). A missing
header is answered by 401 with status -500 (seen); other refusals by 401 with a status near that number (likely; the
numbers here are made up). WebSocket: ``auth`` signs timestamp + nonce, the timestamp is a *number* of 10 or 13 digits,
the nonce a text of 16 to 255 characters, and the key needs the permission to receive order events (Realtime API
documentation). Which path grants that permission is not documented: here ``getchildorders``.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S

PERMISSIONS: Final = tuple(
    f"/v1/me/{name}"
    for name in (
        "getpermissions",
        "getbalance",
        "getcollateral",
        "sendchildorder",
        "cancelchildorder",
        "cancelallchildorders",
        "getchildorders",
        "getexecutions",
        "getpositions",
        "gettradingcommission",
    )
)
"""Every private call that the exchange knows; a key may permit fewer."""

EVENTS_PERMISSION: Final = "/v1/me/getchildorders"

_SHORTEST_NONCE: Final = 16
_LONGEST_NONCE: Final = 255
_SECONDS_DIGITS: Final = 10
_MILLISECONDS_DIGITS: Final = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One key of an account. The secret does not show in its repr."""

    key: str
    secret: str = field(repr=False)
    account: str = "main"
    permissions: frozenset[str] = frozenset(PERMISSIONS)


class KeyRefused(Exception):
    """The sender is unknown or not permitted. ``status`` is the venue's number; REST answers it with HTTP 401."""

    def __init__(self, status: int, message: str) -> None:
        """Status and message as on the wire."""
        super().__init__(status, message)
        self.status = status
        self.message = message


class Keyring:
    """The keys that the venue has issued."""

    def __init__(self, keys: Iterable[ApiKey], *, max_skew_ns: int | None = None) -> None:
        """Timestamps that are off by more than ``max_skew_ns`` are refused; None, the default, accepts any."""
        self._keys = {key.key: key for key in keys}
        self.max_skew_ns = max_skew_ns
        self.skew_ns = 0
        """How far the clock that checks timestamps is ahead of venue time (set by a fault)."""

    @property
    def accounts(self) -> list[str]:
        """The names of the accounts, sorted."""
        return sorted({key.account for key in self._keys.values()})

    def check_rest(self, headers: Mapping[str, str], *, method: str, target: str, body: bytes, now_ns: int) -> ApiKey:
        """The key that signed a request. ``target`` is the path and query as received. Raises KeyRefused."""
        given: dict[str, str] = {}
        for name in ("ACCESS-KEY", "ACCESS-TIMESTAMP", "ACCESS-SIGN"):
            value = headers.get(name)
            if not value:
                raise KeyRefused(-500, f"{name} header is required")
            given[name] = value
        key = self._find(given["ACCESS-KEY"])
        timestamp = given["ACCESS-TIMESTAMP"]
        self._check_skew(timestamp, now_ns)
        signed = timestamp.encode() + method.upper().encode() + target.encode() + body
        _check_signature(key, signed, given["ACCESS-SIGN"])
        path = target.partition("?")[0]
        if path not in key.permissions:
            raise KeyRefused(-503, "Permission denied")
        return key

    def check_realtime(self, params: Any, now_ns: int) -> ApiKey:
        """The key that logs in on a socket. Raises ValueError for malformed parameters, and KeyRefused."""
        if not isinstance(params, dict):
            raise ValueError("params is not an object")
        name, timestamp, nonce, signature = (params.get(n) for n in ("api_key", "timestamp", "nonce", "signature"))
        if not isinstance(timestamp, int) or len(str(timestamp)) not in {_SECONDS_DIGITS, _MILLISECONDS_DIGITS}:
            raise ValueError("timestamp is not a number of 10 or 13 digits")
        if not isinstance(nonce, str) or not _SHORTEST_NONCE <= len(nonce) <= _LONGEST_NONCE:
            raise ValueError("nonce is not a text of 16 to 255 characters")
        if not isinstance(name, str) or not isinstance(signature, str):
            raise ValueError("api_key and signature are texts")
        key = self._find(name)
        self._check_skew(str(timestamp), now_ns)
        _check_signature(key, f"{timestamp}{nonce}".encode(), signature)
        if EVENTS_PERMISSION not in key.permissions:
            raise KeyRefused(-503, "Permission denied")
        return key

    def _find(self, name: str) -> ApiKey:
        key = self._keys.get(name)
        if key is None:
            raise KeyRefused(-501, "Key not found")
        return key

    def _check_skew(self, timestamp: str, now_ns: int) -> None:
        if self.max_skew_ns is None:
            return
        if not timestamp.isascii() or not timestamp.isdigit():
            raise KeyRefused(-504, "ACCESS-TIMESTAMP is not a Unix time")
        unit_ns = NS_PER_S if len(timestamp) <= _SECONDS_DIGITS else NS_PER_MS
        if abs(int(timestamp) * unit_ns - now_ns - self.skew_ns) > self.max_skew_ns:
            raise KeyRefused(-504, "Timestamp is too far from the server's time")


def _check_signature(key: ApiKey, signed: bytes, signature: str) -> None:
    expected = hmac.new(key.secret.encode(), signed, sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise KeyRefused(-502, "Invalid signature")
