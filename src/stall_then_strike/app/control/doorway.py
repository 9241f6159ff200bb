"""Lets visitors of a listening socket in: few at once, one after the other, none for long.

The accepting is our own, because a server of the event loop accepts as fast as visitors come, and each costs the loop
that also trades half a millisecond. A visitor asks once and is sent away; one that asks or reads too slowly is cut off.
More visitors wait in the kernel's queue and cost nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from loguru import logger

MOST_OPEN: Final = 8
"""Visitors at once."""
LIFE_S: Final = 10.0
"""How long one may stay, seconds."""
PACE_S: Final = 0.01
"""Pause between two visitors: at most a hundred a second."""
MOST_BYTES: Final = 4096
"""Largest body, and largest head line."""


@dataclass(eq=False)
class Visit(asyncio.Protocol):
    """One connection, handed on to aiohttp's handler."""

    handler: Any
    """aiohttp's protocol object, which has no public type."""
    on_end: Callable[[], None]
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, and limit the time."""
        if isinstance(transport, asyncio.WriteTransport):
            self._timer = asyncio.get_running_loop().call_later(LIFE_S, transport.abort)
        self.handler.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Hand on."""
        self.handler.data_received(data)

    def eof_received(self) -> None:
        """Hand on."""
        self.handler.eof_received()

    def pause_writing(self) -> None:
        """Hand on."""
        self.handler.pause_writing()

    def resume_writing(self) -> None:
        """Hand on."""
        self.handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for the next visitor."""
        if self._timer is not None:
            self._timer.cancel()
        try:
            self.handler.connection_lost(exc)
        finally:
            self.on_end()


class Doorway:
    """Serves an aiohttp application on a listening socket."""

    def __init__(
        self,
        door: socket.socket,
        app: web.Application,
        admit: Callable[[socket.socket], object | None] = lambda visitor: visitor,
    ) -> None:
        """``door`` must listen. ``admit`` says who a visitor is; None sends it away before it is read."""
        self._door, self._app, self._admit = door, app, admit
        self._guests: dict[object, object] = {}
        door.setblocking(False)

    def guest(self, request: web.BaseRequest) -> object:
        """Who sent a request, as ``admit`` said."""
        return self._guests[request.protocol]

    async def serve(self) -> None:
        """Let visitors in until cancelled."""
        runner = web.AppRunner(
            self._app,
            access_log=None,
            max_line_size=MOST_BYTES,
            max_field_size=MOST_BYTES,
            shutdown_timeout=0.1,
            handle_signals=False,
        )
        await runner.setup()
        room = asyncio.Semaphore(MOST_OPEN)
        try:
            while True:
                await room.acquire()
                if not await self._let_in(runner, room):
                    room.release()
                await asyncio.sleep(PACE_S)
        finally:
            self._door.close()
            await runner.cleanup()

    async def _let_in(self, runner: web.AppRunner, room: asyncio.Semaphore) -> bool:
        """Wait for the next visitor. Returns whether one is in."""
        loop = asyncio.get_running_loop()
        try:
            visitor, _ = await loop.sock_accept(self._door)
        except OSError as error:  # too many open files, or a visitor that is gone already
            logger.debug("a visitor could not be let in: {}", error.strerror)
            return False
        guest = self._admit(visitor)
        if guest is None or runner.server is None:
            visitor.close()
            return False
        handler = runner.server()
        self._guests[handler] = guest

        def on_end() -> None:
            del self._guests[handler]
            room.release()

        try:
            await loop.connect_accepted_socket(lambda: Visit(handler, on_end), visitor)
        except OSError:
            del self._guests[handler]
            visitor.close()
            return False
        return True


def plain_answer(text: str, status: int) -> web.Response:
    """A short text; the connection ends with it."""
    answer = web.Response(text=text, status=status)
    answer.force_close()
    return answer
