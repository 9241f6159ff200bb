"""A probe's run: listen to the session, ask, ask once more at the end, and judge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from loguru import logger

from stall_then_strike.app.contact.assumed.deviations import Deviations
from stall_then_strike.app.contact.manners import Manners
from stall_then_strike.app.contact.questions import Questions
from stall_then_strike.app.contact.watching import Figures, Watch
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.types.errors import FeedError
from stall_then_strike.venues.bitflyer_connection import BitflyerConnection
from stall_then_strike.venues.connection import Session


async def listen(
    cfg: AppConfig,
    clock: ScaledClock,
    account: Credentials | None,
    ending: Ending,
    duration_s: float,
    *,
    provokes: bool = True,
) -> tuple[Watch, Figures]:
    """Listen for so many seconds of the clock, or until the ending is wanted.

    ``provokes``: also ask what the venue should refuse. Whatever goes wrong at the venue is a deviation and no error.
    """
    watch = Watch(cfg, account, clock)
    async with BitflyerConnection(cfg, clock, account) as connection:
        watch.attach(connection)
        (http,) = connection.https
        questions = Questions(http, cfg.exchange.product_code, watch.deviations, watch.answers)
        manners = Manners(cfg.exchange.ws_url, cfg.exchange.product_code, watch.deviations)

        async def ask(*, provokes: bool) -> None:
            await questions.ask_public(provokes=provokes)
            if account is not None:
                await questions.ask_private(provokes=provokes)

        await listen_and_ask(
            connection.session,
            watch.deviations,
            clock,
            ending,
            duration_s,
            manners.observe(provokes=provokes),
            ask(provokes=provokes),
            lambda: ask(provokes=False),
            awaited="books and the private channel",
        )
        manners.finish()
        return watch, watch.finish()


async def listen_and_ask(
    session: Session,
    found: Deviations,
    clock: ScaledClock,
    ending: Ending,
    duration_s: float,
    observing: Coroutine[Any, Any, None],
    asking: Coroutine[Any, Any, None],
    ask_again: Callable[[], Coroutine[Any, Any, None]],
    *,
    awaited: str,
) -> None:
    """Listen, observe the socket's manners and ask, beside each other; at the end ask once more, unless in a hurry.

    ``awaited`` says what a run needs of the session before it starts.
    """

    async def hear() -> None:
        try:
            await session.connect_ws()
            await session.wait_ready()
        except FeedError as error:
            tell_deaf(error)
        try:
            await session.wait_failed()
        except FeedError as error:
            tell_deaf(error)

    def tell_deaf(error: FeedError) -> None:
        """Note that the session does not get what a run needs; it keeps trying unless it was refused."""
        logger.warning("{}", error)
        found.add(
            "a run would not start: the feed",
            expected=f"{awaited} within ws.connect_timeout_sec",
            seen=str(error),
            is_grave=True,
        )

    async with asyncio.TaskGroup() as tasks:
        owned = [tasks.create_task(part) for part in (hear(), observing, asking)]
        await ending.wait(duration_s / clock.speed)
        for task in owned:
            task.cancel()
    if not ending.hurry.is_set():
        await ask_again()
