"""A session during a sleep and a standstill: frames that waited in the socket are not trusted."""

from __future__ import annotations

import asyncio

import pytest

from stall_then_strike.config.models import StallStrategyConfig
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.pyb_session import PyBotterSession
from stall_then_strike.infra.watch.pauses import Pause, PauseKind
from stall_then_strike.types.dto import NS_PER_S, BoardSnapshot, BookStatus
from tests.infra.session_rig import BOARD, DELTA, STALE_MS, Heard, Venue, config, is_board, live
from tests.machine import Machine
from tests.waiting import until


@pytest.mark.parametrize("kind", [PauseKind.SLEPT, PauseKind.STOOD])
@pytest.mark.parametrize("waiting", [0, 3])
async def test_connection_counts_as_lost_before_any_frame_of_it_is_taken(
    venue: Venue, kind: PauseKind, waiting: int
) -> None:
    machine, heard, told = Machine(), Heard(), list[Pause]()
    clock = SystemClock(machine.sources)
    async with live(venue, heard, clock) as session:
        session.on_pause = told.append
        before_ns, count = clock.now_ns(), len(heard.events)
        for _ in range(waiting):
            await venue.send(BOARD, DELTA)
        (machine.sleep if kind is PauseKind.SLEPT else machine.stand)(180)
        await heard.wait(is_board(BookStatus.OK), after=count)
        boards = [event for event in heard.events[count:] if isinstance(event, BoardSnapshot)]
        assert [board.status for board in boards[:2]] == [BookStatus.UNKNOWN, BookStatus.OK]
        assert all(board.ts_ns - before_ns >= 180 * NS_PER_S for board in boards)
        assert session.statistics().feed.board_deltas == 0, "what waited was not taken"
        assert session.statistics().connects == 2
        assert session.statistics().forced_reconnects == 1
        assert len(venue.sockets) == 2
        await until(lambda: venue.sockets[0].closed)
    assert [pause.kind for pause in told] == [kind]


async def test_short_stop_makes_the_book_stale_until_what_waited_is_taken(venue: Venue) -> None:
    machine, heard = Machine(), Heard()
    async with live(venue, heard, SystemClock(machine.sources)) as session:
        count = len(heard.events)
        await venue.send(BOARD, DELTA)
        machine.stand((STALE_MS + 100) / 1_000)
        await heard.wait(is_board(BookStatus.STALE), after=count)
        await until(lambda: not session._pauses.is_behind)
        await venue.send(BOARD, DELTA)
        await heard.wait(is_board(BookStatus.OK), after=count)
        assert session.statistics().drops == 0


async def test_book_is_trusted_however_soon_it_grows_stale(venue: Venue) -> None:
    """The checks for pauses are farther apart than this strategy lets a book grow old."""
    heard, strategy = Heard(), StallStrategyConfig(stale_ms=5)
    cfg = config(venue.url).model_copy(update={"strategy": strategy})
    async with PyBotterSession(cfg, SystemClock(), heard) as session:
        await session.connect_ws()
        await session.wait_ready()
        begun_ns = session._pauses._looked_ns
        await until(lambda: session._pauses._looked_ns > begun_ns)
        talk = asyncio.create_task(keep_sending(venue))
        await heard.wait(is_board(BookStatus.OK), after=len(heard.events))
        talk.cancel()


async def keep_sending(venue: Venue) -> None:
    """Changes of the book: if this machine stands still just now, the first is not trusted, and rightly."""
    while True:
        await venue.send(BOARD, DELTA)
        await asyncio.sleep(0.02)


async def test_clock_that_is_set_is_told_and_changes_nothing(venue: Venue) -> None:
    machine, heard, told = Machine(), Heard(), list[Pause]()
    clock = SystemClock(machine.sources)
    async with live(venue, heard, clock) as session:
        session.on_pause = told.append
        before_ns = clock.now_ns()
        machine.set_wall(3_600)
        await until(lambda: bool(told))
        await venue.send(BOARD, DELTA)
        await until(lambda: session.statistics().feed.board_deltas == 1)
        assert clock.now_ns() - before_ns < 10 * NS_PER_S
        assert session.statistics().drops == 0
    assert heard.boards == [BookStatus.OK, BookStatus.OK]
    assert [pause.kind for pause in told] == [PauseKind.SET]


async def test_wall_that_was_set_while_asleep_is_taken_over(venue: Venue) -> None:
    machine, heard = Machine(), Heard()
    clock = SystemClock(machine.sources)
    async with live(venue, heard, clock) as session:
        machine.sleep(60)
        machine.set_wall(5)
        await until(lambda: session.statistics().connects == 2)
        assert abs(clock.behind_ns()) < NS_PER_S


async def test_connection_made_just_before_the_sleep_is_not_believed_either(venue: Venue) -> None:
    machine, heard = Machine(), Heard()
    clock = SystemClock(machine.sources)
    async with live(venue, heard, clock) as session:
        venue.cut(venue.sockets[-1])
        await until(lambda: len(venue.sockets) == 2)
        before_ns, count = clock.now_ns(), len(heard.events)
        machine.sleep(60)  # its first frame may have been taken or not
        await heard.wait(is_board(BookStatus.OK), after=count)
        assert len(venue.sockets) == 3
        await until(lambda: session.statistics().is_connected)
        boards = [event for event in heard.events[count:] if isinstance(event, BoardSnapshot)]
        assert all(board.ts_ns - before_ns >= 60 * NS_PER_S for board in boards)
