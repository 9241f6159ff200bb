"""Board messages a second, from text to best prices and to a decision, beside cryptofeed's handler of bitFlyer.

cryptofeed is no dependency, and compiled C beneath. A Python that has it is named in ``CRYPTOFEED_PYTHON``, and runs
this file as a program with the messages on its standard input. Both take the same messages in turns, in a process of
their own each, and must end with the same best prices. Of cryptofeed only ``message_handler`` is called, whose callback
reads the best of both sides; of this project `MarketFeed.on_text`, which also checks the message and its mid price, and
then the same *with decision*: each of its snapshots goes to the core as in `board_to_decision.py`. Time is that of the
processor, which other programs on the machine disturb least.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from subprocess import PIPE, Popen
from time import process_time_ns
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.messages import Load

VARIABLE: Final = "CRYPTOFEED_PYTHON"
_TURNS: Final = 7
_NS_PER_S: Final = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Messages a second, the best of some turns each."""

    load: str
    ours: float
    decided: float
    """Ours with the decision."""
    cryptofeed: float | None
    why_not: str = ""
    """Why there is nothing of cryptofeed."""


def compare(load: Load) -> Rates:
    """Take the load in turns."""
    python = os.environ.get(VARIABLE)
    spent: tuple[list[int], list[int], list[int]] = ([], [], [])
    why_not = "" if python else f"no {VARIABLE}"
    others = _other(python, load) if python else iter(())
    for _ in range(_TURNS):
        try:
            their_ns, *theirs = next(others, (0,))
        except (OSError, json.JSONDecodeError):
            their_ns, theirs, why_not = 0, [], f"{python} does not run it"
        our_ns, *ours = _ours(load)
        if theirs and theirs != ours:
            raise AssertionError(f"the books disagree: {theirs}, ours {ours}")
        for times, ns in zip(spent, (our_ns, _decided(load), their_ns), strict=True):
            times.append(ns)
    each = [0.0 if 0 in times else len(load.delta_texts) * _NS_PER_S / min(times) for times in spent]
    return Rates(load=load.name, ours=each[0], decided=each[1], cryptofeed=each[2] or None, why_not=why_not)


def _other(python: str, load: Load) -> Iterator[tuple[int, float, float]]:
    """Its turns, each when asked for. Raises OSError and JSONDecodeError where that Python does not run it."""
    with Popen([python, __file__], stdin=PIPE, stdout=PIPE, text=True) as other:  # noqa: S603 - named by the user
        if other.stdin is None or other.stdout is None:
            raise AssertionError("both are pipes")
        other.stdin.write(json.dumps([load.snapshot_text, *load.delta_texts]) + "\n")
        for _ in range(_TURNS):
            other.stdin.write("\n")
            other.stdin.flush()
            yield tuple(json.loads(other.stdout.readline()))


def _ours(load: Load) -> tuple[int, float, float]:
    """Nanoseconds for all messages, and the best prices at the end."""
    from stall_then_strike.config.models import AppConfig
    from stall_then_strike.infra.bitflyer.feed import MarketFeed

    cfg = AppConfig()
    feed = MarketFeed(cfg)
    feed.on_text(load.snapshot_text, 1)
    began = process_time_ns()
    for text in load.delta_texts:
        feed.on_text(text, 1)
    spent = process_time_ns() - began
    unit = cfg.exchange.instrument()
    return spent, float(unit.price(feed.board.best_bid)), float(unit.price(feed.board.best_ask))


def _decided(load: Load) -> int:
    """Nanoseconds for all messages with the core's decision at each."""
    from benchmarks.board_to_decision import EACH_NS, START_NS, Ours

    ours = Ours(load)
    began = process_time_ns()
    for number, text in enumerate(load.delta_texts):
        ours.take(text, START_NS + number * EACH_NS)
    return process_time_ns() - began


def _theirs() -> None:
    """In the Python that has cryptofeed: take the messages each time a line comes, and print the time and the best."""
    import asyncio

    from cryptofeed.defines import BITFLYER, L2_BOOK
    from cryptofeed.exchanges.bitflyer import Bitflyer
    from cryptofeed.symbols import Symbols

    Symbols.set(
        BITFLYER, {"BTC-JPY-FX": "FX_BTC_JPY"}, {"instrument_type": {"BTC-JPY-FX": "fx"}}
    )  # else it asks the venue
    best: list[float] = []

    async def on_book(book: Any, _receipt: float) -> None:
        best[:] = float(book.book.bids.index(0)[0]), float(book.book.asks.index(0)[0])

    async def take(texts: list[str]) -> int:
        feed = Bitflyer(symbols=["BTC-JPY-FX"], channels=[L2_BOOK], callbacks={L2_BOOK: on_book})
        feed._Bitflyer__reset()  # noqa: SLF001 - what `subscribe` does
        await feed.message_handler(texts[0], None, 0.0)
        began = process_time_ns()
        for text in texts[1:]:
            await feed.message_handler(text, None, 0.0)
        return process_time_ns() - began

    texts = json.loads(sys.stdin.readline())
    for _ in sys.stdin:
        print(json.dumps([asyncio.run(take(texts)), *best]), flush=True)


if __name__ == "__main__":
    _theirs()
