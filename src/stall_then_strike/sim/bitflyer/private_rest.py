"""bitFlyer's private REST calls on a :class:`~.private_venue.PrivateVenue`. Pure: a request in, an answer out.

A venue with several products answers each call for the product that the call names, and counts all calls together.

A call is checked, in this order, against the limit of its address, its signature, the account's limits and its own
rules. A refused call counts against the limits that it has passed.

Venue facts: answers of `cancelchildorder` and `cancelallchildorders` are 200 with an empty body; lists are newest
first, ``count`` 100 by default and at most 500, ``before`` and ``after`` exclusive; ACTIVE orders have the id 0 and are
left out with ``before`` or ``after``; orders that ended without an execution are never listed (API documentation,
logged answers). On private calls the ``x-ratelimit-*`` headers show the account's window; calls that count as orders
also have ``x-orderrequest-ratelimit-*`` headers (client logs). The CFD has no fee. `getbalance` shows the collateral
here, because there is no spot account.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from stall_then_strike.sim.bitflyer.keys import ApiKey, KeyRefused
from stall_then_strike.sim.bitflyer.limits import AddressCalls, Reading
from stall_then_strike.sim.bitflyer.private_venue import PrivateVenue
from stall_then_strike.sim.bitflyer.private_wire import LISTS, Number, PrivateWire, Row, to_json
from stall_then_strike.sim.bitflyer.public_rest import NOT_FOUND_PAGE, OVER_LIMIT
from stall_then_strike.sim.bitflyer.tickets import Refusal, RefusedError, read_body, read_cancel, read_ticket, refuse
from stall_then_strike.sim.bitflyer.venue_account import Account, ChildOrder, ChildState
from stall_then_strike.sim.bitflyer.wire import error_body
from stall_then_strike.sim.exchange.request_log import Audit, Received
from stall_then_strike.types.dto import Side

_DEFAULT_COUNT: Final = 100
_MAX_COUNT: Final = 500
_LISTED_STATES: Final = frozenset(ChildState) - {ChildState.ACCEPTED}
_ITEM = TypeVar("_ITEM")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestCall:
    """A request as received. ``headers`` ignores the case of names."""

    method: str
    target: str
    """Path and query, as sent."""
    headers: Mapping[str, str]
    body: bytes = b""
    address: str = ""

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestAnswer:
    """The answer to a call."""

    status: int = 200
    text: str = ""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Asked:
    """An authenticated call. For a stale list, the time is in the past."""

    key: ApiKey
    query: Mapping[str, str]
    body: bytes
    now_ns: int
    is_stale: bool

    def account(self, venue: PrivateVenue) -> Account:
        """The caller's account in a product, at the call's time."""
        account = venue.accounts[self.key.account]
        return account.at(self.now_ns) if self.is_stale else account


_Call = Callable[[_Asked], str]


class PrivateRest:
    """Answers the private calls."""

    def __init__(self, venue: PrivateVenue, addresses: AddressCalls, audit: Audit) -> None:
        """``addresses`` counts each address's calls, together with the public ones."""
        self._audit = audit
        self._venue = venue
        self._addresses = addresses
        self._wires = {
            code: PrivateWire(one.market.instrument, shown=venue.settings.shown_yen)
            for code, one in venue.products.items()
        }
        self._calls: dict[tuple[str, str], _Call] = {
            ("POST", "/v1/me/sendchildorder"): self._send,
            ("POST", "/v1/me/cancelchildorder"): self._cancel,
            ("POST", "/v1/me/cancelallchildorders"): self._cancel_all,
            ("GET", "/v1/me/getchildorders"): self._child_orders,
            ("GET", "/v1/me/getexecutions"): self._executions,
            ("GET", "/v1/me/getpositions"): self._positions,
            ("GET", "/v1/me/getcollateral"): self._collateral,
            ("GET", "/v1/me/getbalance"): self._balance,
            ("GET", "/v1/me/gettradingcommission"): self._commission,
            ("GET", "/v1/me/getpermissions"): self._permissions,
        }
        self._order_calls: frozenset[_Call] = frozenset({self._send, self._cancel_all})
        self.shown_ns: Callable[[str, int], int] = lambda _path, now_ns: now_ns
        """The time whose state a list shows when it is asked for now; faults replace it."""
        self.requests = 0
        self.refused = 0
        """Over a limit."""

    def answer(self, call: RestCall, now_ns: int) -> RestAnswer:
        """Answer a call that arrived at a time which the market has reached."""
        self.requests += 1
        address = self._addresses.count(call.address, now_ns)
        account: str | None = None
        if address is not None and not address.is_allowed:
            self.refused += 1
            answer = _with(_error(Refusal(status=-1, message=OVER_LIMIT, http_status=429)), address)
        elif (known := self._calls.get((call.method, call.path))) is None:
            answer = _with(RestAnswer(status=404, text=NOT_FOUND_PAGE, content_type="text/html"), address)
        else:
            try:
                key = self._venue.keyring.check_rest(
                    call.headers, method=call.method, target=call.target, body=call.body, now_ns=now_ns
                )
            except KeyRefused as no:
                answer = _error(Refusal(status=no.status, message=no.message, http_status=401))
                answer = _with(answer, address)
            else:
                account = key.account
                answer = self._limited(known, key, call, now_ns)
        self._audit.add(
            Received(
                time_ns=now_ns,
                transport="rest",
                account=account,
                what=f"{call.method} {call.target}",
                body=call.body.decode(errors="replace"),
                http_status=answer.status,
                answer=answer.text,
            )
        )
        return answer

    # --- limits -----------------------------------------------------------------------------------------------------

    def _limited(self, call: _Call, key: ApiKey, request: RestCall, now_ns: int) -> RestAnswer:
        account = self._venue.accounts[key.account]
        private = account.calls.private_call(now_ns)
        orders: Reading | None = None
        over = Refusal(status=-1, message="Over API limit per period, per account", http_status=429)
        if private is not None and not private.is_allowed:
            self.refused += 1
            answer = _error(over)
        else:
            orders = account.calls.order_call(now_ns) if call in self._order_calls else None
            if orders is not None and not orders.is_allowed:
                self.refused += 1
                answer = _error(over)
            else:
                query = dict(parse_qsl(request.target.partition("?")[2], keep_blank_values=True))
                seen_ns = self.shown_ns(request.path, now_ns) if request.path in LISTS else now_ns
                answer = _attempt(call, _Asked(key, query, request.body, seen_ns, seen_ns != now_ns))
        return _with(_with(answer, private), orders, "X-OrderRequest")

    # --- orders -----------------------------------------------------------------------------------------------------

    def _send(self, asked: _Asked) -> str:
        venue, fields = self._ordered(asked)
        account, unit = asked.account(venue), venue.market.instrument
        ticket = read_ticket(fields, unit)
        small = unit.to_lots(venue.settings.limits.small_size)
        if ticket.size <= small and not account.calls.small_order(asked.now_ns):
            self.refused += 1
            raise RefusedError(Refusal(status=-1, message="Over API limit per minute", http_status=429))
        taken = venue.desk.place(asked.now_ns, account, ticket)
        if isinstance(taken, Refusal):
            raise RefusedError(taken)
        return to_json({"child_order_acceptance_id": taken})

    def _cancel(self, asked: _Asked) -> str:
        venue, fields = self._ordered(asked)
        return _empty(venue.desk.cancel(asked.now_ns, asked.account(venue), read_cancel(fields)))

    def _cancel_all(self, asked: _Asked) -> str:
        venue, _ = self._ordered(asked)
        return _empty(venue.desk.cancel_all(asked.now_ns, asked.account(venue)))

    def _ordered(self, asked: _Asked) -> tuple[PrivateVenue, dict[str, Any]]:
        """The product that an order request is for, and the request's fields."""
        fields = read_body(asked.body)
        return self._listed(fields.get("product_code")), fields

    # --- queries ----------------------------------------------------------------------------------------------------

    def _child_orders(self, asked: _Asked) -> str:
        venue = self._asked_for(asked)
        state = asked.query.get("child_order_state")
        if state is not None and state not in _LISTED_STATES:
            refuse(-108, "Invalid child_order_state")
        wanted = [
            order
            for order in reversed(asked.account(venue).orders.values())
            if _is_listed(order, asked.now_ns)
            and (state is None or order.state == state)
            and _is_asked_for(asked, order.acceptance_id, order.registered_id)
            and not asked.query.get("parent_order_id")
        ]
        active = [order for order in wanted if order.state is ChildState.ACTIVE]
        ended = [order for order in wanted if order.state is not ChildState.ACTIVE]
        ended.sort(key=lambda order: order.row_id, reverse=True)
        count, before, after = _bounds(asked.query)
        if before or after:
            active = []
        rows = [*active, *_page(ended, _row_id, _MAX_COUNT, before, after)]
        return to_json([self._wire(venue).child_order(order) for order in rows[:count]])

    def _executions(self, asked: _Asked) -> str:
        venue = self._asked_for(asked)
        fills = (
            fill
            for fill in reversed(asked.account(venue).ledger.fills)
            if _is_asked_for(asked, fill.order_id, fill.registered_id)
        )
        rows = _page(fills, lambda fill: fill.exec_id, *_bounds(asked.query))
        return to_json([self._wire(venue).fill(fill) for fill in rows])

    def _positions(self, asked: _Asked) -> str:
        venue = self._asked_for(asked)
        ledger, mark = asked.account(venue).ledger, venue.mark(asked.now_ns)
        side = Side.BUY if ledger.position > 0 else Side.SELL
        return to_json([self._wire(venue).lot(lot, side, mark) for lot in ledger.lots])

    def _collateral(self, asked: _Asked) -> str:
        venue = self._venue.finest
        return to_json(self._wire(venue).collateral(asked.account(venue).margin(venue.mark(asked.now_ns))))

    def _balance(self, asked: _Asked) -> str:
        venue = self._venue.finest
        margin, wire = asked.account(venue).margin(venue.market.mid()), self._wire(venue)
        yen: Row = {
            "currency_code": "JPY",
            "amount": wire.money(margin.collateral),
            "available": wire.money(max(0, margin.available)),
        }
        return to_json([yen, {"currency_code": "BTC", "amount": Number("0.0"), "available": Number("0.0")}])

    def _commission(self, asked: _Asked) -> str:
        self._asked_for(asked)
        return to_json({"commission_rate": Number("0.0")})

    def _permissions(self, asked: _Asked) -> str:
        return to_json(sorted(asked.key.permissions))

    def _asked_for(self, asked: _Asked) -> PrivateVenue:
        """The product that a query is for."""
        return self._listed(asked.query.get("product_code", "BTC_JPY"))

    def _listed(self, code: Any) -> PrivateVenue:
        venue = self._venue.products.get(code.upper()) if isinstance(code, str) else None
        if venue is None:
            refuse(-100, "Invalid product")
        return venue

    def _wire(self, venue: PrivateVenue) -> PrivateWire:
        return self._wires[venue.market.instrument.product_code]


