"""The daemon at work on the exchange of a room, with a hand on the venue and on its faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.trader.live_run import LiveRun
from stall_then_strike.config.models import AppConfig
from stall_then_strike.engine.core import Core
from stall_then_strike.infra.bitflyer.bitflyer_rules import EXPIRY_NS
from stall_then_strike.sim.bitflyer.venue_account import ChildOrder
from stall_then_strike.sim.exchange.book_side import Owner
from stall_then_strike.sim.exchange.request_log import Received
from stall_then_strike.sim.faults.kinds import Fault
from stall_then_strike.types.dto import NS_PER_S, AccountReport, ExecId, Fact, OrderMemo, Side
from stall_then_strike.types.instrument import Lots, Ticks
from tests.live.pace import steady_clock
from tests.live.rig import LiveRoom, live_config, live_room
from tests.sim.private_rig import QUIET

OTHER = Owner("other")
LIMIT_S = 600.0
"""Of the exchange's time, that anything awaited may take: like the exchange, it waits for a busy machine."""
END_S = 30.0
"""Real seconds that the end of a run may take; its own bound, `account.stop_sec`, is one of real seconds."""
PLACE, CANCEL = "POST /v1/me/sendchildorder", "POST /v1/me/cancelchildorder"
PATIENT = {"pybotters": {"timeout_sec": Decimal(10)}}
"""Real seconds: a machine that is busy, or stands still for a moment, is not to look like a dead line."""
HASTY = {"pybotters": {"timeout_sec": Decimal(2)}}
"""Where answers are lost on purpose: that is to be noticed soon."""
QUICK = {"account": {"vanish_sec": 1}}
"""An order without trace is given up a minute after it was sent."""


STILL: dict[str, Any] = {"model": QUIET, "strategy": {"ttl_ms": 20_000}}
"""A market in which nobody moves the best but us and whom the test sends; one order far away beats as its heart."""
_FAR = 9_000_000


