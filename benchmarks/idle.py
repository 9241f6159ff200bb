"""What ``run_live`` takes of the machine while it only looks: share of a core, memory, wake-ups.

The command as it is, against the embedded exchange in this process at real speed, whose market sends ten messages a
second, as recorded tapes of the venue have. The spread is never wide enough for a strike. Processor time, wake-ups and
memory are the kernel's figures of the daemon's process (``/proc``), over all its threads, from some seconds after its
subscription on.

``python -m benchmarks.idle`` prints them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, Popen
from time import perf_counter
from typing import Final

from loguru import logger

from benchmarks.limits import MANY
from benchmarks.live_latency import KEY, free_venue
from stall_then_strike.app.shell import cli
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.sim.bitflyer_server import BitflyerExchange
from stall_then_strike.sim.market import Market

SECONDS: Final = 60.0
QUICK_S: Final = 10.0
SEED: Final = 7
_SETTLED_S: Final = 8.0
"""From the subscription on: pre-flight, first account and first lists are over."""
_START_S: Final = 30.0
_MB: Final = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """The daemon's use over some seconds."""

    seconds: float
    messages: int
    core_share: float
    """Of one core, all threads together."""
    wake_ups_per_s: float
    """How often a thread of the process was woken."""
    rss_start_mb: float
    rss_end_mb: float

    @property
    def messages_per_s(self) -> float:
        """That the exchange sent it."""
        return self.messages / self.seconds

    @property
    def us_per_message(self) -> float:
        """All processor time by messages, timers included."""
        return self.core_share * self.seconds * 1e6 / self.messages


@dataclass(frozen=True, slots=True)
class Use:
    """What a process has used so far."""

    core_ns: int
    wake_ups: int
    rss_mb: float


def use_of(pid: int) -> Use:
    """The kernel's figures of a process and all its threads."""
    core_ns = wake_ups = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        core_ns += int((thread / "schedstat").read_text().split()[0])
        wake_ups += int(_status(thread)["voluntary_ctxt_switches"])
    return Use(core_ns, wake_ups, int(_status(Path(f"/proc/{pid}"))["VmRSS"].split()[0]) / _MB)


def _status(folder: Path) -> dict[str, str]:
    return dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)


@contextmanager
def _daemon(exchange: BitflyerExchange, folder: Path) -> Iterator[Popen[bytes]]:
    """``run_live`` that can never strike, until the block ends."""
    config = folder / "live.yml"
    tree = {
        "env": "live",
        "exchange": {"base_url": exchange.base_url, "ws_url": exchange.ws_url},
        "strategy": {"min_spread_tick": MANY},
        "journal": {"dir": str(folder / "journal")},
    }
    config.write_text(json.dumps(tree))
    command = (sys.executable, "-m", "stall_then_strike.app.run_live", "--yes")
    started = Popen(  # noqa: S603 - our own command
        [*command, "--config", str(config), "--log-dir", str(folder / "logs")],
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=DEVNULL,
        env={**os.environ, "TMPDIR": str(folder), "BITFLYER_API_KEY": KEY.key, "BITFLYER_API_SECRET": KEY.secret},
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()


async def _measure(seconds: float) -> Idle:
    market = Market(seed=SEED, start_ns=SystemClock().now_ns())
    async with BitflyerExchange(market, clock=SystemClock(), private=free_venue(market), ip_limit=None) as exchange:
        with tempfile.TemporaryDirectory() as name, _daemon(exchange, Path(name)) as daemon:
            async with asyncio.timeout(_START_S):
                await exchange.wait_subscribed("child_order_events")
            await asyncio.sleep(_SETTLED_S)
            began, sent, before = perf_counter(), exchange.hub.counters.frames, use_of(daemon.pid)
            await asyncio.sleep(seconds)
            passed, after = perf_counter() - began, use_of(daemon.pid)
            sent = exchange.hub.counters.frames - sent
    return Idle(
        seconds=passed,
        messages=sent,
        core_share=(after.core_ns - before.core_ns) / passed / 1e9,
        wake_ups_per_s=(after.wake_ups - before.wake_ups) / passed,
        rss_start_mb=before.rss_mb,
        rss_end_mb=after.rss_mb,
    )


def measure(seconds: float) -> Idle:
    """Leave the daemon alone for so many seconds."""
    with asyncio.Runner(loop_factory=cli.loop_factory()) as runner:
        return runner.run(_measure(seconds))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idle", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=SECONDS, help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_S:.0f} seconds")
    flags = parser.parse_args(arguments)
    logger.remove()
    one = measure(QUICK_S if flags.quick else flags.seconds)
    print(f"run_live that only looks, {one.seconds:.0f} s at {one.messages_per_s:.1f} messages a second:")
    print(
        f"{one.core_share:.2%} of a core, {one.us_per_message:,.0f} us a message, {one.wake_ups_per_s:.0f} wake-ups/s"
    )
    print(f"memory {one.rss_start_mb:.1f} MB, at the end {one.rss_end_mb:.1f} MB")


if __name__ == "__main__":
    main()
