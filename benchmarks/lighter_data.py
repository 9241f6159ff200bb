"""Market data of a hundred Lighter markets on one connection: lag at ten times the captured rate, and the top rate.

- *Lag*: books, trades and statistics of all markets are subscribed; the venue, in a process of its own, sends at ten
  times the rate at which one connection was captured. Lag is the time from just before a message is sent until all
  handlers are done with it. Nothing may be lost: every message is counted, and at the end every book is compared, level
  by level, with a plain one.
- *Rate*: the venue sends changes of books as fast as they are taken, to `LighterDataProvider` and to the SDK's own
  `WsClient`, one after the other. Both start from the same books and get the same changes over the same kind of socket
  with the compression that they ask for. Updates a second are counted from the first change to the last, by the client.

The venue's limit of client messages a minute is off, so that all subscriptions go out at once.
"""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from time import perf_counter_ns, time_ns
from typing import Any

from benchmarks.lighter_stream import MARKET, STAMP, Play, Stream, serve, stream
from stall_then_strike.infra.levels import Level
from stall_then_strike.infra.line.socket_line import SocketLine
from stall_then_strike.lighter.data import BookLost, DataKind, LighterDataProvider, MarketData
from stall_then_strike.lighter.handlers.orderbook import BookChange
from stall_then_strike.lighter.markets import Market, Markets
from stall_then_strike.lighter.ws import LighterWebSocketManager
from stall_then_strike.types.dto import Side

MARKETS = 100
TIMES = 10
"""How many times the captured rate."""
SDK_UPDATES = 10
"""Changes of each book that the SDK's client gets; ours gets as many, and in a longer run all of them."""
_UNLIMITED = 10**9
_READY_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lags:
    """What came, and how late."""

    source: str
    per_s: float
    messages: int
    lost: int
    """Messages that did not come, and books that differ from the plain one."""
    median_ms: float
    p99_ms: float
    most_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Book updates a second."""

    updates: int
    """Changes of books that both got."""
    ours: float
    sdk: float
    long_updates: int
    long: float
    """Ours over a longer run."""

    @property
    def times(self) -> float:
        """How many times as fast as the SDK's client."""
        return self.ours / self.sdk


def markets(count: int) -> Markets:
    """Markets with the scales of BTC."""
    rows = (
        Market(
            market_index=number,
            symbol=f"M{number}",
            size_decimals=5,
            price_decimals=1,
            min_base=Decimal("0.0002"),
            min_quote=Decimal(10),
        )
        for number in range(count)
    )
    return Markets(rows)


@contextmanager
def venue(play: Play) -> Iterator[str]:
    """The venue's process; gives the address of its stream."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(play, theirs), daemon=True)
    process.start()
    try:
        yield f"ws://127.0.0.1:{ours.recv()}/stream"
    finally:
        process.terminate()
        process.join()


class TimedSocket(LighterWebSocketManager):
    """Notes when each change was done with, and how late."""

    def __init__(self, url: str) -> None:
        """Send without the venue's limit."""
        super().__init__(url, messages_per_min=_UNLIMITED)
        self.lags_ns: list[int] = []
        self.first_ns = self.last_ns = 0
        self._prefix = STAMP.encode()

    def deliver(self, line: SocketLine, data: str | bytes, recv_ns: int) -> None:
        """Hand the frame on, then look at the clock."""
        super().deliver(line, data, recv_ns)
        raw = data if isinstance(data, str) else data.decode()
        if raw.startswith(STAMP):
            done_ns = time_ns()
            self.lags_ns.append(done_ns - int(raw[len(STAMP) : raw.index(",")]))
            self.last_ns = perf_counter_ns()
            self.first_ns = self.first_ns or self.last_ns


@dataclass
class Received:
    """What the provider gave."""

    lost: int = 0
    updates: int = 0
    books: dict[int, BookChange] = field(default_factory=dict)
    levels: list[list[list[Level]]] = field(default_factory=list)
    """Both sides of all books at the end."""

    is_over: bool = False

    def end(self) -> None:
        """Keep the books as they are; what comes after this is the end of the connection."""
        self.is_over = True
        books = (self.books[market].book for market in sorted(self.books))
        self.levels = [[sorted(book.levels(side)) for side in (Side.BUY, Side.SELL)] for book in books]

    def take(self, data: MarketData) -> None:
        """Count one piece."""
        if self.is_over:
            return
        if isinstance(data.value, BookChange):
            self.updates += not data.value.is_snapshot
            self.books[data.market.market_index] = data.value
        elif isinstance(data.value, BookLost):
            self.lost += 1


