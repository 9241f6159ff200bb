"""Board messages to measure with: seeded ones shaped like the venue's, and a recorded tape where there is one.

Shape, from a recorded tape: 10 levels a delta in the median and up to 55, nine in ten of them new or deleted, most of
them near the touch; the book's best moves with every second message. Prices and sizes are floats with a decimal point,
as on the wire.
"""

from __future__ import annotations

import json
import os
import random
from bisect import insort
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from pathlib import Path
from typing import Any

from stall_then_strike.sim.exchange.source import iter_frames
from stall_then_strike.sim.market import Market
from stall_then_strike.types.instrument import fx_btc_jpy

PRODUCT = "FX_BTC_JPY"
TAPE = Path("data/bitflyer/FX_BTC_JPY-20211212T230530Z-30s.jsonl")
BOARD = f"lightning_board_{PRODUCT}"
SNAPSHOT = f"lightning_board_snapshot_{PRODUCT}"
_START_NS = 1_767_571_200 * 10**9


@dataclass(frozen=True, slots=True)
class Load:
    """One snapshot and the deltas after it, as parsed content and as text frames."""

    name: str
    snapshot: dict[str, Any]
    snapshot_text: str
    delta_texts: list[str]


def frame(channel: str, content: Any) -> str:
    """A text frame as the venue sends it."""
    message = {"jsonrpc": "2.0", "method": "channelMessage", "params": {"channel": channel, "message": content}}
    return json.dumps(message, separators=(",", ":"))


class _Side:
    """One side of a made book: prices sorted best first by ``sign * price``."""

    def __init__(self, rng: random.Random, best: int, sign: int, levels: int) -> None:
        self.rng = rng
        self.sign = sign
        self.levels = levels
        self.known = set(sorted({sign * best + self._distance() for _ in range(levels * 4)})[:levels])
        self.ranks = sorted(self.known)

    def _distance(self) -> int:
        return int(self.rng.expovariate(1 / 4_000))

    @property
    def best(self) -> int:
        return self.sign * self.ranks[0]

    def change(self, others_best: int) -> dict[str, float]:
        """One changed level, mostly near the touch; never through the other side."""
        rng = self.rng
        near = min(int(rng.expovariate(1 / 25)), len(self.ranks) - 1)
        what = rng.random()
        if what < 0.06:
            rank = self.ranks[near]
        elif len(self.ranks) > self.levels * (0.97 if what < 0.53 else 1.03):
            rank = self.ranks.pop(near)
            self.known.discard(rank)
            return {"price": float(self.sign * rank), "size": 0.0}
        else:
            rank = max(self.ranks[near] + rng.randint(-400, 400), self.sign * others_best + 10)
            if rank not in self.known:
                self.known.add(rank)
                insort(self.ranks, rank)
        return {"price": float(self.sign * rank), "size": rng.choice((0.01, 0.02, 0.1, round(rng.random(), 8)))}


def made(levels_a_side: int, deltas: int, seed: int = 1) -> Load:
    """A made book and its changes; the same seed gives the same bytes."""
    rng = random.Random(seed)
    bids, asks = _Side(rng, 5_859_000, -1, levels_a_side), _Side(rng, 5_860_500, 1, levels_a_side)

    def content(bid_levels: list[dict[str, float]], ask_levels: list[dict[str, float]]) -> dict[str, Any]:
        return {"mid_price": float((bids.best + asks.best) // 2), "bids": bid_levels, "asks": ask_levels}

    snapshot = content(
        [{"price": float(-rank), "size": round(rng.random(), 8) + 1e-8} for rank in bids.ranks],
        [{"price": float(rank), "size": round(rng.random(), 8) + 1e-8} for rank in asks.ranks],
    )
    texts = []
    for _ in range(deltas):
        changes = min(55, max(1, round(rng.lognormvariate(2.3, 0.6))))
        on_bids = [bids.change(asks.best) for _ in range(changes // 2)]
        on_asks = [asks.change(bids.best) for _ in range(changes - changes // 2)]
        texts.append(frame(BOARD, content(on_bids, on_asks)))
    return Load(f"made, {2 * levels_a_side:,} levels", snapshot, frame(SNAPSHOT, snapshot), texts)


def recorded_tape() -> Path | None:
    """The recorded tape; None where it is absent."""
    shared = Path(os.environ.get("STS_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    return shared / TAPE if (shared / TAPE).is_file() else None


def recorded() -> Load | None:
    """The deltas of the recorded tape from its first snapshot on; None where the tape is absent."""
    tape = recorded_tape()
    if tape is None:
        return None
    messages = [json.loads(line)["msg"]["params"] for line in tape.read_text().splitlines()]
    first = next(number for number, params in enumerate(messages) if params["channel"] == SNAPSHOT)
    texts = [frame(BOARD, params["message"]) for params in messages[first:] if params["channel"] == BOARD]
    snapshot = messages[first]["message"]
    return Load("recorded tape", snapshot, frame(SNAPSHOT, snapshot), texts)


def generated(path: Path, *, hours: float = inf, levels: float = inf) -> None:
    """A tape of the embedded market, so long or with so many level changes.

    No two messages have one stamp: hftbacktest does not see what was between them.
    """
    market = Market(seed=7, start_ns=_START_NS, instrument=fx_btc_jpy())
    until_ns, written, last_ns = _START_NS + hours * 3_600 * 10**9, 0, 0
    with path.open("w") as file:
        for message in iter_frames(market):
            if message.time_ns > until_ns or written >= levels:
                return
            last_ns = max(last_ns + 1, message.time_ns)
            file.write(f'{{"recv_ns":{last_ns},"msg":{message.text}}}\n')
            if message.channel == BOARD:
                written += message.text.count('"price"')


def looped(source: Path, path: Path, times: int) -> None:
    """A recorded tape again and again, each time later, with other execution ids and dates."""
    lines = [json.loads(line) for line in source.read_text().splitlines()]
    # A loop begins with the first snapshot: the book before it is that of the loop before.
    first = next(n for n, line in enumerate(lines) if line["msg"]["params"]["channel"] == SNAPSHOT)
    lines = lines[first:]
    span = lines[-1]["recv_ns"] - lines[0]["recv_ns"] + 10**8
    with path.open("w") as file:
        for turn in range(times):
            for line in lines:
                if line["msg"]["params"]["channel"].startswith("lightning_exec"):
                    for item in line["msg"]["params"]["message"]:
                        item["id"] += 10_000
                        moved = datetime.fromisoformat(item["exec_date"][:26]) + timedelta(microseconds=span // 1_000)
                        item["exec_date"] = f"{moved.isoformat(timespec='microseconds')}Z"
                text = json.dumps(line["msg"], separators=(",", ":"))
                file.write(f'{{"recv_ns":{line["recv_ns"] + turn * span},"msg":{text}}}\n')
