"""Display of a run: a live panel on a terminal, one line a minute elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from loguru import logger
from rich.console import Console, RenderableType
from rich.control import Control
from rich.layout import Layout
from rich.screen import Screen as FullScreen
from rich.text import Text

from stall_then_strike.app.shell.output import outlet_of
from stall_then_strike.app.view.panel import render
from stall_then_strike.app.view.snapshot import Snapshot
from stall_then_strike.app.view.summary import minute_line

_FRAME_S: Final = 0.25
_LINE_S: Final = 60.0
_FOOTED: Final = 12
"""Least height for a footer."""


class Screen:
    """One console. Only ``live`` runs have a panel; the others are over in a moment.

    The run is never blocked: the output's thread draws the frames and writes everything.
    """

    def __init__(self, console: Console, *, live: bool) -> None:
        """Use the panel if the console is a terminal."""
        self.console = console
        is_able = live and console.is_terminal and not console.is_dumb_terminal
        self._outlet = outlet_of(console.file) if is_able else None
        self.footer: Callable[[], str] = str
        """The panel's last line; an empty one takes no room."""

    @property
    def is_panel(self) -> bool:
        """Whether there is a panel; lines written meanwhile appear after it."""
        return self._outlet is not None

    def begin(self, what: str, folder: Path) -> None:
        """Print what is starting."""
        if not self.is_panel:
            self._say(f"{what}; logs in {folder}")

    async def show(self, snapshot: Callable[[], Snapshot]) -> None:
        """Show the run for ever: four frames a second, or a line a minute, in real time."""
        try:
            await self._show(snapshot)
        except Exception as error:  # noqa: BLE001 - an error of the display must not end the run
            logger.opt(exception=error).error("the display failed and is off; the run goes on")
        finally:
            if self._outlet is not None:
                self._outlet.end_panel()
        await asyncio.Event().wait()

    async def _show(self, snapshot: Callable[[], Snapshot]) -> None:
        while self._outlet is not None:
            self._outlet.draw(partial(self._drawn, snapshot(), self.footer()))
            await asyncio.sleep(_FRAME_S)
        while True:
            await asyncio.sleep(_LINE_S)
            self._say(minute_line(snapshot()))

    def _drawn(self, seen: Snapshot, footer: str = "") -> str:
        """A frame of the terminal's current size."""
        drawn = render(seen)
        if footer and self.console.height >= _FOOTED:
            drawn, panel = Layout(), Layout(drawn)
            drawn.split_column(panel, Layout(Text(footer, "reverse", no_wrap=True, overflow="ellipsis"), size=1))
        with self.console.capture() as frame:
            self.console.print(FullScreen(drawn), end="")
        return f"{Control.home()}{frame.get()}"

    def end(self, summary: RenderableType) -> None:
        """Print the summary."""
        self.console.print(summary)

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
