"""The daemon of a soak as a process of its own: the real command's parts on the clock of the exchange that it is told.

`soak.py` starts it with its settings as JSON on standard input. It writes a JSON line each real second with what can be
counted only from within, and ends on SIGTERM as ``run_live`` does.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.shell.prompt import answer_promptly
from stall_then_strike.app.trader.live_run import LiveParts, LiveRun, open_run
from stall_then_strike.config.loader import load_app_config
from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.infra.logging_runtime import setup_runtime_logging
from stall_then_strike.venues.bitflyer_connection import BitflyerConnection
from tests.live.room import open_parts

PERIOD_S = 1.0


def counts(run: LiveRun) -> dict[str, Any]:
    """What may not grow, and what must."""
    core, trader = run.core, run.trader
    lag_ns = run._lag.p99_ns
    return {
        "tasks": len(asyncio.all_tasks()),
        "strikes": core.record.tally.strikes,
        "fills": core.record.tally.fills,
        "lag_p99_ms": None if lag_ns is None else lag_ns / 1e6,
        "outbox": len(trader.outbox),
        "in_flight": trader.outbox.in_flight,
        "early": len(core.orders.early),
        "owed": len(trader.owed),
        "halted": None if core.halted is None else core.halted.label,
    }


async def sample(run: LiveRun) -> None:
    """Tell the counts each second, for ever."""
    while True:
        await asyncio.sleep(PERIOD_S)
        sys.stdout.write(json.dumps(counts(run)) + "\n")
        sys.stdout.flush()


async def trade(parts: LiveParts, clock: ScaledClock, credentials: Credentials) -> int:
    """Run until a signal."""
    ending = Ending()
    answer_promptly()
    loop = asyncio.get_running_loop()
    for number in cli.STOP_SIGNALS:
        loop.add_signal_handler(number, ending.on_signal, number.name)
    connection = BitflyerConnection(parts.cfg, clock, credentials)
    run_of = open_run(parts, parts.cfg, clock, credentials, connection, ending)
    async with run_of as run, asyncio.TaskGroup() as tasks:
        sampler = tasks.create_task(sample(run))
        code = await run.run(None)
        sampler.cancel()
    return code


def main(told: dict[str, Any]) -> int:
    """Open what the command opens, and trade."""
    cfg = load_app_config(told["config"])
    speed: float = told["speed"]
    passed_ns = time.monotonic_ns() - told["monotonic_ns"]
    clock = ScaledClock(speed, told["venue_ns"] + int(passed_ns * speed))
    credentials = Credentials(key=told["key"], secret=told["secret"])
    folder = Path(told["folder"])
    with ExitStack() as stack:
        stack.enter_context(setup_runtime_logging(folder / "logs" / "runtime", cfg.log, console="WARNING"))
        screen = stack.enter_context((folder / "screen.txt").open("w"))
        parts = open_parts(stack, cfg, credentials, folder, screen, clock.now_ns())
        with asyncio.Runner(loop_factory=cli.loop_factory()) as runner:
            return runner.run(trade(parts, clock, credentials))


if __name__ == "__main__":
    sys.exit(main(json.load(sys.stdin)))
