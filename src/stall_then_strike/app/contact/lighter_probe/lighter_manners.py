"""How Lighter's socket answers requests: greeting, pong, refusals.

The session relies on some: a second subscription is refused and brings no snapshot, so a channel is given up before it
is asked for anew.
"""

from __future__ import annotations

from typing import Any

from stall_then_strike.app.contact.assumed.deviations import Deviations
from stall_then_strike.app.contact.assumed.socket_manners import Asked, Socket, SocketManners, refusal_of, words


class LighterManners(SocketManners):
    """Waits for the greeting, then asks."""

    def __init__(self, url: str, market_index: int, account_index: int, deviations: Deviations) -> None:
        """``url`` is the socket's address. No token is sent for the account."""
        ticker = {"type": "subscribe", "channel": f"ticker/{market_index}"}
        orders = {"type": "subscribe", "channel": f"account_all_orders/{account_index}"}
        asked = (
            Asked("a ping", {"type": "ping"}, "pong", provokes=False),
            Asked("a channel", ticker, "subscribed/ticker", provokes=False),
            Asked("the same channel again", ticker, 30003),
            Asked("an unknown channel", {"type": "subscribe", "channel": "no_such_channel/0"}, 30005),
            Asked("a private channel without a token", orders, 20013),
            Asked("the end of a subscription", {**ticker, "type": "unsubscribe"}, "unsubscribed", provokes=False),
        )
        super().__init__(url, asked, deviations)

    async def _talk(self, socket: Socket, *, provokes: bool) -> None:
        greeting = await self._answer(socket)
        if greeting is None or greeting.get("type") != "connected":
            self._add("the greeting of a connection", "connected", words(_said(greeting)), greeting)
        await super()._talk(socket, provokes=provokes)

    def _is_answer(self, message: Any) -> bool:
        return isinstance(message, dict) and message.get("type") not in ("ping", "update/ticker")

    def _seen(self, answer: Any, asked: Asked) -> object:
        return _said(answer)


def _said(answer: Any) -> object:
    return None if answer is None else refusal_of(answer) or answer.get("type")
