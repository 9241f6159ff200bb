"""How a venue's socket answers requests: what is asked, on a connection of its own, without keys.

The simulated exchanges assume these answers. The connection does not touch the session's.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import aiohttp

from stall_then_strike.app.contact.assumed.deviations import Deviations

_WAIT_S: Final = 10.0
_MOST_BYTES: Final = 16 * 1024 * 1024
Socket = aiohttp.ClientWebSocketResponse


class Asked(NamedTuple):
    """A request, and its answer: a result or a type, or the code of a refusal."""

    what: str
    request: dict[str, Any]
    answer: bool | int | str
    provokes: bool = True


class SocketManners(ABC):
    """Asks, one request after the other."""

    def __init__(self, url: str, asked: Sequence[Asked], deviations: Deviations) -> None:
        """``url`` is the socket's address."""
        self._url, self._asked, self._add = url, asked, deviations.add
        self.pings_s: list[float] = []
        """When pings came, on the loop's clock."""

    async def observe(self, *, provokes: bool) -> None:
        """Ask. ``provokes``: also what is refused."""
        try:
            async with (
                aiohttp.ClientSession() as client,
                client.ws_connect(self._url, autoping=False, max_msg_size=_MOST_BYTES) as socket,
            ):
                await self._talk(socket, provokes=provokes)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._add("a second connection", "it can be made and asked", type(error).__name__)

    async def _talk(self, socket: Socket, *, provokes: bool) -> None:
        for asked in self._asked:
            if provokes or not asked.provokes:
                await socket.send_str(json.dumps(asked.request))
                answer = await self._answer(socket)
                seen = self._seen(answer, asked)
                if seen != asked.answer or type(seen) is not type(asked.answer):
                    self._add(f"the answer to {asked.what}", words(asked.answer), words(seen), answer)

    @abstractmethod
    def _is_answer(self, message: Any) -> bool:
        """Whether a message is one, and not of a channel."""

    @abstractmethod
    def _seen(self, answer: Any, asked: Asked) -> object:
        """What an answer says; None if it is not of this request."""

    async def _answer(self, socket: Socket) -> Any:
        """The next answer; None if none comes in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_S):
                while (text := await self._next(socket)) is not None:
                    with suppress(ValueError):  # the session's connection tells of such frames
                        if text and self._is_answer(message := json.loads(text)):
                            return message
        return None

    async def _next(self, socket: Socket) -> str | None:
        """The next text, an empty one for another frame; None when the socket has ended."""
        frame = await socket.receive()
        match frame.type:
            case aiohttp.WSMsgType.TEXT:
                return str(frame.data)
            case aiohttp.WSMsgType.PING:
                self.pings_s.append(asyncio.get_running_loop().time())
                await socket.pong(frame.data)
                return ""
            case (
                aiohttp.WSMsgType.CLOSE | aiohttp.WSMsgType.CLOSING | aiohttp.WSMsgType.CLOSED | aiohttp.WSMsgType.ERROR
            ):
                return None
            case _:
                return ""


def refusal_of(answer: object) -> object:
    """The code of a refusal; None if it is none."""
    error = answer.get("error") if isinstance(answer, dict) else None
    return error.get("code") if isinstance(error, dict) else None


def words(answer: object) -> str:
    """What is expected or seen, for a report."""
    if answer is None:
        return "no answer"
    return "true" if answer is True else f"error {answer}" if type(answer) is int else str(answer)
