"""HTTP connections that are open before they are needed, for calls whose bytes are to leave at once.

A client made for all of HTTP prepares each request for a tenth of a millisecond and more, and its idle connections are
closed after some seconds: then a call begins with a handshake of several round trips. Here a few connections are kept,
a call is one write, made at once, and its answer is read by aiohttp's own parser. If none is open and idle, nothing is
sent, and the caller uses his client.

A connection is used again only if its last answer was read to the end, and nothing else came. One that was idle for
:data:`IDLE_S` is replaced, because its peer may be about to close it: whether a request reached it would be unknown.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, NamedTuple, NoReturn

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from loguru import logger
from yarl import URL

CONNECTIONS: Final = 4
"""Kept open: a strike needs two at once, and the cancels of the last one may still be on their way."""
IDLE_S: Final = 15.0
"""As long as aiohttp's own client keeps an idle connection."""
_LOOK_S: Final = 1.0
"""Between two looks at the connections."""
_RETRY_S: Final = 5.0
"""Pause after a connection that failed, or when the peer has closed all."""
_LAST_LOOK_S: Final = 0.05
"""Added to each limit once it is over: an answer that came while this process was stopped waits in the socket, and is
read before its call is given up."""
_FINAL: Final = 200
"""Lower statuses announce an answer that follows."""

_log = logger.bind(channel="ws")


class NotHttp(aiohttp.ClientError):
    """The peer answered something else."""


class ReadyAnswer(NamedTuple):
    """An answer whose body was read."""

    status: int
    headers: Mapping[str, str]
    text: str | None
    """What the reader made of the body."""


class SentRequest:
    """A request that is on its way."""

    def __init__(self, connection: ResponseHandler, line: ReadyLine) -> None:
        """Only for :meth:`ReadyLine.send`."""
        self._connection, self._line = connection, line

    async def answer(
        self, limit_s: float, read: Callable[[aiohttp.StreamReader], Awaitable[str | None]]
    ) -> ReadyAnswer:
        """The answer, its body read by ``read``.

        Raises TimeoutError, OSError and aiohttp.ClientError, all of which leave open whether the server has the
        request.
        """
        is_read, loop = False, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as limit:
                timer = loop.call_later(limit_s, lambda: limit.reschedule(loop.time() + _LAST_LOOK_S))
                try:
                    message, content = await self._connection.read()
                    while message.code < _FINAL:
                        message, content = await self._connection.read()
                    answer = ReadyAnswer(message.code, message.headers, await read(content))
                finally:
                    timer.cancel()
            is_read = True
            return answer
        except HttpProcessingError:
            raise NotHttp from None
        finally:
            self._line.take_back(self._connection, is_read=is_read)


class ReadyLine:
    """Connections to one server. :meth:`keep_open` is a task of the owner; without it none is ever open."""

    def __init__(self, url: str, *, connect_s: float) -> None:
        """Connect to nothing yet. ``connect_s`` limits one handshake."""
        address = URL(url)
        self._host, self._port = address.host or "", address.port or 0
        self._tls = ssl.create_default_context() if address.scheme == "https" else None
        self._connect_s = connect_s
        self._idle: deque[tuple[ResponseHandler, float]] = deque()
        """With the loop's time since when; the longest idle first."""
        self._in_use: set[ResponseHandler] = set()

    def __len__(self) -> int:
        """How many are open and idle."""
        return len(self._idle)

    def send(self, request: Callable[[], bytes]) -> SentRequest | None:
        """Send a request; None if no connection was ready, and nothing was sent.

        The bytes are with the system when this returns. What is returned has to be waited for.
        """
        connection = self._take()
        if connection is None or connection.transport is None:
            return None
        self._in_use.add(connection)
        try:
            _write(connection.transport, request())
        except BaseException:
            self.take_back(connection, is_read=False)
            raise
        return SentRequest(connection, self)

    def close(self) -> None:
        """Close all that is idle, such as after a sleep, when the peer may have forgotten them."""
        while self._idle:
            self._idle.popleft()[0].close()

    async def keep_open(self) -> NoReturn:
        """Keep some connections open, until cancelled."""
        try:
            while True:
                pause_s = await self._look()
                await asyncio.sleep(pause_s)
        finally:
            self.close()
            for connection in self._in_use:  # nobody waits for these answers any more
                connection.close()

    async def _look(self) -> float:
        """Open what is missing, then close what was idle for too long. Returns the pause until the next look."""
        now_s = asyncio.get_running_loop().time()
        old = [one for one in self._idle if one[1] + IDLE_S <= now_s or one[0].should_close]
        are_all_lost = len(self._idle) > 0 and not any(one[0].is_connected() for one in self._idle)
        try:
            while len(self._idle) - len(old) + len(self._in_use) < CONNECTIONS:
                await self._open()
        except (OSError, TimeoutError) as error:
            _log.debug("no further connection to {}:{}: {}", self._host, self._port, type(error).__name__)
            return _RETRY_S
        finally:
            for one in old:
                if one in self._idle:  # it may have been used meanwhile
                    self._idle.remove(one)
                    one[0].close()
        return _RETRY_S if are_all_lost else _LOOK_S  # a peer that closes all is not to be stormed

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._connect_s):
            _, connection = await loop.create_connection(
                partial(ResponseHandler, loop), self._host, self._port, ssl=self._tls
            )
        self._put(connection)

    def take_back(self, connection: ResponseHandler, *, is_read: bool) -> None:
        """Take a connection back after its request; one whose answer was not read to the end is of no more use."""
        self._in_use.discard(connection)
        if is_read and not connection.should_close:
            self._put(connection)
        else:
            connection.close()

    def _put(self, connection: ResponseHandler) -> None:
        """Prepare a connection for its next answer."""
        connection.set_response_params(read_until_eof=True)
        self._idle.append((connection, asyncio.get_running_loop().time()))

    def _take(self) -> ResponseHandler | None:
        """A connection that can be used; those that cannot are closed."""
        now_s = asyncio.get_running_loop().time()
        while self._idle:
            connection, since_s = self._idle.popleft()
            if connection.is_connected() and not connection.should_close and now_s < since_s + IDLE_S:
                return connection
            connection.close()
        return None


def _write(transport: asyncio.Transport, request: bytes) -> None:
    """A function of its own, so that it can be timed from outside."""
    transport.write(request)
