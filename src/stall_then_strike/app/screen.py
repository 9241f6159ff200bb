"""Where a run shows itself: a live panel on a terminal, one line a minute elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from loguru import logger
from rich.console import Console, RenderableType
from rich.live import Live

from stall_then_strike.app.panel import render
from stall_then_strike.app.status import Status
from stall_then_strike.app.summary import minute_line

_FRAME_S: Final = 0.25
_LINE_S: Final = 60.0


class Screen:
    """One console. ``live`` runs have a present worth showing; the others are over in a moment."""

    def __init__(self, console: Console, *, live: bool) -> None:
        """The panel needs a terminal."""
        self.console = console
        self.is_panel = live and console.is_terminal

    def begin(self, what: str, log_dir: Path) -> None:
        """Say what is starting."""
        if not self.is_panel:
            self._say(f"{what}; logs in {log_dir}")

    async def show(self, status: Callable[[], Status]) -> None:
        """Show the run for ever: four frames a second, or a line a minute, in real time."""
        try:
            await self._show(status)
        except OSError as error:
            # The terminal is gone (SIGHUP comes with that). A run does not end by having nobody to look at it.
            logger.warning("nothing can be shown any more: {}", error.strerror)
        await asyncio.Event().wait()

    async def _show(self, status: Callable[[], Status]) -> None:
        if not self.is_panel:
            while True:
                await asyncio.sleep(_LINE_S)
                self._say(minute_line(status()))
        with Live(render(status()), console=self.console, screen=True, auto_refresh=False) as live:
            while True:
                await asyncio.sleep(_FRAME_S)
                live.update(render(status()), refresh=True)

    def end(self, summary: RenderableType) -> None:
        """Leave the summary, if there is still somebody to read it."""
        with suppress(OSError):
            self.console.print(summary)

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