async def _ours(url: str, count: int, expected: int, kinds: tuple[DataKind, ...]) -> tuple[TimedSocket, Received]:
    """Run the provider until all changes have come, or none for a while."""
    known = markets(count)
    socket, got = TimedSocket(url), Received()
    provider = LighterDataProvider(socket, known, got.take)
    async with asyncio.TaskGroup() as group:
        group.create_task(provider.run())
        for kind in kinds:
            provider.subscribe(kind, known.all())
        async with asyncio.timeout(_READY_S):
            while not all(map(socket.is_live, socket.channels)):  # noqa: ASYNC110 - nothing is measured yet
                await asyncio.sleep(0.05)
        gc.collect()
        socket.send({"type": "go"})
        quiet = 0
        while len(socket.lags_ns) < expected and quiet < 100:
            before = len(socket.lags_ns)
            await asyncio.sleep(0.05)
            quiet = quiet + 1 if len(socket.lags_ns) == before else 0
        got.end()
        provider.close()
    return socket, got


def lags(count: int = MARKETS, changes: int | None = None) -> Lags:
    """Measure the lag; ``changes`` limits the messages of each market."""
    source = stream()
    kept = len(source.changes) if changes is None else changes
    per_s = TIMES * source.per_s
    expected = kept * count
    kinds = (DataKind.ORDERBOOK, DataKind.TRADES, DataKind.MARKET_STATS)
    with venue(Play(markets=count, per_s=per_s, changes=changes)) as url:
        socket, got = asyncio.run(_ours(url, count, expected, kinds))
    late = sorted(socket.lags_ns)
    missing = expected - len(late) + got.lost + _differing(source, source.changes[:kept], got)
    return Lags(
        source=source.name,
        per_s=per_s,
        messages=len(late),
        lost=missing,
        median_ms=statistics.median(late) / 1e6,
        p99_ms=late[len(late) * 99 // 100] / 1e6,
        most_ms=late[-1] / 1e6,
    )


def _differing(source: Stream, changes: list[tuple[str, str]], got: Received) -> int:
    """How many books differ from a plain one."""
    sides: dict[str, dict[int, int]] = {"bids": {}, "asks": {}}
    for kind, text in (("order_book", source.first["order_book"]), *changes):
        if kind == "order_book":
            book = json.loads(text.replace(MARKET, "0"))["order_book"]
            for name, levels in sides.items():
                for row in book[name] or ():
                    levels[int(Decimal(row["price"]) * 10)] = int(Decimal(row["size"]) * 100_000)
    plain = [sorted((price, size) for price, size in side.items() if size) for side in sides.values()]
    return sum(levels != plain for levels in got.levels)


def rates(count: int = MARKETS, sdk_updates: int = SDK_UPDATES, updates: int = 228) -> Rates:
    """Measure the rates; ``updates`` are the changes of each book in the longer run."""
    expected, longer = sdk_updates * count, min(updates, len(stream().of_book(updates))) * count
    with venue(Play(markets=count, per_s=None, updates=sdk_updates)) as url:
        sdk = asyncio.run(_sdk(url, count, expected))
        ours = _per_s(asyncio.run(_ours(url, count, expected, (DataKind.ORDERBOOK,))), expected)
    with venue(Play(markets=count, per_s=None, updates=updates)) as url:
        long = _per_s(asyncio.run(_ours(url, count, longer, (DataKind.ORDERBOOK,))), longer)
    return Rates(updates=expected, ours=ours, sdk=sdk, long_updates=longer, long=long)


def _per_s(result: tuple[TimedSocket, Received], expected: int) -> float:
    socket, got = result
    if got.updates != expected or got.lost:
        raise AssertionError(f"{got.updates} of {expected} updates came, {got.lost} books were lost")
    return (expected - 1) * 1e9 / (socket.last_ns - socket.first_ns)


async def _sdk(url: str, count: int, expected: int) -> float:
    """Updates a second of the SDK's client."""
    from lighter.ws_client import WsClient  # the optional extra

    seen, stamps = 0, [0, 0]
    loop = asyncio.get_running_loop()
    done, going = loop.create_future(), list[Any]()

    def on_update(market: str, book: Any) -> None:
        nonlocal seen
        del market, book
        seen += 1
        if seen == count:
            going.append(asyncio.ensure_future(client.ws.send('{"type":"go"}')))
        if seen == count + 1:
            stamps[0] = perf_counter_ns()
        if seen == count + expected:
            stamps[1] = perf_counter_ns()
            done.set_result(None)

    client = WsClient(ws_url=url, order_book_ids=list(range(count)), on_order_book_update=on_update)
    task = asyncio.ensure_future(client.run_async())
    await done
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return (expected - 1) * 1e9 / (stamps[1] - stamps[0])
