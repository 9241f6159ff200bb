"""Lighter's WebSocket: public and private channels, and transactions over the socket.

On the manager of `infra/line/websocket.py`. Handlers receive decoded messages; `messages.read_frame` makes values of
them. A private channel carries an auth token in its request. Tokens end, and whether a running subscription ends with
its token is not known, so private channels are subscribed anew before that.

Venue facts (documentation of 2026; captured messages): the venue greets with ``connected``; the client must send a
frame at least every two minutes; the venue may send ``{"type": "ping"}`` and wants ``{"type": "pong"}``; connections
end after 24 hours. Requests name channels with ``/``, answers with ``:``, and ``account_orders/1/659514`` answers as
``account_orders:1``. 200 client messages a minute, transactions not counted; 15 transactions in one message.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from loguru import logger

from stall_then_strike.infra.clock import Clock
from stall_then_strike.infra.line.socket_line import LineRules, Message
from stall_then_strike.infra.line.websocket import BaseWebSocketManager
from stall_then_strike.lighter.client import CODE_OK, by_code
from stall_then_strike.lighter.limiter import RollingWeight
from stall_then_strike.lighter.signing.signer import SignedTx
from stall_then_strike.lighter.signing.tokens import Tokens
from stall_then_strike.types.errors import ConfigError, OutcomeUnknown, Throttled, VenueError
from stall_then_strike.types.names import NS_PER_S

ANSWER_S: Final = 4.0
"""How long a transaction waits for its answer, which takes a tenth of that. Its key stands still meanwhile."""
WS_BATCH: Final = 15
"""Most transactions in one message."""
MESSAGES_PER_MIN: Final = 180
"""Below the venue's 200, for what is sent beside the manager's count."""
DEDICATED_CHANNELS: Final = frozenset(
    {
        "account_all",
        "account_all_assets",
        "account_all_orders",
        "account_all_positions",
        "account_all_trades",
        "account_market",
        "account_orders",
        "account_spot_avg_entry_prices",
        "account_tx",
        "notification",
        "user_stats",
    }
)
"""Channels of one account each; they need a token. A public channel is one of a market."""
_INVALID_AUTH: Final = 20013
_TOO_MANY: Final = frozenset({23000, 30009, 30010})
_RENEWED_SHARE: Final = 0.75
"""Private channels are subscribed anew after this share of a token's life."""
_log = logger.bind(channel="ws")


def stream_url(base_url: str) -> str:
    """The socket's address that belongs to an API address."""
    parts = urlsplit(base_url)
    return f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}/stream"


