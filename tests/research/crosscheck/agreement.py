"""Both engines over one tape, and what it takes to make ours do what hftbacktest does.

Rules of hftbacktest's (`their_rules.Rule`) are put on one after another. A difference is explained by the rule at which
it ends for good; what still differs under all rules is unexplained.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
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
from tests.market_script import config
from tests.research.crosscheck import order_script, their_engine, their_rules, their_strategy
from tests.research.crosscheck.order_script import Order
from tests.research.crosscheck.their_rules import Fill, Law, Rule, Theirs
from tests.research.replay.replay_rig import frames

# Three nanoseconds that no stamp of a tape has: a request then never arrives at the moment of a message.
LATENCY = {"kind": "constant", "median_ms": Decimal("100.000003"), "spread_ms": 0}
ENDLESS = 1_000_000
NEAR_NS = 1_000
SAMPLE = Path(__file__).parents[3] / "data" / "sample" / "FX_BTC_JPY-20260105T00Z-seed7-180s.jsonl.zst"
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
        return their_engine.events(self.path, fx_btc_jpy())

    @cached_property
    def depth(self) -> list[Any]:
        """Those of the book."""
        return their_engine.depth_rows(self.data)


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


# --- orders without feedback

Outcomes = dict[int, tuple[tuple[int, int, int], ...]]
"""By order: moment, price and size of its fills."""


def outcomes(fills: Iterable[Fill], *, later_ns: int = 0) -> Outcomes:
    """By order, each moment so much later."""
    found: dict[int, list[tuple[int, int, int]]] = {}
    for fill in fills:
        found.setdefault(fill.order, []).append((fill.ts_ns + later_ns, fill.price, fill.size))
    return {number: tuple(rows) for number, rows in found.items()}


@dataclass
class Explained:
    """What became of each order of a script."""

    orders: int
    ours: int
    """Fills; ``theirs`` alike."""
    theirs: int
    agree: int
    """Orders with the same fills, to the nanosecond and the lot, or none."""
    by_rule: Counter[Rule] = field(default_factory=Counter)
    """How many of the others each rule explains: the one with which an order's difference ended."""
    touched: Counter[Rule] = field(default_factory=Counter)
    """How many of the others each rule changed, whether or not that ended the difference."""
    unexplained: list[int] = field(default_factory=list)
    code: int = 0
    account_lots: float = 0.0
    """The position in hftbacktest's own account; ``held_lots`` is the sum of its fills."""
    held_lots: int = 0


def explain(
    tape: Tape,
    cfg: AppConfig,
    theirs: Theirs,
    orders: Sequence[Order],
    *,
    rules: Sequence[Rule] = tuple(Rule),
    result: tuple[list[Fill], float, int] | None = None,
    later_ns: int = 0,
) -> Explained:
    """Play a script in both engines and climb from ours to theirs. ``result``: theirs, where it was played before."""
    fills, account, code = result or their_engine.play(tape.data, orders, theirs, latency_ns(cfg), tape.end_ns)
    # A fill at the very last moment is told after the end: it counts on neither side.
    target = outcomes((fill for fill in fills if fill.ts_ns + later_ns < tape.end_ns), later_ns=later_ns)
    runs: list[Outcomes] = []
    for count in range(len(rules) + 1):
        played, _ = order_script.play(tape.messages, cfg, orders, rules[:count], theirs, tape.depth)
        runs.append(outcomes(fill for fill in played if fill.ts_ns < tape.end_ns))
    found = Explained(
        orders=len(orders),
        ours=sum(map(len, runs[0].values())),
        theirs=sum(map(len, target.values())),
        agree=0,
        code=code,
        account_lots=account,
        held_lots=sum(fill.side * fill.size for fill in fills),
    )
    for number in range(len(orders)):
        differs = [run.get(number) != target.get(number) for run in runs]
        if differs[-1]:
            found.unexplained.append(number)
        elif not differs[0]:
            found.agree += 1
        else:
            found.by_rule[rules[max(n for n, is_other in enumerate(differs) if is_other)]] += 1
            found.touched.update(rule for n, rule in enumerate(rules) if runs[n].get(number) != runs[n + 1].get(number))
    return found


# --- the strategy


@dataclass(frozen=True)
class Step:
    """Our run with the rules so far."""

    rule: Rule | None
    fills: int
    same: int
    """Fills that are hftbacktest's, to the nanosecond; ``near``: to the microsecond."""
    near: int
    strikes_same: bool
    closes: int
    pnl_jpy: Decimal


@dataclass(frozen=True)
class Compared:
    """The strategy in both engines."""

    steps: list[Step]
    theirs: their_strategy.Traded
    pnl_jpy: Decimal
    """Of hftbacktest's fills."""
    ours: list[Fill]
    """Our fills under all rules."""


def pnl_jpy(fills: Iterable[Fill], mid2: int) -> Decimal:
    """Cash of these fills and what is left at the last mid."""
    money = sum(fill.side * fill.size * (mid2 - 2 * fill.price) for fill in fills)
    return Decimal(money) / (2 * 10**8)


def _terms(fill: Fill) -> tuple[int, int, int, int]:
    return fill.ts_ns, fill.side, fill.price, fill.size


def _near(fills: Iterable[Fill]) -> Counter[tuple[int, int, int, int]]:
    return Counter((fill.ts_ns // NEAR_NS, fill.side, fill.price, fill.size) for fill in fills)


def compare(tape: Tape, cfg: AppConfig, theirs: Theirs, *, rules: Sequence[Rule] = tuple(Rule)) -> Compared:
    """The daemon's core against the strategy that was written for hftbacktest."""
    boards, running_ns = their_strategy.boards_of(tape.messages, cfg)
    traded = their_strategy.run(tape.data, boards, running_ns, cfg, theirs, latency_ns(cfg), tape.end_ns)
    steps, fills, mid2 = list[Step](), list[Fill](), 0
    for count in range(len(rules) + 1):
        trader, events = their_rules.run_strategy(tape.messages, cfg, rules[:count], theirs, tape.depth)
        fills = their_rules.merged(events, {event.client_order_id or "": n for n, event in enumerate(events)})
        struck = [row.ts_ns for row in trader.rows if getattr(row, "decision_type", "") == "strike"]
        mid2 = mid2 or trader.core.board.best_bid_price + trader.core.board.best_ask_price
        steps.append(
            Step(
                rule=rules[count - 1] if count else None,
                fills=len(fills),
                same=(Counter(map(_terms, fills)) & Counter(map(_terms, traded.fills))).total(),
                near=(_near(fills) & _near(traded.fills)).total(),
                strikes_same=struck == traded.struck_ns,
                closes=trader.core.record.tally.closes,
                pnl_jpy=pnl_jpy(fills, mid2),
            )
        )
    return Compared(steps, traded, pnl_jpy(traded.fills, mid2), fills)
