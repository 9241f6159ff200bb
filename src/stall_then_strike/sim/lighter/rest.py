"""The venue's REST calls over a :class:`LighterVenue`: parameters, authorisation, answers.

Venue facts: success is HTTP 200 with ``"code": 200``, a refusal HTTP 400 (401 for auth, 429 for limits) with code and
message. Private calls take an auth token in the header Authorization, or as ``auth`` in query or form. sendTx needs
none: the signature is the authority.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from stall_then_strike.sim.exchange.request_log import Audit, Received
from stall_then_strike.sim.lighter.clearing.accounts import Account
from stall_then_strike.sim.lighter.clearing.records import LighterOrder
from stall_then_strike.sim.lighter.forms import (
    Json,
    account_form,
    details_form,
    order_book_form,
    order_form,
    simple_order_form,
    trade_form,
    tx_form,
)
from stall_then_strike.sim.lighter.lighter_venue import OK, LighterVenue, Receipt
from stall_then_strike.sim.lighter.transactions import Refusal
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S, Side

INVALID_PARAM: Final = 20001
NOT_FOUND: Final = 29404
ALL_MARKETS: Final = 255
_API: Final = "/api/v1/"
_MOST_ORDERS: Final = 250
_MOST_ROWS: Final = 100
_MOST_CLIENT_INDICES: Final = 20
_SIGNATURE: Final = re.compile(r'"Sig":"[^"]*",?')
"""Left out of what is recorded."""


def invalid_param(why: str = "") -> Refusal:
    """The refusal of a parameter; the venue says ``invalid param`` with a space at the end."""
    return Refusal(INVALID_PARAM, f"invalid param {why}")


class Query:
    """The parameters of one request, with the venue's complaints."""

    def __init__(self, given: Mapping[str, str]) -> None:
        """Take the query, or the form of a POST."""
        self._given = given

    def text(self, name: str, default: str | None = None) -> str:
        """A text. Raises Refusal (20001) when it is missing and has no default."""
        value = self._given.get(name, default)
        if value is None or (value == "" and default is None):
            raise invalid_param()
        return value

    def whole(self, name: str, default: int | None = None, *, most: int | None = None) -> int:
        """An integer that is not negative. Raises Refusal (20001)."""
        text = self._given.get(name)
        if text is None and default is not None:
            return default
        if text is None or not text.isascii() or not text.isdigit():
            raise invalid_param()
        value = int(text)
        if most is not None and not 1 <= value <= most:
            raise invalid_param()
        return value


