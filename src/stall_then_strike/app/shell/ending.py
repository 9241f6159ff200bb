"""The request to end a run: by a signal, by its duration, or by the run itself."""

from __future__ import annotations

import asyncio
import signal

from loguru import logger


class Ending:
    """Whether a run is to end, and why. The first signal means: in good order; the second: in a hurry.

    A terminal that closes hurries nobody: the shell and the system each send a SIGHUP.
    """

    def __init__(self) -> None:
        """Start without a request."""
        self.wanted = asyncio.Event()
        self.hurry = asyncio.Event()
        self.reread = asyncio.Event()
        """Set to have the settings read anew."""
        self.why = ""

    def on_signal(self, name: str) -> None:
        """Handle a stop signal."""
        if self.wanted.is_set() and name != signal.SIGHUP.name:
            self.hurry.set()
        self.ask(name)

    def ask(self, why: str) -> None:
        """Request an end in good order; the first reason is kept."""
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
