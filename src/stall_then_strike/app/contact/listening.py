"""A probe's run: listen to the session, ask, ask once more at the end, and judge."""

from __future__ import annotations

import asyncio

from loguru import logger

from stall_then_strike.app.contact.manners import Manners
from stall_then_strike.app.contact.questions import Questions
from stall_then_strike.app.contact.watching import Figures, Watch
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.types.errors import FeedError
from stall_then_strike.venues.bitflyer_connection import BitflyerConnection


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
        questions = Questions(http, cfg.exchange.product_code, watch.deviations, watch.answers, clock)
        manners = Manners(cfg.exchange.ws_url, cfg.exchange.product_code, watch.deviations, clock)

        async def ask(*, refused: bool) -> None:
            await questions.ask_public(provokes=refused)
            if account is not None:
                await questions.ask_private(provokes=refused)

        async def hear() -> None:
            try:
                await connection.session.connect_ws()
                await connection.session.wait_ready()
            except FeedError as error:
                _tell_deaf(watch, error, clock)
            try:
                await connection.session.wait_failed()
            except FeedError as error:
                _tell_deaf(watch, error, clock)

        async with asyncio.TaskGroup() as tasks:
            owned = [
                tasks.create_task(hear()),
                tasks.create_task(manners.observe(provokes=provokes)),
                tasks.create_task(ask(refused=provokes)),
            ]
            await ending.wait(duration_s / clock.speed)
            for task in owned:
                task.cancel()
        if not ending.hurry.is_set():
            await ask(refused=False)
        manners.finish()
        return watch, watch.finish()


def _tell_deaf(watch: Watch, error: FeedError, clock: ScaledClock) -> None:
    """Note that the session does not get what a run needs; it keeps trying unless it was refused."""
    logger.warning("{}", error)
    watch.deviations.add(
        "a run would not start: the feed",
        expected="books and the private channel within ws.connect_timeout_sec",
        seen=str(error),
        at_ns=clock.now_ns(),
        is_grave=True,
    )
