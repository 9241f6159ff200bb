"""The watchdog against a venue that refuses or loses calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import aiohttp
import pybotters
import pytest
from aiohttp import web

from stall_then_strike.app.watchdog import Watchdog
from stall_then_strike.infra.bitflyer.cancel_all import CancelAll
from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.clock import SystemClock, VirtualClock
from stall_then_strike.infra.watch.heartbeat import Heartbeat
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import AuthRefused, NoAnswer
from tests.signing import SIGNED
from tests.sim.private_rig import signing_on_loopback

pytestmark = SIGNED
# pybotters 1.x hands its `auth` to aiohttp in a way that aiohttp 3.14 warns of.

KEYS = Credentials(key="the-key", secret="made-up")
TAKEN = (200, "")
BROKEN = (502, "<html>bad gateway</html>")


class Venue:
    """Answers each call with the next of its answers, and repeats the last one."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        self.answers = list(answers)
        self.bodies: list[str] = []
        self.changed = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        self.bodies.append(f"{request.method} {request.path} {await request.text()}")
        self.changed.set()
        status, text = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=status, text=text)

    async def calls(self, wanted: int) -> list[str]:
        async with asyncio.timeout(20):
            while len(self.bodies) < wanted:
                self.changed.clear()
                await self.changed.wait()
        return self.bodies


@asynccontextmanager
async def asking(venue: Venue) -> AsyncIterator[CancelAll]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", venue.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        with signing_on_loopback():
            async with pybotters.Client(apis=KEYS.apis(), base_url=url) as client:
                yield CancelAll(client, KEYS, ("FX_BTC_JPY",), aiohttp.ClientTimeout(total=5))
    finally:
        await runner.cleanup()


class Watch:
    """A fast watchdog, with a heartbeat that the test controls."""

    def __init__(self, path: Path, venue: CancelAll) -> None:
        self.heart = Heartbeat(path, SystemClock(), period_sec=1)
        self.path = path
        self.told: asyncio.Queue[str] = asyncio.Queue()
        self.dog = Watchdog(
            path,
            0.1,
            venue,
            lambda title, text: self.told.put_nowait(f"{title}: {text}"),
            clock=SystemClock(),
            look_sec=0.005,
            pause_sec=0.01,
        )

    def beat(self) -> None:
        self.heart._write("running")

    async def live_then_lost(self) -> None:
        """A heartbeat that the watchdog has seen and that then falls silent."""
        await asyncio.sleep(0)  # the watchdog's first look, which finds no file
        self.beat()

    async def hear(self) -> str:
        async with asyncio.timeout(20):
            return await self.told.get()


@asynccontextmanager
async def watching(path: Path, venue: CancelAll) -> AsyncIterator[Watch]:
    watch = Watch(path, venue)
    task = asyncio.create_task(watch.dog.run())
    try:
        yield watch
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_lost_heartbeat_is_answered_by_two_cancel_alls_and_no_more(tmp_path: Path) -> None:
    venue = Venue(TAKEN)
    async with asking(venue) as cancel_all, watching(tmp_path / "h", cancel_all) as watch:
        await watch.live_then_lost()
        await venue.calls(2)
        assert await watch.hear() == "no heartbeat: cancel-all 1 of 2 was accepted; positions are left open"
        watch.beat()
        assert await watch.hear() == "the heartbeat is back: watching again"
        assert len(venue.bodies) == 2
        await venue.calls(4)  # again, because the heartbeat was lost again
    assert set(venue.bodies) == {'POST /v1/me/cancelallchildorders {"product_code": "FX_BTC_JPY"}'}


async def test_cancel_all_is_repeated_until_the_venue_takes_it_twice(tmp_path: Path) -> None:
    overloaded = (500, '{"status":-208,"error_message":"later","data":null}')
    negative = (200, '{"status":-1,"error_message":"limit","data":null}')
    venue = Venue(BROKEN, overloaded, negative, (401, '{"status":-500}'), TAKEN)
    async with asking(venue) as cancel_all, watching(tmp_path / "h", cancel_all) as watch:
        await watch.live_then_lost()
        await venue.calls(6)
        assert (await watch.hear()).startswith(
            "no heartbeat: cancel-all 1 of 2 failed: /v1/me/cancelallchildorders: HTTP"
        )
        assert await watch.hear() == "no heartbeat: cancel-all 1 of 2 was accepted; positions are left open"
        watch.beat()
        assert await watch.hear() == "the heartbeat is back: watching again"
        assert len(venue.bodies) == 6