class LighterRest:
    """Answers the calls. Each reads the venue at the current time."""

    def __init__(self, venue: LighterVenue, *, now_ns: Callable[[], int], audit: Audit) -> None:
        """``audit`` records every call."""
        self._venue = venue
        self._now_ns = now_ns
        self._audit = audit
        self.took: Callable[[], None] = lambda: None
        """Called after each accepted transaction: something may be due earlier."""

    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        gets: dict[str, Callable[[Query], Json]] = {
            "orderBooks": self._order_books,
            "orderBookDetails": self._order_book_details,
            "orderBookOrders": self._order_book_orders,
            "recentTrades": self._recent_trades,
            "account": self._account,
            "accountsByL1Address": self._accounts_by_address,
            "apikeys": self._api_keys,
            "nextNonce": self._next_nonce,
            "tx": self._tx,
        }
        private: dict[str, Callable[[Query, Account], Json]] = {
            "accountActiveOrders": self._active_orders,
            "accountInactiveOrders": self._inactive_orders,
            "accountOrders": self._orders_by_client_index,
        }
        routes = [web.get(_API + name, self._answering(answer)) for name, answer in gets.items()]
        routes += [web.get(_API + name, self._answering_owner(answer)) for name, answer in private.items()]
        posts = (("sendTx", self._send_tx), ("sendTxBatch", self._send_tx_batch))
        routes += [web.post(_API + name, self._answering(answer)) for name, answer in posts]
        return [*routes, web.get("/", self._answering(self._status)), web.get("/info", self._answering(self._info))]

    # --- plumbing -------------------------------------------------------------------------------------------------

    def _answering(self, answer: Callable[[Query], Json]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            given = await _parameters(request)
            return self._answer(request, given, lambda: answer(Query(given)))

        return handle

    def _answering_owner(self, answer: Callable[[Query, Account], Json]) -> Handler:
        """As above for an account's own eyes."""

        async def handle(request: web.Request) -> web.Response:
            given = await _parameters(request)
            query, token = Query(given), request.headers.get("Authorization") or given.get("auth", "")
            return self._answer(request, given, lambda: answer(query, self._owner(query, token)))

        return handle

    def _answer(self, request: web.Request, given: Mapping[str, str], make: Callable[[], Json]) -> web.Response:
        try:
            status, body = 200, make()
        except Refusal as refusal:
            status, body = refusal.http_status, {"code": refusal.code, "message": refusal.message}
        shown = {name: _SIGNATURE.sub("", value) for name, value in given.items() if name != "auth"}
        text = orjson.dumps(body)
        self._audit.add(
            Received(
                time_ns=self._now_ns(),
                transport="rest",
                account=None,
                what=f"{request.method} {request.path}",
                body=orjson.dumps(shown).decode(),
                http_status=status,
                answer=text.decode(),
            )
        )
        return web.Response(body=text, status=status, content_type="application/json")

    def _owner(self, query: Query, token: str) -> Account:
        if not token:
            raise Refusal(INVALID_PARAM, "invalid param : auth query param and Authorization header are empty")
        index = self._venue.authenticate(token, self._now_ns())
        if index != query.whole("account_index"):
            raise Refusal(20013, "invalid auth: account index mismatch", 401)
        return self._venue.account(index)

    def _at(self, market: int) -> int:
        if market not in self._venue.pits:
            raise invalid_param()
        return market

    # --- markets --------------------------------------------------------------------------------------------------

    def _status(self, _query: Query) -> Json:
        return {"status": OK, "network_id": self._venue.settings.chain_id, "timestamp": self._now_ns() // NS_PER_S}

    def _info(self, _query: Query) -> Json:
        return {"contract_address": "0x" + "0" * 40}

    def _chosen(self, query: Query) -> list[int]:
        """The markets that a call is about."""
        market, kind = query.whole("market_id", ALL_MARKETS), query.text("filter", "all")
        if kind not in {"all", "perp", "spot"}:
            raise invalid_param()
        if kind == "spot":
            return []
        return sorted(self._venue.pits) if market == ALL_MARKETS else [self._at(market)]

    def _order_books(self, query: Query) -> Json:
        markets, plan = self._venue.accounts.markets, self._venue.settings.plan
        return {"code": OK, "order_books": [order_book_form(markets[n], plan) for n in self._chosen(query)]}

    def _order_book_details(self, query: Query) -> Json:
        markets, plan = self._venue.accounts.markets, self._venue.settings.plan
        details = [details_form(markets[n], plan, self._venue.day_of(n)) for n in self._chosen(query)]
        return {"code": OK, "order_book_details": details, "spot_order_book_details": []}

    def _order_book_orders(self, query: Query) -> Json:
        market, limit = self._at(query.whole("market_id")), query.whole("limit", most=_MOST_ORDERS)
        terms, pit = self._venue.accounts.markets[market], self._venue.pits[market]
        asks, bids = (
            [simple_order_form(order, terms) for order in pit.book(side, limit)] for side in (Side.SELL, Side.BUY)
        )
        return {"code": OK, "total_asks": len(asks), "asks": asks, "total_bids": len(bids), "bids": bids}

    def _recent_trades(self, query: Query) -> Json:
        market, limit = self._at(query.whole("market_id")), query.whole("limit", most=_MOST_ROWS)
        terms, newest = self._venue.accounts.markets[market], list(self._venue.trades[market])[-limit:]
        return {"code": OK, "trades": [trade_form(trade, terms) for trade in reversed(newest)] or None}

    # --- accounts -------------------------------------------------------------------------------------------------

    def _account(self, query: Query) -> Json:
        by, value = query.text("by"), query.text("value")
        if by == "index":
            found = [self._venue.account(Query({"value": value}).whole("value"))]
        elif by == "l1_address":
            found = self._of_address(value)
        else:
            raise invalid_param()
        forms = [account_form(self._venue.accounts, account) for account in found]
        return {"code": OK, "total": len(forms), "accounts": forms}

    def _of_address(self, address: str) -> list[Account]:
        everyone = self._venue.accounts.by_index.values()
        found = [account for account in everyone if account.l1_address.lower() == address.lower()]
        if not found:
            raise Refusal(21100, "account not found")
        return found

    def _accounts_by_address(self, query: Query) -> Json:
        address = query.text("l1_address")
        rows = [
            {"code": 0, "account_type": 0, "index": account.index, "l1_address": account.l1_address}
            for account in self._of_address(address)
        ]
        return {"code": OK, "l1_address": address, "sub_accounts": rows}

    def _api_keys(self, query: Query) -> Json:
        account, wanted = self._venue.account(query.whole("account_index")), query.whole("api_key_index", ALL_MARKETS)
        keys = {n: key for n, key in account.keys.items() if wanted in {n, ALL_MARKETS}}
        if not keys:
            raise Refusal(21109, "api key not found")
        rows = [
            {
                "account_index": account.index,
                "api_key_index": n,
                "nonce": key.nonce,
                "public_key": key.public_key.hex(),
                "transaction_time": key.changed_ns // 1_000,
            }
            for n, key in sorted(keys.items())
        ]
        return {"code": OK, "api_keys": rows}

    def _next_nonce(self, query: Query) -> Json:
        nonce = self._venue.next_nonce(query.whole("account_index"), query.whole("api_key_index"))
        return {"code": OK, "nonce": nonce}

    # --- orders ---------------------------------------------------------------------------------------------------

    def _order_forms(self, orders: list[LighterOrder]) -> list[Json]:
        markets, block_of = self._venue.accounts.markets, self._venue.block_of
        return [order_form(order, markets[order.market], block_of(order.updated_ns)) for order in orders]

    def _active_orders(self, query: Query, account: Account) -> Json:
        market = query.whole("market_id", ALL_MARKETS)
        orders = [order for order in account.orders.values() if market in {order.market, ALL_MARKETS}]
        return {"code": OK, "orders": self._order_forms(orders)}

    def _inactive_orders(self, query: Query, account: Account) -> Json:
        market, limit = query.whole("market_id", ALL_MARKETS), query.whole("limit", most=_MOST_ROWS)
        start = query.whole("cursor", 0)
        closed = [order for order in reversed(account.closed) if market in {order.market, ALL_MARKETS}]
        answer: Json = {"code": OK, "orders": self._order_forms(closed[start : start + limit])}
        if start + limit < len(closed):
            answer["next_cursor"] = str(start + limit)
        return answer

    def _orders_by_client_index(self, query: Query, account: Account) -> Json:
        texts = query.text("client_order_indexes").split(",")
        if len(texts) > _MOST_CLIENT_INDICES or not all(text.strip().isdigit() for text in texts):
            raise invalid_param()
        wanted = {int(text) for text in texts}
        orders = [*account.orders.values(), *reversed(account.closed)]
        return {"code": OK, "orders": self._order_forms([o for o in orders if o.client_index in wanted])}

    # --- transactions ---------------------------------------------------------------------------------------------

    def _tx(self, query: Query) -> Json:
        by, value = query.text("by"), query.text("value")
        if by == "hash":
            tx = self._venue.txs.get(value.lower().removeprefix("0x"))
        elif by == "sequence_index":
            tx = next((tx for tx in self._venue.txs.values() if str(tx.sequence_index) == value), None)
        else:
            raise invalid_param()
        if tx is None:
            raise Refusal(21500, "transaction not found")
        form = tx_form(tx, self._venue.account(tx.account).l1_address)
        return {"code": OK, **form, "committed_at": 0, "verified_at": 0}

    def _send_tx(self, query: Query) -> Json:
        receipt = self._venue.submit(
            query.whole("tx_type"),
            query.text("tx_info"),
            self._now_ns(),
            is_protected=query.text("price_protection", "false") == "true",
        )
        return {**self._receipt(receipt), "tx_hash": receipt.tx_hash}

    def _send_tx_batch(self, query: Query) -> Json:
        types, infos = _list(query.text("tx_types"), int), _list(query.text("tx_infos"), str)
        receipt = self._venue.submit_batch(types, infos, self._now_ns())
        return {**self._receipt(receipt), "tx_hash": list(receipt.tx_hashes)}

    def _receipt(self, receipt: Receipt) -> Json:
        if receipt.code != OK:
            raise Refusal(receipt.code, receipt.message)
        self.took()
        return {
            "code": OK,
            "message": receipt.message,
            "predicted_execution_time_ms": receipt.due_ns // NS_PER_MS,
        }


def _list(text: str, kind: type[Any]) -> list[Any]:
    """A JSON list of one kind. Raises Refusal (20001)."""
    try:
        values = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise invalid_param() from None
    if not isinstance(values, list) or not all(type(value) is kind for value in values):
        raise invalid_param()
    return values


async def _parameters(request: web.Request) -> dict[str, str]:
    """The parameters of a request: of its query and of its form."""
    form = {} if request.method == "GET" else await request.post()
    return {**request.query, **{name: value for name, value in form.items() if isinstance(value, str)}}
