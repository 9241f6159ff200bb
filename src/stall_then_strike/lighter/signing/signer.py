"""Signatures by the SDK's native library, and what a missing SDK means.

Nothing here calls the network. The library asks the venue for a nonce by itself, blocking, when it is given none: so
key and nonce are always passed. It is loaded on first use, because it belongs to the optional extra ``lighter``.

One signature takes half a millisecond, so who signs many gives the event loop a turn between them. It is made in a
thread that only signs, and waited for. In the process's first thread it takes 3 to 10 ms: the library's Go runtime asks
for the bounds of the caller's stack, and those of the first thread are found by reading all of /proc/self/maps.

The library keeps one private key per account and key index, for the whole process: two signers that differ in it, or in
the chain, would sign for each other. The second is refused.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, Final, assert_never

from stall_then_strike.lighter.signing.intents import CancelAll, CancelOrder, Intent, ModifyOrder, NewOrder
from stall_then_strike.types.errors import ConfigError, UnfitOrder

EXTRA: Final = "lighter"
TOKEN_LONGEST_S: Final = 8 * 3_600
"""The venue refuses a token whose deadline is farther ahead."""
_HIDDEN: Final = 12


def load_sdk() -> Any:
    """The module ``lighter``. Raises ConfigError if the extra is not installed.

    It imports py_ecc, which raises Python's recursion limit to 100,000 for the whole process. A deeply nested message
    would then overflow the stack and kill the process, so the limit is set back.
    """
    limit = sys.getrecursionlimit()
    try:
        import lighter
    except ModuleNotFoundError as error:
        package = (error.name or "lighter").partition(".")[0]
        raise ConfigError(
            f"needs {package} from the extra {EXTRA}, which is not installed; "
            f"accepted: pip install 'stall-then-strike[{EXTRA}]', in a clone `make setup`"
        ) from error
    finally:
        sys.setrecursionlimit(limit)
    return lighter


class Secret(str):
    """A text that ``repr`` does not show, also within a list or dictionary."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Only that it is there."""
        return "'***'" if self else "''"

    @property
    def fingerprint(self) -> str:
        """Tells two secrets apart without showing them."""
        return hashlib.sha256(self.encode()).hexdigest()[:_HIDDEN]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedTx:
    """A signed transaction, ready to be sent. The venue accepts it until ``ExpiredAt``, ten minutes after signing."""

    tx_type: int
    tx_info: str
    tx_hash: str
    nonce: int


class Signer:
    """Signs for the keys of one account. The clock of expiries is the machine's, read by the native library."""

    _held: ClassVar[dict[tuple[int, int], tuple[str, int]]] = {}
    """By account and key index: whose key the library has, and how many signers use it."""

    def __init__(self, base_url: str, account_index: int, keys: Mapping[int, Secret]) -> None:
        """Load the library and register the keys. Raises ConfigError, which never shows a key."""
        sdk = load_sdk()
        self._thread: Final = ThreadPoolExecutor(1, "signer")
        self._holds: dict[tuple[int, int], str] = {}
        for index, secret in keys.items():
            self._hold((account_index, index), f"{secret.fingerprint} for {base_url}")
        plain = {index: str.__str__(secret) for index, secret in keys.items()}
        try:
            self.client: Final[Any] = sdk.SignerClient(
                url=base_url, account_index=account_index, api_private_keys=plain
            )
        except Exception as error:  # noqa: BLE001 - the SDK raises bare Exception; its text may show the key
            self._release()
            raise ConfigError(
                f"api_keys: the signer does not accept a key ({type(error).__name__}); "
                "accepted: 80 hex digits, with or without 0x"
            ) from None

    async def aclose(self) -> None:
        """Close the SDK's connections."""
        self._release()
        self._thread.shutdown(wait=False)
        await self.client.close()

    def _hold(self, place: tuple[int, int], whose: str) -> None:
        other, users = self._held.get(place, (whose, 0))
        if other != whose:
            self._release()
            raise ConfigError(
                f"api_keys: account {place[0]}, key {place[1]} is in use with another private key or address; "
                "accepted: one of them at a time in one process"
            )
        self._held[place] = (whose, users + 1)
        self._holds[place] = whose

    def _release(self) -> None:
        for place, whose in self._holds.items():
            users = self._held[place][1] - 1
            self._held[place] = (whose, users)
            if not users:
                del self._held[place]
        self._holds = {}

    def sign(self, intent: Intent, api_key_index: int, nonce: int) -> SignedTx:
        """Sign one intent. Raises UnfitOrder if the library refuses it."""
        return self._thread.submit(self._signed, intent, api_key_index, nonce).result()

    def _signed(self, intent: Intent, api_key_index: int, nonce: int) -> SignedTx:
        client, given = self.client, {"nonce": nonce, "api_key_index": api_key_index}
        match intent:
            case NewOrder():
                made = client.sign_create_order(
                    intent.market_index,
                    intent.client_order_index,
                    intent.base_amount,
                    intent.price,
                    intent.is_ask,
                    int(intent.order_type),
                    int(intent.tif),
                    reduce_only=intent.reduce_only,
                    order_expiry=intent.order_expiry,
                    **given,
                )
            case CancelOrder():
                made = client.sign_cancel_order(intent.market_index, intent.index, **given)
            case ModifyOrder():
                made = client.sign_modify_order(
                    intent.market_index, intent.index, intent.base_amount, intent.price, intent.trigger_price, **given
                )
            case CancelAll():
                at_ms = intent.at_ms
                kind = (
                    client.CANCEL_ALL_TIF_IMMEDIATE
                    if at_ms is None
                    else client.CANCEL_ALL_TIF_SCHEDULED
                    if at_ms
                    else client.CANCEL_ALL_TIF_ABORT
                )
                made = client.sign_cancel_all_orders(kind, at_ms or 0, **given)
            case _:
                assert_never(intent)
        tx_type, tx_info, tx_hash, error = made
        if error is not None:
            raise UnfitOrder(f"the signer refuses {intent}: {error}")
        return SignedTx(tx_type=tx_type, tx_info=tx_info, tx_hash=tx_hash, nonce=nonce)

    def token(self, api_key_index: int, lifetime_s: int, now_s: int) -> Secret:
        """An auth token that ends ``lifetime_s`` after ``now_s``. Raises ConfigError."""
        if not 0 < lifetime_s <= TOKEN_LONGEST_S:
            raise ValueError(f"a token lives at most {TOKEN_LONGEST_S} s, got {lifetime_s}")
        make = self.client.create_auth_token_with_expiry
        text, error = self._thread.submit(make, lifetime_s, timestamp=now_s, api_key_index=api_key_index).result()
        if error is not None:
            raise ConfigError(f"api_keys: no token can be made with key {api_key_index}: {error}")
        return Secret(text)
