"""A journal of a run with nothing at stake: what its steps change is gathered, and written together.

A paper run keeps one beside its manifest, new for each run. Its last moments can be lost, and if it cannot be written
any more, that is said once and the run goes on: the CSVs have all that matters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from loguru import logger

from stall_then_strike.infra.journal.instance_lock import journal_lock
from stall_then_strike.infra.journal.writer import Journal
from stall_then_strike.types.dto import Changes, ClientOrderId, OrderMemo
from stall_then_strike.types.errors import JournalBusy, JournalError

ACCOUNT: Final = "paper"
"""Stands in the journal for the account: no fingerprint of a key, so that live trading refuses the file."""
WRITE_S: Final = 1.0
"""How often a run in real time writes, real seconds."""
_LAST_WRITE_S: Final = 5.0
"""How long the end waits for a program that keeps the journal locked."""
_MOST: Final = 100_000
"""Steps that may wait for a program that keeps the journal locked."""
_CHECKPOINT_RECORDS: Final = 500


class BatchedJournal:
    """The writer, as a context manager. Made by :meth:`open`."""

    def __init__(self, journal: Journal) -> None:
        """For :meth:`open`."""
        self.journal: Final = journal
        self._waiting: list[Changes] = []
        self._has_failed = False

    @classmethod
    def open(cls, path: Path, *, product_code: str, now_ns: int) -> BatchedJournal:
        """Make a new journal. Raises JournalError, also if there is a file already."""
        if path.exists():
            raise JournalError(f"{path} is an earlier run's journal without its manifest; move it away")
        journal = Journal.open(path, product_code=product_code, account=ACCOUNT, now_ns=now_ns, locks=path.parent)
        journal.set_patience(0)  # neither an event loop nor virtual time waits for another program
        return cls(journal)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Write what waits, and close for good; a journal in which nothing happened is taken away."""
        self._write_the_rest()
        if self.journal.is_used:
            self.journal.seal()
        else:
            self.journal.discard()
        for lock in (journal_lock(self.journal.path), self.journal.path.parent / f"account-{ACCOUNT}.lock"):
            with suppress(OSError):
                lock.unlink()  # the log folder is this process's alone: nobody waits for them

    def record(self, changes: Changes) -> None:
        """Take what a step changed, to be written later."""
        if not self._has_failed:
            self._waiting.append(changes)

    def write(self) -> None:
        """Write what waits, in one transaction."""
        if not self._waiting:
            return
        try:
            self.journal.record(_merged(self._waiting))
        except JournalBusy as error:
            if len(self._waiting) >= _MOST:
                self._fail(error)
            return
        except JournalError as error:
            self._fail(error)
        self._waiting.clear()

    def write_and_tidy(self) -> None:
        """Write what waits and keep the log short; where nothing minds waiting for the disk."""
        self.write()
        if self.journal.unmoved >= _CHECKPOINT_RECORDS and not self._has_failed:
            try:
                self.journal.checkpoint()
            except JournalBusy:
                return  # the next time
            except JournalError as error:
                self._fail(error)

    def _write_the_rest(self) -> None:
        if self._waiting:
            self.journal.set_patience(_LAST_WRITE_S)
            self.write()
        if self._waiting:
            logger.error("{} steps are not in the journal: another program keeps it locked", len(self._waiting))

    async def keep_writing(self) -> None:
        """Write now and then, for ever: in real time."""
        while True:
            await asyncio.sleep(WRITE_S)
            self.write()

    def _fail(self, error: JournalError) -> None:
        self._has_failed = True
        self._waiting.clear()
        logger.error("the journal of this run ends here, its CSVs do not: {}", error)


def _merged(steps: Sequence[Changes]) -> Changes:
    """Several steps as one: of an order and of the core's memory, the newest counts."""
    orders: dict[ClientOrderId, OrderMemo] = {}
    for step in steps:
        orders.update((order.client_order_id, order) for order in step.orders)
    return Changes(
        ts_ns=steps[-1].ts_ns,
        orders=tuple(orders.values()),
        fills=tuple(fill for step in steps for fill in step.fills),
        facts=tuple(fact for step in steps for fact in step.facts),
        memo=next((step.memo for step in reversed(steps) if step.memo is not None), None),
    )
