"""bitFlyer's public REST calls on a market, with the venue's limit per address.

Venue facts (API documentation; those marked * measured 2026-09):

- every call exists under two names (``getboard``, ``board``); without ``product_code`` it means BTC_JPY, which is not
  listed here, so it is answered as an unknown product: 400, status -100 *; codes are case-insensitive *;
- `getfundingrate` without a product is answered by 404 with a message of another form *; here the rate is constant;
- unknown paths are answered by 404 with an HTML page *; signed requests are accepted, the signature is not checked;
- 500 calls in 5 minutes per address, shown in ``x-ratelimit-*`` headers; above that 429 with status -1. The window is
  fixed, starts with its first call and is reset as a whole (likely, from the headers that clients logged).

Not simulated: the edge cache of up to a second on ``getboard`` and ``getticker``, and lower ceilings after a breach.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Final

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from stall_then_strike.sim.bitflyer.ledger import RATE_ONE
from stall_then_strike.sim.bitflyer.limits import AddressCalls
from stall_then_strike.sim.bitflyer.venue_hours import Calendar, next_daily_ns
from stall_then_strike.sim.bitflyer.wire import Wire, error_body, rest_time
from stall_then_strike.sim.exchange.request_log import Audit, Received
from stall_then_strike.sim.exchange.several_markets import products_of
from stall_then_strike.sim.exchange.source import Execution, MarketSource
from stall_then_strike.types.text import plain

OVER_LIMIT: Final = "Over API limit per period, per IP address"
_DEFAULT_COUNT: Final = 100
_MAX_COUNT: Final = 500
NOT_FOUND_PAGE: Final = (
    "<!DOCTYPE html>\n<html><head><title>404 - File or directory not found.</title></head>"
    "<body><h2>404 - File or directory not found.</h2></body></html>\n"
)


def error_answer(http_status: int, status: int, message: str) -> web.Response:
    """An error body as the venue writes it. HTTP status and ``status`` are independent numbers."""
    return web.json_response(text=error_body(status, message), status=http_status)


@dataclass(frozen=True, slots=True)
class _Listing:
    """A product and its encoder."""

    source: MarketSource
    wire: Wire


class PublicRest:
    """Answers the public calls from a source's current state."""

    def __init__(
        self,
        source: MarketSource,
        *,
        now_ns: Callable[[], int],
        addresses: AddressCalls,
        calendar: Calendar,
        audit: Audit,
    ) -> None:
        """``addresses`` counts each address's calls, ``calendar`` has the funding, ``audit`` records every call."""
        self._audit = audit
        self._listings = {code: _Listing(one, Wire(one.instrument)) for code, one in products_of(source).items()}
        self._now_ns = now_ns
        self._addresses = addresses
        self._calendar = calendar
        self.requests = 0
        self.refused = 0

    def routes(self) -> list[web.RouteDef]:
        """All calls under both names, and the 404 page for everything else."""
        calls: dict[str, Callable[[web.Request], web.Response]] = {
            "markets": self._markets,
            "board": self._of_product(self._board),
            "ticker": self._of_product(self._ticker),
            "executions": self._of_product(self._executions),
        }
        named = {name: call for path, call in calls.items() for name in (path, f"get{path}")}
        named["getboardstate"] = self._of_product(self._board_state)
        named["gethealth"] = self._of_product(self._health)
        named["getfundingrate"] = self._funding_rate
        routes = [web.get(f"/v1/{name}", self._limited(call)) for name, call in named.items()]
        return [*routes, web.route("*", "/{path:.*}", self._limited(self._not_found))]

    # --- calls ----------------------------------------------------------------------------------------------------

    def _markets(self, _request: web.Request) -> web.Response:
        markets = [{"product_code": code, "market_type": "FX"} for code in self._listings]
        return web.json_response(text=orjson.dumps(markets).decode())

    def _board(self, _request: web.Request, of: _Listing) -> web.Response:
        return web.json_response(text=of.wire.board(of.source.depth()))

    def _board_state(self, _request: web.Request, of: _Listing) -> web.Response:
        condition = of.source.condition
        return web.json_response(text=f'{{"health":"{condition.health.value}","state":"{condition.state.value}"}}')

    def _health(self, _request: web.Request, of: _Listing) -> web.Response:
        return web.json_response(text=f'{{"status":"{of.source.condition.health.value}"}}')

    def _funding_rate(self, request: web.Request) -> web.Response:
        if "product_code" not in request.query:
            return web.json_response(
                text='{"Message":"No HTTP resource was found that matches the request."}', status=404
            )
        return self._of_product(self._known_funding_rate)(request)

    def _known_funding_rate(self, _request: web.Request, _of: _Listing) -> web.Response:
        if not self._calendar.funding_at_s:
            return web.json_response(text='{"current_funding_rate":0.0,"next_funding_rate_settledate":null}')
        rate = Decimal(self._calendar.funding_rate) / RATE_ONE
        settled_ns = next_daily_ns(self._now_ns(), self._calendar.funding_at_s)
        return web.json_response(
            text=f'{{"current_funding_rate":{plain(rate)},"next_funding_rate_settledate":"{rest_time(settled_ns)}"}}'
        )

    def _ticker(self, _request: web.Request, of: _Listing) -> web.Response:
        ticker = of.source.ticker()
        if ticker is None:  # a tape before its first ticker
            return error_answer(500, -208, "Order is not accepted. Please try again later.")
        return web.json_response(text=of.wire.ticker(ticker, rest=True))

    def _executions(self, request: web.Request, of: _Listing) -> web.Response:
        try:
            count = int(request.query.get("count", _DEFAULT_COUNT))
            before = int(request.query.get("before", 0))
            after = int(request.query.get("after", 0))
        except ValueError:
            return error_answer(400, -100, "Invalid parameter")
        page = _page(of.source.executions(), count, before, after)
        return web.json_response(text=of.wire.executions(page, rest=True))

    def _not_found(self, _request: web.Request) -> web.Response:
        return web.Response(status=404, text=NOT_FOUND_PAGE, content_type="text/html")

    # --- wrappers -------------------------------------------------------------------------------------------------

    def _of_product(
        self, call: Callable[[web.Request, _Listing], web.Response]
    ) -> Callable[[web.Request], web.Response]:
        """Refuse every product that is not listed."""

        def checked(request: web.Request) -> web.Response:
            listing = self._listings.get(request.query.get("product_code", "BTC_JPY").upper())
            return error_answer(400, -100, "Invalid product") if listing is None else call(request, listing)

        return checked

    def _limited(self, call: Callable[[web.Request], web.Response]) -> Handler:
        """Count the call against its address and add the headers."""

        async def counted(request: web.Request) -> web.StreamResponse:
            self.requests += 1
            now_ns = self._now_ns()
            reading = self._addresses.count(request.remote or "", now_ns)
            if reading is None or reading.is_allowed:
                answer = call(request)
            else:
                self.refused += 1
                answer = error_answer(429, -1, OVER_LIMIT)
            if reading is not None:
                answer.headers.update(reading.headers())
            self._audit.add(
                Received(
                    time_ns=now_ns,
                    transport="rest",
                    account=None,
                    what=f"{request.method} {request.raw_path}",
                    http_status=answer.status,
                )
            )
            return answer

        return counted


def _page(executions: Sequence[Execution], count: int, before: int, after: int) -> list[Execution]:
    """Newest first; ``before`` and ``after`` are exclusive bounds on the id, zero for none (API documentation)."""
    wanted = (e for e in executions if (not before or e.exec_id < before) and e.exec_id > after)
    return list(islice(wanted, min(max(count, 0), _MAX_COUNT)))