class AtWork:
    """A room in which one run after the other may be started."""

    def __init__(self, room: LiveRoom) -> None:
        self.room = room
        self.ending = Ending()
        self.task: asyncio.Task[int] | None = None

    # --- runs

    async def start(self, **sections: Mapping[str, Any]) -> None:
        """Start a run, and return when it has found out about the account."""
        if sections:
            self.room.cfg = live_config(self.room.exchange, self.room.folder, **{**PATIENT, **sections})
        before, self.ending = self.room.last, Ending()
        self.task = asyncio.create_task(self.room.run(ending=self.ending))
        await self.until("a run that knows the account", lambda: self._is_settled(before))

    def _is_settled(self, before: LiveRun | None) -> bool:
        last = self.room.last
        return (
            last is not before and last is not None and last.core.account is not None and last.core.account.is_settled
        )

    async def stop(self) -> int:
        """Stop the run as by a signal; its exit code."""
        self.ending.on_signal("SIGTERM")
        return await self.ended()

    async def ended(self) -> int:
        """The exit code of the run, which ends by itself."""
        assert self.task is not None
        async with asyncio.timeout(END_S):
            return await self.task

    async def kill(self) -> None:
        """End the run as a killed process ends."""
        assert self.task is not None
        await self.room.kill(self.task)

    @property
    def run(self) -> LiveRun:
        assert self.room.last is not None
        return self.room.last

    @property
    def core(self) -> Core:
        return self.run.core

    # --- waiting

    async def until(self, what: str, condition: Callable[[], object]) -> None:
        """Wait for something, looking at each turn of the loop or nearly so; not past the end of the run."""
        clock = self.room.clock
        end_ns = clock.now_ns() + round(LIMIT_S * NS_PER_S)
        while not condition():
            if self.task is not None and self.task.done():
                raise AssertionError(f"the run ended with {self.task.result()} before {what}")
            assert clock.now_ns() < end_ns, f"no {what} within {LIMIT_S:g} s"
            await asyncio.sleep(0.002)

    async def seconds(self, seconds: float) -> None:
        """Let so much of the exchange's time pass."""
        await self.room.pass_time(seconds)

    async def arm(self, *faults: Fault) -> None:
        """Let faults strike whatever the market does from now on; its time may be a moment behind the clock's."""
        market, now_ns = self.room.venue.market, self.room.clock.now_ns()
        self.room.exchange.faults.inject(*faults)
        await self.until("market's turn", lambda: market.now_ns >= now_ns)

    async def hit(self, *faults: Fault, times: int = 1) -> None:
        """Let faults strike, each so many times."""
        injector = self.room.exchange.faults
        before = {fault.label: injector.struck[fault.label] for fault in faults}
        injector.inject(*faults)
        for label, count in before.items():
            await self.until(
                f"strike of {label}", lambda label=label, count=count: injector.struck[label] >= count + times
            )

    async def new_strikes(self, count: int = 2) -> None:
        """Wait until quotes are sent and taken anew, which is to have recovered."""
        await self.until(
            "account that is known", lambda: self.core.account is not None and self.core.account.is_settled
        )
        tally = self.core.record.tally
        placed = tally.placed
        await self.until("new strikes", lambda: tally.placed >= placed + 2 * count)

    # --- the venue

    @property
    def live(self) -> list[ChildOrder]:
        """Our orders at the venue, accepted or on the book."""
        return list(self.room.venue.accounts["main"].live.values())

    @property
    def resting(self) -> list[ChildOrder]:
        """Our orders on the venue's book."""
        return [order for order in self.live if order.state.value == "ACTIVE"]

    @property
    def position(self) -> int:
        return self.room.venue.ledger().position

    def others(self, side: Side, lots: int, price: int | None = None) -> None:
        """Somebody else sends an order, which takes effect at once."""
        market = self.room.venue.market
        market.submit(
            market.now_ns, owner=OTHER, side=side, size=Lots(lots), price=None if price is None else Ticks(price)
        )

    def hit_quote(self, lots: int) -> ChildOrder:
        """Somebody takes so many lots of a quote of ours, and before it all that is better than it by now."""
        order = self.resting[0]
        assert order.price is not None
        depth, bound = self.room.venue.market.depth(), order.price
        better = (
            sum(size for price, size in depth.bids if price > bound)
            if order.side is Side.BUY
            else sum(size for price, size in depth.asks if price < bound)
        )
        self.others(order.side.opposite, better + lots, bound)
        return order

    async def beat(self) -> None:
        """Keep the board of a still market speaking."""
        while True:
            self.others(Side.BUY, 1, _FAR)
            await self.seconds(0.4)

    def calls(self, what: str) -> list[Received]:
        """What the exchange received of a call."""
        return self.room.exchange.audit.records(what)

    # --- what is left behind

    def facts(self, what: str | None = None) -> list[Fact]:
        return self.room.facts(what)

    def fills_of(self, order: ChildOrder) -> list[Fact]:
        return [fact for fact in self.facts("fill") if fact.order_id == order.acceptance_id]

    def orders(self) -> list[OrderMemo]:
        with self.room.reader as reader:
            return list(reader.orders())

    def decisions(self, kind: str) -> list[dict[str, str]]:
        return [row for row in self.room.rows("decisions") if row["decision_type"] == kind]

    async def stop_and_check(self, code: int = 0) -> None:
        """Stop, and hold CSV, journal and inventory to the venue's ledger, with nothing left on its book."""
        assert await self.stop() == code
        await self.check()

    async def until_gone(self) -> None:
        """Wait until nothing of ours is at the venue, of a run that has ended, and long before it would expire."""
        self.task = None
        now_ns = self.room.clock.now_ns()
        await self.until("end of all orders", lambda: not self.live)
        assert self.room.clock.now_ns() - now_ns < EXPIRY_NS // 2

    async def check(self) -> None:
        """The same of a run that has ended. What the venue has accepted but not yet done is waited for."""
        await self.seconds(1)
        assert not self.live
        self.room.check()


@asynccontextmanager
async def at_work(
    folder: Path, *, speed: float = 20.0, begin: bool = True, start_ns: int | None = None, **room: Any
) -> AsyncIterator[AtWork]:
    """A room in which the daemon is at work; sections of the configuration by their names.

    Its time waits for the event loop: on a busy machine quotes would else be stale, or expired, before a test has
    done with them what it is about.
    """
    names = set(AppConfig.model_fields)
    sections = {name: room.pop(name) for name in list(room) if name in names}
    async with steady_clock(speed, start_ns) as clock, live_room(folder, clock=clock, **room) as there:
        there.cfg = live_config(there.exchange, folder, **{**PATIENT, **sections})
        work = AtWork(there)
        heart = asyncio.create_task(work.beat()) if room.get("model") is QUIET else None
        try:
            if begin:
                await work.start()
            yield work
        finally:
            if work.task is not None and not work.task.done():
                work.task.cancel()
                with suppress(asyncio.CancelledError):
                    await work.task
            if heart is not None:
                heart.cancel()


async def show_another_position(work: AtWork) -> None:
    """From now on each report on the account has half a thousandth of a bitcoin more than there is."""
    account = work.run.trader.outbox.executor._account
    assert account is not None

    class Lying:
        async def report(self, since: ExecId) -> AccountReport:
            true = await account.report(since)
            return replace(true, position=true.position + 50_000)

    work.run.trader.outbox.executor._account = Lying()
