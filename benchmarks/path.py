"""The path of a strike through our own process: from the bytes of a board message to the bytes of both orders.

``run_live`` as it is (session, core, journal, logs, HTTP client) runs in a process of its own and is stamped from
outside, by functions around the ones that do the work. The embedded exchange runs here and sends the messages: a wrong
mid makes the book suspect, which cancels the quotes; then a sound message of ten levels lets the core strike at once.

*cold*: a message each 100 ms, as the market is. The processor has done something else in between, and its caches have
forgotten us. *warm*: messages a millisecond apart, and the next strike as soon as the last one's cancels are through.

The two are measured in turns. The stages of one strike follow each other without gaps, so they add up to the whole:

=========  ===========================================================================================================
socket     the bytes are read -> the session gets the frame (aiohttp's frame, the event loop's next turn)
parse      -> the board gets the message
book       -> the board has its changes
view       -> the core gets the best without our own orders
decide     -> the core's step
journal    -> the step is in the journal
hand       -> the HTTP client gets the first order
build      -> its bytes are handed over: body, signature, headers
write      -> the system has them
second     -> the system has those of the second order
=========  ===========================================================================================================

``python -m benchmarks.path`` prints the table; ``--strikes`` is the number for each column.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from subprocess import DEVNULL, PIPE, Popen
from time import perf_counter_ns
from typing import Any, Final

from aiohttp.client_proto import ResponseHandler
from loguru import logger

from benchmarks.limits import MANY, WIDE, apart
from benchmarks.live_latency import KEY, free_venue
from benchmarks.messages import BOARD, PRODUCT, SNAPSHOT, frame
from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE
from stall_then_strike.app.trader.live_opening import Opening, run_opened
from stall_then_strike.app.trader.live_run import LiveRun
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.line import ready_line
from stall_then_strike.infra.watch.alerts import Alerts, AlertUrls
from stall_then_strike.sim.bitflyer.private_venue import PrivateVenue
from stall_then_strike.sim.bitflyer_server import BitflyerExchange
from stall_then_strike.sim.exchange.flow_model import Band, FlowModel
from stall_then_strike.sim.exchange.source import Channel
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import PlaceLimit, Step
from stall_then_strike.venues.bitflyer_connection import BitflyerConnection

STAGES: Final = ("socket", "parse", "book", "view", "decide", "journal", "hand", "build", "write", "second")
FIRST: Final = STAGES.index("second")
"""The stages before this one are the first order's."""
MID: Final = 10_000_000
LEVELS: Final = 300
PAUSE_S: Final = 0.1
"""Between two messages of the market."""
TURN: Final = 20
"""Strikes in a row of one kind."""
_LIMIT_S: Final = 20.0
_LOST_NS: Final = 50_000_000
_SETTLED_S: Final = 0.01
_STILL: Final = FlowModel(
    fair_ticks=MID,
    volatility=0.0,
    trend=0.0,
    jumps_per_s=0.0,
    takers_per_s=1e-9,
    pull_chance=0.0,
    snipe_chance=0.0,
    regime_spread=0.0,
    bands=(Band(near_ticks=5_000, far_ticks=5_000, per_s=1e-9, patience_s=1e9),),
)
"""Nobody else trades: no quote is filled."""


# --- in the process that trades --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Stamps:
    """The stamps of the message at hand, and those of all strikes so far."""

    now: list[int] = field(default_factory=list)
    strikes: list[list[int]] = field(default_factory=list)
    is_strike: bool = False
    """Whether the core has struck at the message; the next may come before both orders are written."""

    def arrived(self) -> None:
        """Bytes came on the socket: perhaps a strike begins. One that found no connection ready is not counted."""
        now_ns = perf_counter_ns()
        if not self.is_strike or now_ns - self.now[0] > _LOST_NS:
            self.now, self.is_strike = [now_ns], False

    def decided(self, step: Step) -> None:
        """The core has made its step."""
        self.reach(STAGES.index("decide"))
        self.is_strike = self.is_strike or any(isinstance(action, PlaceLimit) for action in step.actions)

    def reach(self, number: int) -> None:
        """The stage with this number ends; a strike passes each of them once, in order."""
        if len(self.now) == number + 1:
            self.now.append(perf_counter_ns())

    def written(self) -> None:
        """The system has the bytes of a call."""
        if len(self.now) == len(STAGES):  # the first write ended one stage earlier
            self.now.append(perf_counter_ns())
            self.strikes.append(self.now)
            self.now, self.is_strike = [], False
        else:
            self.reach(STAGES.index("write"))


