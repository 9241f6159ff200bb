"""The result of the remembered day, and lifting a remembered halt. Both use the engine's own rules."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.inventory import InventoryManager
from stall_then_strike.engine.risk import KillSwitch
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.writer import Journal
from stall_then_strike.types.dto import Changes, CoreMemo, Fact, InventoryState
from stall_then_strike.types.errors import JournalError


def remembered(cfg: AppConfig, memo: CoreMemo) -> InventoryState:
    """Position and day's result, marked to the last mid seen."""
    return _inventory(cfg, memo).state()


def resumed(cfg: AppConfig, memo: CoreMemo) -> CoreMemo:
    """The memo without its halt. The limits on the day's loss and drawdown count from here again."""
    inventory, switch = _inventory(cfg, memo), KillSwitch(cfg.risk)
    switch.restore(memo.halted, memo.pnl_base)
    switch.resume(inventory)
    return replace(memo, halted=None, halt_ns=0, halt_detail="", pnl_base=switch.pnl_base, inventory=inventory.memo())


def _inventory(cfg: AppConfig, memo: CoreMemo) -> InventoryManager:
    inventory = InventoryManager(cfg.risk, cfg.exchange.instrument())
    inventory.restore(memo.inventory)
    return inventory


def lift_halt(path: Path, cfg: AppConfig, *, reason: str, now_ns: int, locks: Path | None = None) -> CoreMemo | None:
    """Lift the halt in a journal. Returns the memo as it was before, or None if there was no halt.

    Raises JournalError and changes nothing while a process trades on the journal or its account.
    """
    with JournalReader.open(path) as reader:
        info = reader.info()
    if info.held_by is not None:
        raise JournalError(f"{path} is in use by {info.held_by}; stop it first")
    product_code = cfg.exchange.product_code
    with Journal.open(path, product_code=product_code, account=info.account, now_ns=now_ns, locks=locks) as journal:
        memo = journal.load().memo
        if memo is None or memo.halted is None:
            return None
        fact = Fact(ts_ns=now_ns, what="resume", detail=f"after {memo.halted.label}: {reason}")
        journal.record(Changes(ts_ns=now_ns, facts=(fact,), memo=resumed(cfg, memo)))
        return memo
