"""WebSocket handshakes, through aiohttp's trace hooks: delayed, counted, and explained when they fail.

pybotters reconnects at once after a clean close and has no callbacks. A trace hook that sleeps is the only way to delay
a handshake.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import SimpleNamespace

import aiohttp
from loguru import logger

from stall_then_strike.infra.line.connection_rules import Pacer

_log = logger.bind(channel="ws")
logging.getLogger("pybotters").addHandler(logging.NullHandler())  # else Python prints it where no log is kept


class Handshakes:
    """The handshakes with one address. Other requests of the same client are not affected."""

    def __init__(self, url: str, least_pause_s: float, on_starting: Callable[[], None]) -> None:
        """``on_starting`` is called before each handshake, when the previous connection is certainly closed."""
        self._url = url
        self._pacer = Pacer(least_pause_s)
        self._on_starting = on_starting
        self.succeeded = 0
        self.failed = 0
        self.is_open = False
        """Whether the last one succeeded; the session resets it when that connection ends."""
        self.last_error = ""
        """Why the last attempt or connection failed; empty if none has."""

    def is_due(self) -> bool:
        """Whether a handshake that begins now would not be delayed."""
        return self._pacer.is_due(asyncio.get_running_loop().time())

    def trace(self) -> aiohttp.TraceConfig:
        """The hooks for the client's session."""
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(self._before)
        trace.on_request_end.append(self._after)
        trace.on_request_exception.append(self._after_failure)
        return trace

    async def _before(
        self, _session: aiohttp.ClientSession, _context: SimpleNamespace, request: aiohttp.TraceRequestStartParams
    ) -> None:
        """Delay a handshake."""
        if not _is_handshake(request):
            return
        for _ in range(3):  # let the event loop deliver the last frames of the old connection
            await asyncio.sleep(0)
        self._on_starting()
        wait_s = self._pacer.next_wait(asyncio.get_running_loop().time())
        if wait_s > 0:
            _log.info("next connect to {} in {:.1f} s", request.url, wait_s)
            await asyncio.sleep(wait_s)

    async def _after(
        self, _session: aiohttp.ClientSession, _context: SimpleNamespace, request: aiohttp.TraceRequestEndParams
    ) -> None:
        if not _is_handshake(request):
            return
        if request.response.status == 101:
            self._pacer.on_connected(asyncio.get_running_loop().time())
            self.succeeded += 1
            self.is_open = True
        else:
            self._on_failed(f"HTTP status {request.response.status} instead of a WebSocket")

    async def _after_failure(
        self, _session: aiohttp.ClientSession, _context: SimpleNamespace, request: aiohttp.TraceRequestExceptionParams
    ) -> None:
        if _is_handshake(request) and not isinstance(request.exception, asyncio.CancelledError):
            self._on_failed(connect_failure(request.exception))

    def _on_failed(self, why: str) -> None:
        self.failed += 1
        self.last_error = why
        _log.warning("no connection to {}: {}", self._url, why)


def _is_handshake(
    request: aiohttp.TraceRequestStartParams | aiohttp.TraceRequestEndParams | aiohttp.TraceRequestExceptionParams,
) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


def connect_failure(error: BaseException) -> str:
    """Why a connect failed, for the operator."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"host name not found ({error.host})"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return f"TLS failed: {error}"
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            return f"connection refused ({error.host}:{error.port})"
        case aiohttp.ClientConnectorError():
            return f"cannot connect to {error.host}:{error.port}: {error.os_error}"
        case TimeoutError():
            return "no answer in time"
        case _:
            return f"{type(error).__name__}: {error}"
