"""A rehearsal on the embedded exchange: a faithful one is as expected, deviations are named, nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from stall_then_strike.app.contact.assumed.deviations import Deviations
from stall_then_strike.app.contact.contact_report import report_text
from stall_then_strike.app.contact.rehearsal import Stage
from stall_then_strike.app.contact.rehearsing import Rehearsing, rehearsal_settings
from stall_then_strike.app.shell.command import EXIT_DONE
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.sim.exchange.flow_model import FlowModel
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from tests.app.contact.deviant import ANSWERS, EVENTS, ORDERS, PRIVATE, STREAM, Deviant, Deviation, faults_of
from tests.live.rig import KEY, LiveRoom, live_room
from tests.signing import SIGNED

pytestmark = SIGNED
SPEED = 2.0
PATIENT = {"pybotters": {"timeout_sec": Decimal(4)}, "strategy": {"stale_ms": 10_000}}
"""For a machine that does much at once, or stands still for a moment."""
UNFIT = {"a wrong mid", "another word for a state", "snapshots every ten seconds"}
"""With the first two no order is allowed, so nothing can be rehearsed; the third needs more time than a rehearsal."""
WAYS = {
    **{name: way for name, way in STREAM.items() if name not in UNFIT},
    **PRIVATE,
    **ORDERS,
    **{name: ANSWERS[name] for name in ("a larger limit", "reset in milliseconds")},
}


@asynccontextmanager
async def rehearsed(
    folder: Path, ways: Sequence[Deviation] = (), *, has_trip: bool = True, ending: Ending | None = None
) -> AsyncIterator[tuple[int, Rehearsing, LiveRoom, Deviations]]:
    """The exit code of the run, the rehearsal, the room and what was found."""
    ending = ending or Ending()
    async with (
        live_room(folder, speed=SPEED, model=FlowModel(), faults=faults_of(ways), sections=PATIENT) as room,
        Deviant(room.exchange.base_url, room.exchange.ws_url, ways) as relay,
    ):
        room.cfg = rehearsal_settings(room.cfg.at(*relay.addresses))
        rehearsing = Rehearsing(room.cfg, 500, has_trip=has_trip)
        room.strategy, room.attend = rehearsing.make, lambda run: rehearsing.attend(run, ending)
        code = await room.run(240, ending)
        watch, figures = rehearsing.finish(is_confirmed=code == EXIT_DONE)
        lines = list(rehearsing.timeline.lines(has_trip=has_trip))
        text = report_text("Rehearsal", "loopback", 0, figures, watch.deviations, lines)
        assert KEY.key not in text
        assert KEY.secret not in text
        yield code, rehearsing, room, watch.deviations


async def assert_nothing_is_left(room: LiveRoom) -> None:
    """No order on the book within the venue's own expiry, no position, and the books agree."""
    account = room.venue.accounts["main"]
    if account.live:
        await room.pass_time(66)
    assert not account.live
    assert room.venue.ledger().position == 0
    room.check()


@pytest.mark.alone  # its times are judged
@pytest.mark.slow(seconds=8)
@pytest.mark.parametrize("has_trip", [False, True])
async def test_faithful_exchange_has_no_deviation(has_trip: bool, tmp_path: Path) -> None:
    async with rehearsed(tmp_path, has_trip=has_trip) as (code, rehearsing, room, found):
        assert [(one.name, one.seen) for one in found] == []
        assert code == EXIT_DONE
        assert rehearsing.strategy is not None
        assert rehearsing.strategy.stage is Stage.DONE
        fills = room.venue.ledger().fills
        assert len(fills) == (2 if has_trip else 0)
        assert {fill.size for fill in fills} <= {100_000}
        assert not any("not seen" in line for line in rehearsing.timeline.lines(has_trip=has_trip))
        assert not room.venue.accounts["main"].live
        await assert_nothing_is_left(room)


@pytest.mark.alone  # its times are judged
@pytest.mark.slow(seconds=15)
async def test_every_deliberate_deviation_is_found_and_named(tmp_path: Path) -> None:
    async with rehearsed(tmp_path, list(WAYS.values())) as (_, _, room, found):
        assert len(WAYS) >= 20
        assert [name for name, way in WAYS.items() if way.found not in found.names] == []
        account = room.venue.accounts["main"]
        await room.pass_time(66)
        assert not account.live
        assert room.venue.ledger().position == 0


OUTS = {
    "the answer to the order is lost": Fault(kind=FaultKind.LOSE_ANSWER, path="/v1/me/sendchildorder", count=1),
    "the order vanishes": Fault(kind=FaultKind.VANISH_ORDER, count=1),
    "the order is refused": Fault(kind=FaultKind.NO_MARGIN),
    "the cancel is refused": Fault(kind=FaultKind.ORDER_NOT_FOUND, count=2),
    "the cancel has no effect": Fault(kind=FaultKind.IGNORE_CANCEL, count=1),
    "no event tells of the cancel": Fault(kind=FaultKind.LOSE_FRAME, channel=EVENTS, event="CANCEL"),
    "the fill is not told": Fault(kind=FaultKind.LOSE_FRAME, channel=EVENTS, event="EXECUTION"),
    "the network is cut": Fault(kind=FaultKind.CUT_NETWORK, from_s=10, to_s=30),
}


@pytest.mark.slow(seconds=25)
@pytest.mark.parametrize("name", OUTS)
async def test_no_way_out_leaves_anything(name: str, tmp_path: Path) -> None:
    async with rehearsed(tmp_path, [Deviation("", fault=OUTS[name])]) as (_, _, room, found):
        assert found.names
        await assert_nothing_is_left(room)


@pytest.mark.slow(seconds=6)
@pytest.mark.parametrize("stage", [Stage.RESTING, Stage.CANCELLING, Stage.BUYING, Stage.CLOSING])
async def test_signal_at_any_stage_leaves_nothing(stage: Stage, tmp_path: Path) -> None:
    ending = Ending()
    async with live_room(tmp_path, speed=SPEED, model=FlowModel(), sections=PATIENT) as room:
        room.cfg = rehearsal_settings(room.cfg)
        rehearsing = Rehearsing(room.cfg, 500, has_trip=True)
        room.strategy, room.attend = rehearsing.make, lambda run: rehearsing.attend(run, ending)

        async def interrupt() -> None:
            while True:
                await asyncio.sleep(0.001)
                if rehearsing.strategy is not None and rehearsing.strategy.stage is stage:
                    ending.on_signal("SIGINT")
                    return

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(interrupt())
            code = await room.run(240, ending)
        assert code == EXIT_DONE
        assert not room.venue.accounts["main"].live
        watch, _ = rehearsing.finish(is_confirmed=True)
        is_early = stage in {Stage.RESTING, Stage.CANCELLING}  # what was bought is sold by the end of a run, too
        assert not is_early or "rehearsal: not done" in watch.deviations.names
        await assert_nothing_is_left(room)
