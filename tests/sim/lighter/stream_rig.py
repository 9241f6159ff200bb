"""The stream over real sockets: an exchange, a client, signed transactions and tokens without the SDK."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import aiohttp
import orjson

from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS
from stall_then_strike.sim.lighter.crypto.schnorr import sign, token_hash
from stall_then_strike.sim.lighter.lighter_venue import CHAIN_ID, VenueSettings
from stall_then_strike.sim.lighter.realtime.stream_limits import StreamLimits
from stall_then_strike.sim.lighter.transactions import TxType, decode
from stall_then_strike.sim.lighter_server import Credentials, LighterExchange
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S
from tests.shared_data import lighter_file

ETH, BTC = 0, 1
HYPE = 24
NO_STREAM_LIMITS = StreamLimits(
    connections=None, handshakes=None, subscriptions=None, all_subscriptions=None, messages=None
)
QUICK = VenueSettings(delay_ms=(1, 3))
_RANDOM = Random(5)
Json = dict[str, Any]


def streaming(settings: VenueSettings = QUICK, **more: Any) -> LighterExchange:
    return LighterExchange(seed=1, settings=settings, **{"markets": MARKETS[:2], "clock": SystemClock(), **more})


def token_of(credentials: Credentials, deadline_s: int) -> str:
    text = f"{deadline_s}:{credentials.account_index}:{credentials.api_key_index}"
    private = bytes.fromhex(credentials.private_key.removeprefix("0x"))
    return f"{text}:{sign(private, token_hash(text), _RANDOM.randrange).hex()}"


class Trader:
    """An account's own transactions, signed here."""

    def __init__(self, exchange: LighterExchange, credentials: Credentials, *, is_signed: bool = True) -> None:
        self.exchange = exchange
        self.is_signed = is_signed
        self.credentials = credentials
        self.account = credentials.account_index
        self.nonce = 0

    @property
    def now_ms(self) -> int:
        return self.exchange.feed.now_ns // NS_PER_MS

    def token(self, for_s: int = 600) -> str:
        return token_of(self.credentials, self.exchange.feed.now_ns // NS_PER_S + for_s)

    def signed(self, tx_type: TxType, **body: int) -> Json:
        head = {"AccountIndex": self.account, "ApiKeyIndex": self.credentials.api_key_index}
        tail = {"ExpiredAt": self.now_ms + 599_000, "Nonce": self.nonce, "Sig": base64.b64encode(bytes(80)).decode()}
        info: Json = {**head, **body, **tail}
        self.nonce += 1
        if not self.is_signed:
            return info
        private = bytes.fromhex(self.credentials.private_key.removeprefix("0x"))
        digest = decode(tx_type, orjson.dumps(info).decode(), CHAIN_ID).hash
        info["Sig"] = base64.b64encode(sign(private, digest, _RANDOM.randrange)).decode()
        return info

    def order(self, client_index: int, size: int, price: int, *, is_ask: bool = False, **more: int) -> Json:
        rests = more.get("TimeInForce", 1) != 0
        body = {
            "MarketIndex": ETH,
            "ClientOrderIndex": client_index,
            "BaseAmount": size,
            "Price": price,
            "IsAsk": int(is_ask),
            "Type": 0,
            "TimeInForce": 1,
            "ReduceOnly": 0,
            "TriggerPrice": 0,
            "OrderExpiry": self.now_ms + 86_400_000 if rests else 0,
        }
        return self.signed(TxType.CREATE_ORDER, **{**body, **more})

    def cancel(self, index: int, market: int = ETH) -> Json:
        return self.signed(TxType.CANCEL_ORDER, MarketIndex=market, Index=index)


class Listener:
    """A plain client of the stream that keeps all messages."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.messages: list[Json] = []

    async def next(self, seconds: float = 10) -> Json:
        frame = await self.ws.receive(timeout=seconds)
        assert frame.type is aiohttp.WSMsgType.TEXT, frame
        message: Json = orjson.loads(frame.data)
        self.messages.append(message)
        return message

    async def until(self, is_it: Callable[[Json], object]) -> Json:
        """The next message for which the condition holds."""
        while not is_it(message := await self.next()):
            pass
        return message

    async def of(self, kind: str) -> Json:
        """The next message of a type."""
        return await self.until(lambda message: message.get("type") == kind)

    async def answer(self, **request: Any) -> Json:
        """Send a request and take its answer: the next message that is no update."""
        await self.ws.send_json(request)
        return await self.until(lambda message: not str(message.get("type")).startswith("update/"))

    async def subscribe(self, channel: str, auth: str | None = None) -> Json:
        return await self.answer(type="subscribe", channel=channel, **({} if auth is None else {"auth": auth}))

    async def send_tx(self, tx_type: TxType, info: Json, request_id: str = "x") -> Json:
        data = {"id": request_id, "tx_type": int(tx_type), "tx_info": info}
        return await self.answer(type="jsonapi/sendtx", data=data)

    async def ended(self, seconds: float = 10) -> int | None:
        """Read to the end of the connection; return the code of the server's close frame, None without one."""
        while (frame := await self.ws.receive(timeout=seconds)).type is aiohttp.WSMsgType.TEXT:
            self.messages.append(orjson.loads(frame.data))
        return int(frame.data) if frame.type is aiohttp.WSMsgType.CLOSE else None


@asynccontextmanager
async def listening(exchange: LighterExchange, **options: Any) -> AsyncIterator[Listener]:
    """A client that has been greeted."""
    options.setdefault("heartbeat", None)
    async with aiohttp.ClientSession() as session, session.ws_connect(exchange.ws_url, **options) as ws:
        listener = Listener(ws)
        greeting = await listener.next()
        assert set(greeting) == {"session_id", "type"}
        assert greeting["type"] == "connected"
        yield listener


def captured(name: str) -> Iterator[Json]:
    """Messages that the venue sent."""
    for line in lighter_file(name).read_bytes().splitlines():
        if line.strip():
            yield orjson.loads(line)["msg"]


def fixtures_2026() -> Json:
    found: Json = orjson.loads(lighter_file("nautilus_fixtures_2026.json").read_bytes())
    return found


def differences(ours: Any, theirs: Any, *, optional: frozenset[str] = frozenset(), path: str = "") -> list[str]:
    """Where our message has another form than a captured one; keys in ``optional`` may be missing or additional."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found = [
            f"{path}.{key} is {'missing' if key in theirs else 'additional'}"
            for key in sorted(ours.keys() ^ theirs.keys())
            if key not in optional
        ]
        for key in sorted(ours.keys() & theirs.keys()):
            found += differences(ours[key], theirs[key], optional=optional, path=f"{path}.{key}")
        return found
    if isinstance(ours, list) and isinstance(theirs, list):
        return differences(ours[0], theirs[0], optional=optional, path=f"{path}[]") if ours and theirs else []
    numbers = {"int", "float"}
    kinds = {type(ours).__name__, type(theirs).__name__}
    return (
        [] if len(kinds) == 1 or kinds == numbers else [f"{path} is {type(ours).__name__}, not {type(theirs).__name__}"]
    )