class Paced:
    """A watchdog in virtual time, over a venue that refuses the first of its calls."""

    def __init__(self, path: Path, refusals: int) -> None:
        self.clock = VirtualClock(0)
        self.heart = Heartbeat(path, self.clock, period_sec=1)
        self.refusals = refusals
        self.calls_s: list[float] = []
        self.alive_s: list[float] = []
        self.stood_down = 0
        self.dog = Watchdog(path, 2.0, self, lambda title, text: None, clock=self.clock)

    async def send(self) -> None:
        self.calls_s.append(self.clock.now_ns() / NS_PER_S)
        if len(self.calls_s) <= self.refusals:
            raise NoAnswer("cancel-all", "HTTP 502")

    async def check_key(self) -> None:
        """It is good."""

    async def while_alive(self) -> None:
        self.alive_s.append(self.clock.now_ns() / NS_PER_S)

    async def stand_down(self) -> None:
        self.stood_down += 1

    async def pass_time(self, seconds: float, *, is_beating: bool = False) -> None:
        for _ in range(round(seconds * 4)):
            if is_beating:
                self.heart._write("running")
            await self.dog.look()
            self.clock.advance_to(self.clock.now_ns() + NS_PER_S // 4)

    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in pairwise(self.calls_s)]


async def test_refused_cancel_alls_come_ever_more_rarely_and_two_accepted_ones_are_apart(tmp_path: Path) -> None:
    paced = Paced(tmp_path / "h", refusals=6)
    await paced.pass_time(1, is_beating=True)
    await paced.pass_time(1_000)
    assert paced.gaps() == [10, 20, 40, 60, 60, 60, 10]


async def test_trader_that_comes_and_goes_makes_no_storm_of_cancel_alls(tmp_path: Path) -> None:
    paced = Paced(tmp_path / "h", refusals=0)
    for _ in range(20):
        await paced.pass_time(1, is_beating=True)
        await paced.pass_time(3)
    assert len(paced.calls_s) >= 5
    assert min(paced.gaps()) >= 10


async def test_trader_that_comes_back_is_left_alone(tmp_path: Path) -> None:
    venue = Venue(BROKEN)
    async with asking(venue) as cancel_all, watching(tmp_path / "h", cancel_all) as watch:
        await watch.live_then_lost()
        assert "failed" in await watch.hear()
        watch.heart.stopped()
        while watch.dog._vigil.pulse.name != "STOPPED":  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.005)
        sent = len(venue.bodies)
        for _ in range(40):  # looks, each with time for a call
            await asyncio.sleep(0.005)
        assert len(venue.bodies) == sent


async def test_old_heartbeat_without_an_end_is_told_and_not_acted_on(tmp_path: Path) -> None:
    venue = Venue(TAKEN)
    old = Heartbeat(tmp_path / "h", SystemClock(), period_sec=1)
    old._write("running")
    async with asking(venue) as cancel_all, watching(tmp_path / "h", cancel_all) as watch:
        assert (await watch.hear()).startswith("no trader is running: and the last one ended before this watchdog")
        assert venue.bodies == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((401, '{"status":-500,"error_message":"bad the-key made-up"}'), AuthRefused),
        ((200, '["/v1/me/getpermissions"]'), AuthRefused),
        ((200, '{"status":-2}'), NoAnswer),
        ((200, ""), NoAnswer),
        (BROKEN, NoAnswer),
    ],
)
async def test_key_is_checked_at_the_start_and_never_told(answer: tuple[int, str], error: type[Exception]) -> None:
    async with asking(Venue(answer)) as cancel_all:
        with pytest.raises(error) as raised:
            await cancel_all.check_key()
    assert "the-key" not in str(raised.value)
    assert "made-up" not in str(raised.value)


async def test_good_key_passes_and_a_dead_venue_is_no_answer() -> None:
    async with asking(Venue((200, '["/v1/me/cancelallchildorders"]'))) as cancel_all:
        await cancel_all.check_key()
    with signing_on_loopback():
        async with pybotters.Client(apis=KEYS.apis(), base_url="http://127.0.0.1:9") as client:
            with pytest.raises(NoAnswer):
                await CancelAll(client, KEYS, ("P",), aiohttp.ClientTimeout(total=5)).send()
