"""Recording one step in the journal: handed to the operating system (as live) against waiting for the disk.

Two journals in one folder take the same steps in turns: *ours* with ``synchronous=NORMAL``, as :class:`Journal` opens
them, and *to the disk* with ``synchronous=FULL``, where each commit waits until the disk has it. The steps are those of
a strike's life: both orders with their facts, the answers, a fill with the core's memory, a cancel, all with new names.
The log is checkpointed between the turns, untimed, as a thread does live. Read the ratio for the machine's disk: where
a disk answers from memory it is near one.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Final

from stall_then_strike.infra.journal.writer import Journal, journal_path
from stall_then_strike.types.dto import (
    NS_PER_MS,
    BookedFill,
    Changes,
    ClientOrderId,
    CoreMemo,
    ExecId,
    Fact,
    InventoryMemo,
    OrderId,
    OrderMemo,
    Reason,
    Side,
    TimeInForce,
    TradeLogRow,
)
from stall_then_strike.types.instrument import Lots, Money, Ticks

START_NS: Final = 1_790_000_000_000_000_000
PRODUCT: Final = "FX_BTC_JPY"
TURN: Final = 50
"""Strikes in a row for one journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Nanoseconds a record."""

    records: int
    median_ns: float
    p99_ns: float
    disk_median_ns: float
    disk_p99_ns: float


def order(number: int, side: Side, state: str, order_id: str | None = None, executed: int = 0) -> OrderMemo:
    """A quote as it is after a step."""
    return OrderMemo(
        client_order_id=ClientOrderId(f"k3f9-{number}{side.value[0]}"),
        order_id=None if order_id is None else OrderId(order_id),
        side=side,
        price=Ticks(13_600_000),
        size=Lots(100_000),
        time_in_force=TimeInForce.GTC,
        ttl_ms=800,
        tag="stall",
        reason=Reason.STRIKE,
        sent_ns=START_NS + number * NS_PER_MS,
        state=state,
        executed=Lots(executed),
        cancel_reason=None,
        cancel_sent_ns=None,
        registered_ns=None,
        is_live=state not in ("filled", "cancelled"),
    )


def memo(number: int, halted: Reason | None = None) -> CoreMemo:
    """What the core remembers after a fill."""
    held = InventoryMemo(
        position=100_000,
        basis=1_360_000_000_000,
        realised=number * 1_000,
        realised_at_roll=0,
        equity_at_roll=0,
        peak=0,
        max_drawdown=-number,
        mid2=27_200_000,
    )
    return CoreMemo(
        ts_ns=START_NS + number * NS_PER_MS,
        day="2026-09-21",
        inventory=held,
        halted=halted,
        halt_ns=0,
        halt_detail="",
        pnl_base=0,
        cash_base=10**14,
        since=ExecId(10**9),
    )


def strike(number: int) -> Iterator[Changes]:
    """The steps of one strike: sent, answered, one side filled, the other cancelled."""
    now_ns = START_NS + number * NS_PER_MS
    names = {side: f"JRF20260921-{side.value[0]}{number:012}" for side in Side}

    def facts(what: str, *sides: Side) -> tuple[Fact, ...]:
        return tuple(
            Fact(
                ts_ns=now_ns,
                what=what,
                client_order_id=ClientOrderId(f"k3f9-{number}{side.value[0]}"),
                order_id=OrderId(names[side]),
                detail="BUY 0.001 @ 13600000",
            )
            for side in sides
        )

    both = tuple(Side)
    yield Changes(ts_ns=now_ns, orders=tuple(order(number, s, "pending_new") for s in both), facts=facts("send", *both))
    for side in both:
        yield Changes(
            ts_ns=now_ns, orders=(order(number, side, "working", names[side]),), facts=facts("accepted", side)
        )
    row = TradeLogRow(
        ts_ns=now_ns,
        order_id=names[Side.BUY],
        side=Side.BUY,
        price=Ticks(13_600_000),
        size=Lots(100_000),
        fee=Money(0),
        tag="stall",
        pnl_jpy=Money(0),
        pnl_cum_jpy=Money(0),
        inventory_after=Lots(100_000),
    )
    fill = BookedFill(exec_id=ExecId(10**9 + number), client_order_id=ClientOrderId(f"k3f9-{number}B"), row=row)
    filled = order(number, Side.BUY, "filled", names[Side.BUY], 100_000)
    yield Changes(ts_ns=now_ns, orders=(filled,), fills=(fill,), facts=facts("fill", Side.BUY), memo=memo(number))
    cancelled = order(number, Side.SELL, "cancelled", names[Side.SELL])
    yield Changes(ts_ns=now_ns, orders=(cancelled,), facts=facts("cancelled", Side.SELL))


def compare(strikes: int, folder: Path) -> Comparison:
    """Time both on a disk; the first turn warms up and is not counted."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        journals = [
            stack.enter_context(
                Journal.open(
                    journal_path(root / name, PRODUCT),
                    product_code=PRODUCT,
                    account=f"benchmark-{name}",
                    now_ns=START_NS,
                    locks=root,
                )
            )
            for name in ("ours", "disk")
        ]
        journals[1]._db.execute("PRAGMA synchronous = FULL")  # noqa: SLF001 - what the comparison is about
        times: list[list[int]] = [[], []]
        for start in range(0, strikes + TURN, TURN):
            for journal, spent in zip(journals, times, strict=True):
                for number in range(start, start + TURN):
                    for changes in strike(number):
                        began = perf_counter_ns()
                        journal.record(changes)
                        spent.append(perf_counter_ns() - began)
                journal.checkpoint()
        ours, disk = ([*spent[TURN * 5 :]] for spent in times)
    return Comparison(
        records=len(ours),
        median_ns=statistics.median(ours),
        p99_ns=statistics.quantiles(ours, n=100)[98],
        disk_median_ns=statistics.median(disk),
        disk_p99_ns=statistics.quantiles(disk, n=100)[98],
    )
