"""A screen whose terminal goes away."""

from __future__ import annotations

import asyncio
import io

from rich.console import Console

from stall_then_strike.app.screen import Screen
from stall_then_strike.app.status import Status


class HungUp(io.StringIO):
    """A terminal that was there once: every write fails, as after a SIGHUP."""

    def __init__(self) -> None:
        super().__init__()
        self.tried = asyncio.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.tried.set()
        raise OSError(5, "Input/output error")


async def test_a_terminal_that_is_gone_ends_no_run() -> None:
    gone = HungUp()
    screen = Screen(Console(file=gone, force_terminal=True, width=80, height=24), live=True)
    assert screen.is_panel
    async with asyncio.TaskGroup() as tasks:
        shown = tasks.create_task(screen.show(lambda: Status(ts_ns=0, mode="test")))
        async with asyncio.timeout(5):
            await gone.tried.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not shown.done()
        shown.cancel()
    screen.end("summary")
