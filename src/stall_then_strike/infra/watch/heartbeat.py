"""A heartbeat in a file, for the watchdog, a separate process that acts when the heartbeat stops.

The writer is a coroutine on the trading loop, so a hanging loop stops it just as a killed process does. For the reader
a heartbeat is alive while its content changes. The reader measures silence with its own monotonic clock, so neither
side's wall clock matters. Only :func:`age_sec`, for a check from outside, uses the file's time.

The file is replaced as a whole and not synced, because it need not survive a reboot. Even so, a write may block on a
busy disk (0.1 s was seen), so a thread does the writing.
"""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Final, Literal

import orjson
from loguru import logger
from pydantic import BaseModel, ConfigDict, ValidationError

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import Clock
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import JournalError


class Beat(BaseModel):
    """The content of the file."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    run_ns: int
    """When the run began, UTC nanoseconds; identifies the run."""
    pid: int
    beat: int
    """Counts up within a run."""
    time_ns: int
    """When the beat was written, on the writer's clock, UTC."""
    state: Literal["running", "stopped"]
    """``stopped`` means that the run left no live order behind."""


def heartbeat_path(cfg: AppConfig) -> Path:
    """The heartbeat file of a product."""
    return Path(cfg.journal.dir) / f"{cfg.exchange.product_code}.heartbeat"


def read_beat(path: Path) -> Beat | None:
    """The current heartbeat; None if the file is missing or unreadable."""
    try:
        return Beat.model_validate(orjson.loads(path.read_bytes()))
    except (OSError, orjson.JSONDecodeError, ValidationError):
        return None


def age_sec(path: Path, now_ns: int) -> float | None:
    """Seconds from the file's last change to ``now_ns`` of the wall clock; None without a file."""
    try:
        return (now_ns - path.stat().st_mtime_ns) / NS_PER_S
    except OSError:
        return None


class Heartbeat:
    """The writer. Run ``run`` in the task group of the trading loop."""

    def __init__(self, path: Path, clock: Clock, *, period_sec: float) -> None:
        """Write nothing yet. ``clock`` must run at real speed."""
        self._path = path
        self._new = path.with_name(f"{path.name}.new")
        self._clock = clock
        self._period_ns = round(period_sec * NS_PER_S)
        self._run_ns = clock.now_ns()
        self._beat = 0
        self._has_failed = False
        self._is_over = False
        self._writing = threading.Lock()

    async def run(self) -> None:
        """Beat for ever. Raises JournalError if the first beat cannot be written.

        If a later one fails, such as on a full disk, that is logged once, and the watchdog will act on the silence.
        """
        try:
            self._write("running")
        except OSError as error:
            raise JournalError(f"the heartbeat {self._path} cannot be written: {error.strerror or error}") from error
        while True:
            await self._clock.sleep_until(self._clock.now_ns() + self._period_ns)
            await asyncio.to_thread(self._try, "running")

    def stopped(self) -> None:
        """Record that this run is over and left no live order behind, so that the watchdog does nothing.

        Call it only after ``run`` has ended.
        """
        self._try("stopped")

    def _try(self, state: Literal["running", "stopped"]) -> None:
        with self._writing:
            if self._is_over:
                return  # a beat that was in flight when the run ended
            self._is_over = state == "stopped"
            try:
                self._write(state)
                self._has_failed = False
            except OSError as error:
                if not self._has_failed:
                    logger.error("the heartbeat cannot be written: {}", error.strerror or error)
                self._has_failed = True

    def _write(self, state: Literal["running", "stopped"]) -> None:
        self._beat += 1
        beat = Beat(run_ns=self._run_ns, pid=os.getpid(), beat=self._beat, time_ns=self._clock.now_ns(), state=state)
        self._path.parent.mkdir(parents=True, exist_ok=True)  # someone may have removed the folder
        self._new.write_bytes(orjson.dumps(beat.model_dump()))
        self._new.replace(self._path)


class Pulse(Enum):
    """What the watchdog knows about the run it watches."""

    UNSEEN = auto()
    """The heartbeat has not changed since the watchdog began: there is no run to protect."""
    ALIVE = auto()
    STOPPED = auto()
    """The last run ended cleanly."""
    LOST = auto()
    """The run was alive and has been silent for the limit."""


@dataclass(slots=True)
class Vigil:
    """Judges a heartbeat at each look. Pure: beats and times in, a Pulse out.

    A heartbeat from before the first look is never lost, however its run ended: only a change makes it alive. Silence
    is summed over the looks, and the time between two looks counts for at most ``max_gap_ns``: if the whole machine was
    frozen, it says nothing about the other process.
    """

    limit_ns: Final[int]
    max_gap_ns: Final[int]
    pulse: Pulse = Pulse.UNSEEN
    silence_ns: int = 0
    _beat: Beat | None = None
    _looked_ns: int | None = None

    def look(self, beat: Beat | None, now_ns: int) -> Pulse:
        """Judge the beat read at ``now_ns``; None stands for a missing or unreadable file."""
        is_first, looked_ns = self._looked_ns is None, self._looked_ns
        self._looked_ns = now_ns
        if beat is not None and beat != self._beat:
            self._beat = beat
            self.silence_ns = 0
            if is_first:  # of an earlier run or a live one: the next change decides
                return self.pulse
            self.pulse = Pulse.STOPPED if beat.state == "stopped" else Pulse.ALIVE
        elif looked_ns is not None:
            self.silence_ns += min(now_ns - looked_ns, self.max_gap_ns)
            if self.pulse is Pulse.ALIVE and self.silence_ns >= self.limit_ns:
                self.pulse = Pulse.LOST
        return self.pulse
