"""The REST calls of one account, through the SDK's API classes, with a limit on each and errors that say what to do.

The SDK builds paths, parameters and headers; its own reading of answers is not used, because it raises different
exceptions for 400, 401, 429 and 5xx, leaves missing fields out, and allows five minutes for a call. Here each call ends
in the decoded JSON or in a `VenueError` (types/errors.py): NotSent when no connection was made, Throttled for 429 and
for the firewall's HTML, AuthRefused, MarginRefused or Rejected for the venue's codes, OutcomeUnknown (for questions
NoAnswer) when it may or may not have arrived.

Venue facts: success is HTTP 200 with ``code`` 200, or without a code; errors are HTTP 400 (401 for 20013, 429 for
23000) with ``{"code", "message"}``; a firewall in front may answer 403, 405 or 429 with HTML and refuses for a minute.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import aiohttp

from stall_then_strike.infra.clock import Clock
from stall_then_strike.infra.line.handshakes import connect_failure
from stall_then_strike.lighter.limiter import Limiter
from stall_then_strike.lighter.signing.signer import SignedTx, load_sdk
from stall_then_strike.lighter.signing.tokens import Tokens
from stall_then_strike.types.errors import (
    AuthRefused,
    MarginRefused,
    NoAnswer,
    NotSent,
    OutcomeUnknown,
    Overloaded,
    Rejected,
    Throttled,
    VenueError,
)
from stall_then_strike.types.names import NS_PER_S

REST_BATCH: Final = 50
"""Most transactions in one sendTxBatch (else 21514)."""
CALL_LIMIT_S: Final = 10.0
MAX_BODY_BYTES: Final = 8 * 1024 * 1024
CODE_OK: Final = 200
INVALID_NONCE: Final = 21104
TX_NOT_FOUND: Final = frozenset({21500, 29404})
TOO_MANY_REQUESTS: Final = 23000
_AUTH: Final = frozenset({20013, 20558, 21108, 21109, 21110, 21120, 21136})
_MARGIN: Final = frozenset({21301, 21304, 21507, 21508, 21739})
_BUSY: Final = frozenset({21506, 21719, 21720})
_FAILED: Final = frozenset({29500, 29501})
"""Internal error and timeout: they say nothing of what arrived."""
_FIREWALL: Final = frozenset({403, 405, 429})
_COOLDOWN_S: Final = {403: 60, 405: 60, 429: 2}
_SHOWN: Final = 200


class LighterClient:
    """The REST calls of one account, or without an account the public ones."""

    def __init__(
        self,
        api_client: Any,
        account_index: int,
        limiter: Limiter,
        tokens: Tokens | None,
        clock: Clock,
        *,
        limit_s: float = CALL_LIMIT_S,
    ) -> None:
        """``api_client`` is the SDK's; ``limit_s`` bounds each call. Without ``tokens``, only public questions."""
        sdk = load_sdk()
        self._tx = sdk.TransactionApi(api_client)
        self._order = sdk.OrderApi(api_client)
        self._account_api = sdk.AccountApi(api_client)
        self._history = sdk.CandlestickApi(api_client)
        self._account_index = account_index
        self._limiter = limiter
        self._tokens = tokens
        self._clock = clock
        self._limit_s = limit_s
        self.made = 0
        """Calls made so far."""

    # --- transactions ------------------------------------------------------------------------------------------------

    async def send(self, batch: Sequence[SignedTx]) -> None:
        """Send one transaction, or several of one key as a batch. Returns when the venue has accepted all of them."""
        if len(batch) == 1:
            form: dict[str, Any] = {"tx_type": batch[0].tx_type, "tx_info": batch[0].tx_info}
            await self._call("sendTx", self._tx.send_tx_without_preload_content, form)
            return
        types, infos = json.dumps([tx.tx_type for tx in batch]), json.dumps([tx.tx_info for tx in batch])
        form = {"tx_types": types, "tx_infos": infos}
        await self._call("sendTxBatch", self._tx.send_tx_batch_without_preload_content, form)

    async def next_nonce(self, api_key_index: int) -> int:
        """The nonce that the venue expects next from this key. It may lag just after an acceptance."""
        body = await self._ask(
            "nextNonce",
            self._tx.next_nonce_without_preload_content,
            account_index=self._account_index,
            api_key_index=api_key_index,
        )
        nonce = body.get("nonce", 0)  # the venue leaves out zeros
        if not isinstance(nonce, int):
            raise NoAnswer("nextNonce", "the answer has no nonce")
        return nonce

    async def has_tx(self, tx_hash: str) -> bool:
        """Whether the venue knows a transaction of this hash."""
        try:
            await self._ask("tx", self._tx.tx_without_preload_content, by="hash", value=tx_hash)
        except Rejected as error:
            if error.code in TX_NOT_FOUND:
                return False
            raise
        return True

    # --- the account -------------------------------------------------------------------------------------------------

    async def active_orders(self, market_index: int | None) -> list[dict[str, Any]]:
        """Open orders of one market, or of all."""
        market = {} if market_index is None else {"market_id": market_index}
        return await self._orders(
            "accountActiveOrders", self._order.account_active_orders_without_preload_content, market
        )

    async def orders_of(self, client_order_indices: Sequence[int]) -> list[dict[str, Any]]:
        """Orders, active and recent inactive ones, of up to twenty client order indices."""
        wanted = {"client_order_indexes": ",".join(map(str, client_order_indices))}
        return await self._orders("accountOrders", self._order.account_orders_without_preload_content, wanted)

    async def inactive_orders(self, limit: int = 100) -> list[dict[str, Any]]:
        """The newest orders that ended."""
        call = self._order.account_inactive_orders_without_preload_content
        return await self._orders("accountInactiveOrders", call, {"limit": limit})

    async def trades(
        self, market_index: int | None = None, cursor: str | None = None, limit: int = 100
    ) -> tuple[list[dict[str, Any]], str | None]:
        """The account's trades in one market or in all, newest first, and where another page begins."""
        given = {"cursor": cursor, "market_id": market_index}
        part = {name: value for name, value in given.items() if value is not None}
        query = {"sort_by": "trade_id", "sort_dir": "desc", "limit": limit, **part}
        body = await self._private("trades", self._order.trades_without_preload_content, query)
        following = body.get("next_cursor")
        return _rows(body, "trades"), following if isinstance(following, str) and following else None

    async def fundings(self, limit: int = 100) -> list[dict[str, Any]]:
        """The newest payments of funding."""
        call = self._account_api.position_funding_without_preload_content
        return _rows(await self._private("positionFunding", call, {"limit": limit}), "position_fundings")

    async def account(self) -> dict[str, Any]:
        """The account with its positions. Raises Rejected if it does not exist."""
        body = await self._ask(
            "account", self._account_api.account_without_preload_content, by="index", value=str(self._account_index)
        )
        accounts = body.get("accounts") or []
        if not accounts or not isinstance(accounts[0], dict):
            raise NoAnswer("account", "the answer has no account")
        return accounts[0]

    # --- public ------------------------------------------------------------------------------------------------------

    async def order_books(self) -> dict[str, Any]:
        """All markets."""
        return await self._ask("orderBooks", self._order.order_books_without_preload_content)

    async def book_orders(self, market_index: int, limit: int) -> dict[str, Any]:
        """The best resting orders of both sides."""
        call = self._order.order_book_orders_without_preload_content
        return await self._ask("orderBookOrders", call, market_id=market_index, limit=limit)

    async def candles(
        self, market_index: int, resolution: str, start_ms: int, end_ms: int, count: int = 500
    ) -> list[dict[str, Any]]:
        """Candles of a market, oldest first: ``t`` is the start in ms, ``o h l c`` prices, ``v`` base, ``V`` quote.

        ``resolution`` is 1m, 5m, 15m, 30m, 1h, 4h, 12h, 1d or 1w. The venue gives the last ``count`` of the span, at
        most 500.
        """
        span = {"start_timestamp": start_ms, "end_timestamp": end_ms, "count_back": count}
        call = self._history.candles_without_preload_content
        return _rows(await self._ask("candles", call, market_id=market_index, resolution=resolution, **span), "c")

    async def funding_history(
        self, market_index: int, start_ms: int, end_ms: int, count: int = 100
    ) -> list[dict[str, Any]]:
        """The funding rates of a market, hour by hour, oldest first; the last ``count`` of the span, at most 100."""
        span = {"start_timestamp": start_ms, "end_timestamp": end_ms, "count_back": count}
        call = self._history.fundings_without_preload_content
        return _rows(await self._ask("fundings", call, market_id=market_index, resolution="1h", **span), "fundings")

    # --- one call ----------------------------------------------------------------------------------------------------

    async def _orders(
        self, name: str, call: Callable[..., Awaitable[Any]], query: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        return _rows(await self._private(name, call, query), "orders")

    async def _private(
        self, name: str, call: Callable[..., Awaitable[Any]], query: Mapping[str, Any]
    ) -> dict[str, Any]:
        """A question with a token; one that is refused is asked once more with a new one."""
        if self._tokens is None:
            raise RuntimeError(f"{name} needs tokens")
        try:
            return await self._ask_signed(name, call, query, self._tokens)
        except AuthRefused:
            self._tokens.forget()  # ended early by the venue's clock, or refused once: a new one decides
            return await self._ask_signed(name, call, query, self._tokens)

    async def _ask_signed(
        self, name: str, call: Callable[..., Awaitable[Any]], query: Mapping[str, Any], tokens: Tokens
    ) -> dict[str, Any]:
        token = str.__str__(tokens.current())
        return await self._ask(name, call, authorization=token, account_index=self._account_index, **query)

    async def _ask(self, name: str, call: Callable[..., Awaitable[Any]], **query: Any) -> dict[str, Any]:
        """A question: without effect, so a lost answer is NoAnswer."""
        try:
            return await self._call(name, call, query)
        except OutcomeUnknown as error:
            raise NoAnswer(name, error.detail, code=error.code) from None

    async def _call(self, name: str, call: Callable[..., Awaitable[Any]], given: Mapping[str, Any]) -> dict[str, Any]:
        await self._limiter.admit(name)
        self.made += 1
        try:
            response = await call(**given, _request_timeout=self._limit_s)
            async with response:
                status, text = response.status, await _read(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failure: VenueError = _transport_failure(name, error)
        else:
            answer = _answer(name, status, text, self._clock.now_ns())
            if isinstance(answer, dict):
                return answer
            failure = answer
            if isinstance(failure, Throttled):
                self._limiter.pause_until(failure.retry_at_ns)
        raise failure  # outside `except`: a chained exception could hold the headers with the token


async def _read(response: aiohttp.ClientResponse) -> str:
    body = await response.content.read(MAX_BODY_BYTES)
    while more := await response.content.read(MAX_BODY_BYTES):
        body += more
        if len(body) > MAX_BODY_BYTES:
            response.close()
            break
    return body.decode("utf-8", errors="replace")


def _rows(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of a list, which is null when it is empty."""
    rows = body.get(name)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _decode(text: str) -> dict[str, Any] | None:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _transport_failure(name: str, error: Exception) -> VenueError:
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.InvalidURL):
        return NotSent(name, f"no connection: {connect_failure(error)}")
    return OutcomeUnknown(name, f"no answer ({type(error).__name__})")


def refusal(name: str, status: int, body: Mapping[str, Any] | None, text: str, now_ns: int) -> VenueError:
    """What an answer that is no success means. Pure."""
    code = body.get("code") if body is not None else None
    code = code if isinstance(code, int) else None
    said = body.get("message") if body is not None else None
    detail = f"HTTP {status}: {_line(said)}" if said else f"HTTP {status} {'with' if body else 'without'} JSON"
    if code == TOO_MANY_REQUESTS or status in _FIREWALL:
        cooldown_s = _COOLDOWN_S.get(status, 2) if body is not None or status != 429 else 60
        return Throttled(name, detail, retry_at_ns=now_ns + cooldown_s * NS_PER_S, code=code)
    if body is None or code is None or status >= 500:
        return OutcomeUnknown(name, detail if text or status != CODE_OK else "an empty answer", code=code)
    return by_code(name, detail, code)


def by_code(name: str, detail: str, code: int) -> VenueError:
    """The error of an answer that carries the venue's code, over REST or over the socket. Pure."""
    if code in _AUTH:
        return AuthRefused(name, detail, code=code)
    if code in _MARGIN:
        return MarginRefused(name, detail, code=code)
    if code in _BUSY:
        return Overloaded(name, detail, code=code)
    if code in _FAILED:
        return OutcomeUnknown(name, detail, code=code)
    return Rejected(name, detail, code=code)


def _line(said: object) -> str:
    return "".join(c if c.isprintable() else " " for c in str(said)[:_SHOWN])


def _answer(name: str, status: int, text: str, now_ns: int) -> dict[str, Any] | VenueError:
    """The decoded answer if it is a success, or else the error to raise."""
    body = _decode(text)
    if status == CODE_OK and body is not None and body.get("code", CODE_OK) == CODE_OK:
        return body
    return refusal(name, status, body, text, now_ns)


async def ask_order_books(base_url: str, clock: Clock, *, limit_s: float = CALL_LIMIT_S) -> dict[str, Any]:
    """All markets of a venue. Raises VenueError."""
    return await ask_public(base_url, clock, "orderBooks", limit_s=limit_s)


async def ask_time(base_url: str, clock: Clock) -> int:
    """The venue's time, a whole second, in nanoseconds since the Unix epoch. Raises VenueError."""
    told = (await _ask(f"{base_url}/", clock, "status", None, CALL_LIMIT_S)).get("timestamp")
    if type(told) is not int:
        raise NoAnswer("status", "the answer has no time")
    return told * NS_PER_S


async def ask_public(
    base_url: str, clock: Clock, name: str, query: Mapping[str, int] | None = None, *, limit_s: float = CALL_LIMIT_S
) -> dict[str, Any]:
    """A public question, for which neither an account nor the SDK is needed. Raises VenueError."""
    return await _ask(f"{base_url}/api/v1/{name}", clock, name, query, limit_s)


async def _ask(url: str, clock: Clock, name: str, query: Mapping[str, int] | None, limit_s: float) -> dict[str, Any]:
    answer: dict[str, Any] | VenueError
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=limit_s)) as session,
            session.get(url, params=query, allow_redirects=False) as response,
        ):
            answer = _answer(name, response.status, await _read(response), clock.now_ns())
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        answer = _transport_failure(name, error)
    if isinstance(answer, OutcomeUnknown):
        raise NoAnswer(name, answer.detail, code=answer.code)
    if isinstance(answer, VenueError):
        raise answer
    return answer
