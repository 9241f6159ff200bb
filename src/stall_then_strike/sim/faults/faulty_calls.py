"""Faults of calls: lost requests, answers that are wrong, late or missing, refused handshakes.

It wraps all handlers of the exchange's server. A fault before the handler strikes when nothing has taken effect yet, a
fault after it when everything has; a client without an answer cannot tell which. A missing answer is held until the
client disconnects (the server then cancels its handlers), for at most two minutes of real time, and no longer than the
exchange is up.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from stall_then_strike.sim.bitflyer.limits import Reading
from stall_then_strike.sim.bitflyer.private_wire import Number, to_json
from stall_then_strike.sim.bitflyer.public_rest import OVER_LIMIT
from stall_then_strike.sim.bitflyer.rpc import methods_in
from stall_then_strike.sim.bitflyer.wire import error_body
from stall_then_strike.sim.exchange.request_log import Audit, Received
from stall_then_strike.sim.faults.injector import FaultInjector
from stall_then_strike.sim.faults.kinds import Fault, FaultKind, Site
from stall_then_strike.sim.hub import LateReply, Passage
from stall_then_strike.types.dto import NS_PER_S

REALTIME_PATH: Final = "/json-rpc"
ERROR_PAGE: Final = (
    "<!DOCTYPE html>\n<html><head><title>The service is unavailable.</title></head>"
    "<body><h2>The service is unavailable.</h2></body></html>\n"
)
DATE_OFF_S: Final = web.ResponseKey("date_off_s", int)
"""Seconds by which an answer's `Date` is ahead."""
_LONGEST_HOLD_S: Final = 120.0
"""Real seconds."""