def _around(
    owner: object,
    name: str,
    before: Callable[[], None] = lambda: None,
    after: Callable[[Any], None] = lambda result: None,
) -> None:
    """Call these before and after a method, the second with its result."""
    inner = getattr(owner, name)

    def outer(*args: Any, **kwargs: Any) -> Any:
        before()
        result = inner(*args, **kwargs)
        after(result)
        return result

    setattr(owner, name, outer)


def _stamp(run: LiveRun, stamps: Stamps) -> None:
    """Put the stamps around the parts of a run that has not begun."""
    connection = run.connection
    if not isinstance(connection, BitflyerConnection):
        raise TypeError("the path is measured at bitFlyer")
    received = ResponseHandler.data_received

    def data_received(handler: ResponseHandler, data: bytes) -> None:
        if handler._payload_parser is not None:  # noqa: SLF001 - the socket's, not an answer's
            stamps.arrived()
        received(handler, data)

    ResponseHandler.data_received = data_received  # type: ignore[method-assign] # stamped from outside
    stage = STAGES.index

    def ends(name: str) -> Callable[..., None]:
        return lambda *result: stamps.reach(stage(name))

    session, core = connection.session, run.core
    _around(session, "_on_frame", before=ends("socket"))
    _around(session.board, "apply_delta", before=ends("parse"), after=ends("book"))
    _around(core, "on_event", before=ends("view"), after=stamps.decided)
    _around(run.trader.owed, "add", after=ends("journal"))
    _around(connection.https[0], "_send_order", before=ends("hand"))
    _around(ready_line, "_write", before=ends("build"), after=lambda _: stamps.written())


def trade(base_url: str, ws_url: str, folder: Path) -> None:
    """Run the daemon until it is told to stop, then print the stamps of its strikes."""
    cfg = AppConfig.model_validate(
        {
            "env": "live",
            "exchange": {"base_url": base_url, "ws_url": ws_url, "limits": WIDE},
            "strategy": {
                "stall_T_ms": 1,
                "ttl_ms": 50_000,
                "stale_ms": 60_000,
                "max_inventory_btc": 10,
                "max_reverse_ticks": MANY,
            },
            "risk": {"daily_pnl_jpy": -MANY, "max_dd_jpy": -MANY},
            "ws": {"snapshot_silence_sec": 3_600, "executions_silence_sec": 3_600},
            "journal": {"dir": str(folder / "journal")},
        }
    )
    stamps = Stamps()
    opening = Opening(
        command="path",
        cfg=cfg,
        account=Credentials(key=KEY.key, secret=KEY.secret),
        alerts=Alerts(AlertUrls(), pause_sec=0, clock=SystemClock()),
        log_dir=folder / "logs",
        layers=(),
        attend=lambda run, ending: _stamp(run, stamps),
    )
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        code = run_opened(opening, None)
    if code != EXIT_DONE:
        sys.exit(code)
    json.dump(stamps.strikes, sys.stdout)


# --- in the exchange's process ---------------------------------------------------------------------------------------


class Metronome:
    """The exchange, which makes the daemon strike at its pace."""

    def __init__(self, exchange: BitflyerExchange, venue: PrivateVenue) -> None:
        """Nothing is sent yet."""
        self._exchange, self._venue, self._number = exchange, venue, 0

    async def begin(self) -> None:
        """Show the whole book to a daemon that has subscribed."""
        for channel in (Channel.BOARD, Channel.SNAPSHOT):  # the market's own; what is injected passes
            self._exchange.faults.inject(Fault(kind=FaultKind.LOSE_FRAME, channel=channel.of(PRODUCT)))
        await self._exchange.wait_subscribed("child_order_events")
        sides = {
            "bids": [{"price": float(MID - 750 - 7 * i), "size": 0.1} for i in range(LEVELS)],
            "asks": [{"price": float(MID + 750 + 7 * i), "size": 0.1} for i in range(LEVELS)],
        }
        while not self._live:
            self._exchange.inject(Channel.SNAPSHOT, frame(SNAPSHOT, {"mid_price": float(MID), **sides}))
            await asyncio.sleep(PAUSE_S)
            self._send(MID)
            await asyncio.sleep(PAUSE_S)

    async def strike(self, pause_s: float) -> None:
        """Have the last quotes cancelled, then send the message that is struck at."""
        async with asyncio.timeout(_LIMIT_S):
            while self._live:
                self._send(MID + 1_000)
                await asyncio.sleep(pause_s)
            until = asyncio.get_running_loop().time() + _SETTLED_S  # the daemon hears of the cancels
            while asyncio.get_running_loop().time() < until:
                self._send(MID + 1_000)
                await asyncio.sleep(pause_s)
            while len(self._live) < 2:
                if not self._live:
                    self._send(MID)
                await asyncio.sleep(max(pause_s, _SETTLED_S))

    @property
    def _live(self) -> list[Any]:
        return list(self._venue.accounts["main"].live.values())

    def _send(self, mid: int) -> None:
        """A message of ten levels behind the best."""
        self._number += 1
        sizes = [0.01 + (self._number + i) % 7 / 100 for i in range(5)]
        bids = [{"price": float(MID - 1_000 - 10 * i), "size": size} for i, size in enumerate(sizes)]
        asks = [{"price": float(MID + 1_000 + 10 * i), "size": size} for i, size in enumerate(sizes)]
        self._exchange.inject(Channel.BOARD, frame(BOARD, {"mid_price": float(mid), "bids": bids, "asks": asks}))


