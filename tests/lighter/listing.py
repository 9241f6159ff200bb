"""A venue that lists what it is told to: spot markets, which the exchange on loopback has none of, or trouble."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

PERP = {
    "symbol": "ETH",
    "market_id": 0,
    "market_type": "perp",
    "status": "active",
    "min_base_amount": "0.0050",
    "min_quote_amount": "10.000000",
    "order_quote_limit": "281474976.710655",
    "supported_size_decimals": 4,
    "supported_price_decimals": 2,
}
SPOT = PERP | {"symbol": "ETH/USDC", "market_id": 2048, "market_type": "spot", "min_base_amount": "0.00505"}
CLOSED = PERP | {"symbol": "MKR", "market_id": 28, "status": "inactive"}


@dataclass
class Listing:
    """``answer`` is what the next calls get: rows, or a whole body, or a status with text."""

    base_url: str = ""
    answer: list[dict[str, Any]] | tuple[int, str] = field(default_factory=lambda: [SPOT, CLOSED, PERP])
    asked: int = 0

    async def handle(self, _request: web.Request) -> web.Response:
        self.asked += 1
        if isinstance(self.answer, tuple):
            return web.Response(status=self.answer[0], text=self.answer[1])
        return web.json_response({"code": 200, "order_books": self.answer})


@asynccontextmanager
async def listing() -> AsyncIterator[Listing]:
    venue = Listing()
    app = web.Application()
    app.router.add_get("/api/v1/orderBooks", venue.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        venue.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield venue
    finally:
        await runner.cleanup()
