"""What trials need: the daemon at work in a market that stands still or lives, and how long it takes for things."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_USAGE, leaves
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.engine.venue.account import CORRECTION_TAG
from stall_then_strike.sim.bitflyer.desk import Delays
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S
from stall_then_strike.types.errors import LoginRefused
from tests.live.pace import scaled_constants
from tests.live.rig import OPEN_ALL_DAY
from tests.scenarios.at_work import PLACE, AtWork, at_work
from tests.sim.private_rig import QUIET

NEVER_S: Final = 90.0
"""What is noted for what did not come about by then."""
TTL_S: Final = 3.0
EVENT_NS: Final = 100 * NS_PER_MS
PROMPT: Final = Delays(
    registration=(100 * NS_PER_MS, 100 * NS_PER_MS),
    late_share=0,
    event=(EVENT_NS, EVENT_NS),
    listing=(50 * NS_PER_MS, 50 * NS_PER_MS),
)
"""An order is told of 0.2 s after its acceptance."""
SETTINGS: Final = PrivateSettings(seed=7, calendar=OPEN_ALL_DAY, delays=PROMPT)
HELD: Final[Mapping[str, Any]] = {"max_reverse_ticks": 1_000_000, "ttl_ms": int(TTL_S * 1_000)}
"""Positions are kept."""
OFTEN: Final = {"reconcile_sec": Decimal(10)}


@asynccontextmanager
async def still(folder: Path, *, speed: float = 5.0, **more: Any) -> AsyncIterator[AtWork]:
    """At work in a market that nobody moves but the trial; slow, for figures of tenths of a second."""
    room: dict[str, Any] = {"model": QUIET, "strategy": HELD, "account": OFTEN, "settings": SETTINGS, **more}
    with scaled_constants(speed):
        async with at_work(folder, speed=speed, **room) as work:
            yield work


@asynccontextmanager
async def lively(folder: Path, *, speed: float = 25.0, **more: Any) -> AsyncIterator[AtWork]:
    """At work in the exchange's own market."""
    room: dict[str, Any] = {"account": OFTEN, "settings": SETTINGS, "seed": 7, **more}
    with scaled_constants(speed):
        async with at_work(folder, speed=speed, **room) as work:
            yield work


def inject(work: AtWork, kind: FaultKind, **options: Any) -> None:
    work.room.exchange.faults.inject(Fault(kind=kind, **options))


def lift(work: AtWork) -> None:
    work.room.exchange.faults.lift()


def seconds_since(work: AtWork, start_ns: int) -> float:
    return (work.room.clock.now_ns() - start_ns) / NS_PER_S


async def within(work: AtWork, is_so: Callable[[], object], seconds: float = NEVER_S) -> float:
    """How long it takes until something is so; the limit if it takes longer, or the run ends."""
    start_ns = work.room.clock.now_ns()
    while not is_so():
        past_s = seconds_since(work, start_ns)
        if past_s >= seconds or (work.task is not None and work.task.done()):
            return seconds
        await asyncio.sleep(0.001)
    return seconds_since(work, start_ns)


def is_booked(work: AtWork) -> bool:
    return work.core.inventory.position == work.position


async def quotes_again(work: AtWork, seconds: float = NEVER_S) -> float:
    """How long it takes until new quotes are sent."""
    tally = work.core.record.tally
    placed = tally.placed
    return await within(work, lambda: tally.placed > placed, seconds)


async def booked(work: AtWork) -> float:
    """How long it takes until our position is the venue's."""
    return await within(work, lambda: is_booked(work))


async def two_quotes(work: AtWork) -> None:
    await work.until("both quotes", lambda: len(work.resting) == 2)


async def stay(work: AtWork, seconds: float, wrong: Callable[[], str] = str) -> None:
    """Let time pass, in which nothing may halt, nor anything be ``wrong``, which says what."""
    start_ns = work.room.clock.now_ns()
    while (past_s := seconds_since(work, start_ns)) < seconds:
        assert work.core.halted is None, f"halted for {work.core.halted.label} after {past_s:.1f} s"
        assert not wrong(), f"{wrong()} after {past_s:.1f} s"
        assert work.task is None or not work.task.done(), f"the run ended after {past_s:.1f} s"
        await asyncio.sleep(0.002)


def quotes(work: AtWork) -> int:
    """How many quotes have reached the venue; closes are of another kind."""
    return sum('"LIMIT"' in call.body and '"GTC"' in call.body for call in work.calls(PLACE))


async def stop_sound(work: AtWork, *, is_all_ours: bool = True, may_take_back: bool = False) -> None:
    """Stop: the trades CSV sums to the position, nothing was taken back, and what is all ours is the venue's."""
    assert work.core.halted is None, f"halted for {work.core.halted.label}"
    code = await work.stop()
    booked, memo = work.room.journal()
    taken_back = [fill for fill in booked if fill.row.tag == CORRECTION_TAG]
    assert may_take_back or not taken_back, f"{len(taken_back)} of {len(booked)} fills were taken back"
    assert code == EXIT_DONE, f"exit {code} at the stop"
    assert memo.inventory.position == work.position, "the position is not the venue's"
    traded = sum((1 if row["side"] == "BUY" else -1) * Decimal(row["size"]) for row in work.room.rows("trades"))
    assert traded == work.room.cfg.exchange.instrument().size(work.position), f"the trades CSV sums to {traded}"
    if is_all_ours and not may_take_back:
        await work.check()


async def first_quotes(work: AtWork) -> int | None:
    """Start: the exit code, or None once it has sent quotes."""
    before = quotes(work)
    work.ending = Ending()
    work.task = asyncio.create_task(work.room.run(ending=work.ending))
    await within(work, lambda: quotes(work) > before)
    if not work.task.done():
        assert quotes(work) > before, f"no quotes within {NEVER_S:g} s, and no end"
        return None
    task, work.task = work.task, None
    try:
        return task.result()
    except (BaseExceptionGroup, LoginRefused) as failed:
        if not all(isinstance(cause, LoginRefused) for cause in leaves(failed)):
            raise
        return EXIT_USAGE  # as the command ends
