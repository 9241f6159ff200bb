"""Sends two orders at a board message and does nothing else: the limit of what a strategy in this language can reach.

A loop on aiohttp's WebSocket. A message is parsed by orjson, its mid is read, and both orders are signed and written on
two open connections, in the turn in which the message came. There is no book, no stall, no check, no limit, no journal,
no log. The quotes are cancelled when their time is up, as the other traders do it.

Started by `live_latency.py` as ``python -m benchmarks.bare_trader`` with its settings as JSON on standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import aiohttp
import orjson

from benchmarks.live_latency import FAR
from benchmarks.messages import PRODUCT
from benchmarks.stock_trader import Settings
from stall_then_strike.app.shell import cli
from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.http_bitflyer import SignedLine
from stall_then_strike.infra.line.ready_line import ReadyLine

LIMIT_S = 10.0


class BareTrader:
    """Two orders at each message that comes while none rests."""

    def __init__(self, settings: Settings, line: ReadyLine, tasks: asyncio.TaskGroup) -> None:
        """No quote."""
        self._ttl_s, self._size = settings.ttl_ms / 1e3, settings.size
        self._signed = SignedLine(line, settings.base_url, Credentials(key=settings.key, secret=settings.secret))
        self._line, self._tasks = line, tasks
        self._is_quoting = False

    async def run(self, ws_url: str) -> None:
        """Trade until cancelled."""
        async with aiohttp.ClientSession() as session, session.ws_connect(ws_url) as ws:
            await ws.send_json({"method": "subscribe", "params": {"channel": f"lightning_board_{PRODUCT}"}, "id": 1})
            async for message in ws:
                self._on_text(message.data)

    def _on_text(self, text: str) -> None:
        board = orjson.loads(text).get("params")
        if board is None or self._is_quoting or len(self._line) < 2:
            return
        self._is_quoting = True
        mid = int(board["message"]["mid_price"])
        self._tasks.create_task(self._strike(mid))

    async def _strike(self, mid: int) -> None:
        ids = await asyncio.gather(self._place("BUY", mid - FAR), self._place("SELL", mid + FAR))
        await asyncio.sleep(self._ttl_s)
        for order_id in ids:
            await self._post("cancelchildorder", {"product_code": PRODUCT, "child_order_acceptance_id": order_id})
        self._is_quoting = False

    async def _place(self, side: str, price: int) -> str:
        body = {
            "product_code": PRODUCT,
            "child_order_type": "LIMIT",
            "side": side,
            "price": price,
            "size": self._size,
            "minute_to_expire": 1,
            "time_in_force": "GTC",
        }
        return str(orjson.loads(await self._post("sendchildorder", body))["child_order_acceptance_id"])

    async def _post(self, call: str, body: dict[str, Any]) -> str:
        sent = self._signed.post(f"/v1/me/{call}", body)
        if sent is None:
            raise AssertionError("four connections are kept, and two are used")
        return (await sent.answer(LIMIT_S, _text)).text or "null"


async def _text(content: aiohttp.StreamReader) -> str:
    return (await content.read()).decode()


async def main(settings: Settings) -> None:
    """Trade until killed."""
    line = ReadyLine(settings.base_url, connect_s=LIMIT_S)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(line.keep_open())
        await BareTrader(settings, line, tasks).run(settings.ws_url)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=cli.loop_factory()) as runner:
        runner.run(main(Settings(**json.load(sys.stdin))))
