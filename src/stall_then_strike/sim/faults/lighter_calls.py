"""Faults inside Lighter's answers: its refusals, a rate limit with its cooldown, a stale nonce, a list that is null.

The faults of any call are in `call_faults.py`. Venue facts (error table of 2026; rate limits): too many requests are
answered by 429 with code 23000, and for a while so is everything else from that address; a token that is not accepted
by 401 with code 20013.
"""

from __future__ import annotations

from typing import Any, Final

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from stall_then_strike.sim.faults.call_faults import ERROR_PAGE, CallFaults, like
from stall_then_strike.sim.faults.kinds import Fault, FaultKind, Site
from stall_then_strike.sim.lighter.realtime.stream import types_in

STREAM_PATH: Final = "/stream"


class LighterCalls(CallFaults):
    """Applies faults to Lighter's calls and handshakes, on their way in and out."""

    stream_path = STREAM_PATH
    is_restarting = False
    """Whether the server is down for its clients: handshakes are refused."""
    _cool_ns = 0
    """Until when every call is refused."""

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        now_ns = self._now_ns()
        is_call = request.path != STREAM_PATH
        refusal = None
        if is_call and now_ns < self._cool_ns:
            refusal = _too_many()
        elif is_call and _has_token(request) and self._faults.take(Site.AUTH, now_ns) is not None:
            refusal = _error(401, 20_013, "invalid auth: expired token")
        elif not is_call and self.is_restarting:
            return web.Response(status=503, text=ERROR_PAGE, content_type="text/html")
        if refusal is None:
            return await super()._answer(request, handler)
        await self._record(request, refusal, now_ns)
        return refusal

    def _methods_in(self, message: str | bytes) -> frozenset[str]:
        return types_in(message)

    def _refusal(self, fault: Fault, now_ns: int) -> web.Response:
        if fault.kind is not FaultKind.OVER_LIMIT:
            raise AssertionError(f"{fault.kind.value} does not strike before the effect")
        self._cool_ns = max(self._cool_ns, now_ns + fault.span_ns)
        return _too_many()

    def _edited(self, response: web.Response, fault: Fault) -> web.Response:
        try:
            answer: Any = orjson.loads(response.text or "")
        except orjson.JSONDecodeError:
            return response
        if not isinstance(answer, dict):
            return response
        if fault.kind is FaultKind.STALE_NONCE and "nonce" in answer:
            answer["nonce"] = max(0, answer["nonce"] - fault.by)
        elif fault.kind is FaultKind.NULL_LIST:
            answer = {name: None if isinstance(value, list) else value for name, value in answer.items()}
        return like(response, orjson.dumps(answer).decode())


def _has_token(request: web.Request) -> bool:
    return "Authorization" in request.headers or "auth" in request.query


def _too_many() -> web.Response:
    return _error(429, 23_000, "Too Many Requests!")


def _error(status: int, code: int, message: str) -> web.Response:
    body = orjson.dumps({"code": code, "message": message}).decode()
    return web.Response(status=status, text=body, content_type="application/json")
