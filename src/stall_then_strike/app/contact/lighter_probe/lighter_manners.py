"""How Lighter's socket answers requests: greeting, pong, refusals. On a connection of its own, without a token.

The simulated exchange assumes these answers, and the session relies on some: a second subscription is refused and
brings no snapshot, so a channel is given up before it is asked for anew. The connection does not touch the session's.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any, Final, NamedTuple

import aiohttp

from stall_then_strike.app.contact.assumed.deviations import Deviations
from stall_then_strike.infra.clock import Clock

_WAIT_S: Final = 10.0
_MOST_BYTES: Final = 16 * 1024 * 1024


class _Asked(NamedTuple):
    """A request, and the type or the error's code of its answer."""

    what: str
    request: dict[str, Any] | str
    answer: str | int
    provokes: bool = True


class LighterManners:
    """Asks, one request after the other."""

    def __init__(self, url: str, market_index: int, account_index: int, deviations: Deviations, clock: Clock) -> None:
        """``url`` is the socket's address. No token is sent for the account."""
        self._url, self._found, self._clock = url, deviations, clock
        ticker = {"type": "subscribe", "channel": f"ticker/{market_index}"}
        orders = {"type": "subscribe", "channel": f"account_all_orders/{account_index}"}
        end = {**ticker, "type": "unsubscribe"}
        self._asked = (
            _Asked("a ping", {"type": "ping"}, "pong", provokes=False),
            _Asked("a channel", ticker, "subscribed/ticker", provokes=False),
            _Asked("the same channel again", ticker, 30003),
            _Asked("an unknown channel", {"type": "subscribe", "channel": "no_such_channel/0"}, 30005),
            _Asked("a private channel without a token", orders, 20013),
            _Asked("the end of a subscription", end, "unsubscribed", provokes=False),
        )

    async def observe(self, *, provokes: bool) -> None:
        """Ask. ``provokes``: also what is refused."""
        try:
            async with (
                aiohttp.ClientSession() as client,
                client.ws_connect(self._url, max_msg_size=_MOST_BYTES) as socket,
            ):
                greeting = await self._answer(socket, frozenset())
                if greeting is None or greeting.get("type") != "connected":
                    self._say("the greeting of a connection", "connected", _words(greeting), greeting)
                for asked in self._asked:
                    if provokes or not asked.provokes:
                        await self._ask(socket, asked)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._say("a second connection", "it can be made and asked", type(error).__name__, None)

    async def _ask(self, socket: aiohttp.ClientWebSocketResponse, asked: _Asked) -> None:
        await socket.send_str(asked.request if isinstance(asked.request, str) else json.dumps(asked.request))
        answer = await self._answer(socket, frozenset({"update/ticker"}))
        if _seen(answer) != asked.answer:
            self._say(f"the answer to {asked.what}", str(asked.answer), _words(answer), answer)

    async def _answer(self, socket: aiohttp.ClientWebSocketResponse, passed: frozenset[str]) -> dict[str, Any] | None:
        """The next message that is no update and no ping; None if none comes in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_S):
                while True:
                    frame = await socket.receive()
                    if frame.type is not aiohttp.WSMsgType.TEXT:
                        return None
                    message = json.loads(frame.data)
                    if not isinstance(message, dict):
                        continue
                    if message.get("type") == "ping":
                        await socket.send_str('{"type":"pong"}')
                    elif message.get("type") not in passed:
                        return message
        return None

    def _say(self, name: str, expected: str, seen: str, example: object) -> None:
        self._found.add(name, expected=expected, seen=seen, at_ns=self._clock.now_ns(), example=example)


def _seen(answer: dict[str, Any] | None) -> object:
    """The code of a refusal, or the type."""
    if answer is None:
        return None
    error = answer.get("error")
    return error.get("code") if isinstance(error, dict) else answer.get("type")


def _words(answer: dict[str, Any] | None) -> str:
    seen = _seen(answer)
    return "no answer" if seen is None else f"error {seen}" if type(seen) is int else str(seen)
