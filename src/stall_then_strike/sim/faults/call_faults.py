"""Faults of calls on any venue: lost requests, answers that are wrong, late or missing, refused handshakes.

It wraps all handlers of an exchange's server. A fault before the handler strikes when nothing has taken effect yet, a
fault after it when everything has; a client without an answer cannot tell which. A missing answer is held until the
client disconnects (the server then cancels its handlers), for at most two minutes of real time, and no longer than the
exchange is up. What a venue's own refusals and errors look like is the matter of its own class.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, ClassVar, Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from stall_then_strike.sim.exchange.request_log import Audit, Received
from stall_then_strike.sim.faults.injector import FaultInjector
from stall_then_strike.sim.faults.kinds import Fault, FaultKind, Site
from stall_then_strike.sim.hub import LateReply, Passage

ERROR_PAGE: Final = (
    "<!DOCTYPE html>\n<html><head><title>The service is unavailable.</title></head>"
    "<body><h2>The service is unavailable.</h2></body></html>\n"
)
_LONGEST_HOLD_S: Final = 120.0
"""Real seconds."""


class CallFaults:
    """Applies faults to calls and handshakes, on their way in and out."""

    stream_path: ClassVar[str]
    """The path of the sockets' handshakes."""

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
        fault = self._faults.take(Site.REPLY, now_ns, methods=self._methods_in(request))
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
        if request.path == self.stream_path:
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
        return reset(request)

    async def _in_cut(self, request: web.Request) -> web.Response:
        """Hold the call while the cut lasts, or reset it at once, as the kind of cut has it."""
        try:
            async with asyncio.timeout(_LONGEST_HOLD_S):
                while not self._over.is_set() and self._faults.cut(self._now_ns()) is FaultKind.CUT_NETWORK:
                    await self._mended.wait()
        except TimeoutError:
            pass
        return reset(request)

    async def _through_cut(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        is_cut = request.path != self.stream_path and self._faults.cut(self._now_ns()) is not None
        return await self._in_cut(request) if is_cut else response

    # --- before the effect ----------------------------------------------------------------------------------------

    async def _shake_hands(self, request: web.Request, handler: Handler, now_ns: int) -> web.StreamResponse:
        fault = self._faults.take(Site.HANDSHAKE, now_ns)
        if fault is None:
            return await handler(request)
        if fault.kind is FaultKind.RESET_SOCKETS:
            return reset(request)
        return web.Response(status=503, text=ERROR_PAGE, content_type="text/html")

    async def _instead(self, request: web.Request, fault: Fault, now_ns: int) -> web.Response:
        """Answer in place of the venue, or do not answer."""
        if fault.kind is FaultKind.LOSE_REQUEST:
            return await self._hold(request)
        if fault.kind is FaultKind.RESET_REQUEST:
            return reset(request)
        if fault.kind is FaultKind.SERVER_ERROR:
            status = fault.http_status or fault.spec.http_status
            response = web.Response(status=status, text=ERROR_PAGE, content_type="text/html")
        else:
            response = self._refusal(fault, now_ns)
        await self._record(request, response, now_ns)
        return response

    async def _record(self, request: web.Request, response: web.Response, now_ns: int) -> None:
        """Put a call that no handler has seen into the audit."""
        self._audit.add(
            Received(
                time_ns=now_ns,
                transport="rest",
                account=None,
                what=f"{request.method} {request.raw_path}",
                body=(await request.read()).decode(errors="replace"),
                http_status=response.status,
                answer=response.text or "",
            )
        )

    # --- after the effect -----------------------------------------------------------------------------------------

    async def _spoil(
        self, request: web.Request, response: web.StreamResponse, fault: Fault, now_ns: int
    ) -> web.StreamResponse:
        kind = fault.kind
        if kind is FaultKind.LOSE_ANSWER:
            return await self._hold(request)
        if kind is FaultKind.RESET_ANSWER:
            return reset(request)
        if kind is FaultKind.DELAY_ANSWER:
            await self._wait_until(now_ns + fault.span_ns)
            return response
        if not isinstance(response, web.Response):
            raise AssertionError("no call is answered by a stream")
        return self._spoilt(response, fault)

    def _spoilt(self, response: web.Response, fault: Fault) -> web.Response:
        """The answer, changed by a fault."""
        text = response.text or ""
        match fault.kind:
            case FaultKind.ERROR_AFTER_EFFECT | FaultKind.HTML_PAGE:
                status = fault.http_status or fault.spec.http_status
                return like(response, ERROR_PAGE, status=status, content_type="text/html")
            case FaultKind.TRUNCATED_JSON:
                return like(response, text[: len(text) // 2] or "{")
            case FaultKind.EMPTY_BODY:
                return like(response, "")
            case FaultKind.JSON_ARRAY:
                return like(response, f"[{text}]")
            case _:
                return self._edited(response, fault)

    # --- what a venue's class adds --------------------------------------------------------------------------------

    def _methods_in(self, message: str | bytes) -> frozenset[str]:
        """The names of the requests in a message on a socket."""
        raise NotImplementedError

    def _refusal(self, fault: Fault, now_ns: int) -> web.Response:
        """The venue's own answer to a call that has no effect."""
        raise NotImplementedError

    def _edited(self, response: web.Response, fault: Fault) -> web.Response:
        """The answer, changed by a fault of contents."""
        raise NotImplementedError

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _wait_until(self, deadline_ns: int) -> None:
        """Sleep until then or until the exchange stops."""
        async with asyncio.TaskGroup() as tasks:
            nap, over = tasks.create_task(self._sleep_until(deadline_ns)), tasks.create_task(self._over.wait())
            await asyncio.wait((nap, over), return_when=asyncio.FIRST_COMPLETED)
            nap.cancel()
            over.cancel()


def reset(request: web.Request) -> web.Response:
    """Cut the connection; the returned answer is never sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def like(response: web.Response, text: str, *, status: int | None = None, content_type: str = "") -> web.Response:
    """The same answer with another text."""
    made = web.Response(
        status=response.status if status is None else status,
        text=text,
        content_type=content_type or response.content_type,
        headers={name: value for name, value in response.headers.items() if name.startswith("X-")},
    )
    made.update(response)
    return made
