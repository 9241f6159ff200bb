"""From the exchange's board message to its receipt of our order: the live daemon against the stock store.

The embedded exchange runs here; the trader is a process of its own, on the other core. Two traders take their turn on
the same market (same seed, real time, from its first message on), each for the same number of seconds:

- *run_live*: the command as it is: keys, pre-flight, session, core, journal, logs, reconciliation;
- *stock*: `stock_trader.py`, the specification's sketch on pybotters' own store, through the same client.

All times are taken by the exchange's stopwatch, where the bytes are: when a frame of the board goes to the socket, and
when the last bytes of a ``sendchildorder`` are read. What the exchange does before the one and after the other is told
apart (``exchange``): its queue of frames, and its HTTP server up to the order's handler. An order waits a tenth of a
millisecond before it is worked on, and meanwhile the exchange reads: else its work on the first order would count for
the second. There are two questions, and a setting for each.

*by message*: every strike is caused by a message, and by that one. A stall matures after 50 ms and the book counts as
stale after 5 ms, while messages come 100 ms and more apart: when the stall matures the daemon's timer finds the book
stale, and the next message that leaves the best where it is makes the strike possible. An order counts from the *last*
board frame handed out before it came; who takes longer than the pause between two messages is thereby shown as faster
than he is. This compares what the two spend on a message and on an order. Both send through pybotters and aiohttp to
the same server, which is most of it, and which no reading of the book can save.

*by maturity*: the strategy's own 250 ms and 700 ms. A strike is possible from 250 ms after the message that last moved
the best, and counts from there; only the first strike after a move counts. The daemon has a timer for that moment. The
sketch looks at the book when a message comes, and waits for the next one.

The sketch's quotes join the best, so that it, which cannot tell its own orders from others', is not reset by them. The
daemon's rest far behind: where its own were the whole best, what moves the best for the exchange would not for it. All
are cancelled long before the next strike. The exchange answers, registers, cancels and tells without its usual delays:
the sketch awaits the answer to its first order before it sends the second. Limits are as wide as a number of samples
needs; the daemon counts them all the same.

``first order`` is the time to the first order of a strike, ``whole strike`` to the second of its two.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from time import perf_counter_ns
from types import TracebackType
from typing import Any, Final, Self
from unittest.mock import patch

import orjson
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from benchmarks.limits import MANY, WIDE, apart
from stall_then_strike.app.shell import cli
from stall_then_strike.infra.bitflyer.store import Board
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.sim.bitflyer.desk import Delays
from stall_then_strike.sim.bitflyer.keys import ApiKey
from stall_then_strike.sim.bitflyer.limits import Limits
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings, PrivateVenue
from stall_then_strike.sim.bitflyer.venue_hours import Calendar
from stall_then_strike.sim.bitflyer_server import BitflyerExchange
from stall_then_strike.sim.exchange.source import Channel, Frame
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import NS_PER_MS

SIZE: Final = 0.001
SEED: Final = 7
FAR: Final = 10_000
"""Ticks from the mid to the daemon's quotes."""
WARM_UP: Final = 3
"""Strikes that are not counted."""
KEY: Final = ApiKey(key="key-of-the-benchmark", secret="made-up")  # noqa: S106 - good for nothing else
_NOW: Final = (0, 0)
_BOARD: Final = tuple(channel.of("FX_BTC_JPY") for channel in (Channel.BOARD, Channel.SNAPSHOT))
_SEND: Final = "/v1/me/sendchildorder"
_START_S: Final = 30.0
_READING_NS: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is asked."""

    name: str
    stall_ms: int
    stale_ms: int
    ttl_ms: int
    is_by_message: bool


BY_MESSAGE: Final = Setting(name="by message", stall_ms=50, stale_ms=5, ttl_ms=25, is_by_message=True)
BY_MATURITY: Final = Setting(name="by maturity", stall_ms=250, stale_ms=700, ttl_ms=100, is_by_message=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Nanoseconds from the board frame to an order."""

    median_ns: float
    p99_ns: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """One trader's strikes."""

    strikes: int
    first: Timing
    whole: Timing
    exchange_ns: float
    """The exchange's own part of an order's way, which is in neither: a median."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Both traders on one market."""

    setting: Setting
    daemon: Latency
    stock: Latency
    bare: Latency | None
    """Only by message: it knows no stall."""


