"""The one request of the watchdog and of the panic button: cancel every order of a product.

It is separate from the trading client on purpose: no budget and no state, so that nothing can fail here for the same
reason as in the trader. Sending it again is always safe.

Venue facts (bitFlyer API documentation): ``cancelallchildorders`` answers 200 with an empty body, which means that the
request was accepted; it uses one of 300 order calls in 5 minutes; it cancels *all* orders of the product, including
those entered by hand. It is not documented whether it catches orders that are accepted but not yet registered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import aiohttp
import pybotters

from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.types.errors import AuthRefused, NoAnswer

PATH: Final = "/v1/me/cancelallchildorders"
_PERMISSIONS: Final = "/v1/me/getpermissions"
_UNAUTHORIZED: Final = 401


class CancelAll:
    """Cancels all live orders of some products, over a client that holds the key."""

    def __init__(
        self, client: pybotters.Client, credentials: Credentials, products: Sequence[str], limit: aiohttp.ClientTimeout
    ) -> None:
        """``limit`` applies to each call."""
        self._client = client
        self._credentials = credentials
        self._products = tuple(products)
        self._limit = limit

    async def send(self) -> None:
        """Send the request once for each product, whatever becomes of the others.

        Raises AuthRefused, or NoAnswer for anything else but a plain 200.
        """
        failures = []
        for product_code in self._products:
            try:
                await self._call("POST", PATH, {"product_code": product_code})
            except (AuthRefused, NoAnswer) as failure:
                failures.append(failure)
        if failures:
            raise failures[0]

    async def check_key(self) -> None:
        """Check that the key may cancel. Raises AuthRefused if not, NoAnswer if the venue did not say."""
        permissions = await self._call("GET", _PERMISSIONS)
        if not isinstance(permissions, list):
            raise NoAnswer(_PERMISSIONS, "not a list")
        if PATH not in permissions:
            raise AuthRefused(_PERMISSIONS, f"the key has no permission for {PATH}")

    async def while_alive(self) -> None:
        """Nothing: bitFlyer cancels by itself only at the expiry of each order."""

    async def stand_down(self) -> None:
        """Nothing."""

    async def _call(self, method: str, path: str, body: dict[str, str] | None = None) -> object:
        try:
            answer = await self._client.fetch(
                "POST" if method == "POST" else "GET", path, data=body, timeout=self._limit, allow_redirects=False
            )
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeDecodeError) as error:
            raise NoAnswer(path, type(error).__name__) from error
        http, data = answer.response.status, answer.data
        code, words = None, ""
        if isinstance(data, dict):
            status, text = data.get("status"), data.get("error_message")
            code = status if type(status) is int else None
            words = f": {self._credentials.redact(text)[:200]}" if isinstance(text, str) else ""
        if http == _UNAUTHORIZED:
            raise AuthRefused(path, f"HTTP {http}{words}", code=code)
        if http != 200 or (code is not None and code < 0):  # the two are independent of each other
            raise NoAnswer(path, f"HTTP {http}{words}", code=code)
        result: object = data
        return result
