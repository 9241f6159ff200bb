"""The remembered day's result, and the operator's word that lifts a remembered halt.

Both repeat rules of the engine on what it left behind: the result is that of ``engine.inventory``, the lift that of
``engine.risk``'s resume. Tests hold them to it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from stall_then_strike.infra.journal import Journal
from stall_then_strike.infra.journal_reader import JournalReader
from stall_then_strike.types.dto import Changes, CoreMemo, Fact, InventoryMemo, InventoryState
from stall_then_strike.types.errors import JournalError
from stall_then_strike.types.instrument import Lots, Money, Ticks


def remembered(held: InventoryMemo) -> InventoryState:
    """Position and day's result, marked to the last mid that was seen."""
    equity = held.realised
    if held.position and held.mid2:
        equity += held.position * held.mid2 // 2 - held.basis
    pnl = equity - held.equity_at_roll
    size = abs(held.position)
    return InventoryState(
        side="flat" if not size else "long" if held.position > 0 else "short",
        size=Lots(size),
        avg_price=Ticks((2 * abs(held.basis) + size) // (2 * size) if size else 0),
        pnl_today_jpy=Money(pnl),
        realised_today_jpy=Money(held.realised - held.realised_at_roll),
        max_drawdown_jpy=Money(held.max_drawdown),
        drawdown_jpy=Money(pnl - held.peak),
    )


def resumed(memo: CoreMemo) -> CoreMemo:
    """The memory without its halt; the same day's loss and drawdown count anew from here."""
    pnl = remembered(memo.inventory).pnl_today_jpy
    return replace(
        memo, halted=None, halt_ns=0, halt_detail="", pnl_base=pnl, inventory=replace(memo.inventory, peak=pnl)
    )


def lift_halt(path: Path, *, product_code: str, reason: str, now_ns: int, locks: Path | None = None) -> CoreMemo | None:
    """Lift the halt that a journal remembers; return what was remembered, None if there was no halt.

    Raises JournalError, with nothing changed, while a process trades on the journal or its account.
    """
    with JournalReader.open(path) as reader:
        info = reader.info()
    if info.held_by is not None:
        raise JournalError(f"{path} is in use by {info.held_by}; stop it first")
    with Journal.open(path, product_code=product_code, account=info.account, now_ns=now_ns, locks=locks) as journal:
        memo = journal.load().memo
        if memo is None or memo.halted is None:
            return None
        fact = Fact(ts_ns=now_ns, what="resume", detail=f"after {memo.halted.label}: {reason}")
        journal.record(Changes(ts_ns=now_ns, facts=(fact,), memo=resumed(memo)))
        return memo
