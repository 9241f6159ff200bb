"""The result of the remembered day, and lifting a remembered halt. Both use the engine's own rules."""

from __future__ import annotations

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
    return memo._replace(halted=None, halt_ns=0, halt_detail="", pnl_base=switch.pnl_base, inventory=inventory.memo())


def _inventory(cfg: AppConfig, memo: CoreMemo) -> InventoryManager:
    inventory = InventoryManager(cfg.risk, cfg.exchange.instrument())
    inventory.restore(memo.inventory)
    return inventory


def lift_halt(path: Path, cfg: AppConfig, *, reason: str, now_ns: int, locks: Path | None = None) -> CoreMemo | None:
    """Lift the halt in a journal, for all its instruments. Returns the memo that had it, or None if there was no halt.

    Raises JournalError and changes nothing while a process trades on the journal or its account.
    """
    with JournalReader.open(path) as reader:
        info = reader.info()
    if info.held_by is not None:
        raise JournalError(f"{path} is in use by {info.held_by}; stop it first")
    first, *others = info.products
    with Journal.open(
        path, product_code=first, others=others, account=info.account, now_ns=now_ns, locks=locks
    ) as journal:
        account, memos = journal.account(), {product: journal.load(product).memo for product in info.products}
        halted = newest(account, *memos.values())
        if halted is None or halted.halted is None:
            return None
        for product, memo in memos.items():
            fact = Fact(ts_ns=now_ns, what="resume", detail=f"after {halted.halted.label}: {reason}")
            changed = None if memo is None else resumed(cfg, memo) if memo.halted is not None else memo
            journal.record(
                Changes(
                    ts_ns=now_ns,
                    product=product,
                    facts=(fact,) if product == first else (),
                    memo=changed,
                    account=None if account is None else _resumed_account(account),
                )
            )
        return halted


def newest(*memos: CoreMemo | None) -> CoreMemo | None:
    """The memo that knows best whether trading is halted: the newest, the first of several. None if there is none."""
    return max((memo for memo in memos if memo is not None), key=lambda memo: memo.ts_ns, default=None)


def _resumed_account(memo: CoreMemo) -> CoreMemo:
    """The memo of an account of several instruments without its halt: flat, its result is all realised."""
    held = memo.inventory
    result = held.realised - held.equity_at_roll
    lifted = memo._replace(halted=None, halt_ns=0, halt_detail="")
    return lifted._replace(pnl_base=result, inventory=held._replace(peak=result))