class FaultyCalls:
    """Applies faults to calls and handshakes, on their way in and out."""

    def __init__(
        self,
        faults: FaultInjector,
        *,
        now_ns: Callable[[], int],
        sleep_until: Callable[[int], Coroutine[Any, Any, None]],
        audit: Audit,
    ) -> None:
        """``sleep_until`` belongs to the venue's clock; ``audit`` records the calls that do not reach the handlers."""
        self._faults = faults
        self._now_ns = now_ns
        self._sleep_until = sleep_until
        self._audit = audit
        self._over = asyncio.Event()
        self._mended = asyncio.Event()

    def open(self) -> None:
        """The exchange starts."""
        self._over.clear()

    def close(self) -> None:
        """The exchange stops: release everything that is held."""
        self._over.set()
        self.mend()

    def mend(self) -> None:
        """The network is back: reset the calls that were stuck in the cut."""
        self._mended.set()
        self._mended = asyncio.Event()

    def middleware(self) -> Middleware:
        """The middleware for aiohttp."""

        @web.middleware
        async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._answer(request, handler)

        return around

    def reply_trouble(self, request: str | bytes) -> LateReply | None:
        """The fault of the answer to a request on a socket; None if there is none."""
        if not self._faults.at(Site.REPLY):
            return None
        now_ns = self._now_ns()
        fault = self._faults.take(Site.REPLY, now_ns, methods=methods_in(request))
        return None if fault is None else partial(self._reply, fault, now_ns)

    async def _reply(self, fault: Fault, now_ns: int) -> Passage:
        if fault.kind is FaultKind.DELAY_REPLY:
            await self._sleep_until(now_ns + fault.span_ns)
            return Passage.LEAVES
        return Passage.CUT if fault.kind is FaultKind.CUT_REPLY else Passage.LOST

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._faults.is_idle:
            return await self._through_cut(request, await handler(request))  # a cut may have begun meanwhile
        now_ns = self._now_ns()
        if self._faults.cut(now_ns) is not None:
            return await self._in_cut(request)
        if request.path == REALTIME_PATH:
            return await self._shake_hands(request, handler, now_ns)
        fault = self._faults.take(Site.CALL, now_ns, path=request.path)
        if fault is not None:
            return await self._instead(request, fault, now_ns)
        response = await handler(request)
        for after in self._faults.take_all(Site.ANSWER, now_ns, path=request.path):
            response = await self._spoil(request, response, after, now_ns)
        return await self._through_cut(request, response)

    # --- no answer ------------------------------------------------------------------------------------------------

    async def _hold(self, request: web.Request) -> web.Response:
        """Hold the call without an answer."""
        try:
            async with asyncio.timeout(_LONGEST_HOLD_S):
                await self._over.wait()
        except TimeoutError:
            pass
        return _reset(request)

    async def _in_cut(self, request: web.Request) -> web.Response:
        """Hold the call while the cut lasts, or reset it at once, as the kind of cut has it."""
        try:
            async with asyncio.timeout(_LONGEST_HOLD_S):
                while not self._over.is_set() and self._faults.cut(self._now_ns()) is FaultKind.CUT_NETWORK:
                    await self._mended.wait()
        except TimeoutError:
            pass
        return _reset(request)

    async def _through_cut(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        is_cut = request.path != REALTIME_PATH and self._faults.cut(self._now_ns()) is not None
        return await self._in_cut(request) if is_cut else response

    # --- before the effect ----------------------------------------------------------------------------------------

    async def _shake_hands(self, request: web.Request, handler: Handler, now_ns: int) -> web.StreamResponse:
        fault = self._faults.take(Site.HANDSHAKE, now_ns)
        if fault is None:
            return await handler(request)
        if fault.kind is FaultKind.RESET_SOCKETS:
            return _reset(request)
        return web.Response(status=503, text=ERROR_PAGE, content_type="text/html")

    async def _instead(self, request: web.Request, fault: Fault, now_ns: int) -> web.Response:
        """Answer in place of the venue, or do not answer."""
        if fault.kind is FaultKind.LOSE_REQUEST:
            return await self._hold(request)
        if fault.kind is FaultKind.RESET_REQUEST:
            return _reset(request)
        headers: dict[str, str] = {}
        if fault.kind is FaultKind.SERVER_ERROR:
            status, text, content_type = fault.http_status or fault.spec.http_status, ERROR_PAGE, "text/html"
        elif fault.kind is FaultKind.OVER_LIMIT:
            status, text, content_type = 429, error_body(-1, OVER_LIMIT), "application/json"
            left_s = -(-fault.span_ns // NS_PER_S)
            reset_s = -(-(now_ns + fault.span_ns) // NS_PER_S)
            headers = Reading(is_allowed=False, remaining=0, period_s=left_s, reset_s=reset_s).headers()
        elif fault.kind is FaultKind.OVERLOADED:
            status, content_type = 500, "application/json"
            text = error_body(-208, "Order is not accepted. Please try again later.")
        elif fault.kind is FaultKind.ORDER_NOT_FOUND:
            status, text, content_type = 400, error_body(-111, "Order not found"), "application/json"
        else:
            raise AssertionError(f"{fault.kind.value} does not strike before the effect")
        body = (await request.read()).decode(errors="replace")
        self._audit.add(
            Received(
                time_ns=now_ns,
                transport="rest",
                account=None,
                what=f"{request.method} {request.raw_path}",
                body=body,
                http_status=status,
                answer=text,
            )
        )
        return web.Response(status=status, text=text, content_type=content_type, headers=headers)

    # --- after the effect -----------------------------------------------------------------------------------------

    async def _spoil(
        self, request: web.Request, response: web.StreamResponse, fault: Fault, now_ns: int
    ) -> web.StreamResponse:
        kind = fault.kind
        if kind is FaultKind.LOSE_ANSWER:
            return await self._hold(request)
        if kind is FaultKind.RESET_ANSWER:
            return _reset(request)
        if kind is FaultKind.DELAY_ANSWER:
            await self._wait_until(now_ns + fault.span_ns)
            return response
        if not isinstance(response, web.Response):
            raise AssertionError("no call is answered by a stream")
        return _spoilt(response, fault)

    async def _wait_until(self, deadline_ns: int) -> None:
        """Sleep until then or until the exchange stops."""
        async with asyncio.TaskGroup() as tasks:
            nap, over = tasks.create_task(self._sleep_until(deadline_ns)), tasks.create_task(self._over.wait())
            await asyncio.wait((nap, over), return_when=asyncio.FIRST_COMPLETED)
            nap.cancel()
            over.cancel()


def _reset(request: web.Request) -> web.Response:
    """Cut the connection; the returned answer is never sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _spoilt(response: web.Response, fault: Fault) -> web.Response:
    """The answer, changed by a fault."""
    text = response.text or ""
    match fault.kind:
        case FaultKind.STUCK_REMAINING:
            for name in [name for name in response.headers if name.lower().endswith("-remaining")]:
                response.headers[name] = "1"
            return response
        case FaultKind.WRONG_DATE:
            response[DATE_OFF_S] = response.get(DATE_OFF_S, 0) + fault.span_ns // NS_PER_S
            return response
        case FaultKind.STRIP_ANSWER:
            return _like(response, _stripped(text, fault))
        case FaultKind.ERROR_AFTER_EFFECT | FaultKind.HTML_PAGE:
            status = fault.http_status or fault.spec.http_status
            return _like(response, ERROR_PAGE, status=status, content_type="text/html")
        case FaultKind.TRUNCATED_JSON:
            return _like(response, text[: len(text) // 2] or "{")
        case FaultKind.EMPTY_BODY:
            return _like(response, "")
        case FaultKind.JSON_ARRAY:
            return _like(response, f"[{text}]")
        case _:
            raise AssertionError(f"{fault.kind.value} does not strike after the effect")


def _like(response: web.Response, text: str, *, status: int | None = None, content_type: str = "") -> web.Response:
    """The same answer with another text."""
    made = web.Response(
        status=response.status if status is None else status,
        text=text,
        content_type=content_type or response.content_type,
        headers={name: value for name, value in response.headers.items() if name.startswith("X-")},
    )
    made.update(response)
    return made


def _stripped(text: str, fault: Fault) -> str:
    """A row, or the rows of a list, without the fault's fields; all other numbers keep their digits."""
    try:
        value: Any = json.loads(text, parse_int=Number, parse_float=Number)
    except ValueError:
        return text
    if isinstance(value, dict):
        return to_json(fault.stripped(value))
    if isinstance(value, list):
        return to_json([fault.stripped(row) if isinstance(row, dict) else row for row in value])
    return text
