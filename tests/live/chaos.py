"""One run of the daemon under a fault plan, and what must hold of it afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stall_then_strike.app import cli
from stall_then_strike.sim.faults import FaultPlan
from stall_then_strike.types.errors import FeedError
from tests.live.rig import LiveRoom, live_room

RUN_S = 70.0
"""Seconds of the exchange's time in which the daemon trades; plans leave the last third of it alone."""
AFTER_S = 65.0
"""And for how long the exchange goes on without it: longer than any order of ours may live."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run."""

    name: str
    exit_code: int
    starts: int
    strikes: int
    fills: int
    struck: int
    """Faults that struck."""
    halted: str


async def run_under(plan: FaultPlan, folder: Path, *, name: str, speed: float, seed: int = 7) -> Outcome:
    """Trade under the plan, started again after a failure as by systemd; raise AssertionError for what must not be."""
    async with live_room(folder, speed=speed, seed=seed, faults=plan) as room:
        code, starts, strikes, halted = cli.EXIT_FAILED, 0, 0, ""
        end_ns = room.clock.now_ns() + int(RUN_S * 1e9)
        while code == cli.EXIT_FAILED and room.clock.now_ns() < end_ns:
            starts += 1
            code = await start(room, (end_ns - room.clock.now_ns()) / 1e9)
            if room.last is not None:
                core = room.last.core
                strikes += core.record.tally.strikes
                halted = "" if core.halted is None else core.halted.label
        await room.pass_time(AFTER_S)
        room.check()
        return Outcome(
            name=name,
            exit_code=code,
            starts=starts,
            strikes=strikes,
            fills=len(room.venue.ledger().fills),
            struck=sum(room.exchange.faults.struck.values()),
            halted=halted,
        )


async def start(room: LiveRoom, seconds: float) -> int:
    """One run; a venue that cannot be reached, or that refuses the login, is a failure and no more."""
    try:
        return await room.run(max(1.0, seconds))
    except* FeedError:
        return cli.EXIT_FAILED