class StampedExchange(BitflyerExchange):
    """Notes when board frames go out and when orders come in."""

    def __init__(self, market: Market, private: PrivateVenue, setting: Setting) -> None:
        """In real time."""
        super().__init__(market, clock=SystemClock(), private=private, ip_limit=None)
        self._setting = setting
        self._board = Board(market.instrument)
        self._is_whole = False
        self._best = (0, 0)
        self._causes = [0]
        """From when on each message that may cause a strike makes one possible."""
        self._awaited: dict[str, int] = {}
        """Frames that make a strike possible and are not sent yet, with when they were put into the queue."""
        self._queued_ns = 0
        self.own_ns: list[int] = []
        """What the exchange itself spent on each order."""
        self._read_ns: dict[object, int] = {}
        """When bytes of a client were last read, by its connection."""
        self.strikes: dict[int, list[int]] = {}
        """By what made a strike possible, the nanoseconds from then to each order."""
        self.began = asyncio.Event()
        self._patches = ExitStack()

    async def __aenter__(self) -> Self:
        """Open, and stamp what is sent and read."""
        send, receive = web.WebSocketResponse.send_str, RequestHandler.data_received

        def send_str(ws: web.WebSocketResponse, data: str, compress: int | None = None) -> Awaitable[None]:
            self._on_send(data)
            return send(ws, data, compress)

        def data_received(client: RequestHandler, data: bytes) -> None:
            self._read_ns[client] = perf_counter_ns()
            receive(client, data)

        self._patches.enter_context(patch.object(web.WebSocketResponse, "send_str", send_str))
        self._patches.enter_context(patch.object(RequestHandler, "data_received", data_received))
        return await super().__aenter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Close, and stamp no more."""
        with self._patches:
            return await super().__aexit__(exc_type, exc, traceback)

    async def _deliver(self, frame: Frame) -> None:
        is_heard = frame.channel in _BOARD and self.hub.subscribers(frame.channel)
        if is_heard and (self._setting.is_by_message or self._moves_the_best(frame)):
            self._awaited[frame.text] = perf_counter_ns()
        await super()._deliver(frame)

    def _on_send(self, text: str) -> None:
        """A frame goes to the socket now."""
        if (queued_ns := self._awaited.pop(text, None)) is not None:
            sent_ns = perf_counter_ns()
            self._causes.append(sent_ns + (0 if self._setting.is_by_message else self._stall_ns))
            self._queued_ns = sent_ns - queued_ns

    @property
    def _stall_ns(self) -> int:
        return self._setting.stall_ms * NS_PER_MS

    def _moves_the_best(self, frame: Frame) -> bool:
        content = orjson.loads(frame.text)["params"]["message"]
        if frame.channel == _BOARD[1]:
            self._board.apply_snapshot(content)
            self._is_whole = True
        elif self._is_whole:
            self._board.apply_delta(content)
        before, self._best = self._best, (self._board.best_bid, self._board.best_ask)
        return before != self._best

    async def _answer_private(self, request: web.Request) -> web.Response:
        if request.path == _SEND:
            await request.read()
            read_ns, handled_ns = self._read_ns[request.protocol], perf_counter_ns()
            # A move that came while the order was on its way is no cause.
            cause = bisect_right(self._causes, read_ns) - 1
            self.strikes.setdefault(cause, []).append(read_ns - self._causes[cause])
            self.own_ns.append(self._queued_ns + handled_ns - read_ns)
            self.began.set()
            while perf_counter_ns() < handled_ns + _READING_NS:  # noqa: ASYNC110 - the loop reads meanwhile
                await asyncio.sleep(0)
        return await super()._answer_private(request)


def _daemon(exchange: BitflyerExchange, setting: Setting, folder: Path) -> Popen[bytes]:
    """``run_live``, started."""
    tree: dict[str, Any] = {
        "env": "live",
        "exchange": {"base_url": exchange.base_url, "ws_url": exchange.ws_url, "limits": WIDE},
        "strategy": {
            "stall_T_ms": setting.stall_ms,
            "stale_ms": setting.stale_ms,
            "ttl_ms": setting.ttl_ms,
            "size_min": SIZE,
            "quote_mode": "mid",
            "quote_offset_ticks": FAR,
            "max_inventory_btc": 10,
            "max_reverse_ticks": MANY,
        },
        "risk": {"daily_pnl_jpy": -MANY, "max_dd_jpy": -MANY},
        "journal": {"dir": str(folder / "journal")},
    }
    config = folder / "live.yml"
    config.write_text(json.dumps(tree))
    return Popen(  # noqa: S603 - our own command
        [
            *(sys.executable, "-m", "stall_then_strike.app.run_live", "--yes"),
            *("--config", str(config), "--log-dir", str(folder / "logs")),
        ],
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=None,
        env={**os.environ, "BITFLYER_API_KEY": KEY.key, "BITFLYER_API_SECRET": KEY.secret},
    )


def _plain(module: str, exchange: BitflyerExchange, setting: Setting, _folder: Path) -> Popen[bytes]:
    """A trader of this folder, started."""
    settings = {
        "base_url": exchange.base_url,
        "ws_url": exchange.ws_url,
        "key": KEY.key,
        "secret": KEY.secret,
        "stall_ms": setting.stall_ms,
        "ttl_ms": setting.ttl_ms,
        "size": SIZE,
    }
    trader = Popen([sys.executable, "-m", f"benchmarks.{module}"], stdin=PIPE, stdout=DEVNULL)  # noqa: S603 - our own
    if trader.stdin is None:
        raise AssertionError("its input is a pipe")
    trader.stdin.write(json.dumps(settings).encode())
    trader.stdin.close()
    return trader


@contextmanager
def _until_left(trader: Popen[bytes]) -> Iterator[None]:
    try:
        with apart(trader.pid):
            yield
    finally:
        trader.kill()
        trader.wait()


_Start = Callable[[BitflyerExchange, Setting, Path], Popen[bytes]]


def free_venue(market: Market) -> PrivateVenue:
    """A private side without delays and limits, with one rich account."""
    settings = PrivateSettings(
        seed=SEED,
        collateral_jpy=Decimal(10**9),
        calendar=Calendar(maintenance=None, breaker=None),
        delays=Delays(answer=_NOW, registration=_NOW, late_share=0, cancel=_NOW, event=_NOW, listing=_NOW),
        limits=Limits(private_calls=MANY, order_calls=MANY, small_orders=MANY),
    )
    return PrivateVenue(market, [KEY], settings)


async def _measure(start: _Start, setting: Setting, seconds: float) -> Latency:
    market = Market(seed=SEED, start_ns=SystemClock().now_ns())
    with tempfile.TemporaryDirectory() as folder:
        async with StampedExchange(market, free_venue(market), setting) as exchange:
            with _until_left(start(exchange, setting, Path(folder))):
                async with asyncio.timeout(_START_S):
                    await exchange.began.wait()
                await asyncio.sleep(seconds)
                strikes = [times[:2] for _, times in sorted(exchange.strikes.items())][WARM_UP:-1]
    return Latency(
        strikes=len(strikes),
        first=_timing([times[0] for times in strikes]),
        whole=_timing([times[-1] for times in strikes if len(times) > 1]),
        exchange_ns=statistics.median(exchange.own_ns),
    )


def _timing(spent: list[int]) -> Timing:
    return Timing(median_ns=statistics.median(spent), p99_ns=statistics.quantiles(spent, n=100)[98])


def compare(setting: Setting, seconds: float) -> Comparison:
    """Let both trade for so many seconds."""
    starts: dict[str, _Start] = {"daemon": _daemon, "stock": partial(_plain, "stock_trader")}
    if setting.is_by_message:
        starts["bare"] = partial(_plain, "bare_trader")
    results: dict[str, Latency] = {}
    for name, start in starts.items():
        with asyncio.Runner(loop_factory=cli.loop_factory()) as runner:
            results[name] = runner.run(_measure(start, setting, seconds))
    return Comparison(setting=setting, bare=results.pop("bare", None), **results)