async def _play(metronome: Metronome, strikes: int, kinds: list[bool]) -> None:
    """So many strikes cold and warm, in turns; note which were cold."""
    await metronome.begin()
    while len(kinds) < 2 * strikes:
        for is_cold in (True, False):
            for _ in range(min(TURN, strikes)):
                await metronome.strike(PAUSE_S if is_cold else 0.001)
                kinds.append(is_cold)


async def _measure(strikes: int, folder: Path) -> tuple[list[list[int]], list[list[int]]]:
    """The stamps of cold and of warm strikes."""
    market = Market(seed=1, start_ns=SystemClock().now_ns(), model=_STILL)
    venue = free_venue(market)
    kinds: list[bool] = []
    async with BitflyerExchange(market, clock=SystemClock(), private=venue, ip_limit=None) as exchange:
        daemon = Popen(  # noqa: S603, ASYNC220 - ourselves, before anything is measured
            [sys.executable, "-m", "benchmarks.path", "--trade", exchange.base_url, exchange.ws_url, str(folder)],
            stdin=DEVNULL,
            stdout=PIPE,
            env={k: v for k, v in os.environ.items() if not k.startswith("BITFLYER_")},
        )
        try:
            with apart(daemon.pid):
                await _play(Metronome(exchange, venue), strikes, kinds)
            daemon.terminate()
            out, _ = await asyncio.to_thread(daemon.communicate)
        finally:
            daemon.kill()
            daemon.wait()
    stamps = json.loads(out)[-len(kinds) :]
    if len(stamps) < len(kinds):
        raise AssertionError(f"{len(stamps)} of {len(kinds)} strikes were stamped")
    cold, warm = ([s for s, kind in zip(stamps, kinds, strict=True) if kind is is_cold] for is_cold in (True, False))
    return cold, warm


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One stage, or a sum of stages, in nanoseconds."""

    name: str
    median_ns: float
    p99_ns: float
    share: float
    """Of the median of the whole strike."""


def shares(stamps: Sequence[Sequence[int]]) -> list[Share]:
    """What each stage takes, then the first order and both."""
    whole = median(one[-1] - one[0] for one in stamps)
    spans = [(name, number, number + 1) for number, name in enumerate(STAGES)]
    spans += [("first order", 0, FIRST), ("both orders", 0, len(STAGES))]
    result = []
    for name, start, end in spans:
        spent = [one[end] - one[start] for one in stamps]
        middle, p99 = median(spent), quantiles(spent, n=100)[98]
        result.append(Share(name=name, median_ns=middle, p99_ns=p99, share=middle / whole))
    return result


def measure(strikes: int) -> tuple[list[Share], list[Share]]:
    """The stages of cold and of warm strikes."""
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=cli.loop_factory()) as runner:
        cold, warm = runner.run(_measure(strikes, Path(folder)))
    return shares(cold), shares(warm)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, or be the process that trades."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.path", description=__doc__)
    parser.add_argument("--strikes", type=int, default=200, help="for each column; default: %(default)s")
    parser.add_argument("--trade", nargs=3, help=argparse.SUPPRESS)
    flags = parser.parse_args(arguments)
    logger.remove()
    if flags.trade is not None:
        warnings.simplefilter("ignore", DeprecationWarning)  # of how pybotters hands its signature to aiohttp
        trade(flags.trade[0], flags.trade[1], Path(flags.trade[2]))
        return
    show(flags.strikes)


def show(strikes: int) -> None:
    """Measure, and print the table."""
    cold, warm = measure(strikes)
    print(f"one strike in our own process, {strikes} cold and {strikes} warm, us: median (p99), share\n")
    print(f"{'stage':<14}{'cold':>18}{'':>6}{'warm':>18}")
    for one, other in zip(cold, warm, strict=True):
        cells = [f"{s.median_ns / 1e3:>9,.0f} ({s.p99_ns / 1e3:,.0f})".rjust(18) for s in (one, other)]
        print(f"{one.name:<14}{cells[0]}{one.share:>6.0%}{cells[1]}{other.share:>6.0%}")


if __name__ == "__main__":
    main()
