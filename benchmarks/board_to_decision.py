"""From the text of a board message to the core's decision: ours against pybotters' stock store.

Three contenders take the same messages in one process, in turns:

- *ours*: feed (orjson), board, view, core;
- *stock*: ``json.loads``, ``bitFlyerDataStore.onmessage``, ``board.sorted(limit=1)``, core, once a message;
- *stock, every change*: the same with one watcher, and ``sorted(limit=1)`` and the core once for each change event
  that the watcher gets, as a loop over ``store.board.watch()`` does.

All three end in the same core, configured so that it passes every gate and holds because no stall is mature: what it
does at nearly every message. On made messages all must see the same best and decide the same, which is checked.

The stock store takes a snapshot only together with a real connection (on which it then unsubscribes the channel), so
its board is seeded by its own ``_onmessage``, the method that it calls itself. It gets no second snapshot, as in life,
and ours gets none either. Garbage collection is off while a message is timed and runs between the turns. What the
event loop adds to a real consumer of the stream is left out, in favour of stock.
"""

from __future__ import annotations

import gc
import json
import statistics
from dataclasses import dataclass
from time import perf_counter_ns

import pybotters

from benchmarks.messages import PRODUCT, Load
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.core import Core
from stall_then_strike.engine.venue.shared import Shared
from stall_then_strike.infra.bitflyer.bitflyer_rules import bitflyer_rules
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.types.dto import NS_PER_MS, BoardSnapshot, BoardState, BookStatus, Health, VenueStatus
from stall_then_strike.types.instrument import Lots, Ticks

START_NS = 1_639_350_330_000_000_000
EACH_NS = 100 * NS_PER_MS
"""Between two messages, by their stamps."""
TURN = 1_000
"""Messages in a row for one contender. The first tenth does not count: it finds another's book in the caches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Nanoseconds a message."""

    name: str
    median_ns: float
    p99_ns: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The contenders on one load."""

    ours: Timing
    stock: Timing
    every_change: Timing


def _core() -> tuple[AppConfig, Core]:
    """A core with a running venue and a stall that never matures."""
    cfg = AppConfig.model_validate({"strategy": {"stall_T_ms": 86_400_000}})
    core = Core(cfg, Shared(cfg, bitflyer_rules(cfg)))
    core.on_event(VenueStatus(ts_ns=START_NS, state=BoardState.RUNNING, health=Health.NORMAL), START_NS)
    return cfg, core


class Ours:
    """The project's path."""

    name = "ours"

    def __init__(self, load: Load) -> None:
        """Take the snapshot."""
        cfg, self.core = _core()
        self.feed = MarketFeed(cfg)
        self.feed.on_text(load.snapshot_text, START_NS)

    def take(self, text: str, now_ns: int) -> None:
        """One message."""
        event = self.feed.on_text(text, now_ns)
        if isinstance(event, BoardSnapshot):
            self.core.on_event(event, now_ns)


class Stock:
    """pybotters' store, asked once a message."""

    name = "stock"

    def __init__(self, load: Load) -> None:
        """Take the snapshot."""
        _, self.core = _core()
        self.store = pybotters.bitFlyerDataStore()
        self.store._snapshots.add(PRODUCT)  # noqa: SLF001 - see the head of this file
        self.store.board._onmessage(PRODUCT, load.snapshot)  # noqa: SLF001
        self._best = (0, 0)
        self._since_ns = 0

    def take(self, text: str, now_ns: int) -> None:
        """One message."""
        self.store.onmessage(json.loads(text))
        self.decide(now_ns)

    def decide(self, now_ns: int) -> None:
        """Ask for the best and decide."""
        best = self.store.board.sorted(limit=1)
        bid, ask = best["bids"][0], best["asks"][0]
        prices = int(bid["price"]), int(ask["price"])
        if prices != self._best:
            self._best, self._since_ns = prices, now_ns
        snapshot = BoardSnapshot(
            ts_ns=now_ns,
            best_bid_price=Ticks(prices[0]),
            best_bid_size=Lots(round(bid["size"] * 1e8)),
            best_ask_price=Ticks(prices[1]),
            best_ask_size=Lots(round(ask["size"] * 1e8)),
            best_since_ns=self._since_ns,
            status=BookStatus.OK,
        )
        self.core.on_event(snapshot, now_ns)


class StockEveryChange(Stock):
    """pybotters' store, asked at every change that a watcher is told of."""

    name = "stock, every change"

    def __init__(self, load: Load) -> None:
        """Take the snapshot, then watch."""
        super().__init__(load)
        self.stream = self.store.board.watch()

    def take(self, text: str, now_ns: int) -> None:
        """One message, and all changes it made."""
        self.store.onmessage(json.loads(text))
        waiting = self.stream._queue  # noqa: SLF001 - a real consumer waits in get(); this one stops when nothing is left
        while not waiting.empty():
            waiting.get_nowait()
            self.decide(now_ns)


def compare(load: Load, messages: int) -> Comparison:
    """Time all contenders on at least so many messages: a short load again and again, each time from its snapshot."""
    rounds = [_round(load) for _ in range(-(-messages // len(load.delta_texts)))]
    ours, stock, every_change = (
        _timing(name, [spent for times in rounds for spent in times[name]]) for name in rounds[0]
    )
    return Comparison(ours=ours, stock=stock, every_change=every_change)


def _round(load: Load) -> dict[str, list[int]]:
    """Nanoseconds of each contender for each message that counts."""
    contenders: list[Ours | Stock] = [Ours(load), Stock(load), StockEveryChange(load)]
    times: list[list[int]] = [[] for _ in contenders]
    texts = load.delta_texts
    gc.collect()
    for start in range(0, len(texts), TURN):
        for contender, spent in zip(contenders, times, strict=True):
            take = contender.take
            turn: list[int] = []
            gc.disable()
            for number, text in enumerate(texts[start : start + TURN], start):
                now_ns = START_NS + number * EACH_NS
                began = perf_counter_ns()
                take(text, now_ns)
                turn.append(perf_counter_ns() - began)
            gc.enable()
            spent += turn[len(turn) // 10 :]
        gc.collect(0)
        bests = [(c.core.board.best_bid_price, c.core.board.best_ask_price, c.core.hold_reason) for c in contenders]
        if "made" in load.name and len(set(bests)) != 1:
            raise AssertionError(f"the contenders disagree after message {start}: {bests}")
    return {contender.name: spent for contender, spent in zip(contenders, times, strict=True)}


def _timing(name: str, spent: list[int]) -> Timing:
    return Timing(name=name, median_ns=statistics.median(spent), p99_ns=statistics.quantiles(spent, n=100)[98])
