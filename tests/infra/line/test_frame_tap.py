"""A tap receives every frame unchanged, and every connection change."""

from __future__ import annotations

from typing import Any

import orjson

from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.pyb_session import PyBotterSession
from tests.infra.session_rig import BOARD, DELTA, Heard, Venue, config, data
from tests.waiting import until


class Tap:
    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.stamps: list[int] = []

    def on_frame(self, data: bytes, recv_ns: int) -> None:
        self.heard.append(("frame", data))
        self.stamps.append(recv_ns)

    def on_connected(self, now_ns: int) -> None:
        self.heard.append(("connected", None))

    def on_dropped(self, now_ns: int, why: str) -> None:
        self.heard.append(("dropped", why))


async def test_frames_are_told_untouched_and_with_the_stamp_that_the_event_has(venue: Venue) -> None:
    tap, heard = Tap(), Heard()
    async with PyBotterSession(config(venue.url), SystemClock(), heard) as session:
        session.tap = tap
        await session.connect_ws()
        await session.wait_ready()
        odd = ' { "broken" : 1.50e0 '
        await venue.send_raw(odd)
        await venue.send(BOARD, DELTA)
        await until(lambda: len(heard.boards) >= 2)
    assert tap.heard[0] == ("connected", None)
    frames = [what for kind, what in tap.heard if kind == "frame"]
    assert frames[-2:] == [odd.encode(), orjson.dumps(data(BOARD, DELTA))]
    assert heard.events[-1].ts_ns == tap.stamps[-1]


async def test_end_of_a_connection_is_told_with_its_reason(venue: Venue) -> None:
    tap, heard = Tap(), Heard()
    async with PyBotterSession(config(venue.url), SystemClock(), heard) as session:
        session.tap = tap
        await session.connect_ws()
        await session.wait_ready()
        venue.cut(venue.sockets[-1])
        await until(lambda: len([1 for kind, _ in tap.heard if kind == "connected"]) == 2)
    kinds = [kind for kind, _ in tap.heard if kind != "frame"]
    assert kinds[:3] == ["connected", "dropped", "connected"]
    assert next(why for kind, why in tap.heard if kind == "dropped")
