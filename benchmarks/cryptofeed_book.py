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
    cryptofeed: float


def compare(load: Load) -> Rates | str:
    """Take the load in turns; or why not."""
    python = os.environ.get(VARIABLE)
    if not python:
        return f"no {VARIABLE}"
    with Popen([python, __file__], stdin=PIPE, stdout=PIPE, text=True) as other:  # noqa: S603 - named by the user
        if other.stdin is None or other.stdout is None:
            raise AssertionError("both are pipes")
        try:
            other.stdin.write(json.dumps([load.snapshot_text, *load.delta_texts]) + "\n")
            spent: tuple[list[int], list[int], list[int]] = ([], [], [])
            for _ in range(_TURNS):
                other.stdin.write("\n")
                other.stdin.flush()
                their_ns, *theirs = json.loads(other.stdout.readline())
                our_ns, *ours = _ours(load)
                if theirs != ours:
                    raise AssertionError(f"the books disagree: {theirs}, ours {ours}")
                for times, ns in zip(spent, (our_ns, _decided(load), their_ns), strict=True):
                    times.append(ns)
        except (OSError, json.JSONDecodeError):
            return f"{python} does not run it"
    ours_s, decided_s, theirs_s = (len(load.delta_texts) * _NS_PER_S / min(times) for times in spent)
    return Rates(load=load.name, ours=ours_s, decided=decided_s, cryptofeed=theirs_s)


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
