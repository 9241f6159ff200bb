"""The venue's own word on its health, asked over REST.

The ticker channel carries the board's state but not the venue's load, and ``SUPER BUSY`` is documented as "orders may
fail or be processed late". ``getboardstate`` gives both in one public call (bitFlyer API documentation). It costs one
of 500 calls per 5 minutes and address; every 15 s uses 20.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

import aiohttp
import pybotters
from loguru import logger

from stall_then_strike.infra.clock import Clock
from stall_then_strike.types.dto import BoardState, Health, VenueStatus

PERIOD_S: Final = 15.0

_E = TypeVar("_E", BoardState, Health)


def _word(kind: type[_E], word: object, unknown: _E) -> _E:
    return next((member for member in kind if member.value == word), unknown)


async def poll_venue_status(
    client: pybotters.Client,
    clock: Clock,
    product_code: str,
    on_status: Callable[[VenueStatus], None],
    limit: aiohttp.ClientTimeout,
    *,
    period_s: float = PERIOD_S,
) -> None:
    """Ask for ever, every ``period_s`` real seconds, each call within ``limit``. An unreadable answer says nothing."""
    log = logger.bind(channel="ws")
    while True:
        try:
            answer = await client.fetch(
                "GET", "/v1/getboardstate", params={"product_code": product_code}, auth=None, timeout=limit
            )
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeDecodeError) as error:
            log.debug("getboardstate: {}: {}", type(error).__name__, error)
        else:
            data = answer.data
            if answer.response.status == 200 and isinstance(data, dict) and "health" in data:
                health = _word(Health, data["health"], Health.UNKNOWN)
                state = _word(BoardState, data.get("state"), BoardState.UNKNOWN)
                on_status(VenueStatus(ts_ns=clock.now_ns(), state=state, health=health))
            else:
                log.debug("getboardstate: HTTP {}: {:.200}", answer.response.status, answer.text)
        await asyncio.sleep(period_s)
