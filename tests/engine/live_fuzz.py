"""A live core among lost answers, late, doubled and reordered events, races in every report, and another hand on the
account: what may not happen is a halt for books that differ, for here they always can be explained.

    python -m tests.engine.live_fuzz 5000 [first seed [other]]

prints a table; ``other``: at a venue with other rules. The operations are drawn from a seed; the wire is `live_rig.py`.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Final

from stall_then_strike.engine.venue.rules import VenueRules
from stall_then_strike.types.dto import BookStatus, Command, Control, FundingEvent, Reason
from stall_then_strike.types.instrument import Money
from tests.engine.core_rig import BUY, MIN, SELL, at, config
from tests.engine.live_rig import STORM, Weather, Wire
from tests.engine.venue.other_rules import OTHER_RULES

UNIT: Final = 10**8
"""One JPY in money units."""
STEPS: Final = 40
CFG: Final = config(
    strategy={"max_inventory_btc": 0.003, "close_retry_ms": 100, "max_reverse_ticks": 20},
    risk={"daily_pnl_jpy": -5_000_000, "max_dd_jpy": -5_000_000, "after_halt": "wait", "max_rejects": 1_000},
)


def weather(wire: Wire, random: Random) -> None:
    """Storm, one thing that always fails, lists that lag, or nothing."""
    kind = random.randrange(4)
    wire.weather = replace(STORM) if kind == 0 else Weather()
    if kind == 1:
        setattr(wire.weather, random.choice(["answer_lost", "event_lost", "cancel_idle", "report_failed"]), 1.0)
    elif kind == 2:
        wire.weather.history_lag_ms = random.choice([2_000, 30_000, 45_000])
    wire.weather.report_ms = random.choice([0, 60, 400, 1_500])
    wire.weather.event_late_ms = max(wire.weather.event_late_ms, random.choice([0, 0, 500, 3_000]))


def stranger(wire: Wire, random: Random) -> None:
    side = random.choice([BUY, SELL])
    price = wire.best[0] - 50 if side is BUY else wire.best[1] + 50
    wire.stranger(side, price, random.choice([MIN, 2 * MIN, 40_000, 5 * MIN]), is_market=random.random() < 0.5)


def filled(wire: Wire, random: Random) -> None:
    if orders := wire.alive():
        order = random.choice(orders)
        wire.execute(order, max(1, order.left // random.choice([1, 1, 2, 3])))


def moved(wire: Wire, random: Random) -> None:
    bid = max(5_000, wire.best[0] + random.randint(-60, 60))
    wire.move(bid, bid + 100)


def drop(wire: Wire, random: Random) -> None:
    wire.channel_goes(random.choice([200, 2_000, 30_000]))


def kill(wire: Wire, random: Random) -> None:
    if random.random() < 0.5:
        wire.kill()
    else:
        wire.crash = random.choice(["before storing", "before sending", "after sending"])


def pause(wire: Wire, random: Random) -> None:
    wire.pass_time(random.choice([50, 300, 1_000, 3_000, 12_000, 40_000]), alive_ms=100)


def funding(wire: Wire, random: Random) -> None:
    paid = wire.account.basis * random.randint(-30, 30) // 10_000
    wire.account.cash += paid
    if wire.rules.carry_share is None and wire.channel_up:
        wire.feed(FundingEvent(ts_ns=at(wire.ms), amount=Money(paid), what="funding"))


def resume(wire: Wire, random: Random) -> None:
    del random
    wire.feed(Control(ts_ns=at(wire.ms), command=Command.RESUME, reason=Reason.OPERATOR))


OPERATIONS: Final[list[tuple[int, Callable[[Wire, Random], None]]]] = [
    (3, weather),
    (4, stranger),
    (6, filled),
    (4, moved),
    (1, drop),
    (1, kill),
    (12, pause),
    (1, funding),
    (1, resume),
]


def run(seed: int, rules: VenueRules | None = None) -> str:
    """One run: what was wrong with it, or nothing. Without ``rules`` the venue has bitFlyer's."""
    random, wire = Random(seed), Wire(CFG, seed, rules)
    weights = [weight for weight, _ in OPERATIONS]
    wire.pass_time(4_000, alive_ms=100)
    for _ in range(STEPS):
        ((_, operation),) = random.choices(OPERATIONS, weights)
        operation(wire, random)
        if wire.core.halted is Reason.POSITION_MISMATCH:
            return "false halt"
    wire.weather, wire.crash, wire.book, wire.is_running = Weather(), "", BookStatus.OK, True
    wire.feed(Control(ts_ns=at(wire.ms), command=Command.STOP, reason=Reason.OPERATOR))
    for _ in range(40):  # longer than the limits' window: questions may have to wait for it
        wire.pass_time(10_000, alive_ms=200)
        if wire.core.halted is Reason.POSITION_MISMATCH:
            return "false halt"
    return judge(wire)


def judge(wire: Wire) -> str:
    """Whether position, cash and rows are the venue's, and no order is in doubt any more."""
    core, account = wire.core, wire.account
    assert core.account is not None
    if not wire.is_at_rest():
        return "position" if core.inventory.position != account.position else "not at rest"
    if sum(wire.journal.fills.values()) != account.position:
        return "rows do not sum to the position"
    base = core.account.rules.cash_base
    off = account.cash - core.inventory.cash - (base or 0)
    return "cash" if abs(off) >= UNIT else ""


def main() -> int:
    """Run so many seeds; the exit code says whether all was right."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    rules = OTHER_RULES if sys.argv[3:] == ["other"] else None
    found: Counter[str] = Counter()
    for seed in range(first, first + count):
        try:
            wrong = run(seed, rules)
        except AssertionError as error:
            wrong = str(error) or "assertion"
        found[wrong or "right"] += 1
        if wrong:
            sys.stdout.write(f"seed {seed}: {wrong}\n")
            sys.stdout.flush()
    sys.stdout.write(", ".join(f"{what} {n}" for what, n in found.most_common()) + "\n")
    return int(found["right"] != count)


if __name__ == "__main__":
    sys.exit(main())
