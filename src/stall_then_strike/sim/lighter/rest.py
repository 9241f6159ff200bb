"""The venue's REST calls over a :class:`LighterVenue`: parameters, authorisation, answers.

Venue facts: success is HTTP 200 with ``"code": 200``, a refusal HTTP 400 (401 for auth, 429 for limits) with code and
message. Private calls take an auth token in the header Authorization, or as ``auth`` in query or form. sendTx needs
none: the signature is the authority.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from stall_then_strike.sim.exchange.request_log import Audit, Received
from stall_then_strike.sim.lighter.account_calls import AccountCalls, OwnCall
from stall_then_strike.sim.lighter.clearing.accounts import Account
from stall_then_strike.sim.lighter.forms import Json
from stall_then_strike.sim.lighter.lighter_venue import OK, LighterVenue, Receipt
from stall_then_strike.sim.lighter.market_calls import Call, MarketCalls
from stall_then_strike.sim.lighter.query import INVALID_PARAM, Query, list_in
from stall_then_strike.sim.lighter.transactions import Refusal, without_signatures
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S

_API: Final = "/api/v1/"
Answering = Callable[[Query, str], Json]
"""An answer to parameters and a token, which may be empty."""


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
        markets, accounts = MarketCalls(self._venue), AccountCalls(self._venue)
        gets = {name: _public(call) for name, call in (markets.calls() | accounts.calls()).items()}
        gets |= {name: self._own(call) for name, call in accounts.own_calls().items()}
        gets["trades"] = lambda query, token: accounts.trades(
            query, self._owner(query, token) if query.has("account_index") else None
        )
        posts = {"sendTx": self._send_tx, "sendTxBatch": self._send_tx_batch}
        return [
            web.get("/", self._handler("status", _public(self._status))),
            web.get("/info", self._handler("info", _public(self._info))),
            *(web.get(_API + name, self._handler(name, call)) for name, call in gets.items()),
            *(web.post(_API + name, self._handler(name, _public(call))) for name, call in posts.items()),
        ]

    # --- plumbing -------------------------------------------------------------------------------------------------

    def _handler(self, name: str, call: Answering) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            form = {} if request.method == "GET" else await request.post()
            given = {**request.query, **{key: text for key, text in form.items() if isinstance(text, str)}}
            now_ns, payer = self._now_ns(), self._payer(given)
            try:
                self._venue.limits.charge(name, request.remote or "", payer, now_ns)
                token = request.headers.get("Authorization") or given.get("auth", "")
                status, body = 200, call(Query(given), token)
            except Refusal as refusal:
                status, body = refusal.http_status, {"code": refusal.code, "message": refusal.message}
            text = orjson.dumps(body)
            shown = {key: without_signatures(value) for key, value in given.items() if key != "auth"}
            self._audit.add(
                Received(
                    time_ns=now_ns,
                    transport="rest",
                    account=None if payer is None else str(payer.index),
                    what=f"{request.method} {request.path}",
                    body=orjson.dumps(shown).decode(),
                    http_status=status,
                    answer=text.decode(),
                )
            )
            return web.Response(body=text, status=status, content_type="application/json")

        return handle

    def _payer(self, given: Mapping[str, str]) -> Account | None:
        """The account that a call counts for: the one it names, or that signed its first transaction."""
        index = given.get("account_index")
        if index is None:
            return self._venue.sender(given.get("tx_info", given.get("tx_infos", "")))
        is_number = index.isascii() and index.isdigit()
        return self._venue.accounts.by_index.get(int(index)) if is_number else None

    def _own(self, call: OwnCall) -> Answering:
        return lambda query, token: call(query, self._owner(query, token))

    def _owner(self, query: Query, token: str) -> Account:
        if not token:
            raise Refusal(INVALID_PARAM, "invalid param : auth query param and Authorization header are empty")
        index = self._venue.authenticate(token, self._now_ns())
        if index != query.whole("account_index", index):
            raise Refusal(20013, "invalid auth: account index mismatch", 401)
        return self._venue.account(index)

    def _status(self, _query: Query) -> Json:
        return {"status": OK, "network_id": self._venue.settings.chain_id, "timestamp": self._now_ns() // NS_PER_S}

    def _info(self, _query: Query) -> Json:
        return {"contract_address": "0x" + "0" * 40}

    # --- transactions ---------------------------------------------------------------------------------------------

    def _send_tx(self, query: Query) -> Json:
        receipt = self._venue.submit(
            query.whole("tx_type"),
            query.text("tx_info"),
            self._now_ns(),
            is_protected=query.text("price_protection", "false") == "true",
        )
        return {**self._receipt(receipt), "tx_hash": receipt.tx_hash}

    def _send_tx_batch(self, query: Query) -> Json:
        types, infos = list_in(query.text("tx_types"), int), list_in(query.text("tx_infos"), str)
        receipt = self._venue.submit_batch(types, infos, self._now_ns())
        return {**self._receipt(receipt), "tx_hash": list(receipt.tx_hashes)}

    def _receipt(self, receipt: Receipt) -> Json:
        if receipt.code != OK:
            raise Refusal(receipt.code, receipt.message, receipt.http_status)
        self.took()
        answer: Json = {
            "code": OK,
            "message": receipt.message,
            "predicted_execution_time_ms": receipt.due_ns // NS_PER_MS,
        }
        return answer if receipt.quota is None else {**answer, "volume_quota_remaining": receipt.quota}


def _public(call: Call) -> Answering:
    return lambda query, _token: call(query)
