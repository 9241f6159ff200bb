"""One question for all who look, however many; who reads nothing is cut off, and the others see on."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from stall_then_strike import __version__
from stall_then_strike.app.control.socket_name import short_name
from stall_then_strike.app.view.plain_snapshot import encoded
from stall_then_strike.app.web.drawing.console_words import Words
from stall_then_strike.app.web.drawing.panes import state_pane
from stall_then_strike.app.web.guard import SOCKET
from stall_then_strike.app.web.poller import Poller
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.logs.run_folder import RunFolder
from stall_then_strike.types.dto import NS_PER_S
from tests.app.view.snapshots import LIVE
from tests.app.web.console_rig import TOKEN, Console, console
from tests.e2e.commands import run as sent
from tests.waiting import until

VIEWERS, ENOUGH = 20, 16
_LIMIT_S = 100.0


class Daemon:
    """What answers at a run's socket, and counts."""

    def __init__(self) -> None:
        self.asked = 0

    async def status(self, request: web.Request) -> web.Response:
        self.asked += 1
        seen = replace(LIVE, ts_ns=LIVE.ts_ns + self.asked * NS_PER_S, reconnects=self.asked)
        return web.Response(body=encoded({"text": "", "snapshot": seen}), content_type="application/json")

    @asynccontextmanager
    async def at(self, path: Path) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/status", self.status)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            with short_name(path) as name:
                await web.UnixSite(runner, name).start()
            yield
        finally:
            await runner.cleanup()


class Viewer:
    """A page's socket."""

    def __init__(self, line: aiohttp.ClientWebSocketResponse) -> None:
        self.line, self.updates, self.enough = line, 0, asyncio.Event()

    async def look(self) -> None:
        async for message in self.line:
            if message.data == "2":
                await self.line.send_str("3")
            elif message.data.startswith("42"):
                self.updates += 1
                if self.updates == ENOUGH:
                    self.enough.set()


@asynccontextmanager
async def visitor(shown: Console) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.post(f"{shown.address}/login", data={"token": TOKEN}, headers={"origin": shown.address}):
            pass
        yield session


async def opened(session: aiohttp.ClientSession, shown: Console) -> aiohttp.ClientWebSocketResponse:
    """The socket of a new page, connected."""
    async with session.get(f"{shown.address}/") as answer:
        found = re.search(r"client_id\W{1,5}([0-9a-f-]{36})", await answer.text())
    assert found is not None
    query = {"EIO": "4", "transport": "websocket", "client_id": found[1], "next_message_id": "0"}
    query |= {"implicit_handshake": "true", "tab_id": found[1], "document_id": found[1]}
    line = await session.ws_connect(f"{shown.address}{SOCKET}", params=query, headers={"origin": shown.address})
    await line.send_str("40")
    return line


@pytest.mark.slow(20)
async def test_many_viewers_cost_the_daemon_what_one_costs(tmp_path: Path) -> None:
    daemon, logs = Daemon(), tmp_path / "logs"
    logs.mkdir()
    async with daemon.at(logs / "control.sock"):
        with console(logs, tmp_path / "console") as shown:
            async with visitor(shown) as session, asyncio.timeout(_LIMIT_S), asyncio.TaskGroup() as tasks:
                silent = await opened(session, shown)
                viewers = [Viewer(await opened(session, shown)) for _ in range(VIEWERS)]
                looking = [tasks.create_task(viewer.look()) for viewer in viewers]
                before = daemon.asked
                for viewer in viewers:
                    await viewer.enough.wait()
                asked, seen = daemon.asked - before, sum(viewer.updates for viewer in viewers)
                assert asked < seen / 5, "the daemon is asked for all at once"
                while (await silent.receive()).type is aiohttp.WSMsgType.TEXT:
                    pass  # what came before the end
                assert silent.closed, "it never answered, so it was cut off"
                for task in looking:
                    task.cancel()


class OtherDaemon(Daemon):
    """One that answers something else."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer

    async def status(self, request: web.Request) -> web.Response:
        self.asked += 1
        return web.json_response(self.answer)


class SpeechlessDaemon(Daemon):
    """One that refuses without a word."""

    async def status(self, request: web.Request) -> web.Response:
        return web.Response(status=503)


async def test_a_refusal_without_a_word_is_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with SpeechlessDaemon().at(path):
        poller = Poller(lambda: path, lambda: True, SystemClock())
        asking = asyncio.create_task(poller.run())
        await until(lambda: poller.seen.number > 0)
        asking.cancel()
    assert poller.seen.problem == "no answer"


async def test_a_daemon_of_another_version_is_told(tmp_path: Path) -> None:
    answer = {"version": "9.1", "text": "up", "snapshot": {"ts_ns": "never"}}
    daemon, logs = OtherDaemon(answer), tmp_path / "logs"
    with RunFolder(logs, AppConfig(), "paper", "https://v") as run:
        async with daemon.at(run.files.socket):
            plain = await asyncio.to_thread(sent, "ctl", "status", "--log-dir", logs)
            assert (plain.returncode, plain.stdout) == (0, "up\n")
            whole = await asyncio.to_thread(sent, "ctl", "status", "--json", "--log-dir", logs)
            assert (whole.returncode, whole.stdout) == (1, "")
            assert whole.stderr.startswith(f"ctl: the run is of version 9.1, this program of {__version__}, which ")
            poller = Poller(lambda: run.files.socket, lambda: True, SystemClock())
            asking = asyncio.create_task(poller.run())
            await until(lambda: poller.seen.number > 0)
            asking.cancel()
            for language, badge in (("en", "another version"), ("ja", "版の不一致")):
                shown = state_pane(poller.seen, 0, Words(language))
                assert badge in shown
                assert "9.1" in shown
                assert __version__ in shown


@pytest.mark.parametrize("answer", [{"text": "", "snapshot": {"ts_ns": "never"}}, [], None])
async def test_a_daemon_that_answers_nonsense_is_told(tmp_path: Path, answer: object) -> None:
    daemon, logs = OtherDaemon(answer), tmp_path / "logs"
    logs.mkdir()
    async with daemon.at(logs / "control.sock"):
        with console(logs, tmp_path / "console") as shown:
            asked = daemon.asked
            async with visitor(shown) as session, asyncio.timeout(_LIMIT_S):
                while daemon.asked < asked + 2:
                    async with session.get(f"{shown.address}/metrics") as told:
                        assert told.status == 503
                    await asyncio.sleep(0.1)
            assert shown.process.poll() is None
