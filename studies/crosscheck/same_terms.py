"""What both engines are given: the same settings, the same tape. Needs no hftbacktest."""

from __future__ import annotations

import random
from collections.abc import Iterable
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from stall_then_strike.app.trader.virtual import Message
from stall_then_strike.config.models import AppConfig
from stall_then_strike.sim.latency import quantile_table
from stall_then_strike.tapes.tape_reader import read_tape
from stall_then_strike.tapes.tape_rows import ExecutionRow, read_rows
from stall_then_strike.types.instrument import fx_btc_jpy
from studies.crosscheck import their_events
from studies.crosscheck.their_rules import Law
from tests.market_script import config
from tests.research.replay.replay_rig import frames

# Three nanoseconds that no stamp of a tape has: a request then never arrives at the moment of a message.
LATENCY = {"kind": "constant", "median_ms": Decimal("100.000003"), "spread_ms": 0}
ENDLESS = 1_000_000
_QUEUES = {Law.RISK_ADVERSE: "pessimistic", Law.POWER: "power", Law.LOG: "share"}


def settings(law: Law = Law.RISK_ADVERSE, **strategy: Any) -> AppConfig:
    """Our settings with the queue model that corresponds; without what hftbacktest has no word for."""
    limits = ("address_per_5min", "private_per_5min", "orders_per_5min", "small_orders_per_min")
    return config(
        paper={
            "order_latency": LATENCY,
            "cancel_latency": LATENCY,
            "queue_model": _QUEUES[law],
            "queue_power": 2,
            "print_through": "all",
            "funding_rate": 0,
        },
        exchange={"limits": dict.fromkeys(limits, ENDLESS)},
        risk={"daily_pnl_jpy": -ENDLESS, "max_dd_jpy": -ENDLESS},
        session={"quiet": ()},
        strategy=strategy,
    )


def latency_ns(cfg: AppConfig) -> int:
    """What both engines add to a request."""
    return quantile_table(cfg.paper.order_latency)[0]


class Tape:
    """A tape as both engines want it."""

    def __init__(self, path: Path, messages: list[Message] | None = None) -> None:
        self.path = path
        self.messages = messages or [(line.recv_ns, line.text) for line in read_tape(path)]

    @property
    def end_ns(self) -> int:
        """Its last moment."""
        return self.messages[-1][0]

    @cached_property
    def data(self) -> Any:
        """hftbacktest's events."""
        return their_events.events(self.path, fx_btc_jpy())

    @cached_property
    def depth(self) -> list[Any]:
        """Those of the book."""
        return their_events.depth_rows(self.data)


def written(messages: Iterable[Message], path: Path) -> Tape:
    """A tape of these messages."""
    path.write_text("".join(f'{{"recv_ns":{at},"msg":{text}}}\n' for at, text in messages))
    return Tape(path)


def generated(path: Path, *, seconds: float, seed: int, lost: float = 0.0) -> Tape:
    """Of the embedded market; of this share of board messages a deletion is lost, as the venue does now and then."""
    chance, messages = random.Random(seed), list[Message]()
    for frame in frames(seconds, seed=seed):
        text = frame.text
        if "lightning_board_FX" in text and chance.random() < lost:
            tree = orjson.loads(text)
            for levels in (tree["params"]["message"]["bids"], tree["params"]["message"]["asks"]):
                if gone := [level for level in levels if not level["size"]]:
                    levels.remove(chance.choice(gone))
                    break
            text = orjson.dumps(tree).decode()
        messages.append((frame.time_ns, text))
    return written(messages, path)


def restamped(tape: Tape, feed_ns: int) -> list[Message]:
    """The tape with each trade where ``tape convert`` puts it: at the venue's stamp and one feed latency."""
    instrument = fx_btc_jpy()
    trades = [row for row in read_rows(tape.path, instrument) if isinstance(row, ExecutionRow)]
    messages = list[Message]()
    trade = iter(trades)
    for at_ns, text in tape.messages:
        if text is None or "lightning_executions_" not in text[:120]:
            messages.append((at_ns, text))
            continue
        tree = orjson.loads(text)
        for item in tree["params"]["message"]:
            row = next(trade)
            stamp_ns = at_ns - feed_ns if row.exec_ns is None else min(max(row.exec_ns, at_ns - 10**10), at_ns)
            one = {**tree, "params": {**tree["params"], "message": [item]}}
            messages.append((stamp_ns + feed_ns, orjson.dumps(one).decode()))
    return sorted(messages, key=lambda message: message[0])
