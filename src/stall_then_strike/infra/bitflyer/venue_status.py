"""The venue's own report of its state and load, queried over REST.

The ticker channel has the board's state but not the venue's load, and ``SUPER BUSY`` is documented as "orders may fail
or be processed late". ``getboardstate`` returns both in one public call (bitFlyer API documentation). An IP address has
500 calls per 5 minutes; one call every 15 s uses 20 of them, however many products are asked for in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from loguru import logger

from stall_then_strike.infra.clock import Clock
from stall_then_strike.infra.http_bitflyer import BitflyerHttp
from stall_then_strike.types.dto import NS_PER_S, VenueStatus
from stall_then_strike.types.errors import VenueError

PERIOD_S: Final = 15.0


async def poll_venue_status(
    https: Sequence[BitflyerHttp],
    clock: Clock,
    on_status: Callable[[VenueStatus, int], None],
    *,
    period_s: float = PERIOD_S,
) -> NoReturn:
    """Query for ever: each product once, then one of them every ``period_s`` of the clock's seconds, in turn.

    ``on_status`` gets the answer and the product's number. A failed call is only logged.
    """

    async def ask(number: int) -> None:
        try:
            condition = await https[number].get_board_state()
        except VenueError as error:
            logger.bind(channel="ws").debug("{}", error)
        else:
            on_status(VenueStatus(ts_ns=clock.now_ns(), state=condition.state, health=condition.health), number)

    for number in range(len(https)):
        await ask(number)
    while True:
        for number in range(len(https)):
            await clock.sleep_until(clock.now_ns() + round(period_s * NS_PER_S))
            await ask(number)
