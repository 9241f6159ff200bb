"""The daemon on a machine that sleeps, or is frozen: what it told, what it did not do, and whether it goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path

from stall_then_strike.app.shell.command import EXIT_DONE
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.writer import journal_path
from stall_then_strike.types.dto import NS_PER_S, Fact
from tests.live.rig import LiveRoom, ended, live_room
from tests.machine import Machine
from tests.signing import SIGNED
from tests.waiting import until

pytestmark = SIGNED

SPEED = 10.0


def facts(room: LiveRoom, *wanted: str) -> list[Fact]:
    with JournalReader.open(journal_path(room.cfg.journal.dir, room.cfg.exchange.product_code)) as reader:
        return [fact for fact in reader.facts() if fact.what in wanted]


def strikes(room: LiveRoom) -> int:
    run = room.last
    return 0 if run is None else run.core.record.tally.strikes


async def until_strikes(room: LiveRoom, more: int) -> None:
    wanted = strikes(room) + more
    async with asyncio.timeout(30):
        while strikes(room) < wanted:  # noqa: ASYNC110 - the core tells nobody
            await asyncio.sleep(0.01)


async def test_sleep_is_a_lost_connection_and_the_account_is_asked_again(tmp_path: Path) -> None:
    machine = Machine()
    clock = ScaledClock(SPEED, None, machine.sources)
    async with live_room(tmp_path, clock=clock) as room, asyncio.TaskGroup() as tasks:
        ending = Ending()
        run = tasks.create_task(room.run(ending=ending))
        await until_strikes(room, 5)
        await until(lambda: room.last is not None and not room.last.trader.outbox.in_flight)
        asleep_ns = clock.now_ns()
        machine.sleep(60)  # of this machine; ten minutes at the venue
        await until_strikes(room, 5)
        ending.ask("enough")
        assert await ended(run) == EXIT_DONE
        told = facts(room, "pause", "channel", "report", "halt")
        after = [(fact.what, fact.detail) for fact in told if fact.ts_ns >= asleep_ns + 60 * SPEED * NS_PER_S]
        assert ("pause", "this machine slept for 60.0 s") in after
        words = [what if what != "channel" else detail for what, detail in after]
        assert [word for word in words if word != "pause"][:3] == ["down", "up", "report"]
        assert not facts(room, "halt", "stranger", "orphan", "difference")
        room.check()


async def test_frozen_virtual_machine_is_set_right_by_the_venues_word(tmp_path: Path) -> None:
    ours, theirs = Machine(), Machine()
    async with live_room(tmp_path, clock=ScaledClock(1.0, None, theirs.sources)) as room, asyncio.TaskGroup() as tasks:
        room.clock = ScaledClock(1.0, None, ours.sources)
        ending = Ending()
        run = tasks.create_task(room.run(ending=ending))
        await until_strikes(room, 2)
        before_ns = room.clock.now_ns()
        theirs.sleep(20)  # time went on elsewhere, none of our clocks did
        ours.set_wall(20)  # and then the host set ours
        async with asyncio.timeout(60):
            while room.clock.behind_ns() > NS_PER_S:  # noqa: ASYNC110 - by its answers' dates
                await asyncio.sleep(0.05)
        assert room.clock.now_ns() - before_ns > 20 * NS_PER_S
        await until_strikes(room, 2)
        ending.ask("enough")
        assert await ended(run) == EXIT_DONE
        told = [fact.detail for fact in facts(room, "pause", "halt")]
        assert any("was set by +20.0 s" in text for text in told)
        assert any("20.0 s behind the machine's clock and the venue's: set right" in text for text in told)
        room.check()
