"""How bitFlyer's socket answers requests: acknowledgements, refusals, batches, pings.

The answers were measured on the public feed in 2026. The session relies on some: an unknown product is acknowledged, a
private channel before a login is not.
"""

from __future__ import annotations

import json
from statistics import median
from typing import Any, Final

from stall_then_strike.app.contact.assumed.deviations import Deviations
from stall_then_strike.app.contact.assumed.documented import PING_S
from stall_then_strike.app.contact.assumed.socket_manners import Asked, Socket, SocketManners, refusal_of, words
from stall_then_strike.infra.bitflyer.feed import EVENTS_CHANNEL, TICKER_PREFIX

_PING_SLACK_S: Final = 3.0


def _subscribe(channel: str) -> dict[str, Any]:
    return {"method": "subscribe", "params": {"channel": channel}}


class Manners(SocketManners):
    """Asks, then listens to pings."""

    def __init__(self, url: str, product: str, deviations: Deviations) -> None:
        """``url`` is the socket's address."""
        ticker, unknown = _subscribe(TICKER_PREFIX + product), _subscribe(f"{TICKER_PREFIX}NO_SUCH_PRODUCT")
        asked = (
            Asked("a channel", ticker, True, provokes=False),
            Asked("a channel of an unknown product", unknown, True, provokes=False),
            Asked("the same channel again", ticker, -32009),
            Asked("an unknown channel", _subscribe(f"no_such_channel_{product}"), -32602),
            Asked("a subscription without parameters", {"method": "subscribe"}, -32602),
            Asked("an unknown method", {"method": "no_such_method", "params": {}}, -32601),
            Asked("the private channel before a login", _subscribe(EVENTS_CHANNEL), -32007),
            Asked("the end of a subscription", {**ticker, "method": "unsubscribe"}, True, provokes=False),
        )
        numbered = [one._replace(request={**one.request, "id": id_}) for id_, one in enumerate(asked, start=101)]
        super().__init__(url, numbered, deviations)
        self._batch = [{**unknown, "method": "unsubscribe", "id": 201}, unknown]

    async def _talk(self, socket: Socket, *, provokes: bool) -> None:
        await super()._talk(socket, provokes=provokes)
        await self._ask_batch(socket)
        if provokes:
            await self._ask_nonsense(socket)
        while await self._next(socket) is not None:
            pass

    def finish(self) -> None:
        """Judge the pings."""
        gaps = [later - before for before, later in zip(self.pings_s, self.pings_s[1:], strict=False)]
        if len(gaps) >= 2 and abs(median(gaps) - PING_S) > _PING_SLACK_S:
            self._add("the period of pings", f"every {PING_S:g} s", f"every {median(gaps):.1f} s")

    def _is_answer(self, message: Any) -> bool:
        return not (isinstance(message, dict) and message.get("method") == "channelMessage")

    def _seen(self, answer: Any, asked: Asked) -> object:
        if not isinstance(answer, dict) or answer.get("id") != asked.request["id"]:
            return None
        return refusal_of(answer) or answer.get("result")

    async def _ask_batch(self, socket: Socket) -> None:
        """An array is answered by an array, and in it a request without an id by nothing."""
        await socket.send_str(json.dumps(self._batch))
        answer = await self._answer(socket)
        ids = [row.get("id") for row in answer if isinstance(row, dict)] if isinstance(answer, list) else None
        if ids != [201]:
            seen = "another answer" if ids is None else f"{len(ids)} answers"
            self._add("the answer to a batch", "an array, without an answer to what has no id", seen, answer)

    async def _ask_nonsense(self, socket: Socket) -> None:
        await socket.send_str("{")
        answer = await self._answer(socket)
        if (seen := refusal_of(answer)) != -32700:
            name, expected = "the answer to a text that is not JSON", "error -32700, and the socket stays open"
            self._add(name, expected, words(seen), answer)
