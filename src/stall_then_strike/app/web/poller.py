"""Asks the daemon once for all viewers, however many there are, and keeps the last answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stall_then_strike.app.control.socket_client import NoRun, ask
from stall_then_strike.app.view.plain_snapshot import OtherVersion, snapshot_in
from stall_then_strike.app.view.snapshot import Snapshot
from stall_then_strike.app.web.tracks import Tracks
from stall_then_strike.infra.clock import Clock

WATCHED_S: Final = 1.0
"""Between two questions while somebody looks."""
ALONE_S: Final = 5.0
"""Between two questions while nobody does: the charts go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The last that is known of the run."""

    number: int = 0
    """Counts the answers; equal numbers are the same answer."""
    snapshot: Snapshot | None = None
    """None before the first answer."""
    at_ns: int = 0
    """When it was received, on the console's clock."""
    problem: str = ""
    """Why there was no later answer; empty if there was one."""
    other: str = ""
    """The version of the run, if it answers and cannot be understood."""


class Poller:
    """One for each log folder. ``run`` is a task; it neither ends nor fails before it is cancelled."""

    def __init__(self, path: Callable[[], Path], is_watched: Callable[[], bool], clock: Clock) -> None:
        """Nothing is asked yet. ``path`` is where the daemon's socket is now, ``is_watched`` whether anybody looks."""
        self._path, self.is_watched, self._clock = path, is_watched, clock
        self.seen = Seen()
        self.tracks = Tracks()
        self._wanted = asyncio.Event()

    @property
    def path(self) -> Path:
        """The daemon's socket."""
        return self._path()

    def hurry(self) -> None:
        """Ask now: somebody began to look, or commanded something."""
        self._wanted.set()

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            self._wanted.clear()
            self.seen = await self._asked()
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCHED_S if self.is_watched() else ALONE_S):
                    await self._wanted.wait()

    async def _asked(self) -> Seen:
        last, number = self.seen, self.seen.number + 1
        try:
            told = await ask(self.path, "GET", "status")
            if not told.is_done:
                raise NoRun(told.text)
            snapshot = snapshot_in(told.content)
        except (NoRun, OtherVersion) as error:
            problem, other = str(error) or "no answer", error.run if isinstance(error, OtherVersion) else ""
            return Seen(number=number, snapshot=last.snapshot, at_ns=last.at_ns, problem=problem, other=other)
        self.tracks.add(snapshot)
        return Seen(number=number, snapshot=snapshot, at_ns=self._clock.now_ns())
