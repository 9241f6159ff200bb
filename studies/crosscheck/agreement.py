"""Both engines over one tape, and what it takes to make ours do what hftbacktest does.

Rules of hftbacktest's (`their_rules.Rule`) are put on one after another. A difference is explained by the rule at which
it ends for good; what still differs under all rules is unexplained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from stall_then_strike.config.models import AppConfig
from studies.crosscheck import order_script, their_engine, their_rules, their_strategy
from studies.crosscheck.order_script import Order, Outcomes, outcomes
from studies.crosscheck.same_terms import Tape, latency_ns
from studies.crosscheck.their_rules import Fill, Rule, Theirs

NEAR_NS = 1_000

# --- orders without feedback


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
