"""Keeps a journal small while it is written: checkpoints its log and deletes old rows, in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Final

from stall_then_strike.infra.clock import perf_ns
from stall_then_strike.infra.journal.lock_holders import readers
from stall_then_strike.infra.journal.writer import CHECKPOINT_RECORDS, Journal
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import JournalBusy, JournalError

_LOOK_S: Final = 1.0
_CHECKPOINT_NS: Final = 30 * NS_PER_S
_SLOW_NS: Final = 60 * NS_PER_S
"""Time between two searches for old rows once none are left."""
_BATCHES: Final = 20
"""Batches of each kind of row in one look: a thousand rows a second, while a busy day adds four a second."""
_BREATH_S: Final = 0.005
"""Pause between two batches, so that the writer gets its turn."""
_LONG_LOG_BYTES: Final = 64 * 1024 * 1024
"""Size of the log from which on the operator is warned: some program keeps a read transaction open."""


class JournalCare:
    """Care of one journal. ``run`` belongs in the task group of its owner."""

    def __init__(
        self, journal: Journal, keep_days: int, now_ns: Callable[[], int], tell: Callable[[str], None]
    ) -> None:
        """``tell`` is called on the event loop with warnings for the operator."""
        self._journal, self._keep_days, self._now_ns, self._tell = journal, keep_days, now_ns, tell
        self._moved_ns = self._pruned_ns = perf_ns()
        self._is_old_left = True
        self._told_bytes = 0
        self._trouble = ""
        self._breath = threading.Event()

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            for words in await asyncio.to_thread(lambda: list(self.look())):
                self._tell(words)

    def look(self) -> Iterator[str]:
        """Do what is due. Yields warnings for the operator."""
        try:
            self._checkpoint()
            self._prune()
            self._trouble = ""
        except JournalBusy:
            pass  # the writer reports a lock
        except JournalError as error:
            if str(error) != self._trouble:
                yield str(error)
            self._trouble = str(error)
        yield from self._long_log()

    def _checkpoint(self) -> None:
        now_ns = perf_ns()
        if now_ns - self._moved_ns < _CHECKPOINT_NS and self._journal.unmoved < CHECKPOINT_RECORDS:
            return
        if self._journal.checkpoint():  # if not, it is tried again at the next look
            self._moved_ns = now_ns

    def _prune(self) -> None:
        now_ns = perf_ns()
        if not self._is_old_left and now_ns - self._pruned_ns < _SLOW_NS:
            return
        self._pruned_ns = now_ns
        self._journal.reserve.keep()
        for _ in range(_BATCHES):
            if not self._journal.prune(self._keep_days, self._now_ns()):
                self._is_old_left = False
                return
            self._breath.wait(_BREATH_S)
        self._is_old_left = True

    def _long_log(self) -> Iterator[str]:
        """Warn that the log cannot be reset; repeat the warning each time its size has doubled."""
        size = self._journal.log_bytes
        if size < _LONG_LOG_BYTES:
            self._told_bytes = 0
        elif size >= 2 * self._told_bytes:
            self._told_bytes = size
            who = readers(self._journal.path) or "a program"
            yield (
                f"the log of {self._journal.path} has grown to {size / 1e6:,.0f} MB and cannot be reset: {who} has "
                "kept one read open for long; end it"
            )
