"""Both strategies on both venues, ten minutes each: ``python -m tests.live.ten_minutes``.

Each run trades three markets of one account by the real command's parts, over HTTP and WebSocket, on an exchange in
this process. Lighter's verifies every signature. Minutes are the exchange's; ``--speed`` says how fast they pass at
most. Afterwards each market's orders, fills and position are shown, and whether journal, CSV files, position and cash
are the exchange's ledger, to the last unit.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from loguru import logger

from stall_then_strike.app.shell.command import EXIT_DONE
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.trader.live_run import LiveRun
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.types.dto import NS_PER_S
from tests.live.pace import steady_clock
from tests.live.rig import TWO, live_room
from tests.live.test_lighter_run import room_of

VENUES: Final = ("lighter", "bitflyer")
STRATEGIES: Final = ("stall", "grid")
SPEED: Final = 8.0
LIGHTER_FILES: Final = {"stall": "lighter-sim.yml", "grid": "lighter-grid.yml"}
PATIENT: Final = ("strategy.stale_ms=30000",)
"""A busy machine is not to look like a dead line."""
THREE: Final = (*TWO, {"product_code": "XRP_JPY", "tick_size": Decimal("0.01")})
"""Products of the embedded bitFlyer. A price is the same count of ticks in each."""
GRID: Final[Mapping[str, Mapping[str, Any]]] = {
    "strategy": {"name": "grid", "stale_ms": 30_000, "max_inventory_btc": Decimal("0.01")},
}


@dataclass(frozen=True, slots=True)
class Traded:
    """What one market saw, and what it holds afterwards."""

    product: str
    orders: int
    """Accepted by the exchange."""
    fills: int
    volume: Decimal
    position: Decimal


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run."""

    venue: str
    strategy: str
    minutes: float
    """Of the exchange's time."""
    real_s: float
    exit_code: int
    markets: tuple[Traded, ...]
    difference: str
    """Where what the run left behind is not the ledger; empty if they are equal to the last unit."""

    @property
    def is_good(self) -> bool:
        """Whether all markets were traded, the run ended in good order, and the ledger is ours."""
        return self.exit_code == EXIT_DONE and not self.difference and all(one.fills for one in self.markets)

    def lines(self) -> Iterator[str]:
        """For the table."""
        for one in self.markets:
            yield (
                f"{self.venue:<9} {self.strategy:<6} {one.product:<11} {one.orders:>7,} {one.fills:>6,} "
                f"{one.volume:>10} {one.position:>10}"
            )
        ledger = "equal to the last unit" if not self.difference else f"DIFFERS: {self.difference}"
        yield (f"{'':<16} {self.minutes:.1f} min in {self.real_s:.0f} s, exit code {self.exit_code}, ledger {ledger}")


HEAD: Final = f"{'venue':<9} {'':<6} {'market':<11} {'orders':>7} {'fills':>6} {'volume':>10} {'position':>10}"


async def trial(venue: str, strategy: str, folder: Path, *, seconds: float, speed: float = SPEED) -> Outcome:
    """One strategy on one venue, for so many seconds of the exchange's time."""
    began_s = time.monotonic()
    run = _on_lighter if venue == "lighter" else _on_bitflyer
    code, last, difference = await run(strategy, folder, seconds, speed)
    return Outcome(
        venue=venue,
        strategy=strategy,
        minutes=seconds / 60,
        real_s=time.monotonic() - began_s,
        exit_code=code,
        markets=_traded(last),
        difference=difference,
    )


_Ended = tuple[int, LiveRun, str]
"""Exit code, the run, and the difference to the ledger."""


async def _on_lighter(strategy: str, folder: Path, seconds: float, speed: float) -> _Ended:
    file = LIGHTER_FILES[strategy]
    async with (
        room_of(folder, *PATIENT, is_verified=True, file=file, speed=speed) as room,
        _ending_after(room.clock, seconds) as ending,
    ):
        code = await room.run(None, ending)
        assert room.last is not None
        return code, room.last, _difference(room)


async def _on_bitflyer(strategy: str, folder: Path, seconds: float, speed: float) -> _Ended:
    instruments = [{**one, "parameters": _grid_at(one)} for one in THREE] if strategy == "grid" else THREE
    sections = GRID if strategy == "grid" else {}
    async with (
        steady_clock(speed) as clock,
        live_room(folder, clock=clock, instruments=instruments, sections=sections) as room,
        _ending_after(clock, seconds) as ending,
    ):
        code = await room.run(None, ending)
        assert room.last is not None
        return code, room.last, _difference(room)


@asynccontextmanager
async def _ending_after(clock: ScaledClock, seconds: float) -> AsyncIterator[Ending]:
    """An end that is asked for when so many seconds of a clock have passed."""
    ending = Ending()

    async def ask() -> None:
        await clock.sleep_until(clock.now_ns() + round(seconds * NS_PER_S))
        ending.ask("the time is over")

    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(ask())
        yield ending
        asking.cancel()


def _grid_at(product: Mapping[str, Any]) -> dict[str, Any]:
    """A grid around the price at which the generated market begins, with lines 2,000 ticks apart."""
    tick = Decimal(product.get("tick_size", 1))
    return {
        "lower": 13_500_000 * tick,
        "upper": 13_700_000 * tick,
        "zones": 100,
        "size": Decimal("0.001"),
        "rebuild_sec": 60,
    }


def _difference(room: Any) -> str:
    """What a room finds between what a run left behind and its exchange's ledger."""
    try:
        room.check()
    except AssertionError as error:
        return " ".join(str(error).split()) or "see the room's check"
    return ""


def _traded(run: LiveRun) -> tuple[Traded, ...]:
    return tuple(
        Traded(
            product=core.instrument.product_code,
            orders=core.record.tally.placed,
            fills=core.record.tally.fills,
            volume=core.instrument.size(core.record.tally.volume),
            position=core.instrument.size(core.inventory.position),
        )
        for core in run.portfolio.cores
    )


async def _all(args: argparse.Namespace) -> bool:
    is_good = True
    for venue, strategy in itertools.product(args.venues, args.strategies):
        with tempfile.TemporaryDirectory(prefix=f"ten-minutes-{venue}-{strategy}-") as folder:
            outcome = await trial(venue, strategy, Path(folder), seconds=args.minutes * 60, speed=args.speed)
        is_good = is_good and outcome.is_good
        sys.stdout.write("".join(f"{line}\n" for line in outcome.lines()))
        sys.stdout.flush()
    return is_good


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is asked for, print a table, and return 0 if all is well."""
    flags = argparse.ArgumentParser(prog="python -m tests.live.ten_minutes", description=__doc__)
    flags.add_argument("--minutes", type=float, default=10.0, help="of the exchange's time (default: %(default)g)")
    flags.add_argument("--speed", type=float, default=SPEED, help="times real time, at most (default: %(default)g)")
    flags.add_argument("--venues", nargs="+", choices=VENUES, default=VENUES, help="default: both")
    flags.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=STRATEGIES, help="default: both")
    args = flags.parse_args(argv)
    logger.remove()
    sys.stdout.write(f"{HEAD}\n")
    return 0 if asyncio.run(_all(args)) else 1


if __name__ == "__main__":
    sys.exit(main())
