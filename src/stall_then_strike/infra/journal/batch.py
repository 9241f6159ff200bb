"""The journal of a paper run: the changes of many steps are collected and written in one transaction.

A paper run keeps a new one in its folder. Its last moments can be lost. If it can no longer be written, the run
logs that once and goes on: the CSVs have everything that matters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from loguru import logger

from stall_then_strike.infra.journal.instance_lock import journal_lock
from stall_then_strike.infra.journal.writer import CHECKPOINT_RECORDS, Journal
from stall_then_strike.types.dto import Changes, ClientOrderId, OrderMemo
from stall_then_strike.types.errors import JournalBusy, JournalError

ACCOUNT: Final = "paper"
"""The account in a paper journal: not the fingerprint of a key, so live trading refuses the file."""
WRITE_S: Final = 1.0
"""Time between two writes of a real-time run, real seconds."""
_LAST_WRITE_S: Final = 5.0
"""How long the last write waits while another program locks the journal."""
_MOST: Final = 100_000
"""Steps that may wait while another program locks the journal."""


class BatchedJournal:
    """Writes batches; a context manager. Made by :meth:`open`."""

    def __init__(self, journal: Journal) -> None:
        """Only for :meth:`open`."""
        self.journal: Final = journal
        self._waiting: list[Changes] = []
        self._has_failed = False

    @classmethod
    def open(cls, path: Path, *, product_code: str, now_ns: int, others: Sequence[str] = ()) -> BatchedJournal:
        """Make a new journal; the products are as in `Journal`. Raises JournalError."""
        journal = Journal.open(
            path, product_code=product_code, others=others, account=ACCOUNT, now_ns=now_ns, locks=path.parent
        )
        journal.set_patience(0)  # another program's lock must block neither the event loop nor virtual time
        return cls(journal)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Write the waiting steps and seal the journal; delete one in which nothing happened."""
        self._write_the_rest()
        if self.journal.is_used:
            self.journal.seal()
        else:
            self.journal.discard()
        for lock in (journal_lock(self.journal.path), self.journal.path.parent / f"account-{ACCOUNT}.lock"):
            with suppress(OSError):
                lock.unlink()  # only this process uses the run's folder: nobody waits for these locks

    def record(self, changes: Changes) -> None:
        """Queue the changes of a step for the next write."""
        if not self._has_failed:
            self._waiting.append(changes)

    def write(self) -> None:
        """Write the waiting steps, those of each instrument in one transaction; the newest memo of the account last."""
        products = dict.fromkeys(step.product for step in self._waiting)
        each = [_merged([step for step in self._waiting if step.product == product]) for product in products]
        for merged in sorted(each, key=lambda one: 0 if one.account is None else one.account.ts_ns):
            try:
                self.journal.record(merged)
            except JournalBusy as error:
                if len(self._waiting) >= _MOST:
                    self._fail(error)
                return
            except JournalError as error:
                self._fail(error)
                return
            self._waiting = [step for step in self._waiting if step.product != merged.product]

    def write_and_tidy(self) -> None:
        """Write the waiting steps and keep the write-ahead log short. May wait for the disk."""
        self.write()
        if self.journal.unmoved >= CHECKPOINT_RECORDS and not self._has_failed:
            try:
                self.journal.checkpoint()
            except JournalBusy:
                return  # tried again at the next call
            except JournalError as error:
                self._fail(error)

    def _write_the_rest(self) -> None:
        if self._waiting:
            self.journal.set_patience(_LAST_WRITE_S)
            self.write()
        if self._waiting:
            logger.error("{} steps are not in the journal: another program keeps it locked", len(self._waiting))

    async def keep_writing(self) -> None:
        """Write periodically, until cancelled: for a real-time run."""
        while True:
            await asyncio.sleep(WRITE_S)
            self.write()

    def _fail(self, error: JournalError) -> None:
        self._has_failed = True
        self._waiting.clear()
        logger.error("the journal of this run ends here, its CSVs do not: {}", error)


def _merged(steps: Sequence[Changes]) -> Changes:
    """Merge steps: the newest state of each order and the newest memo, all fills and facts."""
    orders: dict[ClientOrderId, OrderMemo] = {}
    for step in steps:
        orders.update((order.client_order_id, order) for order in step.orders)
    return Changes(
        ts_ns=steps[-1].ts_ns,
        orders=tuple(orders.values()),
        fills=tuple(fill for step in steps for fill in step.fills),
        facts=tuple(fact for step in steps for fact in step.facts),
        memo=next((step.memo for step in reversed(steps) if step.memo is not None), None),
        product=steps[-1].product,
        account=next((step.account for step in reversed(steps) if step.account is not None), None),
    )