class LighterWebSocketManager(BaseWebSocketManager):
    """The venue's channels. Run it in a task group; subscribe at any time."""

    needs_greeting = True

    def __init__(
        self,
        url: str,
        *,
        tokens: Tokens | None = None,
        rules: LineRules | None = None,
        clock: Clock | None = None,
        messages_per_min: int = MESSAGES_PER_MIN,
    ) -> None:
        """``tokens`` is needed for private channels only."""
        super().__init__(url, rules=rules, clock=clock)
        self._tokens = tokens
        self._minute = RollingWeight(messages_per_min)
        self._private_since_s = 0.0
        self._refused_s = -math.inf
        self._waiting: dict[str, asyncio.Future[Message]] = {}
        self._sent = 0
        self.errors: dict[int, int] = {}
        """How often the venue sent each error code."""

    # --- names of channels -------------------------------------------------------------------------------------------

    @staticmethod
    def order_book(market_index: int) -> str:
        """The whole book, then its changes."""
        return f"order_book/{market_index}"

    @staticmethod
    def trade(market_index: int) -> str:
        """Trades of a market."""
        return f"trade/{market_index}"

    @staticmethod
    def market_stats(market_index: int | None = None) -> str:
        """Prices and funding of a market, or of all."""
        return f"market_stats/{'all' if market_index is None else market_index}"

    @staticmethod
    def of_account(kind: str, account_index: int, market_index: int | None = None) -> str:
        """A private channel such as ``account_all``; ``account_orders`` and ``account_market`` need a market."""
        if kind not in DEDICATED_CHANNELS:
            raise ValueError(f"{kind} is no private channel; accepted: {', '.join(sorted(DEDICATED_CHANNELS))}")
        market = "" if market_index is None else f"{market_index}/"
        return f"{kind}/{market}{account_index}"

    # --- transactions ------------------------------------------------------------------------------------------------

    async def send_signed(self, batch: Sequence[SignedTx]) -> None:
        """Send one transaction or up to 15 of one key. Returns when the venue has accepted all of them.

        Raises NotSent without a connection, OutcomeUnknown when the answer is lost, and what the venue's code means.
        """
        self._sent += 1
        name, key = "sendtx" if len(batch) == 1 else "sendtxbatch", f"s{self._sent}"
        body: dict[str, Any] = {"id": key}
        if len(batch) == 1:
            body |= {"tx_type": batch[0].tx_type, "tx_info": json.loads(batch[0].tx_info)}
        else:
            body |= {
                "tx_types": json.dumps([tx.tx_type for tx in batch]),
                "tx_infos": json.dumps([tx.tx_info for tx in batch]),
            }
        self.send({"type": f"jsonapi/{name}", "data": body})
        future = self._waiting[key] = asyncio.get_running_loop().create_future()
        limit_s = min(self.rules.answer_s, ANSWER_S)
        try:
            async with asyncio.timeout(limit_s):
                answer = await future
        except TimeoutError:
            raise OutcomeUnknown(name, f"no answer within {limit_s:g} s") from None
        finally:
            self._waiting.pop(key, None)
        if (failure := self._refusal(name, answer)) is not None:
            raise failure

    def _refusal(self, name: str, answer: Message) -> VenueError | None:
        error = answer.get("error")
        code = error.get("code") if isinstance(error, dict) else answer.get("code", CODE_OK)
        if error is None and code == CODE_OK:
            return None
        said = str(error.get("message", "")) if isinstance(error, dict) else "refused"
        if not isinstance(code, int):
            return OutcomeUnknown(name, "an answer without a code")
        if code in _TOO_MANY:
            return Throttled(name, said, retry_at_ns=self.clock.now_ns() + NS_PER_S, code=code)
        return by_code(name, said, code)

    # --- hooks -------------------------------------------------------------------------------------------------------

    def subscribe_frame(self, channel: str) -> Mapping[str, Any]:
        """The request, with a token for a private channel. Raises ConfigError if there is none to be had."""
        frame = {"type": "subscribe", "channel": channel}
        if is_private(channel):
            if self._tokens is None:
                raise ConfigError(f"{channel}: needs an auth token; accepted: a socket with tokens")
            frame["auth"] = str.__str__(self._tokens.current())
        return frame

    def is_greeting(self, message: Message) -> bool:
        """Whether this is ``connected``."""
        return message.get("type") == "connected"

    def channel_of(self, message: Message) -> str | None:
        """The subscribed channel: answers write ``:`` for ``/`` and may leave the account out."""
        named = message.get("channel")
        if not isinstance(named, str):
            return None
        channel = named.replace(":", "/")
        if channel.startswith("account_orders/") and channel not in self.channels:
            return next((wanted for wanted in self.channels if wanted.startswith(f"{channel}/")), channel)
        return channel

    def on_control(self, message: Message, reply: Callable[[Mapping[str, Any]], None], recv_ns: int) -> bool:
        """Pings, errors, answers to transactions and announcements."""
        del recv_ns
        kind = message.get("type")
        if kind == "ping":
            reply({"type": "pong"})
        elif "error" in message or (isinstance(kind, str) and kind.startswith("jsonapi/")):
            self._on_answer(message)
        elif kind == "shutdown":
            _log.info("{}: the venue closes the connection in {} ms", self.url, message.get("close_in_ms"))
        elif kind not in ("pong", "connected", "unsubscribed"):
            return False
        return True

    def _on_answer(self, message: Message) -> None:
        future = self._waiting.get(str(message.get("id")))
        if future is not None and not future.done():
            future.set_result(message)
            return
        error = message.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        if isinstance(code, int):
            self.errors[code] = self.errors.get(code, 0) + 1
            _log.warning("{}: error {} ({})", self.url, code, str(error.get("message"))[:200] if error else "")
            if code == _INVALID_AUTH:
                self._on_refused_token()

    def _on_refused_token(self) -> None:
        """Ask once more with a new token. Each channel is refused for itself, and only the first asks for all.

        If that is refused too, the subscriptions go without an answer, and the next connection asks.
        """
        now_s = asyncio.get_running_loop().time()
        if self._tokens is not None and now_s - self._refused_s >= self.rules.answer_s:
            self._refused_s = now_s
            self._tokens.forget()
            self._renew_private("its token was refused", only_silent=True)

    def ping_frame(self) -> Mapping[str, Any]:
        """The venue's own ping, which it answers with a pong."""
        return {"type": "ping"}

    async def before_send(self, message: Mapping[str, Any]) -> None:
        """Keep to the venue's messages a minute. Transactions do not count, and a pong is due at once."""
        kind = str(message.get("type"))
        if kind == "pong" or kind.startswith("jsonapi/"):
            return
        while (wait_ns := self._minute.wait_ns(1, self.clock.now_ns())) > 0:
            await self.clock.sleep_until(self.clock.now_ns() + wait_ns)
        self._minute.take(1, self.clock.now_ns())

    def on_ready(self) -> None:
        """Remember when tokens were presented."""
        self._private_since_s = asyncio.get_running_loop().time()

    def on_dropped(self, why: str) -> None:
        """Answers that are still out will not come."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(OutcomeUnknown("sendtx", f"the connection ended: {why}"))

    def on_tick(self, now_s: float) -> None:
        """Subscribe private channels anew before their tokens end."""
        if self._tokens is None or now_s - self._private_since_s < self._tokens.lifetime_s * _RENEWED_SHARE:
            return
        self._private_since_s = now_s
        self._renew_private("its token ends soon")

    def _renew_private(self, why: str, *, only_silent: bool = False) -> None:
        for channel in self.channels:
            if is_private(channel) and not (only_silent and self.is_live(channel)):
                self.resync(channel, why)


def is_private(channel: str) -> bool:
    """Whether a channel needs a token."""
    return channel.partition("/")[0] in DEDICATED_CHANNELS
