"""Group H: what holds under any interleaving, duplication and loss with recovery.

The core with orders that an earlier run left, told of their fills in any order, twice, or not at all, and then shown
the account. What holds of a whole run is at the end, at the exchange.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.app.trader.trader import PaperTrader
from stall_then_strike.app.trader.virtual import VirtualRun
from stall_then_strike.engine.core import Core
from stall_then_strike.engine.orders import NEXT, TERMINAL, OrderState
from stall_then_strike.infra.bitflyer.feed import MarketFeed
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.sim.exchange.source import iter_frames
from stall_then_strike.sim.faults.catalogue import random_plan
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import (
    NS_PER_S,
    AccountReport,
    ClientOrderId,
    ExecId,
    FillEvent,
    OrderId,
    OrderMemo,
    PrivateChannel,
    Reason,
    ReportedOrder,
    ReportedState,
    Side,
    TimeInForce,
)
from stall_then_strike.types.instrument import Lots, Money, Ticks
from tests.engine.core_rig import core_of, properties
from tests.market_script import START_NS, RowList, config
from tests.scenarios.at_work import HASTY, QUICK, at_work
from tests.scenarios.test_d_rest_and_limits import exposure
from tests.signing import SIGNED

PRICE = 10_000_000
COLLATERAL = 10**14


@dataclass(frozen=True)
class Story:
    """What truly happened: orders and their fills in the venue's sequence, and what was heard of it."""

    sizes: tuple[int, ...]
    fills: tuple[FillEvent, ...]
    heard: tuple[FillEvent, ...]

    @property
    def position(self) -> int:
        return sum(fill.side.sign * fill.size for fill in self.fills)

    @property
    def cash(self) -> int:
        return -sum(fill.side.sign * fill.price * fill.size + fill.fee for fill in self.fills)

    def executed(self, number: int) -> int:
        return sum(fill.size for fill in self.fills if fill.order_id == f"V{number}")


def side_of(number: int) -> Side:
    return Side.BUY if number % 2 else Side.SELL


@st.composite
def stories(draw: st.DrawFn) -> Story:
    sizes = tuple(draw(st.lists(st.integers(100_000, 400_000), min_size=1, max_size=5)))
    left = list(sizes)
    fills: list[FillEvent] = []
    for _ in range(draw(st.integers(0, 12))):
        number = draw(st.integers(0, len(sizes) - 1))
        if not left[number]:
            continue
        part = draw(st.integers(1, left[number]))
        left[number] -= part
        fills.append(
            FillEvent(
                ts_ns=START_NS + len(fills) * 10**6,
                exec_id=ExecId(1_000 + len(fills)),
                side=side_of(number),
                price=Ticks(PRICE + draw(st.integers(-5_000, 5_000))),
                size=Lots(part),
                fee=Money(0),
                order_id=OrderId(f"V{number}"),
            )
        )
    heard = draw(st.lists(st.sampled_from(fills), max_size=2 * len(fills))) if fills else []
    return Story(sizes, tuple(fills), tuple(heard))


def told_core(story: Story) -> Core:
    """One that an earlier run left these orders to, before the first report."""
    core = core_of(config(), live=True)
    orders = [
        OrderMemo(
            client_order_id=ClientOrderId(f"c{number}"),
            order_id=OrderId(f"V{number}"),
            side=side_of(number),
            price=Ticks(PRICE + (5_000 if number % 2 else -5_000)),
            size=Lots(size),
            time_in_force=TimeInForce.GTC,
            ttl_ms=800,
            tag="stall",
            reason=Reason.STRIKE,
            sent_ns=START_NS - NS_PER_S,
            state="working",
            executed=Lots(0),
            cancel_reason=None,
            cancel_sent_ns=None,
            registered_ns=START_NS - NS_PER_S // 2,
            is_live=True,
        )
        for number, size in enumerate(story.sizes)
    ]
    core.restore(None, orders, [])
    core.account.rules.since = ExecId(1)  # type: ignore[union-attr] # it has an account, and not its first report
    core.on_event(PrivateChannel(ts_ns=START_NS, is_live=True), START_NS)
    return core


