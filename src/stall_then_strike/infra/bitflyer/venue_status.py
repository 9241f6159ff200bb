"""The venue's own report of its state and load, queried over REST.

The ticker channel has the board's state but not the venue's load, and ``SUPER BUSY`` is documented as "orders may fail
or be processed late". ``getboardstate`` returns both in one public call (bitFlyer API documentation). An IP address has
500 calls per 5 minutes; one call every 15 s uses 20 of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from loguru import logger

from stall_then_strike.infra.clock import Clock
from stall_then_strike.infra.http_bitflyer import BitflyerHttp
from stall_then_strike.types.dto import VenueStatus
from stall_then_strike.types.errors import VenueError

PERIOD_S: Final = 15.0


async def poll_venue_status(
    http: BitflyerHttp, clock: Clock, on_status: Callable[[VenueStatus], None], *, period_s: float = PERIOD_S
) -> None:
    """Query for ever, every ``period_s`` real seconds. A failed call is only logged."""
    log = logger.bind(channel="ws")
    while True:
        try:
            condition = await http.get_board_state()
        except VenueError as error:
            log.debug("{}", error)
        else:
            on_status(VenueStatus(ts_ns=clock.now_ns(), state=condition.state, health=condition.health))
        await asyncio.sleep(period_s)
