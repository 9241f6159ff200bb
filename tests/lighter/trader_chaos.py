"""The trader on Lighter's exchange under fault plans, and what must hold of it afterwards.

`python -m tests.live --venue lighter` runs every fault alone and many mixtures, with two markets. With ``--strategy
grid`` a grid trades, and its zones have to hold the position.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stall_then_strike.engine.core import Core
from stall_then_strike.engine.sandbox import Sandbox
from stall_then_strike.engine.strategy_grid import Grid
from stall_then_strike.sim.faults.kinds import Fault, FaultKind, FaultPlan
from stall_then_strike.sim.lighter.venue_events import OrderChanged, Traded, VenueEvent
from stall_then_strike.types.dto import NS_PER_S
from tests.lighter.trader_rig import SYMBOLS, TWO, TradingRoom, trading_room
from tests.live.pace import steady_clock
from tests.live.recovery import PLAN_S, Outcome, knows_the_account, trade_through
from tests.live.witness import Witness, to_all

if TYPE_CHECKING:
    from tests.live.chaos import Scenario

RECOVERY_S: Final = 120.0
LAST_S: Final = 3.0
SPEED: Final = 6.0
ROOMS: Final = 2
LIFE_S: Final = 20.0
"""A quote lives for 0.8 s; one whose cancel is lost is asked about within seconds of the last fault."""
_SEND: Final = "/api/v1/sendTx"
_OF_SNAPSHOTS: Final = {"lose_book_snapshot", "crossed_snapshot"}
_UNHEARD: Final = {"unstreamed_assets"}
"""Faults of channels that the trader does not subscribe to."""
_SENDS, _SEND_TWO = "jsonapi/send", "jsonapi/sendtxbatch"
HOUR_NS: Final = 3_600 * NS_PER_S
HOUR_AFTER_NS: Final = 16 * NS_PER_S
"""In the middle of the window of a fault that is alone."""
_INDEX = itertools.count(200_001)
GRID: Final[Mapping[str, Any]] = {
    "strategy": {"name": "grid", "stale_ms": 3_000},
    "instruments": [
        {**TWO[0], "parameters": {"lower": 3_090, "upper": 3_110, "zones": 200, "resting": 2, "size": Decimal("0.01")}},
        {
            **TWO[1],
            "parameters": {"lower": 92_100, "upper": 92_500, "zones": 200, "resting": 2, "size": Decimal("0.0005")},
        },
    ],
    "parameters": {"rebuild_sec": 60},
}
"""Steps so small that fills come every few seconds."""


class Watch(Witness):
    """Of one instrument: its core's steps, and what could be held if all on the venue's book were filled."""

    def enter_venue(self, room: TradingRoom) -> None:
        self._venue, self._market = room, SYMBOLS.index(room.cfg.products[self.number])
        self.longest_ns = 0
        self._born: dict[int, int] = {}
        room.exchange.listeners.append(self._on_events)

    def _on_events(self, events: list[VenueEvent]) -> None:
        room = self._venue
        if not any(isinstance(event, OrderChanged | Traded) and event.market == self._market for event in events):
            return
        live = [order for order in room.books.orders.values() if order.market == self._market]
        position, now_ns = room.books.size_in(self._market), room.clock.now_ns()
        long = position + sum(order.remaining for order in live if not order.is_ask and not order.is_reduce_only)
        short = -position + sum(order.remaining for order in live if order.is_ask and not order.is_reduce_only)
        self.widest = max(self.widest, long, short)
        self._born = {order.order_index: self._born.get(order.order_index, now_ns) for order in live}
        self.longest_ns = max([self.longest_ns, *(now_ns - born for born in self._born.values())])

    def judge(self) -> None:
        room = self._venue
        assert not self.wrongs, "\n".join(self.wrongs)
        each = room.cfg.by_instrument()[self.number]
        cap = each.exchange.instrument().to_lots(each.strategy.max_inventory_btc)
        assert self.widest <= cap, f"{SYMBOLS[self.number]}: {self.widest} lots could have been held, {cap} are allowed"


def alone(plan: FaultPlan) -> FaultPlan:
    """A plan of one recipe, as this trader meets it.

    It sends over the socket, most often two orders in one message. After an answer was lost there it sends over REST.
    A snapshot comes with a subscription, so after a cut.
    """
    fault = plan.faults[0]
    if fault.label in _OF_SNAPSHOTS:
        return replace(plan, faults=(fault, Fault(kind=FaultKind.ABORT_SOCKETS, from_s=fault.from_s, to_s=fault.to_s)))
    if fault.kind is FaultKind.STALE_NONCE:  # the next nonce is asked for after a lost answer
        lost = Fault(kind=FaultKind.LOSE_REPLY, method=_SEND_TWO, count=1, from_s=fault.from_s, to_s=fault.to_s)
        return replace(plan, faults=(replace(fault, to_s=PLAN_S), lost))  # some seconds later
    if (fault.method or "").startswith(_SENDS):
        return replace(plan, faults=(fault, replace(fault, method=_SEND_TWO)))  # requests come without a cut
    if not (fault.path or "").startswith(_SEND):
        return plan
    lost = Fault(kind=FaultKind.LOSE_REPLY, method=_SEND_TWO, count=1, to_s=PLAN_S)
    return replace(plan, faults=(lost, replace(fault, to_s=PLAN_S)))


async def run_under(scenario: Scenario, folder: Path, outcome: Outcome, speed: float) -> None:
    """Trade under the plan, and judge."""
    plan = scenario.plan()
    start_ns = (time.time_ns() // HOUR_NS + 1) * HOUR_NS - HOUR_AFTER_NS if scenario.is_at_hour else None
    async with steady_clock(speed, start_ns) as clock:
        more: dict[str, Any] = {"sections": GRID} if scenario.strategy == "grid" else {}
        index = next(_INDEX)
        room_of = trading_room(folder, clock=clock, seed=scenario.seed, faults=plan, account_index=index, **more)
        async with room_of as room:
            watches = [Watch(number) for number in range(len(SYMBOLS))]
            for watch in watches:
                watch.enter_venue(room)
            room.attend = to_all([watch.attend for watch in watches])
            origin_ns = clock.now_ns()
            quiet_ns = origin_ns + round((plan.quiet_from_s or 0.0) * NS_PER_S)
            if scenario.is_at_hour:  # not before: what is paid after the end of trading is not booked
                quiet_ns = max(quiet_ns, origin_ns + HOUR_AFTER_NS + 3 * NS_PER_S)
            how: dict[str, Any] = {"limit_s": RECOVERY_S, "last_s": LAST_S, "is_settled": _is_settled}
            await trade_through(room, watches, outcome, quiet_ns, **how)
            outcome.fills = len(room.books.trades)
            outcome.longest_s = max(watch.longest_ns for watch in watches) / NS_PER_S
            try:
                _judge(room, watches, plan, outcome)
            except AssertionError as error:  # would come in the clock's group
                outcome.wrong = str(error)


def _is_settled(core: Core) -> bool:
    """Whether the account is known, and a grid's zones hold the position; they hear of fills a moment later."""
    if not knows_the_account(core):
        return False
    strategy = core.strategy.strategy if isinstance(core.strategy, Sandbox) else None
    return not isinstance(strategy, Grid) or sum(zone.held for zone in strategy.zones) == core.inventory.position


def _judge(room: TradingRoom, watches: Sequence[Watch], plan: FaultPlan, outcome: Outcome) -> None:
    room.check()
    for watch in watches:
        watch.judge()
    recipe = outcome.scenario.recipe
    is_certain = recipe and recipe not in _UNHEARD and all(fault.chance == 1 for fault in plan.faults)
    assert not is_certain or room.exchange.faults.struck[recipe], "the fault did not strike: nothing was tested"
    if outcome.scenario.strategy == "stall":
        assert outcome.longest_s <= PLAN_S + LIFE_S, f"an order lived for {outcome.longest_s:.1f} s"
    refused = room.exchange.refused
    assert not refused, f"over the stream's limits: {refused}"
    outcome.judge(plan)
