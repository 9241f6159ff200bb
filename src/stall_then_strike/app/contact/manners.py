"""How the socket answers requests: acknowledgements, refusals, batches, pings. On a connection of its own, keyless.

The simulated exchange assumes these answers (measured on the public feed in 2026), and the session relies on some: an
unknown product is acknowledged, a private channel before a login is not. The connection does not touch the session's.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from statistics import median
from typing import Any, Final, NamedTuple

import aiohttp

from stall_then_strike.app.contact.deviations import Deviations
from stall_then_strike.app.contact.documented import PING_S
from stall_then_strike.infra.bitflyer.feed import EVENTS_CHANNEL, TICKER_PREFIX
from stall_then_strike.infra.clock import Clock

_WAIT_S: Final = 10.0
_PING_SLACK_S: Final = 3.0
_MOST_BYTES: Final = 16 * 1024 * 1024


class _Asked(NamedTuple):
    """A request and its answer: true, or the code of a refusal."""

    what: str
    request: dict[str, Any]
    answer: bool | int
    provokes: bool = True


def _subscribe(channel: str) -> dict[str, Any]:
    return {"method": "subscribe", "params": {"channel": channel}}


class Manners:
    """Asks, then listens to pings."""

    def __init__(self, url: str, product: str, deviations: Deviations, clock: Clock) -> None:
        """``url`` is the socket's address."""
        self._url, self._found, self._clock = url, deviations, clock
        ticker = TICKER_PREFIX + product
        self._asked = (
            _Asked("a channel", _subscribe(ticker), True, provokes=False),
            _Asked(
                "a channel of an unknown product", _subscribe(f"{TICKER_PREFIX}NO_SUCH_PRODUCT"), True, provokes=False
            ),
            _Asked("the same channel again", _subscribe(ticker), -32009),
            _Asked("an unknown channel", _subscribe(f"no_such_channel_{product}"), -32602),
            _Asked("a subscription without parameters", {"method": "subscribe"}, -32602),
            _Asked("an unknown method", {"method": "no_such_method", "params": {}}, -32601),
            _Asked("the private channel before a login", _subscribe(EVENTS_CHANNEL), -32007),
            _Asked("the end of a subscription", {**_subscribe(ticker), "method": "unsubscribe"}, True, provokes=False),
        )
        self.pings_s: list[float] = []
        """When pings came, on the loop's clock."""

    async def observe(self, *, provokes: bool) -> None:
        """Ask and then listen, until cancelled. ``provokes``: also ask what is refused."""
        try:
            async with (
                aiohttp.ClientSession() as client,
                client.ws_connect(self._url, autoping=False, max_msg_size=_MOST_BYTES) as socket,
            ):
                for number, asked in enumerate(self._asked, start=101):
                    if provokes or not asked.provokes:
                        await self._ask(socket, number, asked)
                await self._ask_batch(socket)
                if provokes:
                    await self._ask_nonsense(socket)
                while await self._next(socket) is not None:
                    pass
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._say("a second connection", "it can be made and asked", type(error).__name__, None)

    def finish(self) -> None:
        """Judge the pings."""
        gaps = [later - before for before, later in zip(self.pings_s, self.pings_s[1:], strict=False)]
        if len(gaps) >= 2 and abs(median(gaps) - PING_S) > _PING_SLACK_S:
            self._say("the period of pings", f"every {PING_S:g} s", f"every {median(gaps):.1f} s", None)

    async def _ask(self, socket: aiohttp.ClientWebSocketResponse, number: int, asked: _Asked) -> None:
        await socket.send_str(json.dumps({**asked.request, "id": number}))
        answer = await self._answer(socket)
        seen: object = None
        if isinstance(answer, dict) and answer.get("id") == number:
            error = answer.get("error")
            seen = error.get("code") if isinstance(error, dict) else answer.get("result")
        if seen != asked.answer or type(seen) is not type(asked.answer):
            self._say(f"the answer to {asked.what}", _words(asked.answer), _words(seen), answer)

    async def _ask_batch(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """An array is answered by an array, and in it a request without an id by nothing."""
        channel = f"{TICKER_PREFIX}NO_SUCH_PRODUCT"
        requests = [{**_subscribe(channel), "method": "unsubscribe", "id": 201}, _subscribe(channel)]
        await socket.send_str(json.dumps(requests))
        answer = await self._answer(socket)
        ids = [row.get("id") for row in answer if isinstance(row, dict)] if isinstance(answer, list) else None
        if ids != [201]:
            seen = "another answer" if ids is None else f"{len(ids)} answers"
            self._say("the answer to a batch", "an array, without an answer to what has no id", seen, answer)

    async def _ask_nonsense(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        await socket.send_str("{")
        answer = await self._answer(socket)
        error = answer.get("error") if isinstance(answer, dict) else None
        seen = error.get("code") if isinstance(error, dict) else None
        if seen != -32700:
            self._say(
                "the answer to a text that is not JSON", "error -32700, and the socket stays open", _words(seen), answer
            )

    async def _answer(self, socket: aiohttp.ClientWebSocketResponse) -> Any:
        """The next message that is no notification; None if none comes in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_S):
                while (text := await self._next(socket)) is not None:
                    try:
                        message = json.loads(text) if text else None
                    except ValueError:
                        continue  # the session's connection tells of such frames
                    if text and not (isinstance(message, dict) and message.get("method") == "channelMessage"):
                        return message
        return None

    async def _next(self, socket: aiohttp.ClientWebSocketResponse) -> str | None:
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

    def _say(self, name: str, expected: str, seen: str, example: object) -> None:
        self._found.add(name, expected=expected, seen=seen, at_ns=self._clock.now_ns(), example=example)


def _words(answer: object) -> str:
    if answer is None:
        return "no answer"
    return "true" if answer is True else f"error {answer}" if type(answer) is int else str(answer)
