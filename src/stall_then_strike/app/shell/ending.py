"""How a run is told to end: by signals, by its duration, by itself."""

from __future__ import annotations

import asyncio

from loguru import logger


class Ending:
    """Why and how fast. The first signal means in good order, the second in a hurry."""

    def __init__(self) -> None:
        """Nobody wants it to end."""
        self.wanted = asyncio.Event()
        self.hurry = asyncio.Event()
        self.why = ""

    def on_signal(self, name: str) -> None:
        """A signal came."""
        if self.wanted.is_set():
            self.hurry.set()
        self.ask(name)

    def ask(self, why: str) -> None:
        """End in good order; the first reason counts."""
        if not self.wanted.is_set():
            self.why = why
            logger.info("stopping: {}", why)
            self.wanted.set()

    async def wait(self, duration_s: float | None) -> None:
        """Return when the run is to end: it was asked to, or it has lasted so many real seconds."""
        try:
            async with asyncio.timeout(duration_s):
                await self.wanted.wait()
        except TimeoutError:
            self.ask("duration over")
