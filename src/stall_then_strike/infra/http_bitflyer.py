"""bitFlyer's REST calls with types: a gateway for orders, and the account as the venue reports it.

Each call is sent once, under one time limit, and ends in a value or in one exception of `types/errors.py`, chosen by
`bitflyer/error_table.py`. Nothing here waits or retries: the request budget decides on pauses. Private calls are
counted for it as they are made, and a report says how many calls it took. (aiohttp itself repeats a *GET* once if a
pooled connection turns out to be dead, never a POST.) Redirects are not followed, because they would send a signed
request elsewhere, and an oversized answer is not read to its end.

Orders and cancels go out over an open connection of `line/ready_line.py`, if there is one: signed here, sent in one
write, their answers judged as all others. Everything else goes through pybotters.

Exceptions of the transport are not chained to ours: some contain the request with its key.

Venue facts: as in `bitflyer/answers.py`; further (API documentation): an order expires after ``minute_to_expire`` whole
minutes, and each of our orders gets one minute, so that an order we lose track of ends soon; `getchildorders` without a
state lists the ACTIVE orders, then the others; lists are newest first and have at most 500 rows; `before` and `after`
are exclusive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, Final, Literal, NamedTuple, TypeVar

import aiohttp
import orjson
import pybotters
from loguru import logger
from yarl import URL

from stall_then_strike.config.models import ExchangeConfig
from stall_then_strike.engine.gateway import Later, Reply, Request
from stall_then_strike.infra.bitflyer.answers import (
    AnswerReader,
    BadAnswer,
    Balance,
    BoardCondition,
    Collateral,
    Execution,
    Position,
    read_json,
)
from stall_then_strike.infra.bitflyer.bitflyer_rules import MINUTE_TO_EXPIRE
from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.bitflyer.error_table import Answer, limit_readings, no_answer, refusal, transport_error
from stall_then_strike.infra.clock import Clock, system_sources
from stall_then_strike.infra.line.clock_skew import ClockSkew, read_date
from stall_then_strike.infra.line.counted_calls import CountedCalls
from stall_then_strike.infra.line.ready_line import ReadyLine, SentRequest
from stall_then_strike.types.dto import (
    NS_PER_MS,
    AccountReport,
    CancelRequest,
    ExecId,
    LimitReading,
    OrderId,
    OrderRequest,
    ReportedOrder,
    ReportedState,
    Side,
    TimeInForce,
)
from stall_then_strike.types.errors import VenueError
from stall_then_strike.types.instrument import Lots, Ticks

ORDERS_ASKED: Final = 100
"""Rows of `getchildorders` in a report."""
PAGE: Final = 500
"""The most rows in one answer of the venue."""
MAX_PAGES: Final = 4
"""Most pages of executions in a report: 2,000 fills since the last one."""
MAX_BODY_BYTES: Final = 4 * 1024 * 1024
"""Five hundred orders are about 200 kB."""
SIZES: Final = 100
"""Sizes whose form on the wire is kept: a strategy's repeat."""
CONNECT_SHARE: Final = 0.5
"""Share of the time limit within which a connection must be made; otherwise the call ends as NotSent."""
_CHUNK_BYTES: Final = 64 * 1024

_ALWAYS: Final = """\
Host: {host}\r
Accept: */*\r
User-Agent: pybotters/{version}\r
ACCESS-KEY: {key}\r
Content-Type: application/json\r
"""
"""The headers that every signed request has, as pybotters sends them, but for its offer to take a compressed answer."""

_R = TypeVar("_R")
_log = logger.bind(channel="ws")


