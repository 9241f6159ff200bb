"""The strategy as its specification sketches it, on pybotters' stock store: what the daemon is measured against.

One process, one loop over ``store.board.watch()``; at every change the best from ``store.board.sorted(limit=1)``, its
age, and a strike by ``client.post`` for each side, one after the other, as the sketch's executor awaits them. Left out,
in favour of this side: logs, the journal, fills, the private channel, limits, every check of the book. Quotes are
cancelled by a task of their own when their time is up, so that no strike waits for a cancel.

Started by `live_latency.py` as ``python -m benchmarks.stock_trader`` with its settings as JSON on standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import warnings
from dataclasses import dataclass
from time import monotonic
from typing import Any

import pybotters
from aiohttp import ClientTimeout

from benchmarks.messages import PRODUCT
from stall_then_strike.app.shell import cli
from stall_then_strike.infra.bitflyer.credentials import sign_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Addresses, keys, and the strategy's numbers."""

    base_url: str
    ws_url: str
    key: str
    secret: str
    stall_ms: int
    ttl_ms: int
    size: float


class StockTrader:
    """The sketch's view, strategy and executor in one."""

    def __init__(self, client: pybotters.Client, settings: Settings, tasks: asyncio.TaskGroup) -> None:
        """No quote, no best."""
        self.client, self.settings, self.tasks = client, settings, tasks
        self.store = pybotters.bitFlyerDataStore()
        self.best: tuple[float, float] | None = None
        self.since = 0.0
        self.is_quoting = False

    async def run(self) -> None:
        """Trade until cancelled."""
        s = self.settings
        with self.store.board.watch() as stream:
            await self.client.ws_connect(
                s.ws_url,
                send_json=[
                    {"method": "subscribe", "params": {"channel": f"lightning_{kind}_{PRODUCT}"}, "id": number}
                    for number, kind in enumerate(("board_snapshot", "board"), 1)
                ],
                hdlr_json=self.store.onmessage,
            )
            async for _ in stream:
                await self.on_board(monotonic())

    async def on_board(self, now: float) -> None:
        """One look at the book."""
        levels = self.store.board.sorted(limit=1)
        if not levels.get("bids") or not levels.get("asks"):
            return
        best = levels["bids"][0]["price"], levels["asks"][0]["price"]
        if best != self.best:
            self.best, self.since = best, now
        if self.is_quoting or best[1] <= best[0] or (now - self.since) * 1e3 < self.settings.stall_ms:
            return
        self.is_quoting = True
        ids = [await self.send("BUY", best[0]), await self.send("SELL", best[1])]
        self.tasks.create_task(self.end(ids))

    async def send(self, side: str, price: float) -> str:
        """One limit order; its acceptance id."""
        body = {
            "product_code": PRODUCT,
            "child_order_type": "LIMIT",
            "side": side,
            "price": int(price),
            "size": self.settings.size,
            "minute_to_expire": 1,
            "time_in_force": "GTC",
        }
        answer: dict[str, Any] = await self.post("sendchildorder", body)
        return str(answer["child_order_acceptance_id"])

    async def end(self, ids: list[str]) -> None:
        """Cancel a strike's quotes when their time is up."""
        await asyncio.sleep(self.settings.ttl_ms / 1e3)
        for order_id in ids:
            await self.post("cancelchildorder", {"product_code": PRODUCT, "child_order_acceptance_id": order_id})
        self.is_quoting = False

    async def post(self, call: str, body: dict[str, Any]) -> Any:
        """A private call; its answer, None for an empty one."""
        async with self.client.post(f"/v1/me/{call}", data=body) as response:
            response.raise_for_status()
            text = await response.text()
        return json.loads(text) if text else None


async def main(settings: Settings) -> None:
    """Trade until killed."""
    with sign_for("127.0.0.1"):
        async with (
            pybotters.Client(
                apis={"bitflyer": [settings.key, settings.secret]},
                base_url=settings.base_url,
                timeout=ClientTimeout(total=10),
            ) as client,
            asyncio.TaskGroup() as tasks,
        ):
            await StockTrader(client, settings, tasks).run()


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)  # of how pybotters hands its signature to aiohttp
    with asyncio.Runner(loop_factory=cli.loop_factory()) as runner:
        runner.run(main(Settings(**json.load(sys.stdin))))