def report(story: Story, asked_ns: int) -> AccountReport:
    """The account when all is over: every order ended, those with an execution listed."""
    ended = {True: ReportedState.COMPLETED, False: ReportedState.CANCELED}
    orders = [
        ReportedOrder(
            order_id=OrderId(f"V{number}"),
            side=side_of(number),
            price=Ticks(PRICE + (5_000 if number % 2 else -5_000)),
            size=Lots(size),
            executed=Lots(story.executed(number)),
            state=ended[story.executed(number) == size],
            placed_ns=START_NS - NS_PER_S,
        )
        for number, size in enumerate(story.sizes)
        if story.executed(number)
    ]
    basis = 0  # what is open cost something, but only its difference to the collateral counts
    return AccountReport(
        ts_ns=asked_ns + NS_PER_S // 10,
        asked_ns=asked_ns,
        orders=tuple(orders),
        since=ExecId(1),
        fills=story.fills,
        is_complete=True,
        position=Lots(story.position),
        basis=Money(basis),
        collateral=Money(COLLATERAL + story.cash + basis),
    )


def tell(core: Core, fills: Sequence[FillEvent], at_ns: int) -> None:
    for fill in fills:
        core.on_event(fill, at_ns)


def show(core: Core, story: Story, asked_ns: int) -> None:
    shown = report(story, asked_ns)
    core.on_event(shown, shown.ts_ns)


def books(core: Core) -> tuple[int, int]:
    held = core.inventory.memo()
    return held.position, held.realised - held.basis


@given(stories())
@properties(200)
def test_ledger_conserves_size_and_cash(story: Story) -> None:
    """H: whatever was heard, doubled or lost, after the account's word position and cash are the venue's."""
    core = told_core(story)
    tell(core, story.heard, START_NS + NS_PER_S)
    told = {fill.exec_id: fill for fill in story.heard}.values()
    assert books(core)[0] == sum(fill.side.sign * fill.size for fill in told)
    show(core, story, START_NS + 4 * NS_PER_S)
    tell(core, story.heard, START_NS + 5 * NS_PER_S)
    assert books(core) == (story.position, story.cash)


@given(stories())
@properties(200)
def test_reconcile_converges_in_one_pass(story: Story) -> None:
    """H: one report books every fill and ends every order that it lists; the positions then agree."""
    core = told_core(story)
    tell(core, story.heard, START_NS + NS_PER_S)
    show(core, story, START_NS + 4 * NS_PER_S)
    assert books(core) == (story.position, story.cash)
    live = {order.order_id for order in core.orders.live()}
    assert live == {f"V{number}" for number in range(len(story.sizes)) if not story.executed(number)}
    assert core.account is not None
    assert core.account.is_settled
    assert core.halted is None


@given(stories())
@properties(200)
def test_reconcile_is_idempotent(story: Story) -> None:
    """H: the same report once more books nothing, changes no order and sends nothing new."""
    core = told_core(story)
    show(core, story, START_NS + 4 * NS_PER_S)
    before = books(core), [(order.client_order_id, order.state) for order in core.orders.live()]
    shown = report(story, START_NS + 4 * NS_PER_S)
    step = core.on_event(shown, shown.ts_ns + 1)
    assert (books(core), [(order.client_order_id, order.state) for order in core.orders.live()]) == before
    assert step.changes is None or not step.changes.fills


def test_any_live_state_can_end_and_an_end_has_no_exit() -> None:
    """H: from every live state a terminal one can be reached in one input, from a terminal one nothing else."""
    for state in OrderState:
        after = set(NEXT[state].values())
        if state in TERMINAL:
            assert after <= {state}
        else:
            assert after & TERMINAL == TERMINAL


def test_same_seed_same_hashes() -> None:
    """H: the same market and settings give the same rows, byte for byte; another seed gives others."""
    assert hash_of(3) == hash_of(3) != hash_of(4)


def hash_of(seed: int) -> str:
    cfg = config()
    clock, feed, log = VirtualClock(0), MarketFeed(cfg), RowList()
    frames = iter_frames(Market(seed=seed, start_ns=START_NS), until_ns=START_NS + 60 * NS_PER_S)
    asyncio.run(VirtualRun(PaperTrader(cfg, clock, feed, log), clock, feed).run((f.time_ns, f.text) for f in frames))
    assert log.rows
    return sha256("\n".join(map(repr, log.rows)).encode()).hexdigest()


@SIGNED
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_exposure_never_exceeds_the_cap(seed: int, tmp_path: Path) -> None:
    """H: orders in doubt counted as live, exposure stays in its cap at each step of a run under random faults."""
    cap = 300_000
    strategy = {"max_inventory_btc": Decimal("0.003")}
    async with at_work(tmp_path, speed=30, strategy=strategy, **QUICK, **HASTY) as work:
        work.room.exchange.faults.inject(*random_plan(seed, 60).faults)
        top, trader = 0, work.run.trader
        moved = trader.on_step

        def measure() -> None:
            nonlocal top
            top = max(top, exposure(work))
            moved()

        trader.on_step = measure
        await work.seconds(60)
        assert 0 < top <= cap
        assert await work.stop() in {0, 1, 3}
