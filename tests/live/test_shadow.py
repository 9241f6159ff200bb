"""``run_live --shadow``: the daemon with all that is live, and not one request that changes the account."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stall_then_strike.app.contact.shadowing import Shadowing
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_HALTED
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.trader.live_run import LiveRun
from stall_then_strike.infra.http_bitflyer import BitflyerHttp
from stall_then_strike.sim.exchange.flow_model import FlowModel
from stall_then_strike.types.dto import NS_PER_S, Command, Control, Reason, Side
from stall_then_strike.types.instrument import Lots, Ticks
from stall_then_strike.venues.bitflyer_connection import BitflyerConnection
from tests.lighter.trader_rig import TradingRoom, trading_room
from tests.live.pace import steady_clock
from tests.live.rig import TWO, UNHURRIED, LiveRoom, live_room
from tests.signing import SIGNED

pytestmark = SIGNED
CALM: dict[str, Any] = {"pybotters": UNHURRIED}
READS = {"GET"}
LISTENS = {"auth", "subscribe", "unsubscribe"}
HAND = Lots(1_000_000)
STRIKES = 11
"""At least."""


@asynccontextmanager
async def shadow_room(folder: Path, **more: Any) -> AsyncIterator[tuple[LiveRoom, Shadowing]]:
    """A room whose run is in shadow."""
    sections = {**CALM, **more.pop("sections", {})}
    async with live_room(folder, sections=sections, **more) as room:
        shadowing = Shadowing()
        room.through = shadowing.through
        room.attend = lambda run: shadowing.attend(run, Ending())
        yield room, shadowing


def assert_nothing_was_sent(room: LiveRoom) -> None:
    """Not by HTTP and not on the socket."""
    records = room.exchange.audit.records()
    assert not room.exchange.audit.dropped
    assert {one.what.split()[0] for one in records if one.transport == "rest"} == READS
    assert {one.what for one in records if one.transport == "ws"} <= LISTENS


def assert_traded_on_paper(run: LiveRun | None, number: int = 0, fills: int = 1) -> None:
    assert run is not None
    core = run.portfolio.cores[number]
    assert core.record.tally.strikes >= STRIKES
    assert core.record.tally.fills >= fills
    assert core.account is not None
    assert core.account.was_settled


async def run_for(room: LiveRoom | TradingRoom, seconds: float, is_more: Callable[[], object] = lambda: True) -> int:
    """A run of so many seconds, and longer until every instrument was struck often enough and whatever else is so."""
    end_ns = room.clock.now_ns() + round(seconds * NS_PER_S)

    def is_enough() -> bool:
        cores = [] if room.last is None else room.last.portfolio.cores
        is_struck = all(core.record.tally.strikes >= STRIKES for core in cores)
        return room.clock.now_ns() >= end_ns and is_struck and bool(is_more())

    return await room.run_until(is_enough, 10 * seconds)


async def test_whole_run_strikes_and_fills_and_sends_nothing(tmp_path: Path) -> None:
    sections = {"account": {"reconcile_sec": Decimal(10)}}
    async with shadow_room(tmp_path, sections=sections) as (room, shadowing):
        assert await room.run(120) == EXIT_DONE
        shadowing.finish()
        assert_traded_on_paper(room.last, fills=4)
        assert_nothing_was_sent(room)
        assert room.last is not None
        tally, made = room.last.core.record.tally, shadowing.connection
        assert made is not None
        assert made.refrained.orders == tally.placed
        assert made.refrained.cancels > 10
        assert len(room.exchange.audit.records("GET /v1/me/getchildorders")) > 3, "the account is asked for"
        booked, memo = room.journal()
        assert len(booked) == tally.fills == len(room.rows("trades"))
        assert memo.inventory.position == room.last.core.inventory.position
        with_doubt = {fact.what for fact in room.facts()} & {"difference", "behind", "stranger", "halt", "take_over"}
        assert not with_doubt
        assert "shadow" in room.console.getvalue()


async def strikes(room: LiveRoom, count: int) -> LiveRun:
    """The run, once it has struck so often."""
    while room.last is None or room.last.core.record.tally.strikes < count:  # noqa: ASYNC110 - no event for each
        await asyncio.sleep(0.01)
    return room.last


def halted(run: LiveRun) -> None:
    run.trader.halt(Reason.OPERATOR, "by the test")


def flat(run: LiveRun) -> None:
    run.trader.on_event(
        Control(ts_ns=run.trader.clock.now_ns(), command=Command.FLATTEN, reason=Reason.OPERATOR, detail="by the test")
    )


@pytest.mark.parametrize("way", [halted, flat])
async def test_no_other_way_out_sends_anything_either(way: Callable[[LiveRun], None], tmp_path: Path) -> None:
    """A halt and a command cancel and close: on paper, too."""
    async with shadow_room(tmp_path, sections={"risk": {"stop_flat": True}}) as (room, _):
        ending = Ending()
        running = asyncio.create_task(room.run(ending=ending))
        way(await strikes(room, 10))
        await room.pass_time(10)
        ending.ask("the test is over")
        assert await running == (EXIT_HALTED if way is halted else EXIT_DONE)
        assert room.last is not None
        assert room.last.core.inventory.position == 0
        assert_nothing_was_sent(room)


async def test_failure_of_the_core_sends_nothing_either(tmp_path: Path) -> None:
    """A live run would cancel without it what may be live."""
    async with shadow_room(tmp_path) as (room, _):

        def fail(*_: object) -> None:
            raise RuntimeError("by the test")

        running = asyncio.create_task(room.run())
        run = await strikes(room, 10)
        run.trader.on_input = fail
        with pytest.raises(ExceptionGroup) as raised:
            await running
        assert raised.value.subgroup(RuntimeError)
        assert_nothing_was_sent(room)


async def by_hand(room: LiveRoom, act: Callable[[BitflyerHttp, int], Any]) -> None:
    """Somebody else acts on the account."""
    async with BitflyerConnection(room.cfg, room.clock, room.account) as hand:
        await act(hand.https[0], int(await hand.https[0].get_last_price()))


async def place(http: BitflyerHttp, side: Side, price: int) -> str:
    product = "FX_BTC_JPY"
    return await http.send_limit_order(product, side, Ticks(price), HAND, 0, "by hand")


CHANGES = {
    "the account's position has changed",
    "the account's collateral has changed",
    "an order was placed on the account",
    "an order of the account has ended",
    "executions on the account",
    "the private channel tells of what this run did not do",
}


async def test_what_changes_on_the_account_is_told_and_halts_nothing(tmp_path: Path) -> None:
    """With a position and an order from before, which are left alone and are no finding."""
    sections = {"account": {"reconcile_sec": Decimal(10), "foreign_orders": "cancel"}}
    async with shadow_room(tmp_path, sections=sections) as (room, shadowing):
        names: list[str] = []

        async def before(http: BitflyerHttp, last: int) -> None:
            await place(http, Side.BUY, last * 11 // 10)
            names.append(await place(http, Side.BUY, last * 9 // 10))

        async def meanwhile(http: BitflyerHttp, last: int) -> None:
            await place(http, Side.SELL, last * 9 // 10)
            await place(http, Side.BUY, last * 9 // 10 + 7)
            await http.cancel_order(names[0])

        async def act() -> None:
            await strikes(room, 5)
            assert not room.facts("shadow"), "what was there before is no news"
            await by_hand(room, meanwhile)

        await room.pass_time(3)
        await by_hand(room, before)
        await room.pass_time(3)
        sent = len(calls(room))
        acting = asyncio.create_task(act())
        assert await run_for(room, 60, lambda: set(shadowing.deviations.names) >= CHANGES) == EXIT_DONE
        await acting
        assert_traded_on_paper(room.last)
        assert len(calls(room)) == sent + 3, "only those by hand"
        found = shadowing.deviations.names
        assert set(found) >= CHANGES
        kinds = [fact for fact in room.facts() if fact.what == "shadow"]
        assert {fact.detail.partition(":")[0] for fact in kinds} <= set(found)
        assert len(kinds) == 6, "each kind once"
        assert not [fact for fact in room.facts() if fact.what in {"halt", "difference", "stranger", "take_over"}]


def calls(room: LiveRoom) -> Sequence[object]:
    return [one for one in room.exchange.audit.records() if one.what.startswith("POST")]


async def test_several_instruments(tmp_path: Path) -> None:
    async with shadow_room(tmp_path, instruments=TWO, model=FlowModel(), speed=6.0) as (room, shadowing):
        assert await run_for(room, 60) == EXIT_DONE
        shadowing.finish()
        for number in range(2):
            assert_traded_on_paper(room.last, number, fills=0)
        assert_nothing_was_sent(room)
        assert [(one.name, one.seen) for one in shadowing.deviations] == []
        doubts = {"difference", "collateral", "halt", "unreconciled"}
        assert not [fact for fact in room.facts() if fact.what in doubts]


async def test_lighter(tmp_path: Path) -> None:
    """Two markets of the other venue: no transaction, over HTTP or the socket."""
    async with steady_clock(8.0) as clock, trading_room(tmp_path, clock=clock) as room:
        shadowing = Shadowing()
        room.through = shadowing.through
        room.attend = lambda run: shadowing.attend(run, Ending())
        code = await run_for(room, 60, lambda: room.exchange.audit.counts["GET /api/v1/trades"] > 3)
        shadowing.finish()
        assert code == EXIT_DONE
        for number in range(2):
            assert_traded_on_paper(room.last, number, fills=0)
        assert not room.books.orders
        assert [(one.name, one.seen) for one in shadowing.deviations] == []
        asked = {one.what.partition(" /")[0] for one in room.exchange.audit.records()}
        assert asked <= {"GET", "subscribe", "unsubscribe", "ping"}
        assert room.exchange.audit.counts["GET /api/v1/trades"] > 3
