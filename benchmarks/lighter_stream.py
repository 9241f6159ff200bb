"""A venue that only sends: Lighter's market data of many markets on one socket, from a process of its own.

The messages are the captured ones of BTC, once for each market, or made ones of the same shape where the capture is
absent. Each text begins with the time of its sending, so that a client on this machine can tell its lag.

The protocol is the venue's as far as a client of market data needs it: a greeting, ``subscribe`` answered by the first
message of the channel, then changes. They begin when a client sends ``{"type": "go"}``.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic_ns, time_ns
from typing import Any

from aiohttp import WSMsgType, web

CAPTURE = Path("data/lighter/ws_book_trade_stats_btc_20251210.jsonl")
MARKET = "@M@"
"""Stands for the market's index in a text."""
STAMP = '{"sent_ns":'
KINDS = ("order_book", "trade", "market_stats")


@dataclass(frozen=True, slots=True)
class Stream:
    """One market's messages as texts: the first of each channel, and the changes with their channel's kind."""

    name: str
    seconds: float
    """How long the changes took on the wire."""
    first: dict[str, str]
    changes: list[tuple[str, str]]

    @property
    def per_s(self) -> float:
        """Messages a second."""
        return len(self.changes) / self.seconds

    def of_book(self, most: int) -> list[tuple[str, str]]:
        """The first changes of the book."""
        return [change for change in self.changes if change[0] == "order_book"][:most]


def stream() -> Stream:
    """The captured one, or a made one."""
    shared = Path(os.environ.get("STS_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    if not (shared / CAPTURE).is_file():
        return made(228)
    rows = [json.loads(line) for line in (shared / CAPTURE).read_text().splitlines()]
    messages = [row["msg"] for row in rows]
    first = {_kind(m): _text(m) for m in messages if m["type"].startswith("subscribed/")}
    changes = [(_kind(m), _text(m)) for m in messages if m["type"].startswith("update/")]
    stamps = [row["recv_s"] for row in rows if row["msg"]["type"].startswith("update/")]
    return Stream("captured", max(stamps) - min(stamps), first, changes)


def made(changes: int, levels: int = 2_800, seed: int = 1) -> Stream:
    """A book of two equal sides, and changes of three levels near the best that never cross it."""
    rng = random.Random(seed)

    def rows(sign: int, distances: Iterator[int] | range) -> list[dict[str, str]]:
        return [{"price": f"{90_000 + sign * d / 10:.1f}", "size": f"{rng.random() + 0.1:.5f}"} for d in distances]

    def book(asks: Any, bids: Any, number: int) -> dict[str, Any]:
        numbers = {"offset": number, "nonce": number, "begin_nonce": max(0, number - 1)}
        return {"code": 0, "asks": asks, "bids": bids} | numbers

    whole = book(rows(1, range(5, levels + 5)), rows(-1, range(5, levels + 5)), 0)
    contents = {"order_book": whole, "trade": [], "market_stats": {"market_id": 1}}
    first = {
        kind: _text({"trades" if kind == "trade" else kind: content, "type": f"subscribed/{kind}"})
        for kind, content in contents.items()
    }
    texts = []
    for number in range(1, changes + 1):
        near = [1 + int(rng.expovariate(1 / 40)) for _ in range(3)]
        changed = book(rows(1, iter(near[:2])), rows(-1, iter(near[2:])), number)
        texts.append(("order_book", _text({"order_book": changed, "type": "update/order_book"})))
    return Stream("made", changes / 150, first, texts)


def _kind(message: dict[str, Any]) -> str:
    return str(message["type"]).partition("/")[2]


def _text(message: dict[str, Any]) -> str:
    """A message of market 1 as a text for any market; statistics as the channel of all markets sends them."""
    kind, body = _kind(message), json.loads(json.dumps(message))
    body["channel"] = f"{kind}:{MARKET}"
    for name in ("trades", "liquidation_trades"):
        for row in body.get(name) or ():
            row["market_id"] = MARKET
    if kind == "market_stats":
        body |= {"channel": f"{kind}:all", kind: {MARKET: body[kind] | {"market_id": MARKET}}}
    text = json.dumps(body, separators=(",", ":"))
    return text.replace(f'"market_id":"{MARKET}"', f'"market_id":{MARKET}')


# --- the process -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """What is sent after ``go``."""

    markets: int
    per_s: float | None
    """Messages a second of all markets together; None: as fast as they are taken."""
    updates: int | None = None
    """That many changes of each book and nothing else."""
    changes: int | None = None
    """That many messages of each market; None: all there are."""


def serve(play: Play, port: Connection) -> None:
    """Run the server until the process is ended; its port is sent through ``port``."""
    asyncio.run(_serve(play, port))


async def _serve(play: Play, port: Connection) -> None:
    source = stream()

    async def talk(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        await socket.send_str('{"session_id":"x","type":"connected"}')
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            asked = json.loads(message.data)
            if asked["type"] == "subscribe":
                kind, _, market = asked["channel"].partition("/")
                await socket.send_str(source.first[kind].replace(MARKET, "0" if market == "all" else market))
            elif asked["type"] == "go":
                await _send(socket, play, source)
        return socket

    app = web.Application()
    app.router.add_get("/stream", talk)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port.send(runner.addresses[0][1])
    await asyncio.Event().wait()


async def _send(socket: web.WebSocketResponse, play: Play, source: Stream) -> None:
    changes = source.changes[: play.changes] if play.updates is None else source.of_book(play.updates)
    start_ns, sent = monotonic_ns(), 0
    for _, text in changes:
        for market in range(play.markets):
            if play.per_s is not None:
                ahead_s = sent / play.per_s - (monotonic_ns() - start_ns) / 1e9
                if ahead_s > 0:
                    await asyncio.sleep(ahead_s)
            sent += 1
            await socket.send_str(f"{STAMP}{time_ns()},{text[1:].replace(MARKET, str(market))}")