class SignedLine:
    """Signs private POSTs and sends them over connections that are open already."""

    def __init__(self, line: ReadyLine, base_url: str, credentials: Credentials) -> None:
        """``line`` must lead to ``base_url``, a host that may have signed requests (`credentials.may_sign_for`)."""
        self._line, self._mac = line, credentials.mac()
        url = URL(base_url)
        self._before = url.raw_path.rstrip("/")
        host, version = url.host_port_subcomponent, pybotters.__version__
        self._always = _ALWAYS.format(host=host, version=version, key=credentials.key)
        self._wall_ns = system_sources().wall_ns  # the venue's clock is compared with it, not with a run's own

    def post(self, path: str, body: dict[str, Any]) -> SentRequest | None:
        """Send a request, as :meth:`ReadyLine.send` does; ``path`` follows ``base_url``."""
        return self._line.send(lambda: self._request(self._before + path, orjson.dumps(body)))

    def _request(self, path: str, body: bytes) -> bytes:
        timestamp = str(self._wall_ns() // NS_PER_MS)
        mac = self._mac.copy()
        mac.update(f"{timestamp}POST{path}".encode() + body)
        head = (
            f"POST {path} HTTP/1.1\r\n{self._always}"
            f"ACCESS-TIMESTAMP: {timestamp}\r\nACCESS-SIGN: {mac.hexdigest()}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


class _Sent(NamedTuple):
    """A request on its way, and when it was sent, on the run's clock."""

    request: SentRequest
    ts_ns: int


class BitflyerHttp:
    """An OrderGateway, and the querying half of an AccountReader, for one product.

    All calls raise :class:`~stall_then_strike.types.errors.VenueError`. Orders and cancels raise NotSent, Overloaded,
    Rejected, AuthRefused, Throttled or OutcomeUnknown; queries raise NoAnswer instead of OutcomeUnknown.
    """

    unreadable_orders = 0
    """Unreadable rows in lists of orders so far; a list with such a row is incomplete."""

    def __init__(
        self,
        client: pybotters.Client,
        exchange: ExchangeConfig,
        clock: Clock,
        *,
        timeout: aiohttp.ClientTimeout,
        on_reading: Callable[[LimitReading], None] = lambda _: None,
        on_skew: Callable[[int], None] = lambda _: None,
        redact: Callable[[str], str] = str,
        at_once: SignedLine | None = None,
    ) -> None:
        """``client`` holds the credentials and signs (see `credentials.sign_for`). ``at_once`` sends orders and
        cancels as far as it has an open connection.

        ``on_reading`` receives the venue's own readings of its rate limits. ``on_skew`` receives, after each answer,
        the least number of nanoseconds by which the venue's clock is ahead of ours (`clock_skew.py`). Neither may
        raise. ``redact`` removes secrets from the venue's texts before they become part of an error.
        """
        if timeout.total is None:
            raise ValueError("a call needs a time limit")
        self._client = client
        self._clock = clock
        self._base_url = exchange.base_url
        self._product = exchange.product_code
        self._instrument = exchange.instrument()
        self._size = lru_cache(maxsize=SIZES)(lambda size: exact_float(self._instrument.size(size)))
        self._read = AnswerReader(self._instrument)
        connect_s = timeout.total * CONNECT_SHARE
        self._timeout = aiohttp.ClientTimeout(
            total=timeout.total,
            connect=min(connect_s, timeout.connect or connect_s),
            sock_connect=min(connect_s, timeout.sock_connect or connect_s),
            sock_read=timeout.sock_read,
        )
        self._on_reading = on_reading
        self._on_skew = on_skew
        self._redact = redact
        self._at_once = at_once
        self.skew: Final = ClockSkew()
        self.limits: Final[dict[str, LimitReading]] = {}
        """The newest reading of each limit."""
        self.private_calls = 0
        """Private calls made so far, orders and cancels included."""
        self.on_answer: Callable[[str, Answer, int], None] = lambda path, answer, sent_ns: None
        """Gets each answer before it is parsed, with the path after ``/v1/`` and when it was sent. May not raise."""

    # --- orders -----------------------------------------------------------------------------------------------------

    def send(self, batch: Sequence[Request]) -> Awaitable[Sequence[Reply]]:
        """Send orders and cancels side by side, each in a call of its own; the answers are in the same order.

        Those for which a connection is open are with the system when this returns.
        """
        return Later(partial(_all, [self._begin(request) for request in batch]))

    def _begin(self, request: Request) -> Later[OrderId]:
        return self.cancel(request.order_id) if isinstance(request, CancelRequest) else self.place(request)

    def place(self, order: OrderRequest) -> Later[OrderId]:
        """Send an order; its acceptance id. The venue may still reject it when it registers it."""
        return self._send_order(order.side, order.price, order.size, order.time_in_force)

    def cancel(self, order_id: OrderId) -> Later[OrderId]:
        """Request a cancel; its outcome arrives as an event. Returns the id."""

        def read(text: str) -> OrderId:
            _check_empty(text)
            return order_id

        body = {"product_code": self._product, "child_order_acceptance_id": order_id}
        return self._post("cancelchildorder", body, read)

    async def send_limit_order(
        self, product_code: str, side: Side, price: Ticks, size: Lots, ttl_ms: int, tag: str
    ) -> OrderId:
        """Send a limit order that may rest. ``ttl_ms`` and ``tag`` are only logged: the venue has no field for them.

        Raises ValueError for another product.
        """
        if product_code != self._product:
            raise ValueError(f"{product_code} is not the product of this gateway ({self._product})")
        _log.debug("limit order {} {} at {}, ttl {} ms, {}", side.value, size, price, ttl_ms, tag)
        return await self._send_order(side, price, size, TimeInForce.GTC)

    async def cancel_order(self, child_order_acceptance_id: str) -> None:
        """Do the same as :meth:`cancel`, under the specification's name."""
        await self.cancel(OrderId(child_order_acceptance_id))

    def _send_order(self, side: Side, price: Ticks | None, size: Lots, time_in_force: TimeInForce) -> Later[OrderId]:
        body: dict[str, Any] = {
            "product_code": self._product,
            "child_order_type": "MARKET" if price is None else "LIMIT",
            "side": side.value,
            "size": self._size(size),
            "minute_to_expire": MINUTE_TO_EXPIRE,
            "time_in_force": time_in_force.value,
        }
        if price is not None:
            whole, rest = divmod(price, self._instrument.ticks_per_one)
            body["price"] = exact_float(self._instrument.price(price)) if rest else whole
        return self._post("sendchildorder", body, lambda text: self._read.acceptance(read_json(text)))

    # --- the account ------------------------------------------------------------------------------------------------

    async def report(self, since: ExecId) -> AccountReport:
        """Query orders, executions after ``since``, positions and collateral: usually four calls, at most eight.

        One call lists the ACTIVE orders and the newest of the others. If a full list ends with an ACTIVE order, or
        ACTIVE orders are not first as documented, some may be missing, so they are queried separately. Orders and
        fills carry the venue's stamps.
        """
        calls = CountedCalls()
        ask = calls.ask
        asked_ns = self._clock.now_ns()
        unreadable = self.unreadable_orders
        orders = await ask(self.get_child_orders(count=ORDERS_ASKED))
        is_complete = True
        if len(orders) >= ORDERS_ASKED and not _are_active_first(orders):
            active = await ask(self.get_child_orders(ReportedState.ACTIVE, count=PAGE))
            is_complete = len(active) < PAGE
            orders = (*active, *(order for order in orders if order.state is not ReportedState.ACTIVE))
        is_complete = is_complete and self.unreadable_orders == unreadable
        executions: list[Execution] = []
        for _ in range(MAX_PAGES):
            before = executions[-1].exec_id if executions else None
            page = await ask(self.get_executions(after=since, before=before))
            executions += page
            if len(page) < PAGE:
                break
        else:
            is_complete = False
        position = await ask(self.get_positions())
        collateral = await ask(self.get_collateral())
        return AccountReport(
            ts_ns=self._clock.now_ns(),
            asked_ns=asked_ns,
            orders=orders,
            since=since,
            fills=tuple(e.to_fill() for e in sorted(executions, key=lambda e: e.exec_id)),
            is_complete=is_complete,
            position=position.size,
            basis=position.basis,
            collateral=collateral.collateral,
            calls=calls.made,
        )

    async def get_child_orders(
        self,
        state: ReportedState | None = None,
        *,
        count: int = ORDERS_ASKED,
    ) -> tuple[ReportedOrder, ...]:
        """Orders, newest first, ACTIVE ones ahead."""
        query = _query(
            product_code=self._product,
            count=count,
            child_order_state=None if state is None else state.value,
        )
        orders = await self._get("me/getchildorders", query, self._read.orders)
        self.unreadable_orders = self._read.unreadable_orders
        return orders

    async def get_executions(
        self,
        *,
        before: ExecId | None = None,
        after: ExecId | None = None,
    ) -> tuple[Execution, ...]:
        """The account's fills, newest first, with ids between ``after`` and ``before``, both exclusive."""
        query = _query(
            product_code=self._product,
            count=PAGE,
            before=before,
            after=after or None,
        )
        page = await self._get("me/getexecutions", query, self._read.executions)
        return tuple(sorted(page, key=lambda execution: execution.exec_id, reverse=True))

    async def get_positions(self) -> Position:
        """The net position: the sum of the open lots."""
        return await self._get("me/getpositions", _query(product_code=self._product), self._read.position)

    async def get_collateral(self) -> Collateral:
        """The account's margin."""
        return await self._get("me/getcollateral", {}, self._read.collateral)

    async def get_balance(self) -> tuple[Balance, ...]:
        """All currencies of the account."""
        return await self._get("me/getbalance", {}, self._read.balances)

    async def get_permissions(self) -> frozenset[str]:
        """The API paths that the key may call."""
        return await self._get("me/getpermissions", {}, self._read.permissions)

    # --- public -----------------------------------------------------------------------------------------------------

    async def get_last_price(self) -> Decimal:
        """The price of the last trade."""
        return await self._get("getticker", _query(product_code=self._product), self._read.last_price)

    async def get_board_state(self) -> BoardCondition:
        """The board's state and the venue's load, as far as the answer has them."""
        return await self._get("getboardstate", _query(product_code=self._product), self._read.condition)

    async def ask(self, path: str, *, is_signed: bool | None = None, **query: str | int | None) -> Any:
        """Any GET, answered by its parsed JSON: for calls that trading does not need.

        ``path`` is what follows ``/v1/``. Private paths are signed unless ``is_signed`` says otherwise.
        """
        return await self._call("GET", path, _query(**query), None, read_json, has_effect=False, is_signed=is_signed)

    # --- one call ---------------------------------------------------------------------------------------------------

    async def _get(self, name: str, query: dict[str, str], read: Callable[[object], _R]) -> _R:
        return await self._call("GET", name, query, None, lambda text: read(read_json(text)), has_effect=False)

    def _post(self, name: str, body: dict[str, Any], read: Callable[[str], _R]) -> Later[_R]:
        """Send a request that has an effect, at once if a connection is open; its answer, parsed."""
        path, sent_ns = f"me/{name}", self._clock.now_ns()
        request = None if self._at_once is None else self._at_once.post(f"/v1/{path}", body)
        sent = None if request is None else _Sent(request, sent_ns)
        return Later(partial(self._call, "POST", path, {}, body, read, has_effect=True, sent=sent))

    async def _call(
        self,
        method: Literal["GET", "POST"],
        path: str,
        query: dict[str, str],
        body: dict[str, Any] | None,
        read: Callable[[str], _R],
        *,
        has_effect: bool,
        is_signed: bool | None = None,
        sent: _Sent | None = None,
    ) -> _R:
        """Send the request, note the rate limits in the headers, and return the parsed answer or raise its error.

        ``sent``: the request is on its way.
        """
        name = path.rpartition("/")[2]
        is_private = path.startswith("me/")
        self.private_calls += is_private
        sent_ns = self._clock.now_ns() if sent is None else sent.ts_ns
        answer: Answer | None = None
        failure: VenueError | None
        try:
            if sent is None:
                signs = is_private if is_signed is None else is_signed
                answer = await self._exchange(method, f"{self._base_url}/v1/{path}", query, body, is_signed=signs)
            else:
                ready = await sent.request.answer(self._timeout.total or 0.0, _read_text)
                answer = Answer(**ready._asdict(), received_ns=self._clock.now_ns())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failure = transport_error(name, error, has_effect=has_effect)
        else:
            self.on_answer(path, answer, sent_ns)
            self._take_headers(answer, sent_ns, is_private=is_private)
            failure = refusal(name, answer, has_effect=has_effect)
            if failure is None:
                try:
                    return read(answer.text or "")
                except BadAnswer as bad:
                    failure = no_answer(name, f"the answer is none: {bad}", has_effect=has_effect)
        failure.detail = self._redact(failure.detail)
        failure.args = (failure.request, failure.detail, failure.code)
        _log.debug("{} after {} ms", failure, (self._clock.now_ns() - sent_ns) // NS_PER_MS)
        raise failure  # outside `except`: a chained exception could contain the headers with the key

    async def _exchange(
        self,
        method: Literal["GET", "POST"],
        url: str,
        query: dict[str, str],
        body: dict[str, Any] | None,
        *,
        is_signed: bool,
    ) -> Answer:
        """Send a request and read its answer. Raises aiohttp's exceptions."""
        options: dict[str, Any] = {} if is_signed else {"auth": None}
        async with self._client.request(
            method, url, params=query or None, data=body, timeout=self._timeout, allow_redirects=False, **options
        ) as response:
            received_ns = self._clock.now_ns()
            text = await _read_text(response.content)
        return Answer(status=response.status, headers=response.headers, text=text, received_ns=received_ns)

    def _take_headers(self, answer: Answer, sent_ns: int, *, is_private: bool) -> None:
        for reading in limit_readings(answer, is_private=is_private):
            self.limits[reading.limit] = reading
            self._on_reading(reading)
        date_ns = read_date(answer.headers.get("Date"))
        if date_ns is not None:
            self.skew.add(date_ns=date_ns, sent_ns=sent_ns, received_ns=answer.received_ns)
            skew_ns = self.skew.skew_ns()
            if skew_ns is not None:
                self._on_skew(skew_ns)


async def _all(answers: Sequence[Later[OrderId]]) -> Sequence[Reply]:
    """The answers, in order; a single one needs no task of its own."""
    return [await _reply(answers[0])] if len(answers) == 1 else await asyncio.gather(*map(_reply, answers))


async def _reply(answer: Later[OrderId]) -> Reply:
    try:
        return await answer
    except VenueError as error:
        return error


async def _read_text(content: aiohttp.StreamReader) -> str | None:
    """The body; None if it is cut off, too long or not UTF-8. The status may be enough without it."""
    body = bytearray()
    try:
        async for chunk in content.iter_chunked(_CHUNK_BYTES):
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                return None  # a connection whose answer was not read to its end is closed, not used again
        return body.decode()
    except (aiohttp.ClientPayloadError, UnicodeDecodeError):
        return None


def exact_float(value: Decimal) -> float:
    """The float whose shortest text, which pybotters sends, is exactly the decimal.

    Raises ValueError for a decimal with more digits than a float holds.
    """
    number = float(value)
    if Decimal(repr(number)) != value:
        raise ValueError(f"{value} has too many digits for the wire")
    return number


def _check_empty(text: str) -> None:
    """Check the answer to a cancel: HTTP 200 without a body. Raises BadAnswer."""
    if text.strip() not in {"", "null", "{}"}:
        raise BadAnswer("a body where none is expected")


def _are_active_first(orders: tuple[ReportedOrder, ...]) -> bool:
    """Whether a full list certainly has all ACTIVE orders: they come first and others follow."""
    states = [order.state is ReportedState.ACTIVE for order in orders]
    return states == sorted(states, reverse=True) and not states[-1]


def _query(**fields: str | int | None) -> dict[str, str]:
    return {name: str(value) for name, value in fields.items() if value is not None}