def _attempt(call: _Call, asked: _Asked) -> RestAnswer:
    try:
        return RestAnswer(text=call(asked))
    except RefusedError as no:
        return _error(no.refusal)


def _empty(refusal: Refusal | None) -> str:
    if refusal is not None:
        raise RefusedError(refusal)
    return ""


def _error(refusal: Refusal) -> RestAnswer:
    return RestAnswer(status=refusal.http_status, text=error_body(refusal.status, refusal.message))


def _with(answer: RestAnswer, reading: Reading | None, prefix: str = "X") -> RestAnswer:
    """The answer with the headers of a window added."""
    if reading is None:
        return answer
    return replace(answer, headers={**answer.headers, **reading.headers(prefix)})


def _is_listed(order: ChildOrder, now_ns: int) -> bool:
    """Whether `getchildorders` shows an order: ACTIVE or executed, and past its listing delay."""
    if order.state is ChildState.ACTIVE or order.executed:
        return now_ns >= order.listed_ns
    return False


def _is_asked_for(asked: _Asked, acceptance_id: str, registered_id: str) -> bool:
    """Whether an order passes the query's filters by id."""
    return asked.query.get("child_order_acceptance_id") in {None, "", acceptance_id} and asked.query.get(
        "child_order_id"
    ) in {None, "", registered_id}


def _row_id(order: ChildOrder) -> int:
    return order.row_id


def _bounds(query: Mapping[str, str]) -> tuple[int, int, int]:
    """``count``, ``before``, ``after``; zero for no bound."""
    try:
        count, before, after = (
            int(query.get(n) or d) for n, d in (("count", _DEFAULT_COUNT), ("before", 0), ("after", 0))
        )
    except ValueError:
        refuse(-100, "Invalid parameter")
    return min(max(count, 0), _MAX_COUNT), before, after


def _page(
    items: Iterable[_ITEM], id_of: Callable[[_ITEM], int], count: int, before: int, after: int
) -> Sequence[_ITEM]:
    """The first ``count`` items within the bounds."""
    return list(islice((i for i in items if (not before or id_of(i) < before) and id_of(i) > after), count))
