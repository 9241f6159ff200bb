"""Steps that are not in the journal yet, and what happens while the journal is locked.

A step must be in the journal before its quotes are sent. Another connection may hold the lock at any time: a thread of
ours for a millisecond, or an operator's tool for any length of time. The event loop does not wait for the lock: a step
that finds the journal locked is owed, and writing it is tried again. Its quotes wait for a moment and are then dropped;
exits hardly wait. If the lock lasts, striking stops, then the operator is told, and finally trading halts. If the
journal fails for another reason (a full disk, an I/O error, damage), trading halts at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final, Protocol

from stall_then_strike.infra.clock import perf_ns
from stall_then_strike.types.dto import NS_PER_S, Changes
from stall_then_strike.types.errors import JournalBusy, JournalError

QUOTE_WAIT_S: Final = 0.1
"""How long a quote waits for its step to be written. If the lock lasts longer, striking stops."""
EXIT_WAIT_S: Final = 0.02
"""How long a closing order waits for its step to be written. It is sent in any case."""
TELL_S: Final = 2.0
_RETRY_S: Final = (0.001, 0.1)
"""First and longest pause before an owed step is tried again."""
_BACKLOG: Final = 10_000
"""Most owed steps; then the oldest are dropped. Reaching this takes hours."""


class ChangeLog(Protocol):
    """Stores changes."""

    def record(self, changes: Changes) -> None:
        """Store the changes, all or none, without waiting. Raises JournalBusy and JournalError."""
        ...


class Listener(Protocol):
    """Reacts to a journal that cannot be written."""

    def on_locked(self) -> None:
        """The journal has been locked for longer than a quote may wait: stop striking."""
        ...

    def on_locked_long(self, text: str) -> None:
        """The journal has been locked for so long that the operator should know."""
        ...

    def on_failed(self, text: str) -> None:
        """The journal cannot be written, or was locked for too long: halt."""
        ...

    def on_written(self, text: str) -> None:
        """All owed steps are written. ``text`` is for the operator; empty if the lock was not reported before."""
        ...


class OwedSteps:
    """The queue of steps that the journal does not have yet."""

    def __init__(self, journal: ChangeLog, listener: Listener, *, locked_sec: float) -> None:
        """Nothing is owed. ``locked_sec`` is how long the journal may be locked, real seconds."""
        self._journal, self._listener = journal, listener
        self._locked_ns = round(locked_sec * NS_PER_S)
        self._steps: deque[Changes] = deque(maxlen=_BACKLOG)
        self.taken = 0
        """Number of steps so far; also the number of the last one."""
        self._written = 0
        self._since_ns: int | None = None
        self._is_held = False
        self._is_reported = False
        self._has_failed = False
        self._fails = asyncio.Event()
        self._wrote = asyncio.Event()

    def __len__(self) -> int:
        """How many steps the journal does not have."""
        return len(self._steps)

    def add(self, changes: Changes) -> None:
        """Take one more step, and write it at once if possible."""
        if len(self._steps) == _BACKLOG:
            self._written += 1  # the oldest step is dropped: it counts as written
        self._steps.append(changes)
        self.taken += 1
        self.write()

    def write(self) -> bool:
        """Write the owed steps, in order. Returns whether the journal has all of them now."""
        try:
            while self._steps:
                self._journal.record(self._steps[0])
                self._steps.popleft()
                self._written += 1
        except JournalBusy as error:
            self._on_busy(str(error))
        except JournalError as error:
            self._on_failure(str(error))
        else:
            if self._fails.is_set():
                self._on_written()
            return True
        self._fails.set()
        return False

    async def settle(self, limit_s: float | None) -> bool:
        """Try until nothing is owed, or until the limit. Returns whether nothing is owed."""
        pause_s, longest_s = _RETRY_S
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while not self.write():
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, longest_s)
        return not self._steps

    async def keep_trying(self) -> None:
        """Try again whenever something is owed, until cancelled."""
        while True:
            await self._fails.wait()
            await self.settle(None)

    async def wait_written(self, step: int, limit_s: float) -> bool:
        """Wait until the journal has this step and all before it, or until the limit. Returns whether it has them."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while self._written < step:
                    self._wrote.clear()
                    await self._wrote.wait()
        return self._written >= step

    def _on_busy(self, why: str) -> None:
        now_ns = perf_ns()
        if self._since_ns is None:
            self._since_ns = now_ns
        locked_ns = now_ns - self._since_ns
        if locked_ns >= QUOTE_WAIT_S * NS_PER_S and not self._is_held:
            self._is_held = True
            self._listener.on_locked()
        if locked_ns >= TELL_S * NS_PER_S and not self._is_reported:
            self._is_reported = True
            self._listener.on_locked_long(why)
        if locked_ns >= self._locked_ns:
            self._on_failure(f"{why}, for {locked_ns / NS_PER_S:,.0f} s")

    def _on_failure(self, why: str) -> None:
        if not self._has_failed:
            self._has_failed = self._is_reported = True
            self._listener.on_failed(why)

    def _on_written(self) -> None:
        self._fails.clear()
        self._wrote.set()
        text = ""
        if self._is_reported:
            after = "" if self._since_ns is None else f", after {(perf_ns() - self._since_ns) / NS_PER_S:,.1f} s"
            text = f"the journal can be written again{after}"
        is_news = self._is_held or self._is_reported
        self._since_ns, self._is_held, self._is_reported, self._has_failed = None, False, False, False
        if is_news:
            self._listener.on_written(text)
