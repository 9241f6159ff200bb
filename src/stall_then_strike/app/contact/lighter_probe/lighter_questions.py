"""The read-only calls of a probe at Lighter, and what their answers should say: nothing here sends a transaction.

Each call goes over plain HTTP and not through the SDK, so that status, headers and body are seen as they are. The
program's own parsers then read the answers. Some calls are wrong on purpose, because the simulated exchange assumes how
the venue refuses them. All calls keep to the limits of ``exchange.plan``.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import aiohttp
from pydantic import ValidationError

from stall_then_strike.app.contact.assumed.deviations import Deviations
from stall_then_strike.app.contact.lighter_probe.lighter_documented import ANSWERS, ERROR
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import Clock
from stall_then_strike.infra.line.clock_skew import ClockSkew
from stall_then_strike.lighter.limiter import PLANS, Limiter
from stall_then_strike.lighter.markets import Market, Markets
from stall_then_strike.lighter.messages import Funding, Order, Position, Trade, Wire
from stall_then_strike.lighter.signing.tokens import Tokens
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S

_LIMIT_S: Final = 10.0
_SLOW_S: Final = 3.0
_FEW: Final = 5
_SHOWN: Final = 400
_KEPT: Final = 1_000
_DAY_MS: Final = 86_400_000
_NO_MARKET: Final = 4_000
_NO_ACCOUNT: Final = 2**46 + 1
_NO_HASH: Final = "0" * 80
_TOKEN: Final = "1:1:4:" + "0" * 160
"""Of an account that is not ours, long ended, with a signature that is none."""


class _Answer(NamedTuple):
    """One answer; None if it is no JSON object."""

    status: int
    body: dict[str, Any] | None
    shown: object
    """For a report: the body, or what came instead, in which digits may be of the account."""


class _Refused(NamedTuple):
    """A call that the venue should refuse, and how."""

    what: str
    name: str
    query: Mapping[str, object]
    http_status: int
    code: int
    token: str | None = None


class LighterQuestions:
    """One market's questions, and with tokens an account's."""

    def __init__(
        self, cfg: AppConfig, market: Market, deviations: Deviations, clock: Clock, session: aiohttp.ClientSession
    ) -> None:
        """``session`` makes the calls."""
        self._base, self._market, self._clock, self._session = cfg.exchange.base_url, market, clock, session
        self._plan = cfg.exchange.plan
        self._limiter = Limiter(clock, PLANS[self._plan])
        self._found, self._add = deviations, deviations.add
        self.skew: Final = ClockSkew()
        self.times_ns: Final[deque[int]] = deque(maxlen=_KEPT)
        self.calls = 0

    # --- public

    async def ask_public(self, *, provokes: bool) -> None:
        """Ask what needs no key. ``provokes``: also what the venue refuses."""
        market, now_ms = {"market_id": self._market.market_index}, self._clock.now_ns() // NS_PER_MS
        span = {"start_timestamp": now_ms - _DAY_MS, "end_timestamp": now_ms}
        await self._ask_time()
        if (books := await self._told("orderBooks")) is not None:
            self._check_market(books)
        book = await self._told("orderBookOrders", {**market, "limit": _FEW})
        if book is not None and max(len(book.get("asks") or ()), len(book.get("bids") or ())) > _FEW:
            self._add("orderBookOrders ignores limit", f"{_FEW} a side", "more", book)
        self._read(Trade, "recentTrades", "trades", await self._told("recentTrades", {**market, "limit": _FEW}))
        await self._told("candles", {**market, **span, "resolution": "1m", "count_back": _FEW})
        await self._told("fundings", {**market, **span, "resolution": "1h", "count_back": _FEW})
        if provokes:
            wrong = {"market_id": _NO_MARKET, "limit": _FEW}
            await self._refused(_Refused("an unknown market", "orderBookOrders", wrong, 400, 20001))
            nobody = {"by": "index", "value": _NO_ACCOUNT}
            await self._refused(_Refused("an unknown account", "account", nobody, 400, 21100))
            await self._refused(_Refused("an unknown hash", "tx", {"by": "hash", "value": _NO_HASH}, 400, 21500))

    async def _ask_time(self) -> None:
        sent_ns = self._clock.now_ns()
        told = await self._told("status")
        if told is not None and type(stamp := told.get("timestamp")) is int:
            self.skew.add(date_ns=stamp * NS_PER_S, sent_ns=sent_ns, received_ns=self._clock.now_ns())

    def _check_market(self, books: dict[str, Any]) -> None:
        """Whether the market's units are those of the configuration."""
        ours = self._market
        theirs = Markets.from_wire(books, as_of_ns=0, source="the venue").at(ours.market_index)
        if theirs is None:
            self._add("the market is not listed", ours.symbol, "not, or unreadable", books, is_grave=True)
            return
        for name in ("symbol", "size_decimals", "price_decimals", "min_base", "min_quote"):
            expected, seen = getattr(ours, name), getattr(theirs, name)
            if expected != seen:
                self._add(f"the market's {name}", f"{expected}, as configured", str(seen), None, is_grave=True)

    # --- private

    async def ask_private(self, account_index: int, api_key_index: int, tokens: Tokens, *, provokes: bool) -> None:
        """Ask what is of the account."""
        token, own = str.__str__(tokens.current()), {"account_index": account_index}
        await self._told("nextNonce", {**own, "api_key_index": api_key_index})
        accounts = await self._told("account", {"by": "index", "value": account_index})
        rows = (accounts or {}).get("accounts") or []
        if accounts is not None and len(rows) != 1:
            self._add("account has not one account", "one", str(len(rows)), accounts, is_grave=True)
        for row in rows:
            self._read_account(row)
        active = await self._told("accountActiveOrders", own, token)
        for order in self._read(Order, "accountActiveOrders", "orders", active):
            if order.is_over:
                self._add("accountActiveOrders has an ended order", "open ones", order.status, None, is_grave=True)
        await self._check_pages("accountInactiveOrders", "orders", Order, token, own)
        await self._check_pages(
            "trades", "trades", Trade, token, {**own, "sort_by": "trade_id", "sort_dir": "desc"}, lambda t: t.trade_id
        )
        paid = await self._told("positionFunding", {**own, "limit": _FEW}, token)
        self._read(Funding, "positionFunding", "position_fundings", paid)
        self._check_plan(await self._told("accountLimits", own, token))
        if provokes:
            await self._refused(_Refused("no token", "accountActiveOrders", own, 400, 20001))
            await self._refused(_Refused("a bad token", "accountActiveOrders", own, 401, 20013, _TOKEN))

    def _read_account(self, row: Any) -> None:
        """Whether the report of the account can be made of it."""
        try:
            for position in row.get("positions") or []:
                Position.model_validate(position)
            Wire.model_validate({"collateral": float(row["collateral"])})
        except (ValidationError, KeyError, TypeError, ValueError, AttributeError) as error:
            self._add("the parser refuses: account", "it reads it", type(error).__name__, row, is_grave=True)

    def _check_plan(self, limits: dict[str, Any] | None) -> None:
        if limits is None:
            return
        tier = limits.get("user_tier")
        if tier != self._plan:
            self._add("the account's plan", f"{self._plan}, as exchange.plan", str(tier), limits)
        fees = [limits.get(f"current_{role}_fee_tick", 0) for role in ("maker", "taker")]
        if self._plan == "standard" and any(fees):
            self._add("a standard account pays fees", "0 and 0", str(fees), limits)

    async def _check_pages(
        self,
        name: str,
        rows: str,
        kind: type[Any],
        token: str,
        query: Mapping[str, object],
        key: Callable[[Any], int] | None = None,
    ) -> None:
        """Whether a list obeys ``limit`` and goes on at its cursor, and with ``key`` whether that falls."""
        first = await self._told(name, {**query, "limit": _FEW}, token)
        page = self._read(kind, name, rows, first)
        if len(page) > _FEW:
            self._add(f"{name} ignores limit", f"{_FEW} rows", f"{len(page)} rows", first)
        keys = [key(row) for row in page] if key is not None else []
        if keys != sorted(keys, reverse=True):
            self._add(f"{name} is not newest first", "falling ids", "another order", first, is_grave=True)
        cursor = None if first is None else first.get("next_cursor")
        if not cursor or key is None:
            return
        second = self._read(kind, name, rows, await self._told(name, {**query, "limit": _FEW, "cursor": cursor}, token))
        if second and keys and key(second[0]) >= keys[-1]:
            self._add(f"{name} ignores cursor", "older rows", "the same ones again", first, is_grave=True)

    # --- one question

    async def _told(
        self, name: str, query: Mapping[str, object] = MappingProxyType({}), token: str | None = None
    ) -> dict[str, Any] | None:
        """The body of a good answer; a refusal is a deviation."""
        answer = await self._ask(name, query, token)
        if answer is None:
            return None
        if answer.status != 200 or answer.body is None or answer.body.get("code", 200) != 200:
            self._add(f"{name} fails", "HTTP 200, code 200", f"HTTP {answer.status}", answer.shown, is_grave=True)
            return None
        if (form := ANSWERS.get(name)) is not None:
            self._found.look_at(form, answer.body, name)
        return answer.body

    async def _refused(self, call: _Refused) -> None:
        """Ask what should be refused."""
        answer = await self._ask(call.name, call.query, call.token)
        if answer is None:
            return
        code = None if answer.body is None else answer.body.get("code")
        if (answer.status, code) != (call.http_status, call.code):
            expected, seen = f"HTTP {call.http_status} with code {call.code}", f"HTTP {answer.status} with code {code}"
            self._add(f"the refusal of {call.what}", expected, seen, answer.shown)
        if answer.body is not None:
            self._found.look_at(ERROR, answer.body, "error")

    async def _ask(self, name: str, query: Mapping[str, object], token: str | None) -> _Answer | None:
        """One answer; None if there is none."""
        await self._limiter.admit(name)
        self.calls += 1
        url = f"{self._base}/" if name == "status" else f"{self._base}/api/v1/{name}"
        sent_ns = self._clock.now_ns()
        try:
            async with self._session.get(
                url,
                params={key: str(value) for key, value in query.items()},
                headers={} if token is None else {"Authorization": token},
                timeout=aiohttp.ClientTimeout(total=_LIMIT_S),
                allow_redirects=False,
            ) as response:
                status, kind, text = response.status, response.content_type, await response.text(errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._add(f"{name} has no answer", "an answer", type(error).__name__, None, is_grave=True)
            return None
        took_ns = self._clock.now_ns() - sent_ns
        self.times_ns.append(took_ns)
        if took_ns > _SLOW_S * NS_PER_S:
            self._add(f"{name} is slow", f"an answer within {_SLOW_S:g} s", f"{took_ns / NS_PER_S:.1f} s", None)
        if kind != "application/json":
            self._add(f"the content type of {name}", "application/json", kind, None)
        try:
            body = json.loads(text)
        except ValueError:
            shown = re.sub(r"\d", "9", text[:_SHOWN])
            self._add(f"{name} is not JSON", "JSON", "another text", shown, is_grave=True)
            return _Answer(status, None, shown)
        return _Answer(status, body if isinstance(body, dict) else None, body)

    def _read(self, kind: type[Any], name: str, rows: str, body: dict[str, Any] | None) -> list[Any]:
        """The rows of an answer as the program's parser reads them."""
        found = []
        listed = (body or {}).get(rows)
        for row in listed if isinstance(listed, list) else ():
            try:
                found.append(kind.model_validate(row))
            except ValidationError as error:
                where = ".".join(map(str, error.errors()[0]["loc"]))
                self._add(f"the parser refuses: {name}", "it reads every row", where, row, is_grave=True)
        return found
